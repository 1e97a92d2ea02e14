#include "ringpost/spool/inspection.hh"

#include <fcntl.h>

#include <algorithm>

#include "ringpost/spool/log.hh"
#include "scan.hh"
#include "segments.hh"

namespace ringpost::spool {

using crypto::kBlockBytes;
using runtime::Task;

namespace {

constexpr std::size_t kWindowBytes = 2 * kGroupBytesMax;
/// Read along with a record: messages lie close to each other, pieces of different ones between each other.
constexpr std::size_t kAheadBytes = 256_KiB;
constexpr std::size_t kOpenMax = 64;
/// A CHECKPOINT names no more generations than this, the newest ones.
constexpr std::size_t kMarksMax = 1000;

std::unexpected<Error> failure(Errc code) { return std::unexpected(Error{code}); }
bool is_zero(Bytes bytes) {
  return std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{}; });
}

}  // namespace

struct RecordWindow::Memory {
  AlignedBuffer buffer{kWindowBytes};
  std::uint64_t generation = 0, begin = 0;
  std::size_t filled = 0;
};
RecordWindow::RecordWindow() : memory_(std::make_unique<Memory>()) {}
RecordWindow::RecordWindow(RecordWindow&&) noexcept = default;
RecordWindow::~RecordWindow() = default;

/// One generation's scan, told on.
class Inspection::Scan final : public ScanSink {
 public:
  Scan(Inspection& of, GenerationFound& generation, bool opening, InspectionVisitor& visitor)
      : of_(of), generation_(generation), opening_(opening), visitor_(visitor) {}

  /// A block has been looked at: what is not zero behind the last group is noted.
  void looked_at(std::uint64_t offset, Bytes block) {
    if (used_from_ == 0 && !is_zero(block)) used_from_ = offset;
  }
  void ended(const SegmentScan& scan) {
    end_region();
    if (opening_) return;
    const std::uint64_t end = scan.end_offset();
    if (scan.tail_torn())
      visitor_.on_torn_tail(generation_, end, scan.tail_torn_bytes());
    else if (used_from_ != 0 && generation_.previous == 0 && scan.groups_abandoned() == 0)
      visitor_.on_unused_bytes(generation_, used_from_);
    const auto mark = of_.marks_.find(generation_.number);
    if (mark == of_.marks_.end() || mark->second.last_group <= scan.last_group()) return;
    report({DamageKind::groups_missing, generation_.segment, generation_.number, end, 0, {}});
    visitor_.on_unknown(generation_.number, end);
  }

 private:
  void group(const crypto::GroupHeader& header, std::uint64_t offset) override {
    end_region();
    used_from_ = 0;
    last_group_ = header.number;
    if (!opening_) visitor_.on_group(generation_, header, offset);
  }
  void record(const crypto::RecordView& record, std::uint64_t offset, Bytes plaintext) override {
    if (!opening_) {
      ++of_.report_.records;
      return visitor_.on_record(record, place_of(record, offset), plaintext, in_region_ ? Proof::itself : Proof::group);
    }
    if (record.frame().version == kRecordVersion)
      of_.take_opening(static_cast<RecordKind>(record.frame().kind), generation_.number, plaintext);
  }
  void tail_record(const crypto::RecordView& record, std::uint64_t offset, Bytes plaintext) override {
    // Where a later CHECKPOINT says that the generation ended here, the tail was never acknowledged.
    const auto mark = of_.marks_.find(generation_.number);
    const bool settled = mark != of_.marks_.end() && mark->second.last_group <= last_group_;
    if (!opening_ && !settled) visitor_.on_record(record, place_of(record, offset), plaintext, Proof::tail);
  }
  void unproven_chunk(const crypto::RecordView& record, std::uint64_t offset) override {
    if (!opening_) visitor_.on_unproven_chunk(record, place_of(record, offset));
  }
  void damage(DamageKind kind, std::uint64_t offset, std::uint64_t bytes, const std::optional<MessageId>& message) override {
    if (opening_) return;
    used_from_ = 0;
    report({kind, generation_.segment, generation_.number, offset, bytes, message});
    if (kind == DamageKind::group) {
      in_region_ = true;
      region_from_ = offset;
      region_bytes_ = bytes;
      explained_bytes_ = 0;
    } else if (kind == DamageKind::segment_unreadable || kind == DamageKind::groups_missing ||
               (kind == DamageKind::record && !message)) {
      visitor_.on_unknown(generation_.number, offset);
    }
  }
  void remains(std::uint64_t, std::uint64_t bytes, bool explained) override {
    if (explained) explained_bytes_ += bytes;
  }
  void end_region() {
    if (in_region_ && !opening_ && explained_bytes_ < region_bytes_) visitor_.on_unknown(generation_.number, region_from_);
    in_region_ = false;
  }
  void report(const Damage& damage) { of_.report(damage, visitor_); }
  Position place_of(const crypto::RecordView& record, std::uint64_t offset) const {
    return {generation_.number, static_cast<std::uint32_t>(offset), record.frame().length};
  }

