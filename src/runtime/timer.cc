#include "ringpost/runtime/timer.hh"

#include <algorithm>

#include "ringpost/base/assert.hh"

namespace ringpost::runtime {

void TimerQueue::arm(Timer& timer, Instant at) {
  disarm(timer);
  timer.at = at;
  timer.order = armed_count_++;
  heap_.push_back(&timer);
  timer.position = heap_.size() - 1;
  sift_up(timer.position);
}

void TimerQueue::disarm(Timer& timer) {
  if (!timer.armed()) return;
  std::size_t hole = timer.position;
  RP_ASSERT(hole < heap_.size() && heap_[hole] == &timer);
  Timer& last = *heap_.back();
  heap_.pop_back();
  timer.position = Timer::kIdle;
  if (&last == &timer) return;
  place(hole, last);
  sift_up(hole);
  sift_down(last.position);
}

std::size_t TimerQueue::fire_due(Instant now) {
  std::size_t fired = 0;
  // What is armed meanwhile waits for the next turn, or a sleeper of zero length would never let the loop go on.
  std::uint64_t before_now = armed_count_;
  while (!heap_.empty() && heap_.front()->at <= now && heap_.front()->order < before_now) {
    Timer& due = *heap_.front();
    disarm(due);
    due.fire(due);
    ++fired;
  }
  return fired;
}

void TimerQueue::sift_up(std::size_t position) {
  Timer& timer = *heap_[position];
  while (position > 0) {
    std::size_t parent = (position - 1) / 4;
    if (!before(timer, *heap_[parent])) break;
    place(position, *heap_[parent]);
    position = parent;
  }
  place(position, timer);
}

void TimerQueue::sift_down(std::size_t position) {
  Timer& timer = *heap_[position];
  for (;;) {
    std::size_t first = position * 4 + 1, best = position;
    const Timer* smallest = &timer;
    for (std::size_t child = first; child < std::min(first + 4, heap_.size()); ++child) {
      if (before(*heap_[child], *smallest)) {
        smallest = heap_[child];
        best = child;
      }
    }
    if (best == position) break;
    place(position, *heap_[best]);
    position = best;
  }
  place(position, timer);
}

}  // namespace ringpost::runtime
