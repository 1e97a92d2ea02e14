// Time, sizes and descriptors as types of their own.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace ringpost {

/// A span of time, in nanoseconds.
using Duration = std::chrono::nanoseconds;

/// The monotonic clock of a `Ring`; it has no now() of its own, so only a Ring tells the time.
struct MonotonicClock {
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<MonotonicClock>;
  static constexpr bool is_steady = true;
};

/// A moment on the monotonic clock: comparable within one incarnation only, never stored.
using Instant = MonotonicClock::time_point;
/// A moment on the wall clock (UTC): for stamps people read; nothing irreversible hangs on it.
using WallTime = std::chrono::sys_time<Duration>;

inline constexpr Instant kNever = Instant::max();

inline constexpr std::size_t operator""_KiB(unsigned long long n) { return static_cast<std::size_t>(n) << 10; }
inline constexpr std::size_t operator""_MiB(unsigned long long n) { return static_cast<std::size_t>(n) << 20; }
inline constexpr std::size_t operator""_GiB(unsigned long long n) { return static_cast<std::size_t>(n) << 30; }

/// A descriptor handed out by a `Ring`. A plain value: whoever opened it closes it, through that Ring.
struct Fd {
  int value = -1;
  explicit operator bool() const { return value >= 0; }
  friend bool operator==(Fd, Fd) = default;
};

/// `value` rounded up to a multiple of `unit`, a power of two.
constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) { return (value + unit - 1) & ~(unit - 1); }

}  // namespace ringpost
