// What to deliver when: the messages of one shard, by their due time, and of what is due, one of each sender after the other.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <unordered_map>
#include <vector>

#include "ringpost/queue/message.hh"

namespace ringpost::queue {

/// Messages by due time; equal ones keep the order in which they came. A heap whose members know their places.
class DueHeap {
 public:
  /// `rank`: a message counts as due kAhead earlier for each step of its priority, or as much later.
  enum class By : std::uint8_t { rank, due };
  static constexpr Duration kAhead = std::chrono::seconds(30);
  explicit DueHeap(By by = By::rank) : by_(by) {}

  bool empty() const { return heap_.empty(); }
  std::size_t size() const { return heap_.size(); }
  Message& front() const { return *heap_.front(); }
  void push(Message& message);
  /// It must be in this heap.
  void remove(Message& message);
  /// Gives back the memory of an empty heap that had more than `most` members.
  void keep_little(std::size_t most) {
    if (heap_.empty() && heap_.capacity() > most) heap_ = {};
  }

 private:
  Instant key(const Message& message) const { return by_ == By::due ? message.due : message.due - message.terms.priority * kAhead; }
  bool before(const Message& a, const Message& b) const { return key(a) < key(b) || (key(a) == key(b) && a.order < b.order); }
  void place(std::size_t position, Message& message) {
    heap_[position] = &message;
    message.heap_position = position;
  }
  void sift_up(std::size_t position);
  void sift_down(std::size_t position);

  By by_;
  std::vector<Message*> heap_;
};

/// Messages that are due, in a line for each sender; lines have turns. Senders are told apart by kLines lines, so that memory is
/// bounded: two that share one are one sender here.
class Turns {
 public:
  static constexpr std::size_t kLines = 1024;

  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  void push(Message& message);
  void remove(Message& message);
  /// The one whose turn is next; nullptr when there is none.
  Message* next();
  /// Ends the turn of next().
  Message& take();

 private:
  void leave();

  std::array<DueHeap, kLines> lines_;
  // Lines that have something, and some that had; each stands here once.
  std::array<std::uint16_t, kLines> round_{};
  std::array<bool, kLines> stands_{};
  std::size_t first_ = 0, standing_ = 0, size_ = 0;
};

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

  /// A message that is due at `now`, unscheduled and marked in_delivery; null when there is none. Of one sender the earliest comes
  /// first; senders take turns, however much each has. What has priority comes first, but of kCycle messages some are of each class:
  /// above 0, 0, and below (RFC 6710).
  Message* take_due(Instant now);
  /// When take_due will next have something; kNever when nothing is scheduled.
  Instant next_due();
  /// A message that owes a report, unscheduled and marked in_delivery; null when there is none.
  Message* take_owing();
  /// Ends in_delivery (if set) and schedules it at `due`, unless it is held or has nothing to wait for. If it owes a report and
  /// all its outcomes are durable, that comes first: it is for take_owing(), not for take_due().
  void schedule(Message& message, Instant due);
  /// Takes it out of the schedule; hold() it first to keep it out.
  void unschedule(Message& message);

  std::size_t size() const { return messages_.size(); }
  std::size_t scheduled() const { return later_.size() + due_; }
  /// Every message here, in no order. `visit` must not change the queue.
  template <typename Visit>
  void for_each(Visit visit) const {
    for (const auto& [id, message] : messages_) visit(*message);
  }

 private:
  enum Class : std::uint8_t { urgent, ordinary, bulk };
  static constexpr std::array kCycle = {urgent, urgent, urgent, ordinary, urgent, urgent, urgent, ordinary, urgent, urgent, urgent, ordinary, bulk};
  static Class class_of(const Message& message) {
    return message.terms.priority > 0 ? urgent : message.terms.priority < 0 ? bulk : ordinary;
  }
  void line_up(Message& message);
  Turns* next_class();

  std::unordered_map<MessageId, std::unique_ptr<Message>> messages_;
  DueHeap later_{DueHeap::By::due};
  std::array<Turns, 3> turns_;     // by Class
  std::size_t due_ = 0;            // in all of them
  std::size_t at_in_cycle_ = 0;
  std::deque<MessageId> owing_;  // some may be gone, or taken already
  std::uint64_t order_ = 0;
};

}  // namespace ringpost::queue
