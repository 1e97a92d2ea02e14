#include "programs/core_times.hh"

#include <algorithm>
#include <array>
#include <charconv>

namespace ringpost::programs {

namespace {

constexpr std::size_t kCoresMax = 8192;  // of a Linux kernel; what says more is no number of a core

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

std::optional<std::uint64_t> thread_ns(std::string_view schedstat) {
  const std::uint64_t ran = take_number(schedstat), waited = take_number(schedstat);
  if (ran == 0) return std::nullopt;
  return ran + waited;
}

// "cpuN user nice system idle iowait ..." for each core that is on, behind a line for all of them.
std::vector<std::uint64_t> idle_ticks(std::string_view stat) {
  constexpr std::string_view kCore = "cpu";
  std::vector<std::uint64_t> ticks;
  for (skip_line(stat); stat.starts_with(kCore) && stat.contains('\n'); skip_line(stat)) {
    std::string_view line = stat.substr(kCore.size(), stat.find('\n') - kCore.size());
    const auto core = static_cast<std::size_t>(take_number(line));
    std::array<std::uint64_t, 5> spent{};
    for (std::uint64_t& each : spent) each = take_number(line);
    if (core >= kCoresMax) continue;
    if (ticks.size() <= core) ticks.resize(core + 1);
    ticks[core] = spent[3] + spent[4];
  }
  return ticks;
}

}  // namespace ringpost::programs
