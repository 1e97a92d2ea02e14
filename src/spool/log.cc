#include "ringpost/spool/log.hh"

#include <algorithm>

#include "segments.hh"

namespace ringpost::spool {

using crypto::kBlockBytes;
using runtime::Task;

namespace {

std::unexpected<Error> failure(Errc code) { return std::unexpected(Error{code}); }

/// When the record of a failure cannot be made durable, its waiters are told regardless: after so many segments that failed in
/// a row, or so long (the client waits ten minutes for its reply, RFC 5321 section 4.5.3.2.6).
constexpr int kAttemptsMax = 8;
constexpr Duration kPatience = std::chrono::seconds{30};

/// How long a group may wait for the loop to have nothing else to do, and how large it may grow in that: a larger one costs the disk more
/// than a commit does.
constexpr Duration kGather = std::chrono::milliseconds{1};
constexpr std::size_t kGatherBytes = 256_KiB;

/// A CHECKPOINT names at most so many generations (the newest), so that it always fits a group.
constexpr std::size_t kMarksMax = 1'000;

}  // namespace

std::uint64_t segment_bytes_for(std::uint64_t disk_bytes, std::size_t partitions) {
  const std::uint64_t share = disk_bytes / (std::max<std::size_t>(partitions, 1) * 64);
  return std::clamp<std::uint64_t>(share, 4_MiB, 64_MiB) & ~std::uint64_t{kBlockBytes - 1};
}

Log::Log(runtime::Ring& ring, LogOptions options, Bytes metadata_key)
    : ring_(ring), options_(std::move(options)), scope_(ring), work_(ring), room_(ring) {
  segments_ = std::make_unique<Segments>(ring_, options_, metadata_key, room_);
  for (int i = 0; i < 2; ++i) groups_[i].buffer = options_.buffers[i];
}

Log::~Log() { RP_ASSERT(!started_ || runtime::crashing()); }

// ---- start and stop

void Log::retain(const MessageId& message, const Position& place, std::vector<Extent> chunks) {
  RP_ASSERT(!started_ || !segments_->all_known());
  segments_->hold(place);
  for (const Extent& extent : chunks) segments_->hold(extent);
  if (!chunks.empty()) chunks_.emplace(message, std::move(chunks));
}

void Log::retain(const Extent& extent) { segments_->hold(extent); }

bool Log::is_old(std::uint64_t generation) const {
  const Segment* segment = segments_->find(generation);
  return segment && segment->old;
}

Task<Result<>> Log::start() {
  RP_ASSERT(!started_ && !stopping_);
  if (!options_.append) co_return Result<>{};
  for (const MutableBytes& buffer : options_.buffers)
    RP_ASSERT(buffer.size() >= 64_KiB && buffer.size() <= kGroupBytesMax && buffer.size() % kBlockBytes == 0);
  RP_ASSERT(options_.buffers[0].size() == options_.buffers[1].size());
  RP_ASSERT(options_.segment_bytes % kBlockBytes == 0 && options_.segment_bytes >= options_.buffers[0].size() + kBlockBytes);
  started_ = true;
  Result<> ready = co_await segments_->start();
  scope_.spawn(segments_->keep_spares());
  scope_.spawn(write_groups());
  measure();
  co_return ready;
}

Task<void> Log::stop() {
  stopping_ = true;
  if (started_) {
    work_.notify_all();
    room_.notify_all();
    segments_->stop();
    co_await scope_.join();
    started_ = false;
  }
  co_await segments_->close_files();
  if (lock_) {
    Result<std::uint32_t> closed = co_await ring_.close(std::exchange(lock_, Fd{}));
    static_cast<void>(closed);
  }
}

// ---- room

std::size_t Log::record_bytes_max() const { return options_.buffers[0].size() - crypto::GroupHeader::kBytes; }

Result<> Log::admit(std::uint64_t bytes, std::uint64_t keep_writable) const {
  if (!options_.append) return failure(Errc::no_space);
  if (segments_->low() && segments_->spares() <= 1) return failure(Errc::no_space);
  const std::uint64_t here = active_ ? active_->bytes - active_end_ : 0;
  // Two segments are kept back: one for outcomes and audit events, one to clean into.
  const std::uint64_t kept = std::max(2 * options_.segment_bytes, keep_writable);
  if (here + segments_->writable_bytes() < kept + bytes) return failure(Errc::no_space);
  return {};
}

Task<Result<Room>> Log::reserve(std::size_t bytes, Use use) {
  if (!started_) co_return failure(options_.append ? Errc::cancelled : Errc::unsupported);
  if (bytes > record_bytes_max()) co_return failure(Errc::limit);
  while (true) {
    if (stopping_) co_return failure(Errc::cancelled);
    switch (try_fit(bytes, use)) {
      case Fit::yes: co_return Room{*this};
      case Fit::no_space: co_return failure(Errc::no_space);
      case Fit::wait: break;
    }
    co_await room_.wait();
  }
}

Log::Fit Log::try_fit(std::size_t bytes, Use use) {
  RP_ASSERT(!room_open_);
  Group& group = *filling_;
  if (!group.segment) {
    Fit why_not = Fit::wait;
    if (!begin_group(bytes, use, why_not)) return why_not;
  }
  if (bytes <= group.sealer.room()) return Fit::yes;
  // It goes out as soon as the one in flight has landed. (It may hold nothing but the opening records of its segment.)
  if (!group.sealer.empty()) {
    work_.notify_all();
    if (gathering_) gathering_->hurry();
    return Fit::wait;
  }
  group.segment = nullptr;  // begun by somebody who then put nothing in, near the end of a segment: begin again elsewhere
  return try_fit(bytes, use);
}

/// Binds the filling group to its place, so that the records put into it know theirs.
bool Log::begin_group(std::size_t bytes, Use use, Fit& why_not) {
  Group& group = *filling_;
  const std::uint64_t needed = round_up(crypto::GroupHeader::kBytes + bytes, kBlockBytes);
  if (!active_ || active_end_ + needed > active_->bytes) {
    const bool kept_back = use == Use::mail && segments_->low() && segments_->spares() <= 1;
    Segment* next = kept_back || leaving_ ? nullptr : segments_->take_spare();
    if (!next) {
      const bool hopeless = kept_back || (segments_->low() && segments_->spares() == 0);
      why_not = hopeless ? Fit::no_space : Fit::wait;
      return false;
    }
    switch_to(*next);
  }
  group.segment = active_;
  group.offset = active_end_;
  group.number = ++last_number_;
  group.sealer = crypto::Sealer(group.buffer.first(std::min<std::uint64_t>(group.buffer.size(), active_->bytes - active_end_)));
  if (opening_) add_opening_records();
  return true;
}

void Log::switch_to(Segment& segment) {
  if (active_) {
    if (flying_ && flying_->segment == active_)
      leaving_ = active_;
    else
      retire(*active_, false);
  }
  active_ = &segment;
  active_end_ = kBlockBytes;
  sequence_ = 0;
  keys_.emplace(segments_->keys(segment.generation, segment.salt));
  opening_ = true;
}

void Log::retire(Segment& segment, bool failed) {
  const Fd fd = segments_->close(segment, failed);
  if (fd) scope_.spawn(close_later(fd));
}

Task<void> Log::close_later(Fd fd) {
  Result<std::uint32_t> closed = co_await ring_.close(fd);
  static_cast<void>(closed);
}

Checkpoint Log::checkpoint() const {
  Checkpoint checkpoint{.audit = audit_marks_, .generations = {}};
  for (const auto& segment : segments_->all()) {
    const bool there = segment->state == Segment::State::closed || segment.get() == leaving_;
    // One that failed is to be removed when it is dead, and its absence must then alarm nobody.
    if (!there || segment->last_group == 0 || segment->tainted) continue;
    checkpoint.generations.push_back({segment->generation, segment->last_group, segment->number});
  }
  std::ranges::sort(checkpoint.generations, std::greater{}, &GenerationMark::generation);
  if (checkpoint.generations.size() > kMarksMax) checkpoint.generations.resize(kMarksMax);
  return checkpoint;
}

/// What a generation begins with: the groups to ignore, and what the log is like.
void Log::add_opening_records() {
  crypto::Sealer& sealer = filling_->sealer;
  const auto add = [&](RecordKind kind, std::size_t plaintext_bytes, auto encode_into) {
    crypto::RecordSealer record(sealer.slot(crypto::record_bytes(0, {}, {}, plaintext_bytes)), static_cast<std::uint8_t>(kind),
                                kRecordVersion, 0, MessageId{}, ++sequence_);
    encode_into(record.metadata_room(plaintext_bytes));
    sealer.add(record.finish(keys_->metadata));
  };
  for (const Abandon& abandon : abandoned_) {
    add(RecordKind::abandon, kAbandonBytes, [&](MutableBytes out) { encode(abandon, out); });
    segments_->need(active_->generation, abandon.generation);
  }
  // Marks of starts whose events are all gone are of no use to anybody.
  std::erase_if(audit_marks_, [&](const AuditMark& mark) {
    return mark.incarnation != options_.incarnation && !segments_->has_audit_of(mark.incarnation);
  });
  opening_checkpoint_ = checkpoint();
  add(RecordKind::checkpoint, encoded_bytes(opening_checkpoint_), [&](MutableBytes out) { encode(opening_checkpoint_, out); });
  opening_ = false;
}

// ---- groups

void Log::filled() {
  if (filling_->sealer.empty()) return;
  work_.notify_all();
  if (gathering_ && filling_->sealer.size() >= kGatherBytes) gathering_->hurry();
}

Task<void> Log::write_groups() {
  while (true) {
    while (filling_->sealer.empty() && abandoned_.empty() && !stopping_) co_await work_.wait();
    if (filling_->sealer.empty()) {
      if (abandoned_.empty()) co_return;
      // A failure goes on record at once: who was in that group is told only when it cannot come back.
      Fit why_not = Fit::wait;
      if (!begin_group(0, Use::upkeep, why_not)) {
        const Instant patience = failing_since_ + kPatience;
        if (stopping_ || ring_.now() >= patience) tell_refused();
        if (stopping_) co_return;
        co_await room_.wait(refused_.first ? patience : kNever);
        continue;
      }
    }
    if (!stopping_ && filling_->sealer.size() < kGatherBytes) {
      // A commit costs the same for one message as for a hundred. While there is other work, more of them come.
      runtime::PauseAwait pause = ring_.pause(ring_.now() + kGather);
      gathering_ = &pause;
      co_await pause;
      gathering_ = nullptr;
    }
    RP_ASSERT(!room_open_ && !flying_);
    Group& group = *filling_;
    flying_ = &group;
    filling_ = flying_ == &groups_[0] ? &groups_[1] : &groups_[0];
    crypto::GroupHeader header{.generation = group.segment->generation,
                               .number = group.number,
                               .written_ns = ring_.wall_now().time_since_epoch().count(),
                               .previous_mac = last_mac_};
    const SealedBytes bytes = group.sealer.finish(header, *keys_);
    active_end_ += bytes.size();
    bytes_appended_ += bytes.size();
    room_.notify_all();
    const Instant submitted = ring_.now();
    Result<> done = co_await put(group.segment->fd, bytes, group.offset);
    flying_ = nullptr;
    if (done) {
      succeeded(group, header);
      if (options_.metrics) {
        options_.metrics->commit_groups.add();
        options_.metrics->commit_records.add(header.records);
        options_.metrics->commit_bytes.add(bytes.size());
        options_.metrics->commit_latency.record(ring_.now() - submitted);
      }
    } else {
      failed(group, done.error());
    }
    measure();
  }
}

Task<Result<>> Log::put(Fd fd, SealedBytes group, std::uint64_t offset) {
  while (true) {
    runtime::WriteSyncResult done = co_await ring_.write_then_sync(fd, group, offset);
    if (!done.written) co_return std::unexpected(done.written.error());
    if (*done.written == group.size()) {
      if (!done.synced) co_return std::unexpected(done.synced.error());
      co_return Result<>{};
    }
    // Short: the rest and a sync as a new chain. What is not a whole block is written again.
    const std::size_t whole = *done.written & ~std::size_t{kBlockBytes - 1};
    if (whole == 0) co_return failure(Errc::no_space);
    group = group.subspan(whole);
    offset += whole;
  }
}

void Log::succeeded(Group& group, const crypto::GroupHeader& header) {
  durable_number_ = group.number;
  last_mac_ = header.mac;
  group.segment->last_group = group.number;
  failures_in_a_row_ = 0;
  if (active_ && group.segment == active_) abandoned_.clear();  // its first group recorded them
  if (group.offset == kBlockBytes && group.segment == active_) segments_->checkpointed(opening_checkpoint_);
  if (abandoned_.empty()) tell_refused();
  if (leaving_) retire(*std::exchange(leaving_, nullptr), false);
  wake(group.waiters, {});
  reset(group);
  room_.notify_all();  // for who waits to begin a group in a new segment
}

/// The pages of a failed sync are never trusted again: the segment is closed, and nothing of the group counts even if it turns
/// up on the disk. What was put into the next group meanwhile goes with it, for the records that name the failure come first.
void Log::failed(Group& group, Error error) {
  if (options_.metrics) options_.metrics->sync_failures.add();
  last_failure_ = error;
  abandoned_.push_back({group.segment->generation, group.number});
  failed_numbers_.push_back(group.number);
  Segment* broken = group.segment;
  if (filling_->segment) {
    failed_numbers_.push_back(filling_->number);
    wake(filling_->waiters, std::unexpected(error));  // it was never written: nothing of it can come back
    reset(*filling_);
  }
  if (broken == active_) active_ = nullptr;
  if (active_) opening_ = true;  // begun while its predecessor's last group was in flight; nothing is in it yet
  leaving_ = nullptr;
  retire(*broken, true);
  refused_.take(group.waiters);
  reset(group);
  if (failures_in_a_row_++ == 0) failing_since_ = ring_.now();
  if (failures_in_a_row_ >= kAttemptsMax) tell_refused();
  room_.notify_all();
}

void Log::reset(Group& group) {
  group.sealer = {};
  group.segment = nullptr;
}

void Log::wake(Waiters& waiters, const Result<>& result) {
  Durable* waiter = std::exchange(waiters.first, nullptr);
  waiters.last = nullptr;
  while (waiter) {
    Durable* next = waiter->next_;
    waiter->result_ = result;
    ring_.post(waiter->frame_);
    waiter = next;
  }
}

void Log::tell_refused() { wake(refused_, std::unexpected(last_failure_)); }

void Log::Waiters::add(Durable& waiter) {
  waiter.next_ = nullptr;
  (last ? last->next_ : first) = &waiter;
  last = &waiter;
}

void Log::Waiters::take(Waiters& others) {
  if (!others.first) return;
  (last ? last->next_ : first) = others.first;
  last = others.last;
  others = {};
}

bool Log::has_failed(std::uint64_t first, std::uint64_t last) const {
  return std::ranges::any_of(failed_numbers_, [&](std::uint64_t number) { return number >= first && number <= last; });
}

bool Log::Durable::await_ready() {
  if (log_.has_failed(ticket_.group, ticket_.group)) {
    result_ = std::unexpected(log_.last_failure_);
    return log_.abandoned_.empty() || !log_.started_;
  }
  return ticket_.group <= log_.durable_number_;
}

void Log::Durable::await_suspend(std::coroutine_handle<> frame) {
  frame_ = frame;
  if (log_.has_failed(ticket_.group, ticket_.group)) return log_.refused_.add(*this);
  Group* group = log_.flying_ && log_.flying_->number == ticket_.group ? log_.flying_ : log_.filling_;
  RP_ASSERT(group->segment && group->number == ticket_.group);
  group->waiters.add(*this);
}

// ---- what an index needs to know

std::uint64_t Log::filling_generation() const {
  const Segment* filling = leaving_ ? leaving_ : active_;
  return filling ? filling->generation : segments_->next_generation();
}

std::uint64_t Log::replay_generation() const {
  std::uint64_t generation = filling_generation();
  for (const std::uint64_t older : {segments_->oldest_unacknowledged(), read_again_})
    if (older != 0) generation = std::min(generation, older);
  return generation;
}

bool Log::has_generation(std::uint64_t generation) const { return segments_->find(generation) != nullptr; }

std::span<const Extent> Log::chunks_of(const MessageId& message) const {
  const auto found = chunks_.find(message);
  return found == chunks_.end() ? std::span<const Extent>{} : found->second;
}

// ---- liveness

void Log::release(const MessageId& message, const Position& place) {
  segments_->let_go(place);
  const auto found = chunks_.find(message);
  if (found == chunks_.end()) return;
  for (const Extent& extent : found->second) segments_->let_go(extent);
  chunks_.erase(found);
}

void Log::remember_chunks(const MessageId& message, std::vector<Extent> chunks) {
  if (!chunks.empty()) chunks_[message] = std::move(chunks);
}

void Log::audit_acknowledged(const AuditMark& mark) {
  const auto known = std::ranges::find(audit_marks_, mark.incarnation, &AuditMark::incarnation);
  if (known == audit_marks_.end())
    audit_marks_.push_back(mark);
  else
    known->sequence = std::max(known->sequence, mark.sequence);
  segments_->acknowledged(audit_marks_);
}

Space Log::space() const {
  Space space = segments_->space();
  if (active_) space.writable_bytes += active_->bytes - active_end_;
  return space;
}

void Log::measure() {
  if (!options_.metrics) return;
  options_.metrics->segments_free.set(static_cast<std::int64_t>(segments_->spares()));
  options_.metrics->segments_used.set(static_cast<std::int64_t>(segments_->live_segments()));
  options_.metrics->spool_live_bytes.set(static_cast<std::int64_t>(segments_->live_bytes()));
  options_.metrics->low_space.set(segments_->low());
}

}  // namespace ringpost::spool
