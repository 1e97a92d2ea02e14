// Connections to next hops that belong to no shard: whoever has much to deliver borrows them.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>

namespace ringpost::policy {

/// How `deliver.connections_total` is divided: half of it belongs to the shards, each its part; the rest is lent, for mail stays on the shard
/// that took it, and that may be one for all. Destinations that have not answered lately get half of the total at most.
struct SeatShares {
  std::size_t own = 1, own_of_strangers = 1;        ///< of each shard, at least one
  std::size_t common = 0, common_of_strangers = 0;  ///< lent at most

  static SeatShares of(std::size_t total, std::size_t shards) {
    SeatShares shares;
    shares.own = std::max<std::size_t>(shards > 1 ? total / 2 / shards : total, 1);
    shares.own_of_strangers = std::max<std::size_t>(shares.own / 2, 1);
    if (shards <= 1) return shares;
    shares.common = total - std::min(total, shares.own * shards);
    shares.common_of_strangers = total / 2 - std::min(total / 2, shares.own_of_strangers * shards);
    return shares;
  }
};

/// How many are lent now. Threads: any.
class SeatPool {
 public:
  /// One, unless `most` are lent.
  bool borrow(std::size_t most) {
    std::size_t lent = lent_.load(std::memory_order_relaxed);
    while (lent < most)
      if (lent_.compare_exchange_weak(lent, lent + 1, std::memory_order_relaxed)) return true;
    return false;
  }
  void give_back() { lent_.fetch_sub(1, std::memory_order_relaxed); }
  std::size_t lent() const { return lent_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::size_t> lent_{0};
};

}  // namespace ringpost::policy