  Inspection& of_;
  GenerationFound& generation_;
  bool opening_;
  InspectionVisitor& visitor_;
  bool in_region_ = false;  // between a damaged group and the good one behind it
  std::uint64_t region_from_ = 0, region_bytes_ = 0, explained_bytes_ = 0;
  std::uint64_t used_from_ = 0, last_group_ = 0;
};

Inspection::Inspection(runtime::Ring& ring, InspectionOptions options, Bytes metadata_key)
    : ring_(ring), options_(std::move(options)), metadata_key_(metadata_key) {}
Inspection::~Inspection() { RP_ASSERT(open_.empty()); }

std::string Inspection::path(std::uint32_t segment) const {
  const std::string digits = std::to_string(segment);
  return options_.directory + '/' + std::string(8 - std::min<std::size_t>(digits.size(), 8), '0') + digits + ".seg";
}

crypto::GenerationKeys Inspection::keys(const GenerationFound& generation) const {
  return {metadata_key_.view(), options_.store, options_.partition, generation.number, generation.salt};
}

void Inspection::report(const Damage& damage, InspectionVisitor& visitor) {
  ++report_.damages;
  report_.records_damaged += damage.kind == DamageKind::record;
  visitor.on_damage(damage);
}

// ---- finding

Task<Result<>> Inspection::find(InspectionVisitor& visitor) {
  Result<std::vector<runtime::DirectoryEntry>> entries = ring_.list_directory(options_.directory);
  if (!entries) co_return std::unexpected(entries.error());
  std::ranges::sort(*entries, {}, &runtime::DirectoryEntry::name);
  for (const runtime::DirectoryEntry& entry : *entries) {
    if (entry.name == "index" && entry.is_directory) continue;
    if (entry.name == "lock" || entry.name == "in-work") {
      const Result<runtime::FileInfo> info = ring_.path_info(options_.directory + '/' + entry.name);
      if (info && info->is_regular && info->links == 1) continue;
    }
    const std::optional<std::uint32_t> number = Segments::number_in(entry.name);
    if (!number || entry.is_directory) {
      report({.kind = DamageKind::foreign_file}, visitor);
      continue;
    }
    Result<> looked = co_await look_at(path(*number), *number, visitor);
    if (!looked) co_return looked;
  }
  for (auto& [number, generation] : generations_) {
    Result<> scanned = co_await scan(generation, true, visitor);
    if (!scanned) co_return scanned;
  }
  report_missing(visitor);
  co_return Result<>{};
}

Task<Result<>> Inspection::look_at(std::string name, std::uint32_t number, InspectionVisitor& visitor) {
  const Result<runtime::FileInfo> info = ring_.path_info(name);
  if (!info) co_return std::unexpected(info.error());
  if (!info->is_regular || info->links != 1) {
    report({.kind = DamageKind::foreign_file, .segment = number}, visitor);
    co_return Result<>{};
  }
  const std::uint64_t bytes = info->size & ~std::uint64_t{kBlockBytes - 1};
  if (bytes < 2 * kBlockBytes) co_return Result<>{};  // a start died while it made the file
  Result<Fd> file = co_await open_file(name);
  if (!file) co_return std::unexpected(file.error());
  const MutableBytes memory = window_.memory_->buffer.bytes();
  window_.memory_->filled = 0;
  std::size_t filled = 0;
  Result<> fetched = co_await fetch(*file, memory.first(kBlockBytes), 0, kBlockBytes, filled);
  Result<std::uint32_t> closed = co_await ring_.close(*file);
  static_cast<void>(closed);
  if (!fetched) {
    ++report_.segments_unknown;
    report({.kind = DamageKind::segment_unreadable, .segment = number, .bytes = kBlockBytes}, visitor);
    visitor.on_unknown(0, 0);
    co_return Result<>{};
  }
  const Bytes block = Bytes{memory}.first(kBlockBytes);
  if (is_zero(block)) co_return Result<>{};
  const Result<crypto::SegmentHeader> header = crypto::parse_segment_header(block);
  GenerationFound found{.segment = number, .bytes = bytes};
  if (header) {
    found.number = header->generation;
    found.previous = header->previous;
    found.salt = header->salt;
    found.incarnation = header->incarnation;
  }
  const bool ours = header && header->store == options_.store && header->partition == options_.partition &&
                    !generations_.contains(found.number) && crypto::verify_segment_header(block, keys(found));
  if (!ours) {
    ++report_.segments_unknown;
    report({.kind = DamageKind::segment_header, .segment = number, .generation = found.number, .bytes = kBlockBytes}, visitor);
    visitor.on_unknown(0, 0);
    co_return Result<>{};
  }
  ++report_.segments;
  if (bytes < header->segment_bytes) {
    report({DamageKind::segment_unreadable, number, found.number, bytes, header->segment_bytes - bytes, {}}, visitor);
    visitor.on_unknown(found.number, bytes);
  }
  if (found.previous != 0) overwritten_.insert(found.previous);
  generations_.emplace(found.number, found);
  co_return Result<>{};
}

