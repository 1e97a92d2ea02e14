#include "segments.hh"

#include <fcntl.h>

#include <algorithm>
#include <new>

namespace ringpost::spool {

using crypto::kBlockBytes;
using runtime::Task;

namespace {

constexpr Duration kSpaceRetry = std::chrono::seconds{1};
constexpr std::string_view kSuffix = ".seg";
constexpr std::size_t kNumberDigits = 8;

std::unexpected<Error> failure(Errc code) { return std::unexpected(Error{code}); }

}  // namespace

AlignedBuffer::AlignedBuffer(std::size_t bytes)
    : bytes_(static_cast<std::byte*>(::operator new(bytes, std::align_val_t{kBlockBytes})), bytes) {}
AlignedBuffer::~AlignedBuffer() { ::operator delete(bytes_.data(), std::align_val_t{kBlockBytes}); }

Segments::Segments(runtime::Ring& ring, const LogOptions& options, Bytes metadata_key, runtime::Signal& changed)
    : ring_(ring), options_(options), metadata_key_(metadata_key), header_(kBlockBytes), changed_(changed), work_(ring) {}

std::vector<Extent> extents_of(std::span<const Position> positions) {
  std::vector<Extent> extents;
  for (const Position& position : positions) {
    auto known = std::ranges::find(extents, position.generation, &Extent::generation);
    if (known == extents.end()) known = extents.insert(known, {position.generation, 0, 0});
    ++known->records;
    known->bytes += position.length;
  }
  std::ranges::sort(extents, {}, &Extent::generation);
  return extents;
}

// ---- names

std::string Segments::path(std::uint32_t number) const {
  char digits[kNumberDigits + 1];
  for (std::size_t i = kNumberDigits; i-- > 0; number /= 10) digits[i] = static_cast<char>('0' + number % 10);
  digits[kNumberDigits] = '\0';
  return options_.directory + '/' + digits + std::string(kSuffix);
}

std::optional<std::uint32_t> Segments::number_in(std::string_view name) {
  if (name.size() != kNumberDigits + kSuffix.size() || !name.ends_with(kSuffix)) return std::nullopt;
  std::uint32_t number = 0;
  for (char digit : name.substr(0, kNumberDigits)) {
    if (digit < '0' || digit > '9') return std::nullopt;
    number = number * 10 + static_cast<std::uint32_t>(digit - '0');
  }
  return number;
}

crypto::GenerationKeys Segments::keys(std::uint64_t generation, const crypto::Salt& salt) const {
  return {metadata_key_.view(), options_.store, options_.partition, generation, salt};
}

int Segments::open_flags(int access) const { return access | O_CLOEXEC | O_NOFOLLOW | (options_.direct ? O_DIRECT : 0); }

// ---- the set

Segment& Segments::add(std::uint32_t number, std::uint64_t bytes) {
  highest_number_ = std::max(highest_number_, number);
  Segment& segment = *all_.emplace_back(std::make_unique<Segment>());
  segment.number = number;
  segment.bytes = bytes;
  return segment;
}

void Segments::set_generation(Segment& segment, std::uint64_t generation, const crypto::Salt& salt, std::uint64_t previous) {
  if (segment.generation != 0) by_generation_.erase(segment.generation);
  segment.generation = generation;
  segment.salt = salt;
  segment.previous = previous;
  highest_generation_ = std::max(highest_generation_, generation);
  by_generation_[generation] = &segment;
}

Segment* Segments::find(std::uint64_t generation) const {
  const auto found = by_generation_.find(generation);
  return found == by_generation_.end() ? nullptr : found->second;
}

void Segments::forget(Segment& segment) {
  if (segment.generation != 0) by_generation_.erase(segment.generation);
  std::erase_if(all_, [&](const auto& owned) { return owned.get() == &segment; });
  look_again();
}

// ---- liveness

void Segments::hold(const Extent& extent) {
  Segment* segment = find(extent.generation);
  if (!segment) return;  // its file is lost, which recovery has reported
  if (segment->live_records == 0) ++live_segments_;
  segment->live_records += extent.records;
  segment->live_bytes += extent.bytes;
  live_bytes_ += extent.bytes;
}

void Segments::let_go(const Extent& extent) {
  Segment* segment = find(extent.generation);
  if (!segment) return;
  RP_ASSERT(segment->live_records >= extent.records && segment->live_bytes >= extent.bytes);
  segment->live_bytes -= extent.bytes;
  live_bytes_ -= extent.bytes;
  if ((segment->live_records -= extent.records) > 0) return;
  --live_segments_;
  look_again();
}

void Segments::need(std::uint64_t generation, std::uint64_t older) {
  if (older >= generation || (!find(older) && !some_unreadable_)) return;
  std::vector<std::uint64_t>& needed_by = find(generation)->needed_by;
  if (std::ranges::find(needed_by, older) == needed_by.end()) needed_by.push_back(older);
}

void Segments::note_audit(std::uint64_t generation, const IncarnationId& incarnation, std::uint64_t sequence) {
  for (AuditMark& mark : find(generation)->audits)
    if (mark.incarnation == incarnation) {
      mark.sequence = std::max(mark.sequence, sequence);
      return;
    }
  find(generation)->audits.push_back({incarnation, sequence});
}

void Segments::acknowledged(const std::vector<AuditMark>& marks) {
  audit_marks_ = marks;
  for (const auto& segment : all_)
    if (segment->state == Segment::State::closed && segment->live_records == 0 && !segment->audits.empty()) return look_again();
}

bool Segments::is_dead(const Segment& segment) const { return is_dead_without(segment, 0); }

bool Segments::is_dead_without(const Segment& segment, std::uint64_t but) const {
  if (segment.state != Segment::State::closed || segment.live_records > 0 || (segment.old && !all_known_)) return false;
  return !is_needed(segment, but) && audits_acknowledged(segment);
}

bool Segments::is_needed(const Segment& segment, std::uint64_t but) const {
  const auto exists = [&](std::uint64_t older) { return older != but && (find(older) || some_unreadable_); };
  if (segment.unread && some_unreadable_) return true;
  if (!segment.unread) return std::ranges::any_of(segment.needed_by, exists);
  return std::ranges::any_of(by_generation_, [&](const auto& known) {
    const Segment& older = *known.second;
    return older.generation < segment.generation && older.generation != but && older.state != Segment::State::spare;
  });
}

std::uint64_t Segments::oldest_unacknowledged() const {
  std::uint64_t oldest = 0;
  for (const auto& segment : all_) {
    if (segment->audits.empty() || audits_acknowledged(*segment)) continue;
    if (oldest == 0 || segment->generation < oldest) oldest = segment->generation;
  }
  return oldest;
}

bool Segments::audits_acknowledged(const Segment& segment) const {
  return std::ranges::all_of(segment.audits, [&](const AuditMark& last) {
    return std::ranges::any_of(audit_marks_, [&](const AuditMark& mark) {
      return mark.incarnation == last.incarnation && mark.sequence >= last.sequence;
    });
  });
}

bool Segments::has_audit_of(const IncarnationId& incarnation) const {
  return std::ranges::any_of(all_, [&](const auto& segment) {
    return segment->unread || segment->to_replay ||
           std::ranges::find(segment->audits, incarnation, &AuditMark::incarnation) != segment->audits.end();
  });
}

void Segments::know_all() {
  all_known_ = true;
  look_again();
}

void Segments::checkpointed(const Checkpoint& checkpoint) {
  for (const auto& segment : all_)
    segment->named = std::ranges::find(checkpoint.generations, segment->generation, &GenerationMark::generation) !=
                     checkpoint.generations.end();
  look_again();
}

// ---- use

Segment* Segments::take_spare() {
  if (spares_.empty()) return nullptr;
  Segment* segment = spares_.front();
  spares_.pop_front();
  segment->state = Segment::State::active;
  look_again();
  return segment;
}

Fd Segments::close(Segment& segment, bool failed) {
  segment.state = Segment::State::closed;
  segment.tainted = segment.tainted || failed;
  look_again();
  return std::exchange(segment.fd, Fd{});
}

std::uint64_t Segments::growable_beside(std::uint64_t kept) const {
  const std::uint64_t free = disk_free_ > kept ? disk_free_ - kept : 0;
  return options_.append ? free / options_.segment_bytes : 0;
}

std::uint64_t Segments::writable_bytes() const {
  std::uint64_t bytes = growable_segments() * (options_.segment_bytes - kBlockBytes);
  for (const auto& segment : all_)
    if (segment->state == Segment::State::spare || (is_dead(*segment) && !segment->tainted))
      bytes += segment->bytes - kBlockBytes;
  return bytes;
}

void Segments::look_again() {
  stale_ = true;
  work_.notify_all();
}

// ---- background

void Segments::refresh_disk() {
  const Result<runtime::DiskInfo> disk = ring_.disk_info(options_.directory);
  if (disk) disk_free_ = disk->bytes_free;
}

Task<Result<>> Segments::start() {
  co_await remove_useless();
  Result<> ready = co_await prepare();
  low_ = !ready || took_reserve_;
  co_return ready;
}

void Segments::stop() {
  stopping_ = true;
  work_.notify_all();
  changed_.notify_all();
}

Task<void> Segments::keep_spares() {
  while (!stopping_) {
    stale_ = false;
    co_await remove_useless();
    if (spares_.size() >= options_.spares) {
      if (!stale_ && !stopping_) co_await work_.wait();
      continue;
    }
    Result<> ready = co_await prepare();
    low_ = !ready || took_reserve_;
    changed_.notify_all();
    if (!ready && !stopping_) co_await work_.wait(ring_.now() + kSpaceRetry);
  }
}

Task<Result<>> Segments::prepare() {
  refresh_disk();  // admission counts on it, also where nothing is created for long
  if (!names_synced_) {  // a name that an earlier start made but never synced must not carry new mail
    Result<> synced = co_await sync_directory(options_.directory);
    if (synced) synced = co_await sync_directory(options_.directory + "/..");
    if (!synced) co_return synced;
    names_synced_ = true;
  }
  took_reserve_ = false;
  Segment* oldest = nullptr;
  for (const auto& segment : all_)
    if (is_dead(*segment) && !segment->tainted && (!oldest || segment->generation < oldest->generation)) oldest = segment.get();
  if (oldest) {
    Result<> recycled = co_await recycle(*oldest);
    co_return recycled;
  }
  Result<> created = co_await create();
  co_return created;
}

Task<Result<>> Segments::recycle(Segment& segment) {
  const std::string name = path(segment.number);
  segment.in_work = true;
  Result<std::uint32_t> fd = co_await ring_.open(name.c_str(), open_flags(O_RDWR));
  if (!fd) {
    segment.in_work = false;
    segment.tainted = true;
    co_return std::unexpected(fd.error());
  }
  const Fd file{static_cast<int>(*fd)};
  Result<> written = co_await write_header(segment, file);
  segment.in_work = false;
  if (written) {
    segment.state = Segment::State::spare;
    segment.fd = file;
    segment.last_group = 0;
    segment.unread = segment.old = false;
    segment.audits.clear();
    segment.needed_by.clear();
    spares_.push_back(&segment);
    co_return written;
  }
  // Whether the old or the new header stands there is not known: the old generation counts as present until the file is gone.
  segment.tainted = true;
  Result<std::uint32_t> closed = co_await ring_.close(file);
  static_cast<void>(closed);
  co_return written;
}

Task<Result<>> Segments::create() {
  refresh_disk();
  // Nothing is left for outcomes and to clean into, and each start takes a segment: then, and only for that, out of the reserve.
  took_reserve_ = growable_segments() == 0;
  if (took_reserve_ && (!spares_.empty() || growable_beside(0) == 0)) co_return failure(Errc::no_space);
  Segment& segment = add(highest_number_ + 1, options_.segment_bytes);
  segment.in_work = true;
  const std::string name = path(segment.number);
  Result<std::uint32_t> fd = co_await ring_.open(name.c_str(), open_flags(O_RDWR) | O_CREAT | O_EXCL, 0600);
  if (!fd) {
    forget(segment);
    co_return std::unexpected(fd.error());
  }
  const Fd file{static_cast<int>(*fd)};
  Result<> ready = co_await fill(file, segment.bytes);
  if (ready) ready = co_await write_header(segment, file);
  if (ready) ready = co_await sync_directory(options_.directory);
  refresh_disk();
  if (ready) {
    segment.in_work = false;
    segment.state = Segment::State::spare;
    segment.fd = file;
    spares_.push_back(&segment);
    co_return ready;
  }
  segment.state = Segment::State::raw;
  Result<std::uint32_t> closed = co_await ring_.close(file);
  static_cast<void>(closed);
  Result<> removed = co_await remove(segment);
  static_cast<void>(removed);  // what is left is raw and is removed later
  co_return ready;
}

/// Writes every block once: overwriting written blocks syncs faster than the first write of allocated ones.
Task<Result<>> Segments::fill(Fd fd, std::uint64_t bytes) {
  Result<std::uint32_t> allocated = co_await ring_.allocate(fd, 0, bytes);
  if (!allocated && allocated.error().code == Errc::no_space) co_return std::unexpected(allocated.error());
  for (std::uint64_t offset = 0; offset < bytes;) {
    if (stopping_) co_return failure(Errc::cancelled);
    const std::size_t size = std::min<std::uint64_t>(crypto::Sealer::kZerosMax, bytes - offset);
    Result<std::uint32_t> written = co_await ring_.write(fd, crypto::Sealer::zeros(size), offset);
    if (!written) co_return std::unexpected(written.error());
    const std::uint64_t whole = *written & ~std::uint32_t{kBlockBytes - 1};
    if (whole == 0) co_return failure(Errc::io);
    offset += whole;
  }
  Result<std::uint32_t> synced = co_await ring_.sync_all(fd);
  if (!synced) co_return std::unexpected(synced.error());
  co_return Result<>{};
}

Task<Result<>> Segments::write_header(Segment& segment, Fd fd) {
  crypto::SegmentHeader header{.store = options_.store,
                               .partition = options_.partition,
                               .incarnation = options_.incarnation,
                               .generation = highest_generation_ + 1,
                               .salt = {},
                               .segment_bytes = segment.bytes,
                               // A generation without groups overwrote nothing but what it names itself.
                               .previous = segment.last_group == 0 ? segment.previous : segment.generation};
  highest_generation_ = header.generation;
  ring_.random(header.salt);
  const SealedBytes block = crypto::Sealer::segment_header(header, keys(header.generation, header.salt), header_.bytes());
  runtime::WriteSyncResult done = co_await ring_.write_then_sync(fd, block, 0);
  if (done.written && *done.written < block.size()) {  // the header lies in the first sector; the rest is zero as before
    Result<std::uint32_t> again = co_await ring_.write(fd, block, 0);
    if (!again || *again < block.size()) co_return failure(Errc::io);
    done.synced = co_await ring_.sync_data(fd);
  }
  if (!done.written) co_return std::unexpected(done.written.error());
  if (!done.synced) co_return std::unexpected(done.synced.error());
  set_generation(segment, header.generation, header.salt, header.previous);
  co_return Result<>{};
}

Task<Result<>> Segments::remove(Segment& segment) {
  segment.in_work = true;
  const std::string name = path(segment.number);
  Result<std::uint32_t> unlinked = co_await ring_.unlink(name.c_str());
  segment.in_work = false;
  if (!unlinked && unlinked.error().code != Errc::not_found) co_return std::unexpected(unlinked.error());
  Result<> synced = co_await sync_directory(options_.directory);
  if (!synced) co_return synced;  // the name may come back: it counts as present
  forget(segment);
  co_return Result<>{};
}

Task<Result<>> Segments::sync_directory(std::string path) {
  Result<std::uint32_t> fd = co_await ring_.open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (!fd) co_return std::unexpected(fd.error());
  const Fd directory{static_cast<int>(*fd)};
  Result<std::uint32_t> synced = co_await ring_.sync_all(directory);
  Result<std::uint32_t> closed = co_await ring_.close(directory);
  static_cast<void>(closed);
  if (!synced) co_return std::unexpected(synced.error());
  co_return Result<>{};
}

/// Removes what will never be written again: leftovers of a crash, and dead segments in which a write or sync failed.
Task<void> Segments::remove_useless() {
  for (std::size_t i = 0; i < all_.size() && !stopping_;) {
    Segment& segment = *all_[i];
    const bool useless = segment.state == Segment::State::raw || (segment.tainted && !segment.named && is_dead(segment));
    if (!useless || segment.in_work) {
      ++i;
      continue;
    }
    Result<> removed = co_await remove(segment);
    if (!removed) ++i;
  }
}

Task<void> Segments::close_files() {
  for (const auto& segment : all_) {
    if (!segment->fd) continue;
    Result<std::uint32_t> closed = co_await ring_.close(std::exchange(segment->fd, Fd{}));
    static_cast<void>(closed);
  }
}

Space Segments::space() const {
  Space space;
  space.segments = all_.size();
  space.segments_spare = spares_.size();
  for (const auto& segment : all_) {
    space.segments_dead += is_dead(*segment);
    space.live_records += segment->live_records;
    space.live_bytes += segment->live_bytes;
  }
  space.writable_bytes = writable_bytes();
  space.low = low_;
  return space;
}

}  // namespace ringpost::spool
