#include "programs/connection_spread.hh"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <string>
#include <string_view>
#include <utility>

namespace ringpost::programs {

namespace {

constexpr std::size_t kCoresBytes = 64 * 1024;  // lines of some 500 cores and more

Instant steady_now() { return Instant{std::chrono::steady_clock::now().time_since_epoch()}; }

/// Takes the number that `text` begins with, and the blanks before it.
std::uint64_t take_number(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  std::uint64_t number = 0;
  const char* end = std::from_chars(text.data(), text.data() + text.size(), number).ptr;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

/// And its end, if it has one.
void skip_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  text.remove_prefix(end == text.npos ? text.size() : end + 1);
}

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
  policy::Spread::Seen seen{.now = now, .busy = busy(since_last)};
  for (const metrics::ShardMetrics* shard : metrics) {
    const auto open = static_cast<std::uint64_t>(shard->connections_open.value());
    seen.connections += open;
    seen.closed += shard->connections_accepted.value() - open;
    for (const metrics::Counter* done : {&shard->sessions_started, &shard->messages_accepted, &shard->messages_refused, &shard->messages_deferred,
                                         &shard->recipients_delivered, &shard->recipients_deferred, &shard->recipients_failed})
      seen.work += done->value();
  }
  // Looked at only when it matters: the kernel adds up a lot for that file.
  const bool matters = seen.busy >= policy::Spread::kBusy && spread_.in_use() < shards_;
  Ticks ticks = matters ? idle_ticks() : Ticks{};
  seen.idle = idle(idle_before_, ticks, since_last);
  idle_before_ = std::move(ticks);
  return spread_.look(seen);
}

// Time on a core and in line for one (Documentation/scheduler/sched-stats.rst). Nothing where the kernel does not count it.
std::optional<std::uint64_t> ConnectionSpread::spent_ns(std::size_t shard) {
  std::array<char, 128> buffer;
  std::string_view text = thread_files_[shard].read(buffer);
  const std::uint64_t ran = take_number(text), waited = take_number(text);
  if (ran == 0) return std::nullopt;
  return ran + waited;
}

double ConnectionSpread::busy(Duration since_last) {
  Duration spent{};
  for (std::size_t i = 0; i < shards_; ++i) {
    const std::uint64_t before = spent_ns_[i], total = spent_ns(i).value_or(before);
    spent_ns_[i] = total;
    if (i < spread_.in_use()) spent += Duration{static_cast<Duration::rep>(total - before)};
  }
  if (since_last <= Duration::zero()) return 0;
  return std::min(1.0, std::chrono::duration<double>(spent) / std::chrono::duration<double>(since_last) / static_cast<double>(spread_.in_use()));
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

// proc(5): "cpuN user nice system idle iowait ..." for each core that is on, behind a line for all of them.
ConnectionSpread::Ticks ConnectionSpread::idle_ticks() {
  constexpr std::string_view kCore = "cpu";
  std::string_view text = cores_file_->read(cores_text_);
  Ticks ticks;
  for (skip_line(text); text.starts_with(kCore) && text.contains('\n'); skip_line(text)) {
    std::string_view line = text.substr(kCore.size());
    const auto core = static_cast<std::size_t>(take_number(line));
    std::array<std::uint64_t, 5> spent{};
    for (std::uint64_t& each : spent) each = take_number(line);
    if (ticks.size() <= core) ticks.resize(core + 1);
    ticks[core] = spent[3] + spent[4];
  }
  return ticks;
}

}  // namespace ringpost::programs