bool Inspection::take_opening(RecordKind kind, std::uint64_t generation, Bytes plaintext) {
  if (kind == RecordKind::abandon) {
    const Result<Abandon> abandon = decode_abandon(plaintext);
    if (!abandon) return false;
    abandoned_[abandon->generation].insert(abandon->group);
  } else if (kind == RecordKind::checkpoint) {
    const Result<Checkpoint> checkpoint = decode_checkpoint(plaintext);
    if (!checkpoint) return false;
    for (const AuditMark& mark : checkpoint->audit) {
      std::uint64_t& known = audit_marks_[mark.incarnation];
      known = std::max(known, mark.sequence);
    }
    if (generation < checkpoint_generation_) return true;  // the newest counts
    checkpoint_generation_ = generation;
    marks_.clear();
    for (const GenerationMark& mark : checkpoint->generations) marks_[mark.generation] = mark;
  }
  return true;
}

void Inspection::report_missing(InspectionVisitor& visitor) {
  for (const auto& [number, mark] : marks_) {
    if (generations_.contains(number) || overwritten_.contains(number)) continue;
    missing_.insert(number);
    report({DamageKind::segment_missing, mark.segment, number, 0, 0, {}}, visitor);
    visitor.on_unknown(number, 0);
  }
  // What the newest CHECKPOINT did not name although it was older, held groups and had not failed, was not there when it was
  // written.
  if (marks_.size() >= kMarksMax) return;
  for (const auto& [number, generation] : generations_) {
    if (number >= checkpoint_generation_ || generation.last_group == 0) continue;
    if (marks_.contains(number) || abandoned_.contains(number)) continue;
    visitor.on_stale(generation);
  }
}

// ---- reading

Task<Result<>> Inspection::read_all(InspectionVisitor& visitor) {
  for (auto& [number, generation] : generations_) {
    Result<> scanned = co_await scan(generation, false, visitor);
    if (!scanned) co_return scanned;
    last_group_ = std::max(last_group_, generation.last_group);
  }
  co_return Result<>{};
}

Task<Result<>> Inspection::scan(GenerationFound& generation, bool opening, InspectionVisitor& visitor) {
  const crypto::GenerationKeys derived = keys(generation);
  Scan sink(*this, generation, opening, visitor);
  const auto extent = opening ? SegmentScan::Extent::first_group : SegmentScan::Extent::with_tail;
  SegmentScan scan(derived, generation.number, generation.bytes, abandoned_[generation.number], extent, sink);
  Result<Fd> file = co_await open(generation);
  if (!file) co_return std::unexpected(file.error());
  RecordWindow::Memory& window = *window_.memory_;
  window.filled = 0;
  while (const auto want = scan.want()) {
    const bool there = want->offset >= window.begin && want->offset + want->size <= window.begin + window.filled;
    if (!there) {
      window.begin = want->offset;
      const std::uint64_t ahead = opening ? want->size : std::min<std::uint64_t>(kWindowBytes, generation.bytes - want->offset);
      Result<> fetched = co_await fetch(*file, window.buffer.bytes().first(std::max(ahead, want->size)), want->offset, want->size,
                                        window.filled);
      if (!fetched) {
        scan.feed_unreadable();
        continue;
      }
    }
    const Bytes bytes = Bytes{window.buffer.bytes()}.subspan(want->offset - window.begin, want->size);
    if (want->size == kBlockBytes) sink.looked_at(want->offset, bytes);
    scan.feed(bytes);
  }
  window.filled = 0;
  generation.last_group = scan.last_group();
  sink.ended(scan);
  if (opening) co_return Result<>{};
  report_.groups += scan.groups();
  report_.groups_damaged += scan.groups_damaged();
  report_.groups_abandoned += scan.groups_abandoned();
  report_.tails_torn += scan.tail_torn();
  report_.tail_bytes_torn += scan.tail_torn_bytes();
  co_return Result<>{};
}

