// The settings in force, how connections are spread, and the wish to stop, as every shard sees them.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "ringpost/config/settings.hh"
#include "ringpost/event/event.hh"

namespace ringpost::programs {

/// Published by whoever changes them, looked at by every shard a few times a second. Threads: any.
class SettingsBoard {
 public:
  SettingsBoard(std::shared_ptr<const config::Settings> settings, std::size_t shards) : settings_(std::move(settings)), shards_(shards) {}

  std::shared_ptr<const config::Settings> current() const {
    std::lock_guard lock{mutex_};
    return settings_;
  }
  std::uint64_t generation() const { return generation_.load(std::memory_order_acquire); }

  /// When this returns true all shards follow `settings`, and `events` (without stamps) are durable; false when one of them did not
  /// within `patience`.
  bool publish(std::shared_ptr<const config::Settings> settings, const std::vector<event::Event>& events, Duration patience) {
    std::unique_lock lock{mutex_};
    settings_ = std::move(settings);
    events_.insert(events_.end(), events.begin(), events.end());
    followed_ = 0;
    generation_.fetch_add(1, std::memory_order_release);
    return changed_.wait_for(lock, patience, [&] { return followed_ == shards_; });
  }
  /// A shard follows the generation it saw last.
  void follow(std::uint64_t generation) {
    std::lock_guard lock{mutex_};
    if (generation == generation_.load(std::memory_order_relaxed)) ++followed_;
    changed_.notify_all();
  }

  /// What was published and is to be recorded: for one shard, which follows when that is durable.
  std::vector<event::Event> take_events() {
    std::lock_guard lock{mutex_};
    return std::exchange(events_, {});
  }

  /// How many shards take new connections; 0: all, each its part.
  void spread_over(std::size_t shards) { spread_over_.store(shards, std::memory_order_release); }
  std::size_t spread_over() const { return spread_over_.load(std::memory_order_acquire); }
  /// The kernel would not: all of them do.
  void spread_fails() { spread_works_.store(false, std::memory_order_release); }
  bool spread_works() const { return spread_works_.load(std::memory_order_acquire); }

  void ask_to_stop() { stop_asked_.store(true, std::memory_order_release); }
  bool stop_asked() const { return stop_asked_.load(std::memory_order_acquire); }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::shared_ptr<const config::Settings> settings_;
  std::vector<event::Event> events_;
  std::size_t shards_;
  std::size_t followed_ = 0;
  std::atomic<std::uint64_t> generation_{1};
  std::atomic<std::size_t> spread_over_{0};
  std::atomic<bool> spread_works_{true};
  std::atomic<bool> stop_asked_{false};
};

}  // namespace ringpost::programs
