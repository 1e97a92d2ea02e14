// The events of one shard: numbered without holes, durable with the fact they report, then on their way to auditd.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <vector>

#include "ringpost/event/codec.hh"
#include "ringpost/event/event.hh"
#include "ringpost/outbox/outbox.hh"
#include "ringpost/runtime/ring.hh"
#include "ringpost/runtime/scope.hh"
#include "ringpost/spool/log.hh"

namespace ringpost::shard {

/// One event as it was numbered and encoded the last time it was put into a group.
struct NumberedEvent {
  event::Event event;
  std::uint64_t sequence = 0;
  std::uint16_t size = 0;
  std::array<std::byte, event::kEventBytesMax> bytes;
  Bytes encoded() const { return Bytes{bytes}.first(size); }
};

/// Events that go into one group together; numbered there, and anew in another group when that one failed.
class EventBatch {
 public:
  /// `event` without its stamp.
  void add(const event::Event& event) { events_.emplace_back().event = event; }
  std::size_t size() const { return events_.size(); }

 private:
  friend class AuditTrail;
  std::vector<NumberedEvent> events_;
};

/// Numbers follow the order of groups. A group that fails gives its numbers back, so those that are durable never have a hole,
/// whenever the process dies.
class AuditTrail {
 public:
  AuditTrail(runtime::Ring& ring, spool::Log& log, outbox::Outbox& outbox, const IncarnationId& incarnation, std::uint16_t shard,
             const PartitionId& partition);

  /// Bytes that put() may need.
  static std::size_t bytes_of(const EventBatch& batch);
  /// Numbers the events and adds them to `room`.
  void put(spool::Room& room, EventBatch& batch);
  /// The group of `batch` is durable.
  void durable(const EventBatch& batch);
  /// An event that stands alone; written soon, nobody waits.
  void report(const event::Event& event);
  void report(const EventBatch& batch);
  /// Several, in their order; `durable` is called once they all are.
  void report(std::vector<event::Event> events, std::function<void()> durable);
  /// False while so much waits for auditd that what can wait should not add to it.
  bool has_room(std::uint64_t bytes_max) const;

  std::uint64_t sequence() const { return next_sequence_ - 1; }
  runtime::Task<void> stop() { co_await scope_.join(); }

 private:
  struct Placed {
    spool::Ticket group;
    std::uint64_t first;  // the lowest number in it
  };
  void settle();
  runtime::Task<void> write(NumberedEvent event);
  runtime::Task<void> write_all(std::vector<event::Event> events, std::function<void()> durable);
  runtime::Task<bool> write_batch(EventBatch batch);
  void put(spool::Room& room, NumberedEvent& event);
  void encode(NumberedEvent& event) const;
  void publish(const NumberedEvent& event);

  runtime::Ring& ring_;
  spool::Log& log_;
  outbox::Outbox& outbox_;
  IncarnationId incarnation_;
  std::uint16_t shard_;
  PartitionId partition_;
  std::uint64_t next_sequence_ = 1;
  std::uint64_t next_published_ = 1;
  std::deque<Placed> placed_;  // groups not yet known to be durable, in order
  std::map<std::uint64_t, NumberedEvent> early_;  // durable before an event with a lower number
  runtime::Scope scope_;
};

}  // namespace ringpost::shard
