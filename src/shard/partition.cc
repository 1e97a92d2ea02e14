#include "shard/partition.hh"

#include <algorithm>

#include "shard/error_text.hh"
#include "shard/recipient_status.hh"
#include "shard/recovered.hh"

namespace ringpost::shard {

namespace {

constexpr Duration kLockRetry = std::chrono::milliseconds(50);
constexpr Duration kLockPatience = std::chrono::seconds(10);
constexpr Duration kIndexInterval = std::chrono::seconds(1), kBehindPause = std::chrono::milliseconds(2);
constexpr Duration kCleanInterval = std::chrono::milliseconds(200);
constexpr Duration kRecoverPause = std::chrono::seconds(5);
/// Ids looked up at once when a segment is emptied.
constexpr std::size_t kMovedAtOnce = 256;

std::vector<spool::RecipientStatus> statuses_of(const queue::Message& message) {
  std::vector<spool::RecipientStatus> statuses;
  statuses.reserve(message.recipients.size());
  for (const queue::Recipient& recipient : message.recipients)
    statuses.push_back(status_of(recipient));
  return statuses;
}

}  // namespace

// ---- opening

/// Lock, index, log, in this order: the index says from where the log must be read.
class Partition::Opener {
 public:
  Opener(Partition& partition, PartitionPlan& plan) : partition_(partition), parts_(partition.parts_), plan_(plan) {}

  runtime::Task<std::expected<void, std::string>> run(Bytes metadata_key) {
    auto locked = co_await lock();
    if (!locked) co_return locked;
    auto indexed = co_await open_index(metadata_key);
    if (!indexed) co_return std::unexpected(plan_.log.directory + ": " + text_of(indexed.error()));
    auto opened = co_await open_log(metadata_key);
    if (!opened && opened.error().code == Errc::not_found) {
      parts_.log.warning("the index is of another time than the log and is made anew", {{"partition", plan_.log.partition}});
      indexed = co_await partition_.index_->reset();
      if (!indexed) indexed = co_await open_in_memory(metadata_key, indexed.error());
      if (!indexed) co_return std::unexpected(plan_.log.directory + ": " + text_of(indexed.error()));
      partition_.index_restored_ = false;
      plan_.log.start = {};
      locked = co_await lock();
      if (!locked) co_return locked;
      opened = co_await open_log(metadata_key);
    }
    if (!opened) co_return std::unexpected(plan_.log.directory + ": " + text_of(opened.error()));
    partition_.backlog_ = std::make_unique<Backlog>(BacklogParts{parts_.ring, parts_.log, parts_.queue, *partition_.log_, *partition_.index_, parts_.metrics},
                                                    BacklogOptions{plan_.number, plan_.window, plan_.longest_wait, plan_.longest_hold});
    auto started = co_await partition_.log_->start();
    if (!started) parts_.log.error("the spool cannot take mail yet", {{"partition", plan_.log.partition}, {"error", started.error()}});
    co_return std::expected<void, std::string>{};
  }

 private:
  runtime::Task<std::expected<void, std::string>> lock() {
    const Instant give_up = parts_.ring.now() + kLockPatience;
    for (;;) {
      Result<Fd> locked = co_await spool::lock_partition(parts_.ring, plan_.log.directory);
      if (locked) {
        plan_.log.lock = *locked;
        co_return std::expected<void, std::string>{};
      }
      const bool busy = locked.error().code == Errc::busy;
      if (!busy || parts_.ring.now() >= give_up)
        co_return std::unexpected(plan_.log.directory + ": " + (busy ? "another ringpostd uses this spool" : text_of(locked.error())));
      co_await parts_.ring.sleep_for(kLockRetry);
    }
  }

  runtime::Task<Result<>> open_index(Bytes metadata_key) {
    auto opened = co_await index::Index::open(parts_.ring, std::move(plan_.rows), plan_.log.store, plan_.log.partition, metadata_key);
    if (!opened) {
      Result<> instead = co_await open_in_memory(metadata_key, opened.error());
      co_return instead;
    }
    partition_.index_ = std::move(opened->index);
    partition_.index_restored_ = opened->state == index::Opening::restored;
    if (opened->state != index::Opening::restored && opened->state != index::Opening::created)
      parts_.log.warning("the index is made anew from the log",
                         {{"partition", plan_.log.partition}, {"why", static_cast<unsigned>(opened->state)}});
    plan_.log.start = {opened->mark.generation, opened->mark.group};
    co_return Result<>{};
  }

