// One shard on its own thread: started in steps that main waits for, stopped by the board.
#pragma once

#include <atomic>
#include <condition_variable>
#include <expected>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "programs/settings_board.hh"
#include "ringpost/metrics/shard_metrics.hh"
#include "ringpost/runtime/uring_ring.hh"
#include "ringpost/shard/shard.hh"

namespace ringpost::programs {

/// What main prepares while it still has its rights.
struct ShardSeat {
  std::unique_ptr<runtime::UringRing> ring;
  shard::ShardOptions options;
  std::vector<receive::ListeningSocket> sockets;
  Fd control_listener;  ///< of the one shard that serves operators; else none
};

/// Lifetime: start(), wait_opened(), go(), join().
class ShardThread {
 public:
  ShardThread(ShardSeat seat, const shard::Shared& shared, SettingsBoard& board);
  ShardThread(const ShardThread&) = delete;
  ~ShardThread();

  void start();
  /// The shard has recovered its mail, or says why not.
  std::expected<void, std::string> wait_opened();
  /// Begin to accept.
  void go() { go_.store(true, std::memory_order_release); }
  void join() { thread_.join(); }
  const metrics::ShardMetrics& metrics() const { return *metrics_; }
  /// The kernel's number of the thread, once wait_opened() is over.
  int number() const { return number_.load(std::memory_order_acquire); }

 private:
  runtime::Task<void> live();
  void tell_opened(std::expected<void, std::string> opened);
  void count_ring();
  void mind_memory(shard::Shard& shard);
  void spread_connections();

  ShardSeat seat_;
  shard::Shared shared_;
  SettingsBoard& board_;
  std::unique_ptr<metrics::ShardMetrics> metrics_;
  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable opened_changed_;
  std::optional<std::expected<void, std::string>> opened_;
  std::atomic<bool> go_{false};
  std::atomic<int> number_{0};
  std::size_t spread_over_ = 0;
  bool memory_short_ = false;
  std::uint64_t operations_in_ = 0, completions_out_ = 0, turns_ = 0, exhausted_ = 0;  // counted so far
};

}  // namespace ringpost::programs
