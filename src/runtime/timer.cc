#include "ringpost/runtime/timer.hh"

#include <algorithm>
#include <span>

#include "ringpost/base/assert.hh"

namespace ringpost::runtime {

void TimerQueue::arm(Timer& timer, Instant at) {
  disarm(timer);
  timer.at = at;
  heap_.emplace_back();
  sift_up(heap_.size() - 1, {at, armed_count_++, &timer});
}

void TimerQueue::disarm(Timer& timer) {
  if (!timer.armed()) return;
  const std::size_t hole = timer.position;
  RP_ASSERT(hole < heap_.size() && heap_[hole].timer == &timer);
  const Place last = heap_.back();
  heap_.pop_back();
  timer.position = Timer::kIdle;
  if (last.timer == &timer) return;
  if (hole > 0 && last < heap_[(hole - 1) / 4])
    sift_up(hole, last);
  else
    sift_down(hole, last);
}

std::size_t TimerQueue::fire_due(Instant now) {
  std::size_t fired = 0;
  // What is armed meanwhile waits for the next turn, or a sleeper of zero length would never let the loop go on.
  const std::uint64_t before_now = armed_count_;
  while (!heap_.empty() && heap_.front().at <= now && heap_.front().order < before_now) {
    Timer& due = *heap_.front().timer;
    disarm(due);
    due.fire(due);
    ++fired;
  }
  return fired;
}

void TimerQueue::sift_up(std::size_t position, const Place& place) {
  while (position > 0) {
    const std::size_t parent = (position - 1) / 4;
    if (!(place < heap_[parent])) break;
    put(position, heap_[parent]);
    position = parent;
  }
  put(position, place);
}

void TimerQueue::sift_down(std::size_t position, const Place& place) {
  for (;;) {
    const std::size_t first = position * 4 + 1;
    if (first >= heap_.size()) break;
    const std::span children{heap_.data() + first, std::min<std::size_t>(4, heap_.size() - first)};
    const std::size_t best = first + static_cast<std::size_t>(std::min_element(children.begin(), children.end()) - children.begin());
    if (!(heap_[best] < place)) break;
    put(position, heap_[best]);
    position = best;
  }
  put(position, place);
}

}  // namespace ringpost::runtime
