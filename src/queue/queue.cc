#include "ringpost/queue/queue.hh"

#include <algorithm>

#include "ringpost/base/assert.hh"

namespace ringpost::queue {

namespace {
constexpr std::size_t kIdle = static_cast<std::size_t>(-1);
}

Message& Queue::add(std::unique_ptr<Message> message) {
  Message& added = *message;
  auto [place, fresh] = messages_.emplace(added.id, std::move(message));
  RP_ASSERT(fresh);
  if (!added.in_delivery) schedule(added, added.due);
  return *place->second;
}

Message* Queue::find(const MessageId& id) {
  auto found = messages_.find(id);
  return found == messages_.end() ? nullptr : found->second.get();
}

void Queue::remove(Message& message) {
  unschedule(message);
  messages_.erase(MessageId{message.id});
}

Message* Queue::take_due(Instant now) {
  if (heap_.empty() || heap_.front()->due > now) return nullptr;
  Message& message = *heap_.front();
  unschedule(message);
  message.in_delivery = true;
  return &message;
}

Message* Queue::take_owing() {
  while (!owing_.empty()) {
    Message* message = find(owing_.front());
    owing_.pop_front();
    if (!message || message->in_delivery || message->held || !message->owes_report() || message->outcomes_in_flight > 0) continue;
    unschedule(*message);
    message->in_delivery = true;
    return message;
  }
  return nullptr;
}

Instant Queue::next_due() const { return heap_.empty() ? kNever : heap_.front()->due; }

void Queue::schedule(Message& message, Instant due) {
  unschedule(message);
  message.in_delivery = false;
  message.due = due;
  if (message.held) return;
  if (message.owes_report() && message.outcomes_in_flight == 0) {
    owing_.push_back(message.id);
    return;
  }
  if (message.waiting() == 0) return;
  message.order = order_++;
  heap_.push_back(&message);
  message.heap_position = heap_.size() - 1;
  sift_up(message.heap_position);
}

void Queue::unschedule(Message& message) {
  if (message.heap_position == kIdle) return;
  std::size_t hole = message.heap_position;
  RP_ASSERT(hole < heap_.size() && heap_[hole] == &message);
  Message& last = *heap_.back();
  heap_.pop_back();
  message.heap_position = kIdle;
  if (&last == &message) return;
  place(hole, last);
  sift_up(hole);
  sift_down(last.heap_position);
}

void Queue::sift_up(std::size_t position) {
  Message& message = *heap_[position];
  while (position > 0) {
    std::size_t parent = (position - 1) / 4;
    if (!before(message, *heap_[parent])) break;
    place(position, *heap_[parent]);
    position = parent;
  }
  place(position, message);
}

void Queue::sift_down(std::size_t position) {
  Message& message = *heap_[position];
  for (;;) {
    std::size_t first = position * 4 + 1, best = position;
    const Message* smallest = &message;
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
  place(position, message);
}

}  // namespace ringpost::queue
