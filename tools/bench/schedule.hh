// Which message is sent when. Shared by all connections of a run.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>
#include <optional>

#include "ringpost/base/units.hh"

namespace ringpost::bench {

struct Claim {
  std::uint64_t number = 0;
  Instant due{};  ///< open loop: when it should leave; closed loop: the moment it was claimed
};

/// Closed loop (`rate` 0): a connection sends its next message when it is done with the last one. Open loop: message n is due
/// n/rate seconds after the start whatever the server does, and its latency counts from then: no coordinated omission.
///
/// Threads: claim() and stop() from any.
class Schedule {
 public:
  /// Zero `messages`: no bound. Zero `span`: no end. `start` is on the clock of the rings.
  Schedule(Instant start, double rate, std::uint64_t messages, Duration span)
      : start_(start), rate_(rate), messages_(messages), end_(span == Duration::zero() ? kNever : start + span) {}

  /// The next message; none when there is no further one.
  std::optional<Claim> claim(Instant now) {
    if (stopped_.load(std::memory_order_relaxed) || now >= end_) return std::nullopt;
    std::uint64_t number = next_.fetch_add(1, std::memory_order_relaxed);
    if (messages_ != 0 && number >= messages_) return std::nullopt;
    Instant due = now;
    if (rate_ > 0) due = start_ + Duration{static_cast<Duration::rep>(static_cast<double>(number) * 1e9 / rate_)};
    if (due >= end_) return std::nullopt;
    return Claim{number, due};
  }
  bool open_loop() const { return rate_ > 0; }
  Instant start() const { return start_; }
  /// No further message is handed out.
  void stop() { stopped_.store(true, std::memory_order_relaxed); }
  bool stopped() const { return stopped_.load(std::memory_order_relaxed); }

 private:
  Instant start_;
  double rate_;
  std::uint64_t messages_;
  Instant end_;
  std::atomic<std::uint64_t> next_{0};
  std::atomic<bool> stopped_{false};
};

}  // namespace ringpost::bench
