#include "ringpost/keyd/reporter.hh"

#include <fcntl.h>

#include <array>

#include "ringpost/runtime/small_file.hh"

namespace ringpost::keyd {

using runtime::Task;

namespace {
constexpr char kName[] = "events", kNewName[] = "events.new";
constexpr Duration kRetry = std::chrono::seconds{1};
}  // namespace

Reporter::Reporter(runtime::Ring& ring, Log& log, const SocketAddress& auditd)
    : ring_(ring), log_(log), scope_(ring), changed_(ring), tried_(ring), outbox_(ring, log, metrics_, auditd, *this) {
  ring_.random(incarnation_.bytes);
}

void Reporter::start() {
  outbox_.start();
  scope_.spawn(keep_file());
  report({.kind = event::Kind::process_started});
}

void Reporter::report(event::Event event) {
  if (pending_.size() >= kPendingEventsMax) {
    if (std::optional<std::uint64_t> lines = dropped_lines_.admit(ring_.now()))
      log_.error("auditd is away for too long: key events are dropped", {{"suppressed", *lines}});
    ++sequence_;  // auditd will see the gap
    return;
  }
  event.stamp = {.incarnation = incarnation_, .sequence = ++sequence_, .time = ring_.wall_now(), .process = event::Process::keyd};
  std::array<std::byte, event::kEventBytesMax> bytes;
  const Bytes encoded = Bytes{bytes}.first(event::encode(event, bytes));
  pending_.push_back({incarnation_, sequence_, {encoded.begin(), encoded.end()}});
  outbox_.add(incarnation_, sequence_, encoded);
  changed();
}

void Reporter::acknowledged(const IncarnationId& incarnation, std::uint64_t sequence) {
  std::erase_if(pending_,
                [&](const PendingEvent& event) { return event.incarnation == incarnation && event.sequence <= sequence; });
  changed();
}

void Reporter::changed() {
  ++change_;
  changed_.notify_all();
}

Task<void> Reporter::store_opened(Fd directory, Key256 key) {
  if (directory_) co_return;
  *key_ = std::move(key);
  directory_ = directory;
  std::vector<PendingEvent> before = co_await read_predecessors();
  const std::size_t room = kPendingEventsMax - pending_.size();
  if (before.size() > room)
    before.erase(before.begin(), before.end() - static_cast<std::ptrdiff_t>(room));  // auditd will see the gap
  pending_.insert(pending_.begin(), before.begin(), before.end());
  for (const PendingEvent& event : before) outbox_.add(event.incarnation, event.sequence, event.encoded);
  changed();
  co_await settled();
}

/// What an earlier life of keyd could not hand over.
Task<std::vector<PendingEvent>> Reporter::read_predecessors() {
  Result<std::uint32_t> opened = co_await ring_.open(kName, O_RDONLY | O_NOFOLLOW | O_CLOEXEC, 0, directory_);
  if (!opened && opened.error().code == Errc::not_found) co_return std::vector<PendingEvent>{};
  file_exists_ = true;
  Result<std::vector<PendingEvent>> events = std::unexpected(opened ? Error{Errc::corrupt} : opened.error());
  if (opened) {
    const Fd file{static_cast<int>(*opened)};
    file_.resize(kEventFileBytesMax + 1);
    Result<std::size_t> size = co_await runtime::read_whole(ring_, file, file_);
    Result<std::uint32_t> closed = co_await ring_.close(file);
    static_cast<void>(closed);
    if (size)
      events = open_events(Bytes{file_}.first(*size), *key_);
    else
      events = std::unexpected(size.error());
    file_ = {};
  }
  if (events) co_return std::move(*events);
  log_.error("key events that auditd had not acknowledged are lost: their file does not open", {{"why", events.error()}});
  co_return std::vector<PendingEvent>{};
}

Task<void> Reporter::settled() {
  const std::uint64_t wanted = change_;
  while (directory_ && tried_change_ < wanted) co_await tried_.wait();
}

/// Brings the file to what is pending whenever that changed.
Task<void> Reporter::keep_file() {
  for (;;) {
    while (!stopping_ && (!directory_ || tried_change_ == change_)) co_await changed_.wait();
    if (!directory_ || tried_change_ == change_) co_return;
    const std::uint64_t change = change_;
    const Result<> written = co_await write_file();
    tried_change_ = change;
    tried_.notify_all();
    if (written) continue;
    if (std::optional<std::uint64_t> lines = failed_lines_.admit(ring_.now()))
      log_.error("key events cannot be written: a keyd that dies now loses them",
                 {{"why", written.error()}, {"suppressed", *lines}});
    if (stopping_) co_return;
    co_await ring_.sleep_for(kRetry);
    if (tried_change_ == change_) ++change_;  // once more, although nothing happened
  }
}

Task<Result<>> Reporter::write_file() {
  if (pending_.empty()) {
    if (!file_exists_) co_return Result<>{};
    Result<std::uint32_t> step = co_await ring_.unlink(kName, directory_);
    if (step || step.error().code == Errc::not_found) step = co_await ring_.sync_all(directory_);
    if (!step) co_return std::unexpected(step.error());
    file_exists_ = false;
    co_return Result<>{};
  }
  crypto::Nonce nonce;
  ring_.random(nonce);
  const SealedBytes sealed = seal_events({pending_.begin(), pending_.end()}, *key_, nonce, file_);
  file_exists_ = true;
  Result<> replaced = co_await runtime::replace_whole(ring_, directory_, kName, kNewName, sealed);
  co_return replaced;
}

Task<void> Reporter::stop(Duration patience) {
  report({.kind = event::Kind::process_stopped});
  co_await outbox_.stop(ring_.now() + patience);
  stopping_ = true;
  changed_.notify_all();
  co_await scope_.join();
}

}  // namespace ringpost::keyd
