#include "programs/shard_thread.hh"

#include <malloc.h>
#include <sys/prctl.h>
#include <unistd.h>
#ifdef RP_MIMALLOC
#include <mimalloc.h>
#endif

#include <cstdio>

#include "programs/crash_witness.hh"
#include "ringpost/runtime/memory_reserve.hh"
#include "ringpost/runtime/scope.hh"

namespace ringpost::programs {

namespace {
constexpr Duration kLookAround = std::chrono::milliseconds(50);
constexpr Duration kStopPatience = std::chrono::milliseconds(3500);
}  // namespace

ShardThread::ShardThread(ShardSeat seat, const shard::Shared& shared, SettingsBoard& board)
    : seat_(std::move(seat)), shared_(shared), board_(board), metrics_(std::make_unique<metrics::ShardMetrics>()) {}

ShardThread::~ShardThread() = default;

void ShardThread::start() {
  thread_ = std::thread([this] {
    char name[16];
    std::snprintf(name, sizeof name, "shard-%zu", seat_.options.index);
    prctl(PR_SET_NAME, name);
    number_.store(gettid(), std::memory_order_release);
    if (!seat_.options.work_table.empty()) blame_on(seat_.options.work_table);
    auto started = seat_.ring->start();
    if (!started)
      return tell_opened(std::unexpected("the ring cannot be started: " + std::string{error_name(started.error().code)}));
    {
      runtime::Scope scope{*seat_.ring};
      scope.spawn(live());
      seat_.ring->run();
    }
    seat_.ring.reset();
  });
}

std::expected<void, std::string> ShardThread::wait_opened() {
  std::unique_lock lock{mutex_};
  opened_changed_.wait(lock, [&] { return opened_.has_value(); });
  return *opened_;
}

void ShardThread::tell_opened(std::expected<void, std::string> opened) {
  std::lock_guard lock{mutex_};
  opened_ = std::move(opened);
  opened_changed_.notify_all();
}

// The shard's life, from recovery to the end. A few times a second it looks at what main and the operators want.
runtime::Task<void> ShardThread::live() {
  runtime::UringRing& ring = *seat_.ring;
  std::uint64_t generation = board_.generation();
  {
    shard::Shard shard{ring, seat_.options, shared_, *metrics_, board_.current()};
    auto opened = co_await shard.open();
    bool good = opened.has_value();
    tell_opened(std::move(opened));
    bool listening = false;
    while (good && !board_.stop_asked()) {
      if (!listening && go_.load(std::memory_order_acquire)) {
        shard.listen(seat_.sockets);
        if (seat_.control_listener) shard.listen_control(seat_.control_listener);
        listening = true;
      }
      if (std::uint64_t seen = board_.generation(); seen != generation) {
        generation = seen;
        shard.reconfigure(board_.current());
        std::vector<event::Event> events;
        if (seat_.options.index == 0) events = board_.take_events();
        if (events.empty()) board_.follow(seen);
        else shard.report(std::move(events), [this, seen] { board_.follow(seen); });
      }
      if (listening && seat_.options.index == 0) spread_connections();
      count_ring();
      mind_memory(shard);
      co_await ring.sleep_for(listening ? kLookAround : std::chrono::milliseconds(2));
    }
    co_await shard.stop(kStopPatience);
  }
  ring.stop();
}

// While memory is short new mail is refused: every shard gives back what it can, until there is a reserve again.
void ShardThread::mind_memory(shard::Shard& shard) {
  const bool was_short = std::exchange(memory_short_, runtime::MemoryReserve::is_spent());
  if (!memory_short_) return;
  if (!was_short) shared_.log.error("out of memory: new mail is refused for now", {{"shard", seat_.options.index}});
  shard.trim();
#ifdef RP_MIMALLOC
  mi_collect(true);
#else
  malloc_trim(0);
#endif
  if (runtime::MemoryReserve::refill()) shared_.log.info("memory is there again", {{"shard", seat_.options.index}});
}

// The sockets of all shards follow what is said on one of them.
void ShardThread::spread_connections() {
  const std::size_t over = board_.spread_over();
  if (std::exchange(spread_over_, over) == over) return;
  for (const receive::ListeningSocket& socket : seat_.sockets) {
    auto spread = seat_.ring->spread_connections(socket.fd, over);
    if (spread || !board_.spread_works()) continue;
    shared_.log.warning("the kernel does not spread connections by load: every shard takes its part", {{"error", spread.error()}});
    board_.spread_fails();
  }
}

void ShardThread::count_ring() {
  const runtime::UringStats& stats = seat_.ring->stats();
  auto advance = [](metrics::Counter& counter, std::uint64_t& counted, std::uint64_t now) {
    counter.add(now - counted);
    counted = now;
  };
  advance(metrics_->ring_operations_submitted, operations_in_, stats.operations_in);
  advance(metrics_->ring_operations_completed, completions_out_, stats.completions_out);
  advance(metrics_->ring_turns, turns_, stats.turns);
  advance(metrics_->receive_buffers_exhausted, exhausted_, stats.buffers_exhausted);
  metrics_->receive_buffers_in_use.set(static_cast<std::int64_t>(seat_.ring->receive_buffers() - seat_.ring->receive_buffers_free()));
}

}  // namespace ringpost::programs
