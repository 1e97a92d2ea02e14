// What to deliver when: the messages of one shard, ordered by their due time.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <unordered_map>
#include <vector>

#include "ringpost/queue/message.hh"

namespace ringpost::queue {

/// A pure core: it knows no clock and does no I/O; the caller passes the time.
class Queue {
 public:
  Queue() = default;
  Queue(const Queue&) = delete;

  /// Takes over a message; it is scheduled at message->due unless held, in delivery, or without a waiting recipient.
  Message& add(std::unique_ptr<Message> message);
  /// Null when there is none.
  Message* find(const MessageId& id);
  /// The message is gone from here (the caller saw to the log).
  void remove(Message& message);

  /// The earliest message that is due at `now`, unscheduled and marked in_delivery; null when there is none.
  Message* take_due(Instant now);
  /// When take_due will next have something; kNever when nothing is scheduled.
  Instant next_due() const;
  /// A message that owes a report, unscheduled and marked in_delivery; null when there is none.
  Message* take_owing();
  /// Ends in_delivery (if set) and schedules it at `due`, unless it is held or has nothing to wait for. If it owes a report and
  /// all its outcomes are durable, that comes first: it is for take_owing(), not for take_due().
  void schedule(Message& message, Instant due);
  /// Takes it out of the schedule; hold() it first to keep it out.
  void unschedule(Message& message);

  std::size_t size() const { return messages_.size(); }
  std::size_t scheduled() const { return heap_.size(); }
  /// Every message here, in no order. `visit` must not change the queue.
  template <typename Visit>
  void for_each(Visit visit) const {
    for (const auto& [id, message] : messages_) visit(*message);
  }

 private:
  static bool before(const Message& a, const Message& b) { return a.due < b.due || (a.due == b.due && a.order < b.order); }
  void place(std::size_t position, Message& message) {
    heap_[position] = &message;
    message.heap_position = position;
  }
  void sift_up(std::size_t position);
  void sift_down(std::size_t position);

  std::unordered_map<MessageId, std::unique_ptr<Message>> messages_;
  std::vector<Message*> heap_;
  std::deque<MessageId> owing_;  // some may be gone, or taken already
  std::uint64_t order_ = 0;
};

}  // namespace ringpost::queue
