#include "scan.hh"

#include <algorithm>

#include "ringpost/spool/log.hh"

namespace ringpost::spool {

using crypto::kBlockBytes;

SegmentScan::SegmentScan(const crypto::GenerationKeys& keys, std::uint64_t generation, std::uint64_t bytes,
                         const std::set<std::uint64_t>& abandoned, Extent extent, ScanSink& sink)
    : keys_(keys),
      generation_(generation),
      bytes_(bytes & ~std::uint64_t{kBlockBytes - 1}),
      abandoned_(abandoned),
      extent_(extent),
      sink_(sink) {
  if (bytes_ < 2 * kBlockBytes) state_ = State::done;
}

std::optional<SegmentScan::Want> SegmentScan::want() const {
  switch (state_) {
    case State::head: return Want{at_, kBlockBytes};
    case State::body: return Want{at_, header_.group_bytes()};
    case State::salvage: return Want{suspects_[salvaged_].offset, suspect_end() - suspects_[salvaged_].offset};
    case State::done: break;
  }
  return std::nullopt;
}

/// A header of this generation whose group fits. Groups of older generations lie behind ours in a recycled segment.
std::optional<crypto::GroupHeader> SegmentScan::plausible(Bytes head) const {
  const Result<crypto::GroupHeader> header = crypto::parse_group_header(head);
  if (!header || header->generation != generation_ || header->number <= last_group_) return std::nullopt;
  if (header->group_bytes() > kGroupBytesMax || header->group_bytes() > bytes_ - at_) return std::nullopt;
  return *header;
}

/// True for a block that was the start of one of our groups before it was damaged: no zeros, no group of an older generation.
bool SegmentScan::resembles_ours(Bytes head) const {
  const bool our_generation = load_le<std::uint64_t>(head.data() + 16) == generation_;
  const bool follows_last = last_group_ != 0 && std::ranges::equal(head.subspan(64, last_mac_.size()), last_mac_);
  return our_generation || follows_last;
}

bool SegmentScan::is_repeated(Bytes head) const {
  const Result<crypto::GroupHeader> header = crypto::parse_group_header(head);
  return header && header->generation == generation_ && header->number <= last_group_;
}

/// A damaged header says nothing reliable about its group's size: it reached at most to the next one.
std::uint64_t SegmentScan::suspect_end() const {
  const std::uint64_t next = salvaged_ + 1 < suspects_.size() ? suspects_[salvaged_ + 1].offset : at_;
  return std::min<std::uint64_t>(next, suspects_[salvaged_].offset + kGroupBytesMax);
}

/// Where the header is gone, any group that failed may be meant.
bool SegmentScan::is_abandoned(const Suspect& suspect) const {
  return suspect.header ? abandoned_.contains(suspect.header->number) : !abandoned_.empty();
}

void SegmentScan::next_suspect() {
  if (++salvaged_ == suspects_.size()) leave_salvage();
}

/// On with the good group that showed the ones before it to be damaged; behind the tail nothing follows.
void SegmentScan::leave_salvage() {
  suspects_.clear();
  if (in_tail_) {
    state_ = State::done;
    return;
  }
  bad_from_ = 0;
  chain_broken_ = true;
  state_ = State::head;
}

void SegmentScan::feed(Bytes bytes) {
  const std::optional<Want> wanted = want();
  RP_ASSERT(wanted && bytes.size() == wanted->size);
  switch (state_) {
    case State::head:
      if (const auto header = plausible(bytes)) {
        header_ = *header;
        state_ = State::body;
        if (header_.group_bytes() == bytes.size()) take_group(bytes);
      } else {
        if (!searching()) {
          remnant_ = resembles_ours(bytes);
          // Groups lie one behind the other: one begins here, whatever became of its header. (A repeated one is whole.)
          if (remnant_ && !is_repeated(bytes)) suspects_.push_back({at_, std::nullopt});
        }
        next_block();
      }
      break;
    case State::body: take_group(bytes); break;
    case State::salvage:
      deliver_suspect(bytes);
      next_suspect();
      break;
    case State::done: break;
  }
}

void SegmentScan::feed_unreadable() {
  const std::optional<Want> wanted = want();
  RP_ASSERT(wanted);
  if (state_ == State::salvage) {
    next_suspect();
    return;
  }
  sink_.damage(DamageKind::segment_unreadable, wanted->offset, wanted->size, std::nullopt);
  bad_unreadable_ = true;
  next_block();
}

/// The block at `at_` starts no good group: look at the one behind it.
void SegmentScan::next_block() {
  if (!searching()) bad_from_ = at_;
  state_ = State::head;
  at_ += kBlockBytes;
  if (at_ >= bytes_) end_of_segment();
}

void SegmentScan::end_of_segment() {
  state_ = State::done;
  end_offset_ = bad_from_;
  tail_unreadable_ = bad_unreadable_;
  tail_torn_ = searching() && remnant_;
  if (tail_torn_) tail_torn_bytes_ = kBlockBytes;
  for (const Suspect& suspect : suspects_) {
    if (!suspect.header) continue;
    if (abandoned_.contains(suspect.header->number)) {
      highest_group_ = std::max(highest_group_, suspect.header->number);
      ++groups_abandoned_;
    } else {
      tail_torn_ = true;
      tail_torn_bytes_ += suspect.header->group_bytes();
    }
  }
  if (extent_ != Extent::with_tail || suspects_.empty()) return suspects_.clear();
  in_tail_ = true;
  salvaged_ = 0;
  state_ = State::salvage;
}

void SegmentScan::take_group(Bytes group) {
  const crypto::GroupFault fault = crypto::verify_group(group, header_, keys_);
  if (fault == crypto::GroupFault::mac || fault == crypto::GroupFault::checksum) {
    if (suspects_.size() < kSuspectsMax) suspects_.push_back({at_, header_});
    next_block();
    return;
  }
  if (searching()) {  // what lies between was good once
    sink_.damage(DamageKind::group, bad_from_, at_ - bad_from_, std::nullopt);
    ++groups_damaged_;
    bad_unreadable_ = false;
    if (!suspects_.empty()) {
      state_ = State::salvage;
      salvaged_ = 0;
      return;
    }
    bad_from_ = 0;
  } else if (last_group_ != 0 && !chain_broken_ && header_.previous_mac != last_mac_) {
    sink_.damage(DamageKind::groups_missing, at_, 0, std::nullopt);
  }
  if (fault == crypto::GroupFault::padding) sink_.damage(DamageKind::padding, at_, group.size(), std::nullopt);
  chain_broken_ = remnant_ = false;
  last_group_ = header_.number;
  highest_group_ = std::max(highest_group_, header_.number);
  last_mac_ = header_.mac;
  if (abandoned_.contains(header_.number)) {
    ++groups_abandoned_;
  } else {
    ++groups_;
    sink_.group(header_, at_);
    deliver_group(group);
  }
  at_ += group.size();
  state_ = extent_ != Extent::first_group && at_ < bytes_ ? State::head : State::done;
}

void SegmentScan::deliver_group(Bytes group) {
  const std::uint32_t seen = crypto::for_each_record(group, header_, [&](Bytes bytes, std::uint32_t offset) {
    const Result<crypto::RecordView> record = crypto::RecordView::parse(bytes);
    if (record) return deliver_record(*record, at_ + offset, Trust::group);
    sink_.damage(DamageKind::record, at_ + offset, bytes.size(), std::nullopt);
  });
  if (seen < header_.records) sink_.damage(DamageKind::record, at_, group.size(), std::nullopt);
}

/// Each record must prove itself, which a CHUNK cannot: it is found through its MESSAGE. Neither the number of records nor their
/// length is to be relied on, so whatever parses is looked at.
void SegmentScan::deliver_suspect(Bytes remains) {
  const Suspect& suspect = suspects_[salvaged_];
  if (is_abandoned(suspect)) return;
  const Trust trust = in_tail_ ? Trust::nothing_in_tail : Trust::nothing;
  crypto::GroupHeader all;
  all.records = ~std::uint32_t{0};
  all.records_bytes = static_cast<std::uint32_t>(remains.size() - crypto::GroupHeader::kBytes);
  std::size_t end = crypto::GroupHeader::kBytes;
  crypto::for_each_record(remains, all, [&](Bytes bytes, std::uint32_t offset) {
    end = offset + bytes.size();
    const Result<crypto::RecordView> record = crypto::RecordView::parse(bytes);
    if (record) return deliver_record(*record, suspect.offset + offset, trust);
    if (!in_tail_) sink_.damage(DamageKind::record, suspect.offset + offset, bytes.size(), std::nullopt);
  });
  if (in_tail_) return;
  const bool explained = std::ranges::all_of(remains.subspan(end), [](std::byte b) { return b == std::byte{}; });
  if (!explained) sink_.damage(DamageKind::record, suspect.offset + end, remains.size() - end, std::nullopt);
  sink_.remains(suspect.offset, remains.size(), explained);
}

void SegmentScan::deliver_record(const crypto::RecordView& record, std::uint64_t offset, Trust trust) {
  const crypto::RecordFrame& frame = record.frame();
  if (frame.kind == static_cast<std::uint8_t>(RecordKind::chunk)) {
    if (trust == Trust::group) sink_.record(record, offset, {});
    if (trust == Trust::nothing) sink_.unproven_chunk(record, offset);
    return;
  }
  plaintext_.resize(frame.last - crypto::kTagBytes);
  const bool opened = record.open_last(keys_.metadata, plaintext_);
  if (trust == Trust::nothing_in_tail) {
    if (opened) sink_.tail_record(record, offset, plaintext_);
  } else if (opened) {
    sink_.record(record, offset, plaintext_);
  } else {
    sink_.damage(DamageKind::record, offset, frame.length, frame.message);
  }
}

}  // namespace ringpost::spool
