#include "ringpost/queue/queue.hh"

#include <algorithm>
#include <utility>

#include "ringpost/base/assert.hh"

namespace ringpost::queue {

namespace {
constexpr std::size_t kIdle = static_cast<std::size_t>(-1);
// So many that fell due get into their senders' lines for each that is taken: all of them soon, and no long pause for it.
constexpr std::size_t kLinedUpAtOnce = 256;
// An empty line keeps memory for so many, that a crowd of senders, one after the other, leaves nothing behind.
constexpr std::size_t kKeptMax = 256;
}  // namespace

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
  Message* message = nullptr;
  for (std::size_t i = 0; i < kLinedUpAtOnce && !later_.empty() && later_.front().due <= now; ++i) {
    Message& due = later_.front();
    later_.remove(due);
    // The only one that is due needs no turn.
    if (due_ == 0 && (later_.empty() || later_.front().due > now)) {
      message = &due;
      break;
    }
    line_up(due);
  }
  if (!message) {
    Turns* turns = next_class();
    if (!turns || turns->next()->due > now) return nullptr;
    message = &turns->take();
    --due_;
    at_in_cycle_ = (at_in_cycle_ + 1) % kCycle.size();
  }
  message->in_delivery = true;
  return message;
}

void Queue::line_up(Message& message) {
  turns_[class_of(message)].push(message);
  ++due_;
}

// The one whose part of the cycle it is, or else the most urgent that has something.
Turns* Queue::next_class() {
  if (due_ == 0) return nullptr;
  Turns& mine = turns_[kCycle[at_in_cycle_]];
  if (!mine.empty()) return &mine;
  return &*std::ranges::find_if(turns_, [](const Turns& turns) { return !turns.empty(); });
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

Instant Queue::next_due() {
  if (Turns* turns = next_class()) return turns->next()->due;
  return later_.empty() ? kNever : later_.front().due;
}

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
  later_.push(message);
}

void Queue::unschedule(Message& message) {
  if (message.heap_position == kIdle) return;
  if (!message.has_turn) return later_.remove(message);
  turns_[class_of(message)].remove(message);
  --due_;
}

// ---- Turns

void Turns::push(Message& message) {
  const std::size_t line = message.sender % kLines;
  message.has_turn = true;
  lines_[line].push(message);
  ++size_;
  if (std::exchange(stands_[line], true)) return;
  round_[(first_ + standing_++) % kLines] = static_cast<std::uint16_t>(line);
}

void Turns::remove(Message& message) {
  DueHeap& line = lines_[message.sender % kLines];
  message.has_turn = false;
  line.remove(message);
  line.keep_little(kKeptMax);
  --size_;
}

Message* Turns::next() {
  while (standing_ > 0) {
    const DueHeap& line = lines_[round_[first_]];
    if (!line.empty()) return &line.front();
    leave();
  }
  return nullptr;
}

Message& Turns::take() {
  const std::uint16_t line = round_[first_];
  Message& message = lines_[line].front();
  remove(message);
  leave();
  if (lines_[line].empty()) return message;
  stands_[line] = true;
  round_[(first_ + standing_++) % kLines] = line;
  return message;
}

// The first line leaves the round.
void Turns::leave() {
  stands_[round_[first_]] = false;
  first_ = (first_ + 1) % kLines;
  --standing_;
}

// ---- DueHeap

void DueHeap::push(Message& message) {
  heap_.push_back(&message);
  message.heap_position = heap_.size() - 1;
  sift_up(message.heap_position);
}

void DueHeap::remove(Message& message) {
  std::size_t hole = message.heap_position;
  RP_ASSERT(hole < heap_.size() && heap_[hole] == &message);
  Message& last = *heap_.back();
  heap_.pop_back();
  message.heap_position = kIdle;
  if (&last != &message) {
    place(hole, last);
    sift_up(hole);
    sift_down(last.heap_position);
  }
}

void DueHeap::sift_up(std::size_t position) {
  Message& message = *heap_[position];
  while (position > 0) {
    std::size_t parent = (position - 1) / 4;
    if (!before(message, *heap_[parent])) break;
    place(position, *heap_[parent]);
    position = parent;
  }
  place(position, message);
}

void DueHeap::sift_down(std::size_t position) {
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
