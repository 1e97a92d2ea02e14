#include "shard/audit_trail.hh"

namespace ringpost::shard {

namespace {
constexpr Duration kWritePause = std::chrono::milliseconds(200);
// Of many events that stand alone so many go into one group.
constexpr std::size_t kEventsTogether = 32;
}

AuditTrail::AuditTrail(runtime::Ring& ring, spool::Log& log, outbox::Outbox& outbox, const IncarnationId& incarnation,
                       std::uint16_t shard, const PartitionId& partition)
    : ring_(ring), log_(log), outbox_(outbox), incarnation_(incarnation), shard_(shard), partition_(partition), scope_(ring) {}

std::size_t AuditTrail::bytes_of(const EventBatch& batch) {
  return batch.events_.size() * spool::bytes_of_audit(event::kEventBytesMax);
}

void AuditTrail::encode(NumberedEvent& event) const {
  if (event.event.message && !event.event.partition) event.event.partition = partition_;
  event.event.stamp = {incarnation_, event.sequence, ring_.wall_now(), event::Process::ringpostd, shard_};
  event.size = static_cast<std::uint16_t>(event::encode(event.event, event.bytes));
}

void AuditTrail::put(spool::Room& room, EventBatch& batch) {
  for (NumberedEvent& event : batch.events_) put(room, event);
}

void AuditTrail::put(spool::Room& room, NumberedEvent& event) {
  settle();
  if (placed_.empty() || placed_.back().group.group != room.ticket().group) placed_.push_back({room.ticket(), next_sequence_});
  event.sequence = next_sequence_++;
  encode(event);
  room.add_audit(incarnation_, event.sequence, event.encoded());
}

// The numbers of a failed group are free again: a failure takes with it all that was begun behind it, and the log has it on
// record before anything new counts.
void AuditTrail::settle() {
  while (!placed_.empty() && log_.is_durable(placed_.front().group)) placed_.pop_front();
  if (placed_.empty() || !log_.has_failed(placed_.front().group)) return;
  next_sequence_ = placed_.front().first;
  placed_.clear();
}

void AuditTrail::durable(const EventBatch& batch) {
  for (const NumberedEvent& event : batch.events_) publish(event);
}

// To the outbox in the order of numbers, whatever the order in which they became durable.
void AuditTrail::publish(const NumberedEvent& event) {
  if (event.sequence != next_published_) {
    early_.emplace(event.sequence, event);
    return;
  }
  outbox_.add(incarnation_, next_published_++, event.encoded());
  while (!early_.empty() && early_.begin()->first == next_published_) {
    outbox_.add(incarnation_, next_published_++, early_.begin()->second.encoded());
    early_.erase(early_.begin());
  }
}

void AuditTrail::report(const event::Event& event) {
  NumberedEvent numbered;
  numbered.event = event;
  scope_.spawn(write(numbered));
}

void AuditTrail::report(const EventBatch& batch) {
  for (const NumberedEvent& event : batch.events_) report(event.event);
}

void AuditTrail::report(std::vector<event::Event> events, std::function<void()> durable) {
  scope_.spawn(write_all(std::move(events), std::move(durable)));
}

bool AuditTrail::has_room(std::uint64_t bytes_max) const { return outbox_.within({bytes_max, Duration::max()}); }

runtime::Task<void> AuditTrail::write_all(std::vector<event::Event> events, std::function<void()> durable) {
  for (std::size_t at = 0; at < events.size();) {
    EventBatch batch;
    for (; at < events.size() && batch.size() < kEventsTogether; ++at) batch.add(events[at]);
    const bool written = co_await write_batch(std::move(batch));
    if (!written) co_return;
  }
  durable();
}

// Until it is durable; false: the server stops.
runtime::Task<bool> AuditTrail::write_batch(EventBatch batch) {
  for (;;) {
    auto room = co_await log_.reserve(bytes_of(batch), spool::Use::upkeep);
    if (!room && room.error().code == Errc::cancelled) co_return false;
    if (room) {
      put(*room, batch);
      const spool::Ticket ticket = room->commit();
      auto synced = co_await log_.durable(ticket);
      if (synced) break;
    }
    co_await ring_.sleep_for(kWritePause);
  }
  durable(batch);
  co_return true;
}

// Until it is durable.
runtime::Task<void> AuditTrail::write(NumberedEvent event) {
  for (;;) {
    auto room = co_await log_.reserve(spool::bytes_of_audit(event::kEventBytesMax), spool::Use::upkeep);
    if (!room && room.error().code == Errc::cancelled) co_return;
    if (room) {
      put(*room, event);
      spool::Ticket ticket = room->commit();
      auto durable = co_await log_.durable(ticket);
      if (durable) break;
    }
    co_await ring_.sleep_for(kWritePause);
  }
  publish(event);
}

}  // namespace ringpost::shard
