#include "survey.hh"

#include <algorithm>

#include "ringpost/event/codec.hh"

namespace ringpost::rescue {

using spool::DamageKind;
using spool::Position;
using spool::Proof;
using spool::RecordKind;

namespace {

FindingKind finding_of(DamageKind kind) {
  switch (kind) {
    case DamageKind::segment_header: return FindingKind::segment_header;
    case DamageKind::segment_unreadable: return FindingKind::segment_unreadable;
    case DamageKind::segment_missing: return FindingKind::segment_missing;
    case DamageKind::groups_missing: return FindingKind::groups_missing;
    case DamageKind::group: return FindingKind::group;
    case DamageKind::record: return FindingKind::record;
    case DamageKind::padding: return FindingKind::padding;
    case DamageKind::foreign_file: return FindingKind::foreign_file;
  }
  return FindingKind::record;
}

}  // namespace

void Survey::report(FindingKind kind, const Position& place, std::optional<MessageId> message) {
  const auto generation = inspection_.generations().find(place.generation);
  reporter_.found({.kind = kind,
                   .partition = inspection_.options().partition,
                   .segment = generation == inspection_.generations().end() ? 0 : generation->second.segment,
                   .generation = place.generation,
                   .offset = place.offset,
                   .bytes = place.length,
                   .message = message});
}

void Survey::on_group(const spool::GenerationFound& generation, const crypto::GroupHeader&, std::uint64_t) {
  if (sequence_generation_ == generation.number) return;
  sequence_generation_ = generation.number;
  sequence_ = 0;
}

void Survey::on_record(const crypto::RecordView& record, const Position& place, Bytes plaintext, Proof proof) {
  if (proof == Proof::tail && !wants_.tail) return;
  ++records_;
  if (proof == Proof::group) {  // a number twice would be a nonce twice
    const bool follows = record.frame().sequence > sequence_;
    sequence_ = record.frame().sequence;
    if (!follows) report(FindingKind::record, place, record.frame().message);
  }
  take(record, place, plaintext, proof);
}

void Survey::take(const crypto::RecordView& record, const Position& place, Bytes plaintext, Proof proof) {
  const crypto::RecordFrame& frame = record.frame();
  const bool late = wants_.late != 0 && place.generation >= wants_.late;
  bool understood = frame.version == spool::kRecordVersion;
  switch (static_cast<RecordKind>(frame.kind)) {
    case RecordKind::message: {
      const Result<spool::Scheduling> scheduling = spool::decode_scheduling(plaintext, arrays_);
      understood = understood && scheduling && frame.wrapped != 0 && frame.first != 0 && frame.second != 0;
      if (!understood) break;
      if (proof == Proof::tail && !ledger_.find(frame.message)) from_tail_.insert(frame.message);
      ledger_.add_message(frame.message, place, *scheduling);
      if (late) late_.add_message(frame.message, place, *scheduling);
      break;
    }
    case RecordKind::outcome: {
      const Result<spool::Outcome> outcome = spool::decode_outcome(plaintext, arrays_);
      understood = understood && outcome;
      if (!understood) break;
      const bool known = ledger_.add_outcome(frame.message, place, *outcome, frame.first != 0);
      if (!known && inspection_.has_generation(outcome->message_generation)) orphans_[frame.message] = place;
      if (late) late_.add_outcome(frame.message, place, *outcome, false);
      break;
    }
    case RecordKind::audit:
      understood = understood && plaintext.size() >= spool::kAuditPrefixBytes;
      if (understood && !take_event(plaintext)) report(FindingKind::event, place);
      break;
    case RecordKind::abandon: understood = understood && spool::decode_abandon(plaintext).has_value(); break;
    case RecordKind::checkpoint: understood = understood && spool::decode_checkpoint(plaintext).has_value(); break;
    case RecordKind::chunk:
    case RecordKind::key:
    case RecordKind::erase: break;
    default: understood = false;
  }
  if (!understood) report(FindingKind::record, place, frame.message);
}

bool Survey::take_event(Bytes plaintext) {
  WaitingEvent event;
  copy_bytes(event.incarnation.bytes, plaintext.first(16));
  event.sequence = load_le<std::uint64_t>(plaintext.data() + 16);
  const Bytes encoded = plaintext.subspan(spool::kAuditPrefixBytes);
  const auto mark = inspection_.audit_marks().find(event.incarnation);
  if (wants_.events && (mark == inspection_.audit_marks().end() || event.sequence > mark->second)) {
    event.encoded.assign(encoded.begin(), encoded.end());
    events_.push_back(std::move(event));
  }
  return event::decode(encoded).has_value();
}

void Survey::on_unproven_chunk(const crypto::RecordView&, const Position&) {}

void Survey::on_damage(const spool::Damage& damage) {
  reporter_.found({.kind = finding_of(damage.kind),
                   .partition = inspection_.options().partition,
                   .segment = damage.segment,
                   .generation = damage.generation,
                   .offset = damage.offset,
                   .bytes = damage.bytes,
                   .message = damage.message && !damage.message->is_zero() ? damage.message : std::nullopt});
  if (damage.kind == DamageKind::record && damage.message && !damage.message->is_zero())
    damaged_[*damage.message].push_back(
        {damage.generation, static_cast<std::uint32_t>(damage.offset), static_cast<std::uint32_t>(damage.bytes)});
}

void Survey::on_unknown(std::uint64_t generation, std::uint64_t offset) {
  if (generation == 0) {
    unknown_anywhere_ = true;
    return;
  }
  const Position place{generation, static_cast<std::uint32_t>(offset), 0};
  unknown_until_ = unknown_until_ ? std::max(*unknown_until_, place) : place;
}

void Survey::on_stale(const spool::GenerationFound& generation) {
  stale_.insert(generation.number);
  reporter_.found({.kind = FindingKind::segment_stale,
                   .partition = inspection_.options().partition,
                   .segment = generation.segment,
                   .generation = generation.number,
                   .bytes = generation.bytes});
}

void Survey::on_torn_tail(const spool::GenerationFound& generation, std::uint64_t offset, std::uint64_t bytes) {
  report(FindingKind::torn_tail, {generation.number, static_cast<std::uint32_t>(offset), static_cast<std::uint32_t>(bytes)});
}

void Survey::on_unused_bytes(const spool::GenerationFound& generation, std::uint64_t offset) {
  report(FindingKind::unused_bytes, {generation.number, static_cast<std::uint32_t>(offset), 0});
}

std::vector<std::pair<MessageId, Position>> Survey::unknown_records() const {
  std::vector<std::pair<MessageId, Position>> records;
  for (const auto& [id, places] : damaged_)
    if (!ledger_.find(id))
      for (const Position& place : places) records.emplace_back(id, place);
  return records;
}

void Survey::conclude() {
  for (const auto& [id, places] : damaged_)
    if (!ledger_.find(id)) lost_.emplace(id, FindingKind::record);
  for (const auto& [id, place] : orphans_) {
    if (ledger_.find(id)) continue;
    lost_.emplace(id, FindingKind::message_missing);
    report(FindingKind::message_missing, place, id);
  }
  for (const auto& [id, known] : ledger_.messages())
    if (known.skipped && !known.is_over()) report(FindingKind::outcome_missing, known.last, id);
}

bool Survey::may_have_lost_outcome(const MessageId& id, const Known& known) const {
  if (known.skipped || unknown_anywhere_ || stale_.contains(known.place.generation)) return true;
  if (unknown_until_ && known.last < *unknown_until_) return true;
  const auto damaged = damaged_.find(id);
  return damaged != damaged_.end() &&
         std::ranges::any_of(damaged->second, [&](const Position& place) { return place > known.last; });
}

}  // namespace ringpost::rescue
