#include "programs/connection_spread.hh"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>

namespace ringpost::programs {

namespace {

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

ConnectionSpread::ConnectionSpread(std::size_t shards, std::vector<int> cores, bool pinned)
    : cores_(std::move(cores)), pinned_(pinned), spread_(shards), cores_file_(std::make_unique<File>("/proc/stat")), spent_ns_(shards) {}

ConnectionSpread::~ConnectionSpread() = default;

void ConnectionSpread::watch(std::span<const std::unique_ptr<ShardThread>> threads) {
  for (const auto& thread : threads) thread_files_.emplace_back("/proc/self/task/" + std::to_string(thread->number()) + "/schedstat");
}

std::size_t ConnectionSpread::look(config::ConnectionSpread wish, std::span<const metrics::ShardMetrics* const> metrics) {
  if (wish == config::ConnectionSpread::even || metrics.size() < 2) return 0;
  const Instant now = steady_now();
  const Duration since_last = now - std::exchange(looked_, now);
  policy::Spread::Seen seen{.now = now};
  seen.busy = busy(since_last);
  for (const metrics::ShardMetrics* shard : metrics) {
    const auto open = static_cast<std::uint64_t>(shard->connections_open.value());
    seen.connections += open;
    seen.closed += shard->connections_accepted.value() - open;
    seen.work += shard->ring_operations_completed.value();
  }
  // Looked at only when it matters: the kernel adds up a lot for that file.
  Ticks ticks = seen.busy >= policy::Spread::kBusy ? idle_ticks() : Ticks{};
  seen.idle = idle(idle_before_, ticks, since_last);
  idle_before_ = std::move(ticks);
  return spread_.look(seen);
}

// Of the shards in use: time on their cores and in line for them. A kernel that does not tell (CONFIG_SCHED_INFO) lets them look idle.
double ConnectionSpread::busy(Duration since_last) {
  Duration spent{};
  for (std::size_t i = 0; i < thread_files_.size(); ++i) {
    std::array<char, 128> buffer;
    std::string_view text = thread_files_[i].read(buffer);
    const std::uint64_t ran = take_number(text), total = ran + take_number(text);
    const std::uint64_t before = std::exchange(spent_ns_[i], total);
    if (i < spread_.watched()) spent += Duration{static_cast<Duration::rep>(total - before)};
  }
  if (since_last <= Duration::zero() || spread_.watched() == 0) return 0;
  return std::min(1.0, std::chrono::duration<double>(spent) / std::chrono::duration<double>(since_last) / static_cast<double>(spread_.watched()));
}

// The mean of the cores that the shards not in use have.
double ConnectionSpread::idle(const Ticks& before, const Ticks& after, Duration between) const {
  if (before.empty() || after.empty()) return 0;
  std::uint64_t ticks = 0, cores = 0;
  for (std::size_t i = pinned_ ? spread_.watched() : 0; i < cores_.size(); ++i) {
    const auto core = static_cast<std::size_t>(cores_[i]);
    if (core >= before.size() || core >= after.size()) continue;
    ticks += after[core] - before[core];
    ++cores;
  }
  if (cores == 0) return 0;
  const double seconds = static_cast<double>(ticks) / static_cast<double>(::sysconf(_SC_CLK_TCK));
  return seconds / static_cast<double>(cores) / std::chrono::duration<double>(between).count();
}

// proc(5): "cpuN user nice system idle iowait ..." for each core, behind a line for all of them.
ConnectionSpread::Ticks ConnectionSpread::idle_ticks() {
  constexpr std::string_view kCore = "cpu";
  std::string content(cores_.size() * 128 + 4096, '\0');
  std::string_view text = cores_file_->read(content);
  Ticks ticks;
  for (skip_line(text); text.starts_with(kCore); skip_line(text)) {
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
