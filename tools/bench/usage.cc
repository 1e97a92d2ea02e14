#include "bench/usage.hh"

#include <fmt/core.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "bench/files.hh"

namespace ringpost::bench {

namespace {

/// Fields 14 to 17 of /proc/PID/stat: utime, stime, cutime, cstime, behind the name in brackets, which may hold anything.
std::optional<Duration> cpu_of(pid_t pid) {
  auto stat = read_file(fmt::format("/proc/{}/stat", pid));
  if (!stat || stat->rfind(')') == std::string::npos) return std::nullopt;
  std::istringstream fields{stat->substr(stat->rfind(')') + 1)};
  std::string skipped;
  for (int field = 3; field < 14; ++field) fields >> skipped;
  std::uint64_t ticks = 0;
  for (int field = 14; field < 18; ++field) {
    std::uint64_t value = 0;
    if (!(fields >> value)) return std::nullopt;
    ticks += value;
  }
  return Duration{static_cast<Duration::rep>(ticks * 1'000'000'000 / static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK)))};
}

std::optional<std::uint64_t> memory_of(pid_t pid) {
  std::ifstream rollup{fmt::format("/proc/{}/smaps_rollup", pid)};
  std::string word;
  std::uint64_t kilobytes = 0;
  while (rollup >> word)
    if (word == "Pss:" && rollup >> kilobytes) return kilobytes * 1024;
  return std::nullopt;
}

}  // namespace

Duration own_cpu() {
  rusage used;
  ::getrusage(RUSAGE_SELF, &used);
  auto time = [](const timeval& value) { return std::chrono::seconds(value.tv_sec) + std::chrono::microseconds(value.tv_usec); };
  return time(used.ru_utime) + time(used.ru_stime);
}

std::vector<pid_t> ServerProcesses::all() const {
  std::vector<pid_t> found{root_};
  for (std::size_t i = 0; i < found.size(); ++i) {
    std::error_code failed;
    for (const auto& task : std::filesystem::directory_iterator{fmt::format("/proc/{}/task", found[i]), failed}) {
      std::ifstream children{task.path() / "children"};
      for (pid_t child = 0; children >> child;) found.push_back(child);
    }
  }
  return found;
}

std::optional<Duration> ServerProcesses::cpu() const {
  if (!cpu_of(root_)) return std::nullopt;
  Duration total{};
  for (pid_t pid : all()) total += cpu_of(pid).value_or(Duration{});
  return total;
}

std::optional<std::uint64_t> ServerProcesses::memory_bytes() const {
  if (!memory_of(root_)) return std::nullopt;
  std::uint64_t total = 0;
  for (pid_t pid : all()) total += memory_of(pid).value_or(0);
  return total;
}

CpuWatch::CpuWatch(pid_t server) {
  if (server != 0) {
    processes_.emplace(server);
    if (auto used = processes_->cpu()) {
      server_ = *used;
    } else {
      fmt::print(stderr, "ringpost-bench: there is no process {}\n", server);
      good_ = false;
    }
  }
  own_ = own_cpu();
}

std::optional<Duration> CpuWatch::server() const {
  if (!processes_) return std::nullopt;
  auto used = processes_->cpu();
  if (!used) return std::nullopt;
  return *used - server_;
}

}  // namespace ringpost::bench