  /// Where no directory can hold it: then memory grows with the backlog, and every start reads the whole log.
  runtime::Task<Result<>> open_in_memory(Bytes metadata_key, Error why) {
    parts_.log.error("the index cannot be stored: it is kept in memory, and the next start reads the whole log",
                     {{"partition", plan_.log.partition}, {"error", why}});
    partition_.memory_rows_ = std::make_unique<index::MemoryRows>();
    auto opened = co_await index::Index::open(parts_.ring, index::make_memory_store(*partition_.memory_rows_), plan_.log.store,
                                              plan_.log.partition, metadata_key);
    if (!opened) co_return std::unexpected(opened.error());
    partition_.index_ = std::move(opened->index);
    co_return Result<>{};
  }

  runtime::Task<Result<>> open_log(Bytes metadata_key) {
    auto log = co_await spool::Log::open(parts_.ring, plan_.log, metadata_key);
    if (!log) co_return std::unexpected(log.error());
    partition_.log_ = std::move(*log);
    co_return Result<>{};
  }

  Partition& partition_;
  PartitionParts& parts_;
  PartitionPlan& plan_;
};

Partition::Partition(const PartitionParts& parts, std::uint16_t number)
    : parts_(parts), number_(number), cleaning_log_(1, std::chrono::seconds(10)), stop_(parts.ring), scope_(parts.ring) {}

runtime::Task<std::expected<std::unique_ptr<Partition>, std::string>> Partition::open(const PartitionParts& parts, PartitionPlan plan,
                                                                                      Bytes metadata_key) {
  std::unique_ptr<Partition> partition(new Partition(parts, plan.number));
  Opener opener(*partition, plan);
  auto opened = co_await opener.run(metadata_key);
  if (!opened) co_return std::unexpected(opened.error());
  co_return partition;
}

void Partition::start(std::function<void()> on_queued) {
  on_queued_ = std::move(on_queued);
  parts_.metrics.partitions_recovering.add(1);
  scope_.spawn(recover());
  scope_.spawn(backlog_->take_up());
  scope_.spawn(clean());
}

runtime::Task<void> Partition::stop() {
  stopping_ = true;
  stop_.notify_all();
  backlog_->stop();
  co_await scope_.join();
  Result<bool> written = co_await backlog_->write_down(true);
  if (!written) parts_.log.warning("the index is left behind; the next start reads more of the log", {{"error", written.error()}});
  co_await log_->stop();
}

// ---- what was there before

/// Index and log, until both say the same; then older messages may be delivered, and dead segments used again.
runtime::Task<void> Partition::recover() {
  recovered_ = std::make_unique<Recovered>(parts_.ring, parts_.log, *index_, stopping_);
  for (;;) {
    Result<> done = co_await replay();
    if (done) break;
    if (stopping_ || done.error().code == Errc::cancelled) co_return;
    parts_.log.error("what the partition holds cannot be found out now; mail that comes in is taken",
                     {{"partition", id()}, {"error", done.error()}});
    co_await stop_.wait(parts_.ring.now() + kRecoverPause);
    if (stopping_) co_return;
  }
  count_messages();
  if (unreachable_ > 0)
    parts_.log.error("messages lie in segments that cannot be read; they are looked for at the next start",
                     {{"partition", id()}, {"messages", unreachable_}});
  recovered_->hand_over(parts_.outbox);
  recovered_.reset();
  log_->recovered();
  backlog_->complete(on_queued_);
  parts_.metrics.partitions_recovering.add(-1);
  report();
  co_await keep_index();
}

runtime::Task<Result<>> Partition::replay() {
  if (index_restored_) {
    // An index that was emptied proves well, but what it knew is to be read all the same.
    Result<bool> proven = false;
    if (!begun_anew_) proven = co_await index_->prove();
    if (!proven || !*proven) {
      if (!begun_anew_)
        parts_.log.warning("rows of the index do not belong together: it is made anew from the log", {{"partition", id()}});
      begun_anew_ = true;
      Result<> begun = co_await begin_anew();
      if (!begun) co_return begun;
    }
    index_restored_ = false;
  }
  Result<> replayed = co_await log_->replay(*recovered_);
  Result<> merged = co_await recovered_->settle();
  if (!replayed) co_return replayed;
  if (!merged) co_return merged;
  Result<> settled = co_await settle_generations();
  co_return settled;
}

runtime::Task<Result<>> Partition::begin_anew() {
  Result<> made = co_await index_->reset();
  if (!made) co_return made;
  Result<> forgotten = co_await log_->forget_start();
  co_return forgotten;
}

/// What is alive in which generation. A generation that the index knows and the log has not: the index is older than the log, and a
/// generation is used again only when all in it is over; or its segment cannot be found now: then its rows stay for a start that can.
runtime::Task<Result<>> Partition::settle_generations() {
  auto generations = co_await index_->live_by_generation();
  if (!generations) co_return std::unexpected(generations.error());
  std::vector<std::uint64_t> gone;
  for (const index::GenerationLive& live : *generations)
    if (!log_->has_generation(live.generation)) gone.push_back(live.generation);
  const index::Totals& totals = index_->stats().totals;
  if (!gone.empty() || totals.entries != totals.waiting_messages) {
    Result<> dropped = co_await drop_dead_rows(gone);
    if (!dropped) co_return dropped;
    generations = co_await index_->live_by_generation();
    if (!generations) co_return std::unexpected(generations.error());
  }
  for (const index::GenerationLive& live : *generations)
    if (log_->is_old(live.generation)) log_->retain({live.generation, static_cast<std::uint32_t>(live.records), live.bytes});
  co_return Result<>{};
}

/// Rows of `generations`, and of messages that are over.
runtime::Task<Result<>> Partition::drop_dead_rows(const std::vector<std::uint64_t>& generations) {
  unreachable_ = 0;
  for (MessageId after{};;) {
    auto entries = co_await index_->page(after, kMovedAtOnce);
    if (!entries) co_return std::unexpected(entries.error());
    if (entries->empty()) break;
    after = entries->back().id;
    for (const index::Entry& entry : *entries) {
      const std::uint64_t generation = entry.place.generation;
      if (parts_.queue.find(entry.id)) continue;
      if (entry.is_over()) index_->erase(entry.id);
      if (entry.is_over() || !std::ranges::binary_search(generations, generation)) continue;
      const bool is_lost = recovered_->missing().contains(generation);
      if (is_lost) parts_.log.error("a message is lost with its segment", {{"message", entry.id}, {"generation", generation}});
      if (is_lost || log_->report().segments_unknown > 0) ++unreachable_;
      else index_->erase(entry.id);
    }
  }
  // Counted by generation is what is committed.
  Result<bool> committed = co_await index_->commit(index_->committed());
  if (!committed) co_return std::unexpected(committed.error());
  co_return Result<>{};
}

/// Those of older starts; others were counted when they came in.
void Partition::count_messages() {
  const index::Totals& totals = index_->stats().totals;
  auto messages = static_cast<std::int64_t>(totals.waiting_messages), recipients = static_cast<std::int64_t>(totals.waiting_recipients);
  parts_.queue.for_each([&](const queue::Message& message) {
    if (message.partition != number_ || !message.indexed || message.is_over()) return;
    --messages;
    recipients -= static_cast<std::int64_t>(message.waiting());
  });
  parts_.metrics.messages_queued.add(messages - static_cast<std::int64_t>(unreachable_));
  parts_.metrics.recipients_queued.add(recipients);
}

void Partition::report() {
  const spool::RecoveryReport& report = log_->report();
  parts_.log.info("partition recovered", {{"partition", id()},
                                          {"messages", index_->stats().totals.entries},
                                          {"segments_read", report.segments},
                                          {"segments_known", report.segments_unread},
                                          {"groups", report.groups},
                                          {"records", report.records},
                                          {"damages", report.damages},
                                          {"torn", report.tails_torn}});
  if (report.tails_torn == 0) return;
  parts_.log.warning("the log ends in groups that are not whole: dropped; after a crash or a power cut they held what nobody was "
                     "told is kept, without one the disk has lost data",
                     {{"partition", id()}, {"tails", report.tails_torn}, {"bytes", report.tail_bytes_torn}});
}

// ---- the index

runtime::Task<void> Partition::keep_index() {
  bool was_good = true;
  while (!stopping_) {
    co_await stop_.wait(parts_.ring.now() + (backlog_->is_behind() ? kBehindPause : kIndexInterval));
    if (stopping_) co_return;
    Result<bool> written = co_await backlog_->write_down(false);
    const bool good = index_->health() == index::Health::good;
    const Error why = written ? Error{} : written.error();
    if (index_->health() == index::Health::broken) {
      parts_.log.error("the index is given up; what is not in memory waits for the next start, which reads the whole log",
                       {{"partition", id()}, {"error", why}});
      co_return;
    }
    if (was_good && !good) parts_.log.error("the index cannot be written now", {{"partition", id()}, {"error", why}});
    was_good = good;
    backlog_->let_go();
  }
}

// ---- cleaning

runtime::Task<void> Partition::clean() {
  bool moved_some = false;
  while (!stopping_) {
    if (!moved_some) co_await stop_.wait(parts_.ring.now() + kCleanInterval);
    moved_some = false;
    const std::uint64_t generation = stopping_ || !backlog_->is_complete() ? 0 : log_->cleaning_candidate();
    if (generation == 0) continue;
    Result<std::size_t> moved = co_await empty(generation);
    if (!moved && cleaning_log_.admit(parts_.ring.now()))
      parts_.log.warning("a segment could not be emptied to make space", {{"partition", id()}, {"error", moved.error()}});
    moved_some = moved && *moved > 0;
  }
}

/// Copies what is alive in the generation to the log's end, but for messages in delivery: their turn comes again. Returns how many.
runtime::Task<Result<std::size_t>> Partition::empty(std::uint64_t generation) {
  auto ids = co_await log_->messages_in(generation);
  if (!ids) co_return std::unexpected(ids.error());
  std::size_t count = 0;
  for (std::size_t from = 0; from < ids->size(); from += kMovedAtOnce) {
    const std::size_t upto = std::min(from + kMovedAtOnce, ids->size());
    Result<> brought = co_await backlog_->bring_all({ids->begin() + static_cast<long>(from), ids->begin() + static_cast<long>(upto)});
    if (!brought) co_return std::unexpected(brought.error());
    for (std::size_t i = from; i < upto; ++i) {
      queue::Message* message = parts_.queue.find((*ids)[i]);
      const bool here = message && message->partition == number_ &&
                        (message->place.generation == generation || log_->has_chunks_in(message->id, generation));
      if (!here || message->in_delivery || message->outcomes_in_flight > 0) continue;
      if (stopping_) co_return count;
      Result<bool> moved = co_await move(*message, generation);
      if (!moved) co_return std::unexpected(moved.error());
      count += *moved;
    }
  }
  co_return count;
}

/// False when it cannot be moved: it is damaged.
runtime::Task<Result<bool>> Partition::move(queue::Message& message, std::uint64_t generation) {
  parts_.queue.unschedule(message);
  message.in_delivery = true;  // nobody else may change it now
  const Backlog::Pin pin(*backlog_);  // until the index is to be told of the new place
  const std::vector<spool::RecipientStatus> statuses = statuses_of(message);
  const spool::Scheduling scheduling{.arrived = message.arrived,
                                     .due = message.due_wall,
                                     .size = message.size,
                                     .revision = message.revision,
                                     .mail_class = spool::MailClass::outgoing,
                                     .held = message.held,
                                     .waited = waited_of(message, message.due),
                                     .terms = message.terms,
                                     .destination = message.destination,
                                     .recipients = statuses};
  Result<spool::Position> place = co_await log_->copy_forward(message.id, message.place, generation, scheduling);
  if (place) {
    message.place = *place;
    backlog_->note(message, place->generation);
    parts_.metrics.messages_copied.add();
  }
  parts_.queue.schedule(message, message.due);
  on_queued_();
  if (place) co_return true;
  if (place.error().code != Errc::corrupt) co_return std::unexpected(place.error());
  if (cleaning_log_.admit(parts_.ring.now()))
    parts_.log.error("a stored message does not authenticate and cannot be moved", {{"message", message.id}});
  co_return false;
}

}  // namespace ringpost::shard
