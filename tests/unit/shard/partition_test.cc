// A start of a partition whose index is no good: whatever interrupts it, it learns all that the log holds, each message once.
#include "shard/partition.hh"

#include <gtest/gtest.h>

#include <optional>

#include "../spool/support.hh"
#include "ringpost/index/memory_store.hh"

namespace ringpost::shard {
namespace {

using runtime::Task;
using sim::Fault;
using spool::Machine;

/// What is still to do for one message, and where it lies.
struct Held {
  spool::Position place;
  std::size_t waiting = 0;
};
using Holdings = std::map<MessageId, Held>;

/// One start of the machine's partition: a process that finds out what is there, and delivers nothing.
class Start final : public outbox::Listener {
 public:
  Start(Machine& machine, index::MemoryRows& rows) : machine_(machine) {
    machine_.boot();
    outbox_.emplace(*machine_.ring, log_, metrics_, *SocketAddress::from_path("/run/audit.sock"), *this);
    sim::drive(*machine_.ring, open(rows));
  }
  ~Start() {
    sim::drive(*machine_.ring, partition_->stop());
    partition_.reset();
    outbox_.reset();
    machine_.world.retire(*machine_.ring);
  }

  const spool::RecoveryReport& report() const { return partition_->log().report(); }

  /// Until it knows what it holds. Returns how long that takes.
  Duration recover() {
    const Instant begun = machine_.ring->now();
    partition_->start([] {});
    EXPECT_EQ(machine_.world.run_until([&] { return metrics_.partitions_recovering.value() == 0; }, spool::kLong),
              sim::Stop::reached);
    return machine_.ring->now() - begun;
  }
  void expect(const Holdings& held) {
    Holdings found;
    sim::drive(*machine_.ring, list(found));
    std::size_t recipients = 0;
    for (const auto& [id, message] : held) {
      SCOPED_TRACE(hex(id));
      recipients += message.waiting;
      const auto there = found.find(id);
      if (there == found.end()) {
        ADD_FAILURE() << "the message is lost";
        continue;
      }
      EXPECT_EQ(there->second.place, message.place);
      EXPECT_EQ(there->second.waiting, message.waiting) << "its outcome is lost";
    }
    for (const auto& [id, message] : found) EXPECT_TRUE(held.contains(id)) << hex(id) << " was delivered, and is there again";
    EXPECT_EQ(metrics_.messages_queued.value(), static_cast<std::int64_t>(held.size()));
    EXPECT_EQ(metrics_.recipients_queued.value(), static_cast<std::int64_t>(recipients));
  }

 private:
  static constexpr std::size_t kWindow = 8;  // fewer than there are: some are in memory, the others in the index only

  void acknowledged(const IncarnationId&, std::uint64_t) override {}

  Task<void> open(index::MemoryRows& rows) {
    PartitionPlan plan{
        .log = machine_.log_options(), .rows = index::make_memory_store(rows), .longest_wait = spool::kLong, .window = kWindow};
    auto opened =
        co_await Partition::open({*machine_.ring, log_, queue_, *outbox_, metrics_}, std::move(plan), machine_.metadata_key);
    RP_ASSERT(opened);
    partition_ = std::move(*opened);
  }
  /// What an operator sees, in memory or not.
  Task<void> list(Holdings& found) {
    for (MessageId after{};;) {
      auto page = co_await partition_->backlog().page_behind(after, 10);
      RP_ASSERT(page);
      if (page->empty()) co_return;
      for (const Backlog::Listed& listed : *page) {
        const queue::Message* message = listed.stored ? listed.stored.get() : queue_.find(listed.id);
        RP_ASSERT(message);
        EXPECT_TRUE(found.emplace(listed.id, Held{message->place, message->waiting()}).second)
            << hex(listed.id) << " is there twice";
        after = listed.id;
      }
    }
  }