/// Reads ahead while that works; after a failure no byte more than needed, because the trouble may lie behind.
Task<Result<>> Inspection::fetch(Fd fd, MutableBytes into, std::uint64_t offset, std::size_t needed, std::size_t& filled) {
  filled = 0;
  for (int failures = 0; filled < needed;) {
    const std::size_t upto = failures == 0 ? into.size() : needed;
    Result<std::uint32_t> read = co_await ring_.read(fd, into.subspan(filled, upto - filled), offset + filled);
    const std::size_t whole = read ? *read & ~std::uint32_t{kBlockBytes - 1} : 0;
    filled += whole;
    report_.bytes_read += whole;
    if (whole == 0 && ++failures == 3) co_return failure(Errc::io);
  }
  co_return Result<>{};
}

Task<Result<Bytes>> Inspection::read_bytes(Position place, RecordWindow& window) {
  const auto generation = generations_.find(place.generation);
  if (generation == generations_.end()) co_return failure(Errc::not_found);
  const std::uint64_t begin = place.offset & ~std::uint64_t{kBlockBytes - 1};
  const std::uint64_t end = round_up(std::uint64_t{place.offset} + place.length, kBlockBytes);
  if (place.offset < kBlockBytes || end > generation->second.bytes || end - begin > kWindowBytes)
    co_return failure(Errc::corrupt);
  RecordWindow::Memory& memory = *window.memory_;
  const bool there = memory.generation == place.generation && begin >= memory.begin && end <= memory.begin + memory.filled;
  if (!there) {
    Result<Fd> file = co_await open(generation->second);
    if (!file) co_return std::unexpected(file.error());
    memory.generation = place.generation;
    memory.begin = begin;
    const std::size_t ahead =
        std::min<std::uint64_t>(std::max<std::uint64_t>(kAheadBytes, end - begin), generation->second.bytes - begin);
    Result<> fetched = co_await fetch(*file, memory.buffer.bytes().first(ahead), begin, end - begin, memory.filled);
    if (!fetched) co_return std::unexpected(fetched.error());
  }
  co_return Bytes{memory.buffer.bytes()}.subspan(place.offset - memory.begin, place.length);
}

Task<Result<crypto::RecordView>> Inspection::read(RecordKind kind, MessageId message, Position place, RecordWindow& window) {
  Result<Bytes> bytes = co_await read_bytes(place, window);
  if (!bytes) co_return std::unexpected(bytes.error());
  const Result<crypto::RecordView> record = crypto::RecordView::parse(*bytes);
  if (!record) co_return std::unexpected(record.error());
  const crypto::RecordFrame& frame = record->frame();
  const bool right = frame.kind == static_cast<std::uint8_t>(kind) && frame.version == kRecordVersion && frame.message == message;
  if (!right) co_return failure(Errc::corrupt);
  co_return *record;
}

Result<> Inspection::open_last(const crypto::RecordView& record, const Position& place, std::vector<std::byte>& plaintext) const {
  const auto generation = generations_.find(place.generation);
  if (generation == generations_.end()) return failure(Errc::not_found);
  plaintext.resize(record.last().size() - crypto::kTagBytes);
  if (!record.open_last(keys(generation->second).metadata, plaintext)) return failure(Errc::corrupt);
  return {};
}

Task<Result<std::uint8_t>> Inspection::kind_at(Position place, RecordWindow& window) {
  Result<Bytes> bytes = co_await read_bytes({place.generation, place.offset, crypto::RecordFrame::kBytes}, window);
  if (!bytes) co_return std::unexpected(bytes.error());
  co_return std::to_integer<std::uint8_t>(bytes->front());
}

Task<Result<Fd>> Inspection::open_file(std::string name) {
  const int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW;
  Result<std::uint32_t> opened = co_await ring_.open(name.c_str(), flags | (options_.direct ? O_DIRECT : 0));
  if (!opened && opened.error().code == Errc::invalid && options_.direct) {
    options_.direct = false;  // the filesystem has no O_DIRECT
    opened = co_await ring_.open(name.c_str(), flags);
  }
  if (!opened) co_return std::unexpected(opened.error());
  co_return Fd{static_cast<int>(*opened)};
}

Task<Result<Fd>> Inspection::open(const GenerationFound& generation) {
  const auto known = open_.find(generation.number);
  if (known != open_.end()) co_return known->second;
  if (open_.size() >= kOpenMax) co_await close();
  Result<Fd> file = co_await open_file(path(generation.segment));
  if (file) open_.emplace(generation.number, *file);
  co_return file;
}

Task<void> Inspection::close() {
  const std::map<std::uint64_t, Fd> files = std::exchange(open_, {});
  for (const auto& [generation, file] : files) {
    Result<std::uint32_t> closed = co_await ring_.close(file);
    static_cast<void>(closed);
  }
}

}  // namespace ringpost::spool
