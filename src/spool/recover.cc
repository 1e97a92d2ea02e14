#include "recover.hh"

#include <fcntl.h>

#include <algorithm>

namespace ringpost::spool {

using crypto::kBlockBytes;
using runtime::Task;

namespace {

/// How often a start as a whole waits for a device that fails.
constexpr int kPausesMax = 40;
/// Numbers skipped when something unreadable may hold higher ones than we know.
constexpr std::uint64_t kUnknownNumbers = std::uint64_t{1} << 32;

std::unexpected<Error> failure(Errc code) { return std::unexpected(Error{code}); }

}  // namespace

Recovery::Recovery(Log& log) : log_(log), window_(kTwoWindowsBytes), pauses_(kPausesMax) {}

Task<Result<>> Recovery::open() {
  Result<> found = co_await find_segments();
  if (!found) co_return found;
  Result<> opened = co_await read_openings();
  if (!opened) co_return opened;
  report_missing();
  tell_acknowledged();
  Result<> ended = co_await read_ends();
  if (!ended) co_return ended;
  std::uint64_t highest = 0;
  for (const Segment* segment : generations()) highest = std::max(highest, segment->last_group);
  if (highest < log_.options_.start.group) co_return failure(Errc::not_found);
  log_.last_number_ = std::max(log_.last_number_, highest);
  log_.durable_number_ = log_.last_number_;
  if (numbers_unknown_) {
    log_.last_number_ += kUnknownNumbers;
    log_.segments_->skip_generations(kUnknownNumbers);
  }
  Result<> kept = co_await keep_unvouched();
  co_return kept;
}

void Recovery::tell_acknowledged() {
  for (const auto& [incarnation, sequence] : audit_marks_) {
    const auto known = std::ranges::find(log_.audit_marks_, incarnation, &AuditMark::incarnation);
    if (known == log_.audit_marks_.end())
      log_.audit_marks_.push_back({incarnation, sequence});
    else
      known->sequence = std::max(known->sequence, sequence);
  }
  log_.segments_->acknowledged(log_.audit_marks_);
}

Task<Result<>> Recovery::forget_start() {
  log_.options_.start = {};
  phase_ = Phase::openings;
  for (Segment* segment : generations()) {
    if (!segment->old) continue;
    if (segment->unread) {
      const std::uint64_t last_group = segment->last_group;
      Result<> scanned = co_await scan(*segment);
      if (!scanned) co_return scanned;
      segment->last_group = last_group;
      segment->unread = false;
    }
    segment->to_replay = true;
  }
  tell_acknowledged();
  log_.report_ = {};
  co_return Result<>{};
}

Task<Result<>> Recovery::replay(RecoveryVisitor& visitor) {
  visitor_ = &visitor;
  phase_ = Phase::replay;
  pauses_ = kPausesMax;
  for (const Damage& damage : std::exchange(early_damages_, {})) visitor.on_damage(damage);
  for (const auto& mark : audit_marks_) visitor.on_audit_acknowledged({mark.first, mark.second});
  std::vector<Segment*> old = generations();  // others may come and go meanwhile
  std::erase_if(old, [](const Segment* segment) { return !segment->to_replay; });
  for (Segment* segment : old) {
    Result<> scanned = co_await scan(*segment);
    if (!scanned) co_return scanned;
    segment->to_replay = false;
  }
  Result<> settled = co_await visitor.relieve();
  co_return settled;
}

// ---- what a scan finds

void Recovery::group(const crypto::GroupHeader& header, std::uint64_t offset) {
  if (phase_ != Phase::openings) last_ = {segment_, offset, header};
}

void Recovery::record(const crypto::RecordView& record, std::uint64_t offset, Bytes plaintext) {
  const Position place{segment_->generation, static_cast<std::uint32_t>(offset), record.frame().length};
  if (phase_ == Phase::ends) return;
  if (phase_ == Phase::openings) {
    static_cast<void>(take_opening(record, place, plaintext));  // the replay meets it again
    return;
  }
  ++log_.report_.records;
  if (take(record, place, plaintext)) return;
  report({DamageKind::record, segment_->number, segment_->generation, offset, record.frame().length, record.frame().message});
}

void Recovery::damage(DamageKind kind, std::uint64_t offset, std::uint64_t bytes, const std::optional<MessageId>& message) {
  if (phase_ != Phase::replay) return;  // the replay meets it again
  report({kind, segment_->number, segment_->generation, offset, bytes, message});
}

void Recovery::report(const Damage& damage) {
  ++log_.report_.damages;
  log_.report_.records_damaged += damage.kind == DamageKind::record;
  hold_back(damage);
  if (visitor_)
    visitor_->on_damage(damage);
  else
    early_damages_.push_back(damage);
}

/// What could not be read now may be readable at the next start, which must then look there again.
void Recovery::hold_back(const Damage& damage) {
  switch (damage.kind) {
    case DamageKind::segment_header:
    case DamageKind::segment_missing:
    case DamageKind::padding:
    case DamageKind::foreign_file: return;
    case DamageKind::segment_unreadable:
    case DamageKind::groups_missing:
    case DamageKind::group:
    case DamageKind::record: break;
  }
  const std::uint64_t known_from = std::max<std::uint64_t>(log_.options_.start.generation, 1);
  const std::uint64_t generation = damage.generation == 0 ? known_from : damage.generation;
  log_.read_again_ = log_.read_again_ == 0 ? generation : std::min(log_.read_again_, generation);
}

// ---- segments

Task<Result<>> Recovery::find_segments() {
  Result<std::vector<runtime::DirectoryEntry>> entries = log_.ring_.list_directory(log_.options_.directory);
  if (!entries) co_return std::unexpected(entries.error());
  std::ranges::sort(*entries, {}, &runtime::DirectoryEntry::name);
  for (const runtime::DirectoryEntry& entry : *entries) {
    if (entry.name == "lock" || entry.name == "in-work" || (entry.name == "index" && entry.is_directory)) continue;
    const std::optional<std::uint32_t> number = Segments::number_in(entry.name);
    if (!number || entry.is_directory) {
      report(DamageKind::foreign_file, 0);
      continue;
    }
    Result<> looked = co_await look_at(log_.segments_->path(*number), *number);
    if (!looked) co_return looked;
  }
  // One bad header is a bad segment; only bad ones mean another store's data or the wrong key: touch nothing.
  if (headers_seen_ > 0 && headers_good_ == 0) co_return failure(Errc::corrupt);
  co_return Result<>{};
}

Task<Result<>> Recovery::look_at(const std::string& name, std::uint32_t number) {
  const Result<runtime::FileInfo> info = log_.ring_.path_info(name);
  if (!info) co_return std::unexpected(info.error());
  Segments& segments = *log_.segments_;
  Segment& segment = segments.add(number, info->size & ~std::uint64_t{kBlockBytes - 1});
  segment.state = Segment::State::foreign;
  if (!info->is_regular || info->links != 1) {
    report(DamageKind::foreign_file, number);
    co_return Result<>{};
  }
  if (segment.bytes < 2 * kBlockBytes) {  // a start died while it made the file
    segment.state = Segment::State::raw;
    co_return Result<>{};
  }
  SegmentFile file(log_.ring_, window_.bytes(), segment.bytes, pauses_);
  Result<> opened = co_await file.open(name, segments.open_flags(O_RDONLY));
  if (!opened && opened.error().code == Errc::invalid && log_.options_.direct) co_return failure(Errc::unsupported);
  if (!opened) co_return opened;
  Result<> fetched = co_await file.fetch(0, kBlockBytes, SegmentFile::Ahead::no);
  co_await file.close();
  if (!fetched) {
    numbers_unknown_ = true;
    segments.note_unreadable();
    ++log_.report_.segments_unknown;
    report(DamageKind::segment_unreadable, number);
    co_return Result<>{};
  }
  const Bytes block = *file.at(0, kBlockBytes);
  if (std::ranges::all_of(block, [](std::byte b) { return b == std::byte{}; })) {
    segment.state = Segment::State::raw;
    co_return Result<>{};
  }
  ++headers_seen_;
  const Result<crypto::SegmentHeader> header = crypto::parse_segment_header(block);
  const bool ours = header && header->store == log_.options_.store && header->partition == log_.options_.partition &&
                    !segments.find(header->generation) &&
                    crypto::verify_segment_header(block, segments.keys(header->generation, header->salt));
  if (!ours) {
    numbers_unknown_ = true;
    ++log_.report_.segments_unknown;
    report(DamageKind::segment_header, number);
    co_return Result<>{};
  }
  ++headers_good_;
  segments.set_generation(segment, header->generation, header->salt, header->previous);
  segment.state = Segment::State::closed;
  if (segment.bytes < header->segment_bytes) {
    segment.tainted = true;
    report(
        {DamageKind::segment_unreadable, number, header->generation, segment.bytes, header->segment_bytes - segment.bytes, {}});
  }
  co_return Result<>{};
}

std::vector<Segment*> Recovery::generations() const {
  std::vector<Segment*> sorted;
  for (const auto& segment : log_.segments_->all())
    if (segment->state == Segment::State::closed) sorted.push_back(segment.get());
  std::ranges::sort(sorted, {}, &Segment::generation);
  return sorted;
}

/// ABANDON and CHECKPOINT stand in the first group of their generation only, and concern what lies before. What the start knows is
/// not read further: its records without what later ones said would be half the truth.
Task<Result<>> Recovery::read_openings() {
  phase_ = Phase::openings;
  const std::uint64_t from = log_.options_.start.generation;
  for (const bool known : {false, true}) {
    for (Segment* segment : generations()) {
      if ((segment->generation < from) != known) continue;
      const auto mark = marks_.find(segment->generation);
      if (known && mark != marks_.end()) {
        segment->unread = segment->old = true;
        segment->last_group = mark->second.last_group;
        ++log_.report_.segments_unread;
        continue;
      }
      Result<> scanned = co_await scan(*segment);
      if (!scanned) co_return scanned;
      if (!known || segment->last_group == 0) continue;
      // The CHECKPOINT left it out, so a write in it may have failed.
      segment->to_replay = false;
      segment->unread = segment->tainted = true;
      ++log_.report_.segments_unread;
    }
  }
  co_return Result<>{};
}

/// A CHECKPOINT names the last group of each complete generation, and that it was synced.
Task<Result<>> Recovery::read_ends() {
  phase_ = Phase::ends;
  for (Segment* segment : generations()) {
    if (!segment->to_replay) continue;
    const auto mark = marks_.find(segment->generation);
    if (mark != marks_.end()) {
      segment->last_group = mark->second.last_group;
      continue;
    }
    Result<> scanned = co_await scan(*segment);
    if (!scanned) co_return scanned;
  }
  co_return Result<>{};
}

Task<Result<>> Recovery::scan(Segment& segment) {
  segment_ = &segment;
  const crypto::GenerationKeys keys = log_.segments_->keys(segment.generation, segment.salt);
  const bool opening = phase_ == Phase::openings;
  SegmentScan scan(keys, segment.generation, segment.bytes, abandoned_[segment.generation],
                   opening ? SegmentScan::Extent::first_group : SegmentScan::Extent::whole, *this);
  SegmentFile file(log_.ring_, window_.bytes(), segment.bytes, pauses_);
  Result<> opened = co_await file.open(log_.segments_->path(segment.number), log_.segments_->open_flags(O_RDONLY));
  if (!opened) co_return opened;
  Result<> fed = co_await feed(scan, file);
  co_await file.close();
  if (!fed) co_return fed;
  switch (phase_) {
    case Phase::openings:
      segment.last_group = scan.last_group();
      segment.to_replay = segment.old = !is_unused(scan);
      break;
    case Phase::ends: note_end(segment, scan); break;
    case Phase::replay: {
      // What could not be read when the log was opened, and can be now, was not written again then.
      const bool more = scan.last_group() > segment.last_group && last_.segment == &segment;
      if (more && log_.options_.append) {
        Result<> kept = co_await keep(last_);
        if (!kept) co_return kept;
      }
      note_read(segment, scan, file);
      break;
    }
  }
  co_return Result<>{};
}

Task<Result<>> Recovery::feed(SegmentScan& scan, SegmentFile& file) {
  while (const auto want = scan.want()) {
    // Of most generations the first group is all that is looked at; where there is none, all the rest is.
    const bool first = phase_ == Phase::openings && want->offset == kBlockBytes;
    const auto ahead = first ? SegmentFile::Ahead::no : SegmentFile::Ahead::yes;
    if (const auto bytes = file.at(want->offset, want->size)) {
      scan.feed(*bytes);
      if (phase_ != Phase::replay || !visitor_->is_full()) continue;
      Result<> relieved = co_await visitor_->relieve();
      if (!relieved) co_return relieved;
      continue;
    }
    Result<> fetched = co_await file.fetch(want->offset, want->size, ahead);
    if (!fetched) scan.feed_unreadable();
  }
  co_return Result<>{};
}

/// A spare, which may be used at once: it was looked at to its end.
bool Recovery::is_unused(const SegmentScan& scan) {
  return scan.highest_group() == 0 && !scan.tail_torn() && !scan.tail_unreadable();
}

void Recovery::note_end(Segment& segment, const SegmentScan& scan) {
  numbers_unknown_ = numbers_unknown_ || scan.tail_unreadable();
  segment.last_group = scan.last_group();
  if (scan.groups() > 0) log_.last_mac_ = scan.last_mac();
  log_.last_number_ = std::max(log_.last_number_, scan.highest_group());
  if (is_unused(scan)) segment.to_replay = segment.old = false;
  if (last_.segment != &segment) return;
  // A group that failed was written only after the one before it was synced.
  const auto failed = abandoned_.find(segment.generation);
  const bool vouched =
      failed != abandoned_.end() && !failed->second.empty() && *failed->second.rbegin() > last_.header.number;
  if (!vouched) unvouched_.push_back(last_);
}

void Recovery::note_read(Segment& segment, const SegmentScan& scan, const SegmentFile& file) {
  RecoveryReport& report = log_.report_;
  ++report.segments;
  report.groups += scan.groups();
  report.groups_damaged += scan.groups_damaged();
  report.groups_abandoned += scan.groups_abandoned();
  report.tails_torn += scan.tail_torn();
  report.tail_bytes_torn += scan.tail_torn_bytes();
  report.bytes_read += file.bytes_read();
  segment.last_group = scan.last_group();
  const auto mark = marks_.find(segment.generation);
  if (mark == marks_.end() || mark->second.last_group <= scan.last_group()) return;
  segment.tainted = true;
  this->report({DamageKind::groups_missing, segment.number, segment.generation, 0, 0, {}});
}

// ---- records

bool Recovery::take_opening(const crypto::RecordView& record, const Position& place, Bytes plaintext) {
  if (record.frame().version != kRecordVersion) return false;
  const auto kind = static_cast<RecordKind>(record.frame().kind);
  if (kind == RecordKind::abandon) {
    const Result<Abandon> abandon = decode_abandon(plaintext);
    if (!abandon) return false;
    abandoned_[abandon->generation].insert(abandon->group);
    log_.segments_->need(place.generation, abandon->generation);
    if (Segment* broken = log_.segments_->find(abandon->generation)) broken->tainted = true;
  } else if (kind == RecordKind::checkpoint) {
    const Result<Checkpoint> checkpoint = decode_checkpoint(plaintext);
    if (!checkpoint) return false;
    for (const AuditMark& mark : checkpoint->audit) {
      std::uint64_t& known = audit_marks_[mark.incarnation];
      known = std::max(known, mark.sequence);
    }
    if (place.generation < checkpoint_generation_) return true;  // the newest counts
    checkpoint_generation_ = place.generation;
    marks_.clear();
    for (const GenerationMark& mark : checkpoint->generations) marks_[mark.generation] = mark;
  }
  return true;
}

/// False when the record is authentic and yet says nothing this version understands.
bool Recovery::take(const crypto::RecordView& record, const Position& place, Bytes plaintext) {
  const crypto::RecordFrame& frame = record.frame();
  if (frame.version != kRecordVersion) return false;
  const auto kind = static_cast<RecordKind>(frame.kind);
  const bool is_known = place.generation < log_.options_.start.generation;
  switch (kind) {
    case RecordKind::message: {
      const Result<Scheduling> scheduling = decode_scheduling(plaintext, arrays_);
      if (!scheduling || frame.wrapped == 0 || frame.first == 0 || frame.second == 0) return false;
      log_.segments_->need(place.generation, scheduling->copied_from);
      if (!is_known) visitor_->on_message({frame.message, place, *scheduling});
      return true;
    }
    case RecordKind::outcome: {
      const Result<Outcome> outcome = decode_outcome(plaintext, arrays_);
      if (!outcome) return false;
      log_.segments_->need(place.generation, outcome->message_generation);
      if (!is_known) visitor_->on_outcome({frame.message, place, *outcome, frame.first != 0});
      return true;
    }
    case RecordKind::audit: {
      if (plaintext.size() < kAuditPrefixBytes) return false;
      IncarnationId incarnation;
      copy_bytes(incarnation.bytes, plaintext.first(16));
      const auto sequence = load_le<std::uint64_t>(plaintext.data() + 16);
      log_.segments_->note_audit(place.generation, incarnation, sequence);
      visitor_->on_audit(incarnation, sequence, plaintext.subspan(kAuditPrefixBytes));
      return true;
    }
    case RecordKind::abandon: return decode_abandon(plaintext).has_value();
    case RecordKind::checkpoint: return decode_checkpoint(plaintext).has_value();
    case RecordKind::chunk:
    case RecordKind::key:
    case RecordKind::erase: return true;
  }
  return false;
}

void Recovery::report_missing() {
  for (const auto& [generation, mark] : marks_)
    if (Segment* segment = log_.segments_->find(generation)) segment->named = true;
  std::set<std::uint64_t> overwritten;
  for (const auto& segment : log_.segments_->all()) overwritten.insert(segment->previous);
  for (const auto& [generation, mark] : marks_)
    if (!log_.segments_->find(generation) && !overwritten.contains(generation))
      report({DamageKind::segment_missing, mark.segment, generation, 0, 0, {}});
}

/// What was read last of a generation may stand in the page cache or the disk's own only, and if its sync failed no later sync
/// brings it further: it is written again, because no decision may rest on what a power cut takes away. Mostly that is one group,
/// the newest; but a segment that could not be read at the start before has had to wait for this one.
Task<Result<>> Recovery::keep_unvouched() {
  if (!log_.options_.append) co_return Result<>{};
  for (const LastGroup& last : unvouched_) {
    Result<> kept = co_await keep(last);
    if (!kept) co_return kept;
  }
  co_return Result<>{};
}

Task<Result<>> Recovery::keep(const LastGroup& last) {
  const Segment& segment = *last.segment;
  const std::uint64_t offset = last.offset;
  const crypto::GroupHeader header = last.header;
  SegmentFile file(log_.ring_, window_.bytes(), segment.bytes, pauses_);
  Result<> kept = co_await file.open(log_.segments_->path(segment.number), log_.segments_->open_flags(O_RDWR));
  if (!kept) co_return kept;
  const std::size_t bytes = header.group_bytes();
  kept = co_await file.fetch(offset, bytes, SegmentFile::Ahead::no);
  if (kept) {
    const crypto::GenerationKeys keys = log_.segments_->keys(segment.generation, segment.salt);
    const Result<SealedBytes> group = crypto::Sealer::again(*file.at(offset, bytes), header, keys);
    if (group)
      kept = co_await file.put(*group, offset);
    else
      kept = co_await file.put({}, 0);  // its padding is damaged, which was reported: it stays as it is
  }
  co_await file.close();
  co_return kept;
}

Task<Result<Fd>> lock_partition(runtime::Ring& ring, std::string directory) {
  const std::string name = directory + "/lock";
  Result<std::uint32_t> opened = co_await ring.open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (!opened) co_return std::unexpected(opened.error());
  const Fd lock{static_cast<int>(*opened)};
  Result<> locked = ring.lock_file(lock);
  if (locked) co_return lock;
  Result<std::uint32_t> closed = co_await ring.close(lock);
  static_cast<void>(closed);
  co_return std::unexpected(locked.error());
}

// ---- Log

void Log::Deleter::operator()(Recovery* recovery) const { delete recovery; }

Task<Result<std::unique_ptr<Log>>> Log::open(runtime::Ring& ring, LogOptions options, Bytes metadata_key) {
  std::unique_ptr<Log> log(new Log(ring, std::move(options), metadata_key));
  Result<Fd> lock = log->options_.lock;
  if (!*lock) lock = co_await lock_partition(ring, log->options_.directory);
  if (!lock) co_return std::unexpected(lock.error());
  log->lock_ = *lock;
  log->recovery_.reset(new Recovery(*log));
  Result<> ready = co_await log->recovery_->open();
  if (ready) co_return log;
  co_await log->stop();
  co_return std::unexpected(ready.error());
}

Task<Result<std::unique_ptr<Log>>> Log::open(runtime::Ring& ring, LogOptions options, Bytes metadata_key,
                                             RecoveryVisitor& visitor) {
  auto log = co_await open(ring, std::move(options), metadata_key);
  if (!log) co_return log;
  Result<> replayed = co_await (*log)->replay(visitor);
  if (replayed) {
    (*log)->recovered();
    co_return log;
  }
  co_await (*log)->stop();
  co_return std::unexpected(replayed.error());
}

Task<Result<>> Log::replay(RecoveryVisitor& visitor) {
  RP_ASSERT(recovery_);
  return recovery_->replay(visitor);
}

Task<Result<>> Log::forget_start() {
  RP_ASSERT(recovery_);
  return recovery_->forget_start();
}

void Log::recovered() {
  recovery_.reset();
  segments_->know_all();
}

}  // namespace ringpost::spool