  Machine& machine_;
  Log log_{LogLevel::error, LogStyle::plain, -1};
  metrics::ShardMetrics metrics_;
  queue::Queue queue_;
  std::optional<outbox::Outbox> outbox_;
  std::unique_ptr<Partition> partition_;
};

/// A partition of several segments: of most of them its index says what they hold, so that they need not be read; but a row of it
/// is missing. What came later changes some of the older messages, too.
class Office {
 public:
  explicit Office(std::uint64_t seed) : machine({.seed = seed, .segment_bytes = 256_KiB, .group_bytes = 64_KiB}) {
    EXPECT_TRUE(machine.open());
    for (std::uint64_t i = 1; i <= 40; ++i) accept(i);
    for (std::uint64_t i = 1; i <= 40; ++i)  // in later segments than the messages
      if (i % 3 == 0)
        deliver(i, 2);
      else if (i % 5 == 0)
        deliver(i, 1);
    machine.stop();
    Start(machine, rows).recover();  // its end writes the index down
    machine.boot();
    EXPECT_TRUE(machine.open());
    for (std::uint64_t i = 41; i <= 50; ++i) accept(i);
    deliver(1, 2);
    deliver(2, 1);
    deliver(42, 2);
    machine.stop();
    lose_row(4);
  }

  Machine machine;
  index::MemoryRows rows;
  Holdings held;

 private:
  static constexpr std::size_t kRecipients = 2;

  void accept(std::uint64_t number) {
    const spool::Mail mail = spool::make_mail(number, number % 4 == 0 ? 60'000 : 9'000, kRecipients);
    EXPECT_TRUE(spool::outcome_of(machine, machine.accept(mail)));
    held[mail.id] = {machine.places.at(mail.id), kRecipients};
  }
  /// To the first `recipients` of it.
  void deliver(std::uint64_t number, std::size_t recipients) {
    const auto id = spool::make_id<MessageId>(number);
    if (recipients == kRecipients) {
      EXPECT_TRUE(spool::outcome_of(machine, machine.deliver(id, recipients)));
      held.erase(id);
      return;
    }
    EXPECT_TRUE(
        spool::outcome_of(machine, machine.record(id, {{0, {.state = spool::RecipientState::delivered, .attempts = 1}, {}}}, 1)));
    held.at(id).waiting = kRecipients - recipients;
  }
  void lose_row(std::uint64_t number) {
    const auto id = spool::make_id<MessageId>(number);
    const auto store = index::make_memory_store(rows);
    EXPECT_EQ(store->open(), index::IndexStore::Found::content);
    std::vector<std::byte> row;
    EXPECT_EQ(store->get(index::Table::messages, id.bytes, row), true);
    EXPECT_TRUE(store->commit({{index::Table::messages, index::RowKey{id.bytes}, std::nullopt}}));
    EXPECT_TRUE(store->settle());
  }
};

/// What a partition waits before it tries again to find out what it holds.
constexpr Duration kRecoverPause = std::chrono::seconds(5);

/// Returns how many starts had to try again.
std::size_t fail_every_chance(Fault fault, std::uint64_t times) {
  std::size_t tried_again = 0;
  std::uint64_t nth = 1;
  for (bool struck = true; struck; ++nth) {
    SCOPED_TRACE(std::string(sim::fault_name(fault)) + " at chance " + std::to_string(nth));
    Office office(nth);
    Start start(office.machine, office.rows);
    EXPECT_GT(start.report().segments_unread, 2u) << "the index knows them";
    sim::Faults& faults = office.machine.world.faults();
    faults.fail_nth(fault, nth, times);
    tried_again += start.recover() >= kRecoverPause;
    struck = faults.hits(fault) > 0;
    EXPECT_EQ(start.report().segments_unread, 0u) << "the whole log is read";
    start.expect(office.held);
    if (testing::Test::HasFailure()) break;
  }
  EXPECT_GT(nth, 10u);
  return tried_again;
}

TEST(Partition, an_index_made_anew_has_the_whole_log_though_any_open_fails) {
  EXPECT_GT(fail_every_chance(Fault::disk_open_error, 1), 8u);
}
TEST(Partition, an_index_made_anew_has_the_whole_log_though_any_two_opens_in_a_row_fail) {
  EXPECT_GT(fail_every_chance(Fault::disk_open_error, 2), 8u);
}
TEST(Partition, an_index_made_anew_has_the_whole_log_though_any_read_fails) {
  EXPECT_EQ(fail_every_chance(Fault::disk_read_error, 1), 0u) << "a read is tried again at once";
}

}  // namespace
}  // namespace ringpost::shard
