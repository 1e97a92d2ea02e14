// What the kernel says of the time of threads and cores, as text in /proc.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace ringpost::programs {

/// Nanoseconds that a thread has run or been in line for a core, from its schedstat (Documentation/scheduler/sched-stats.rst). Nothing where
/// the kernel does not count them.
std::optional<std::uint64_t> thread_ns(std::string_view schedstat);

/// Ticks of _SC_CLK_TCK that each core has had nothing to do, by its number, from /proc/stat (proc(5)); 0 of one that is off. What has no
/// end of line is not read.
std::vector<std::uint64_t> idle_ticks(std::string_view stat);

}  // namespace ringpost::programs
