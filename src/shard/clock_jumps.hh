// Jumps of the wall clock while the server runs, so that a wait of days that is written down as a wall time is not changed by them.
#pragma once

#include <vector>

#include "ringpost/base/units.hh"

namespace ringpost::shard {

/// Pure: the caller passes what the clocks say, about once a second and before it asks.
class ClockJumps {
 public:
  /// `group`: the newest of the log, as in ids (message_order.hh).
  ClockJumps(Instant now, WallTime wall_now, std::uint64_t group)
      : first_group_(group), ahead_(wall_now.time_since_epoch() - now.time_since_epoch()) {}

  void look(Instant now, WallTime wall_now, std::uint64_t group);
  /// All jumps since the group are known; else it is from before the start.
  bool knows(std::uint64_t group) const { return group >= first_group_; }
  /// How far the wall clock has jumped since what came when the group was the newest, or since the start where that is later.
  Duration since(std::uint64_t group) const;
  /// It has jumped back since some group.
  bool went_back() const;

 private:
  struct Jump {
    std::uint64_t group = 0;  ///< the newest then
    Duration by{};
  };
  std::uint64_t first_group_;
  Duration ahead_;           // the wall clock, of the other one
  std::vector<Jump> jumps_;  // the oldest ones are added up when they are too many
};

}  // namespace ringpost::shard
