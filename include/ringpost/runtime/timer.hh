// Deadlines: an intrusive heap of timers, shared by every implementation of Ring.
#pragma once

#include <cstddef>
#include <vector>

#include "ringpost/base/units.hh"

namespace ringpost::runtime {

/// One deadline, embedded in whatever waits for it. Not movable while armed.
struct Timer {
  using Fire = void (*)(Timer&);
  explicit Timer(Fire on_fire) : fire(on_fire) {}
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  bool armed() const { return position != kIdle; }

  static constexpr std::size_t kIdle = static_cast<std::size_t>(-1);
  Fire fire;
  Instant at{};
  std::size_t position = kIdle;  ///< place in the heap
};

/// A 4-ary heap of armed timers. Their instants stand in the heap itself: what moves there touches no timer that is not looked at anyway.
class TimerQueue {
 public:
  void arm(Timer& timer, Instant at);
  /// No effect when it is not armed.
  void disarm(Timer& timer);
  /// kNever when nothing is armed.
  Instant next() const { return heap_.empty() ? kNever : heap_.front().at; }
  /// Fires what is due at `now`, earliest first. Returns how many fired.
  std::size_t fire_due(Instant now);
  std::size_t size() const { return heap_.size(); }

 private:
  struct Place {
    Instant at;
    std::uint64_t order;  // timers of one instant fire in the order they were armed
    Timer* timer;
    bool operator<(const Place& other) const { return at < other.at || (at == other.at && order < other.order); }
  };
  void put(std::size_t position, const Place& place) {
    heap_[position] = place;
    place.timer->position = position;
  }
  void sift_up(std::size_t position, const Place& place);
  void sift_down(std::size_t position, const Place& place);

  std::vector<Place> heap_;
  std::uint64_t armed_count_ = 0;
};

}  // namespace ringpost::runtime
