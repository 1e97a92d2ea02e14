// Permits: how many connections each shard may hold to one destination. The home shard of a destination keeps its book.
#pragma once

#include <cstdint>
#include <vector>

#include "ringpost/base/units.hh"

namespace ringpost::policy {

/// The book of one destination: a pure core, told what shards want and what they gave back, asked who gets how much.
///
/// Fair: one round after the other, each shard that wants more than it holds gets one permit, starting behind the shard that
/// was served last; so permits rotate when there are fewer of them than shards.
class PermitBook {
 public:
  PermitBook(std::size_t shards, std::uint32_t limit) : lines_(shards), limit_(limit) {}

  /// `shard` wants to hold `wanted` permits in all. Zero: nothing more (what it holds stays until it is released).
  void want(std::size_t shard, std::uint32_t wanted) { lines_[shard].wanted = wanted; }
  /// `shard` gave back `count` permits.
  void release(std::size_t shard, std::uint32_t count);
  /// Every permit `shard` held is void (its lease ended).
  void forget(std::size_t shard);
  void set_limit(std::uint32_t limit) { limit_ = limit; }
  /// No new permits before `until`: the destination failed on every shard that tried.
  void suspend_until(Instant until) { suspended_until_ = until; }

  struct Grant {
    std::size_t shard;
    std::uint32_t count;
  };
  /// Hands out what is free at `now`; the grants count as held from here on.
  std::vector<Grant> distribute(Instant now);

  /// True when a shard wants more than it holds: holders that sit idle should give back.
  bool contended() const;
  std::uint32_t held() const { return held_; }
  std::uint32_t held_by(std::size_t shard) const { return lines_[shard].held; }

 private:
  struct Line {
    std::uint32_t wanted = 0, held = 0;
  };
  std::vector<Line> lines_;
  std::uint32_t limit_;
  std::uint32_t held_ = 0;
  std::size_t next_ = 0;
  Instant suspended_until_{};
};

}  // namespace ringpost::policy
