#include "programs/connection_spread.hh"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <string>
#include <string_view>
#include <utility>

#include "programs/core_times.hh"
#include "ringpost/base/steady_clock.hh"

namespace ringpost::programs {

namespace {

constexpr std::size_t kCoresBytes = 64 * 1024;  // lines of some 500 cores and more

}  // namespace

/// One that the kernel writes anew whenever it is read from its beginning.
class ConnectionSpread::File {
 public:
  explicit File(const std::string& path) : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  File(File&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  /// What fits into `buffer`; empty when there is none.
  std::string_view read(std::span<char> buffer) const {
    const ssize_t count = ::pread(fd_, buffer.data(), buffer.size(), 0);
    return {buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(count, 0))};
  }

 private:
  int fd_;
};

ConnectionSpread::ConnectionSpread(std::size_t shards, std::vector<int> cores, bool pinned, Log& log)
    : shards_(shards),
      cores_(std::move(cores)),
      pinned_(pinned),
      log_(log),
      spread_(shards),
      cores_file_(std::make_unique<File>("/proc/stat")),
      cores_text_(kCoresBytes, '\0'),
      spent_ns_(shards) {
  if (pinned_) cores_.resize(shards);
}

ConnectionSpread::~ConnectionSpread() = default;

void ConnectionSpread::watch(std::span<const std::unique_ptr<ShardThread>> threads) {
  for (const auto& thread : threads) thread_files_.emplace_back("/proc/self/task/" + std::to_string(thread->number()) + "/schedstat");
  for (std::size_t i = 0; i < shards_; ++i) blind_ = blind_ || !spent_ns(i);
  if (blind_ && shards_ > 1)
    log_.warning("this kernel does not tell how busy threads are (CONFIG_SCHED_INFO): connections are spread evenly");
}

std::size_t ConnectionSpread::look(config::ConnectionSpread wish, std::span<const metrics::ShardMetrics* const> metrics) {
  if (wish == config::ConnectionSpread::even || blind_ || shards_ < 2) {
    spread_ = policy::Spread{shards_};
    looked_ = kNever;
    return 0;
  }
  const Instant now = steady_now();
  const Duration since_last = looked_ == kNever ? Duration::zero() : now - looked_;
  looked_ = now;
  policy::Spread::Seen seen{.now = now};
  look_at_shards(since_last, seen);
  for (const metrics::ShardMetrics* shard : metrics) {
    const auto open = static_cast<std::uint64_t>(shard->connections_open.value());
    seen.connections += open;
    seen.closed += shard->connections_accepted.value() - open;
    for (const metrics::Counter* done : {&shard->sessions_started, &shard->messages_accepted, &shard->messages_refused, &shard->messages_deferred,
                                         &shard->recipients_delivered, &shard->recipients_deferred, &shard->recipients_failed})
      seen.work += done->value();
  }
  // Looked at only when it matters: the kernel adds up a lot for that file.
  const bool matters = seen.busiest >= policy::Spread::kBusy && spread_.in_use() < shards_;
  Ticks ticks = matters ? idle_ticks(cores_file_->read(cores_text_)) : Ticks{};
  seen.idle = idle(idle_before_, ticks, since_last);
  idle_before_ = std::move(ticks);
  return spread_.look(seen);
}

std::optional<std::uint64_t> ConnectionSpread::spent_ns(std::size_t shard) {
  std::array<char, 128> buffer;
  return thread_ns(thread_files_[shard].read(buffer));
}

void ConnectionSpread::look_at_shards(Duration since_last, policy::Spread::Seen& seen) {
  for (std::size_t i = 0; i < shards_; ++i) {
    const std::uint64_t before = spent_ns_[i], total = spent_ns(i).value_or(before);
    spent_ns_[i] = total;
    if (i >= spread_.in_use() || since_last <= Duration::zero()) continue;
    const double busy = std::min(1.0, static_cast<double>(total - before) / static_cast<double>(since_last.count()));
    seen.busy += busy / static_cast<double>(spread_.in_use());
    seen.busiest = std::max(seen.busiest, busy);
  }
}

// The mean of the cores of the shards that would be taken into use next; where shards are not pinned, of all.
double ConnectionSpread::idle(const Ticks& before, const Ticks& after, Duration between) const {
  if (before.empty() || between <= Duration::zero()) return 0;
  std::uint64_t ticks = 0, cores = 0;
  for (std::size_t i = pinned_ ? spread_.in_use() : 0; i < (pinned_ ? spread_.next() : cores_.size()); ++i) {
    const auto core = static_cast<std::size_t>(cores_[i]);
    if (core >= before.size() || core >= after.size() || after[core] < before[core]) continue;  // of one that was off, too
    ticks += after[core] - before[core];
    ++cores;
  }
  if (cores == 0) return 0;
  const double idle = static_cast<double>(ticks) / static_cast<double>(::sysconf(_SC_CLK_TCK));
  return idle / static_cast<double>(cores) / std::chrono::duration<double>(between).count();
}

}  // namespace ringpost::programs
