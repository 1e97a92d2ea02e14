// Watches how busy the shards and the cores are, and says how many shards take new connections.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "programs/shard_thread.hh"
#include "ringpost/base/log.hh"
#include "ringpost/config/settings.hh"
#include "ringpost/metrics/shard_metrics.hh"
#include "ringpost/policy/spread.hh"

namespace ringpost::programs {

/// Of the main thread. What it looks at are files of /proc, some microseconds each time.
class ConnectionSpread {
 public:
  /// `cores`: of each shard, or all that they may run on where they are not pinned. Made before the sandbox closes.
  ConnectionSpread(std::size_t shards, std::vector<int> cores, bool pinned, Log& log);
  ConnectionSpread(const ConnectionSpread&) = delete;
  ~ConnectionSpread();

  /// The threads run.
  void watch(std::span<const std::unique_ptr<ShardThread>> threads);
  /// How many shards are to take new connections; 0: all, each its part. Called some times a second.
  std::size_t look(config::ConnectionSpread wish, std::span<const metrics::ShardMetrics* const> metrics);

 private:
  class File;
  using Ticks = std::vector<std::uint64_t>;  ///< by core; empty: not known

  std::optional<std::uint64_t> spent_ns(std::size_t shard);
  void look_at_shards(Duration since_last, policy::Spread::Seen& seen);
  double idle(const Ticks& before, const Ticks& after, Duration between) const;

  std::size_t shards_;
  std::vector<int> cores_;
  bool pinned_;
  Log& log_;
  bool blind_ = false;
  policy::Spread spread_;
  std::unique_ptr<File> cores_file_;
  std::string cores_text_;
  std::vector<File> thread_files_;
  std::vector<std::uint64_t> spent_ns_;  ///< of each shard, by the last look
  Instant looked_ = kNever;
  Ticks idle_before_;
};

}  // namespace ringpost::programs
