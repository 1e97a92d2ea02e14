#include "shard/clock_jumps.hh"

namespace ringpost::shard {

namespace {

/// Clocks are set right by less than this in a second without a jump.
constexpr Duration kSlew = std::chrono::milliseconds(100);
constexpr std::size_t kJumpsMax = 64;

}  // namespace

void ClockJumps::look(Instant now, WallTime wall_now, std::uint64_t group) {
  const Duration ahead = wall_now.time_since_epoch() - now.time_since_epoch();
  const Duration by = ahead - ahead_;
  ahead_ = ahead;
  if (by < kSlew && by > -kSlew) return;
  if (jumps_.size() == kJumpsMax) {
    jumps_[1].by += jumps_[0].by;
    jumps_.erase(jumps_.begin());
  }
  jumps_.push_back({group, by});
}

Duration ClockJumps::since(std::uint64_t group) const {
  Duration sum{};
  for (const Jump& jump : jumps_)
    if (jump.group > group) sum += jump.by;
  return sum;
}

bool ClockJumps::went_back() const {
  Duration sum{};
  for (auto jump = jumps_.rbegin(); jump != jumps_.rend(); ++jump)
    if ((sum += jump->by) < Duration{}) return true;
  return false;
}

}  // namespace ringpost::shard
