// A start that is told what is known reads the rest only, and comes to the same end.
#include "support.hh"

namespace ringpost::spool {
namespace {

/// Mail over several segments; every third message is delivered, every fifth deferred once.
void fill(Machine& machine, std::uint64_t first, std::uint64_t count) {
  for (std::uint64_t i = first; i < first + count; ++i) {
    const Mail mail = make_mail(i, i % 4 == 0 ? 60'000 : 9'000, 2);
    ASSERT_TRUE(outcome_of(machine, machine.accept(mail)));
    if (i % 5 == 0) ASSERT_TRUE(outcome_of(machine, machine.record(mail.id, {{0, {.attempts = 1}, {}}}, 1)));
    if (i % 3 == 0) ASSERT_TRUE(outcome_of(machine, machine.deliver(mail.id, 2, i % 5 == 0 ? 2 : 1)));
  }
}

/// What somebody who follows the log would have written down by now.
void write_down(Machine& machine) {
  machine.start = {machine.log->replay_generation(), machine.log->durable_group()};
  machine.stop();
  machine.boot();
  const LogStart start = std::exchange(machine.start, {});
  machine.known = {};
  ASSERT_TRUE(machine.open());  // all of it
  for (const auto& [id, known] : machine.ledger.messages)
    if (!known.finished()) machine.known.messages[id] = known;
  machine.start = start;
}

std::map<MessageId, Ledger::Known> live(const Machine& machine) {
  std::map<MessageId, Ledger::Known> live;
  for (const auto& [id, known] : machine.ledger.messages)
    if (!known.finished()) live[id] = known;
  return live;
}

void expect_the_same(const std::map<MessageId, Ledger::Known>& one, const std::map<MessageId, Ledger::Known>& other) {
  ASSERT_EQ(one.size(), other.size());
  for (const auto& [id, known] : one) {
    ASSERT_TRUE(other.contains(id));
    const Ledger::Known& again = other.at(id);
    EXPECT_EQ(known.place, again.place);
    EXPECT_EQ(known.revision, again.revision);
    EXPECT_EQ(known.recipients, again.recipients);
    EXPECT_EQ(known.chunks, again.chunks);
  }
}

TEST(LogStart, what_is_known_is_not_read_and_the_end_is_the_same) {
  Machine machine({.segment_bytes = 256_KiB, .group_bytes = 64_KiB});
  ASSERT_TRUE(machine.open());
  fill(machine, 1, 40);
  write_down(machine);
  fill(machine, 41, 20);
  for (std::uint64_t known : {1, 2, 4, 11}) ASSERT_TRUE(outcome_of(machine, machine.deliver(make_id<MessageId>(known), 2)));

  machine.restart();
  EXPECT_GT(machine.log->report().segments_unread, 2u);
  EXPECT_TRUE(machine.ledger.damages.empty());
  const auto short_way = live(machine);
  const std::uint64_t bytes = machine.log->report().bytes_read;
  machine.start = {};
  machine.known = {};
  machine.restart();
  EXPECT_EQ(machine.log->report().segments_unread, 0u);
  EXPECT_LT(bytes, machine.log->report().bytes_read);
  expect_the_same(short_way, live(machine));
}

TEST(LogStart, spares_that_were_never_used_are_not_read_block_by_block) {
  Machine machine({.segment_bytes = 2_MiB});
  ASSERT_TRUE(machine.open());
  fill(machine, 1, 4);
  machine.settle();
  ASSERT_GT(machine.log->space().segments_spare, 0u);
  machine.stop();
  machine.boot();
  ASSERT_TRUE(machine.open());
  EXPECT_LT(machine.ring->operations_in(), 150u) << "a segment has 512 blocks";
}

TEST(LogStart, segments_that_were_not_read_are_used_again_when_all_in_them_is_over) {
  Machine machine({.segment_bytes = 256_KiB, .group_bytes = 64_KiB});
  ASSERT_TRUE(machine.open());
  fill(machine, 1, 40);
  write_down(machine);
  machine.restart();
  ASSERT_GT(machine.log->report().segments_unread, 2u);
  for (const auto& [id, known] : live(machine))
    ASSERT_TRUE(outcome_of(machine, machine.deliver(id, known.recipients.size(), known.revision + 1)));
  machine.settle();
  const std::uint64_t segments = machine.log->space().segments;
  for (std::uint64_t i = 100; i < 200; ++i) {  // many segments' worth
    const Mail mail = make_mail(i, 20'000);
    ASSERT_TRUE(outcome_of(machine, machine.accept(mail)));
    ASSERT_TRUE(outcome_of(machine, machine.check(mail, machine.places[mail.id])));
    ASSERT_TRUE(outcome_of(machine, machine.deliver(mail.id, 1)));
  }
  EXPECT_LE(machine.log->space().segments, segments);
}

TEST(LogStart, a_log_of_another_time_is_refused_and_its_lock_is_free_again) {
  Machine machine({.segment_bytes = 256_KiB, .group_bytes = 64_KiB});
  ASSERT_TRUE(machine.open());
  fill(machine, 1, 10);
  const LogStart now{machine.log->replay_generation(), machine.log->durable_group()};
  machine.stop();
  for (const LogStart other : {LogStart{now.generation, now.group + 1}, LogStart{now.generation + 100, now.group + 100}}) {
    machine.boot();
    machine.start = other;
    const Result<> opened = machine.open();
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, Errc::not_found);
    machine.world.retire(*machine.ring);
  }
  machine.start = now;
  machine.boot();
  EXPECT_TRUE(machine.open());
}

TEST(LogStart, what_cannot_be_read_now_is_read_at_a_later_start) {
  Machine machine({.segment_bytes = 256_KiB, .group_bytes = 64_KiB});
  ASSERT_TRUE(machine.open());
  fill(machine, 1, 40);
  write_down(machine);
  fill(machine, 41, 5);
  const LogStart known = machine.start;
  const auto before = machine.places;
  machine.stop();
  machine.boot();
  machine.world.faults().fail_nth(sim::Fault::disk_read_error, 1, 11);  // the first file's header, as often as it is tried
  ASSERT_TRUE(machine.open());
  EXPECT_EQ(machine.log->report().segments_unknown, 1u);
  EXPECT_LE(machine.log->replay_generation(), known.generation);
  ASSERT_TRUE(outcome_of(machine, machine.accept(make_mail(100, 2000))));
  EXPECT_LE(machine.log->replay_generation(), known.generation) << "however much is written later";
  machine.restart();
  EXPECT_EQ(machine.log->report().segments_unknown, 0u);
  EXPECT_EQ(machine.log->replay_generation(), machine.log->filling_generation());
  for (const auto& [id, place] : before) EXPECT_EQ(machine.places[id], place);
}

TEST(LogStart, a_device_that_recovers_is_waited_for) {
  Machine machine;
  ASSERT_TRUE(machine.open());
  ASSERT_TRUE(outcome_of(machine, machine.accept(make_mail(1, 2000))));
  machine.stop();
  machine.boot();
  machine.world.faults().fail_nth(sim::Fault::disk_read_error, 1, 8);
  ASSERT_TRUE(machine.open());
  EXPECT_TRUE(machine.ledger.damages.empty());
  EXPECT_EQ(machine.places.size(), 1u);
}

/// Mail comes in while the old is being read; a death at any moment of it loses neither.
TEST(LogStart, mail_is_taken_while_the_log_is_read) {
  for (const bool dies : {false, true}) {
    Machine machine({.seed = 1, .segment_bytes = 256_KiB, .group_bytes = 64_KiB});
    ASSERT_TRUE(machine.open());
    for (std::uint64_t i = 1; i <= 40; ++i) ASSERT_TRUE(outcome_of(machine, machine.accept(make_mail(i, 20'000))));
    machine.stop();
    machine.boot();
    struct Whole {
      static Task<void> run(Machine& machine) {
        auto opened = co_await Log::open(*machine.ring, machine.log_options(), machine.metadata_key);
        EXPECT_TRUE(opened);
        machine.log = std::move(*opened);
        Result<> started = co_await machine.log->start();
        EXPECT_TRUE(started);
        for (std::uint64_t i = 41; i <= 60; ++i) {
          Result<> accepted = co_await machine.accept(make_mail(i, 20'000));
          EXPECT_TRUE(accepted);
        }
      }
    };
    drive(*machine.ring, Whole::run(machine));
    const std::size_t old_segments = machine.log->space().segments;
    EXPECT_EQ(machine.log->space().segments_dead, 0u) << "nothing is known yet, so nothing is dead";
    if (!dies) {
      machine.ledger = {};
      drive(*machine.ring, [](Machine& m) -> Task<void> {
        Result<> replayed = co_await m.log->replay(m.ledger);
        EXPECT_TRUE(replayed);
      }(machine));
      EXPECT_EQ(machine.ledger.messages.size(), 40u) << "what came since is not old";
      machine.log->recovered();
      EXPECT_GT(machine.log->space().segments_dead, 3u) << "nobody retained anything";
      EXPECT_EQ(machine.log->space().segments, old_segments);
      machine.stop();
      machine.boot();
      ASSERT_TRUE(machine.open());
    } else {
      machine.crash(sim::Death::power_loss);
    }
    EXPECT_TRUE(machine.ledger.damages.empty()) << machine.ledger.describe();
    for (std::uint64_t i = 41; i <= 60; ++i) EXPECT_TRUE(machine.ledger.messages.contains(make_id<MessageId>(i))) << i;
    if (dies) EXPECT_EQ(machine.ledger.messages.size(), 60u);
  }
}

TEST(LogStart, events_without_acknowledgement_hold_it_back) {
  Machine machine({.segment_bytes = 256_KiB, .group_bytes = 64_KiB});
  ASSERT_TRUE(machine.open());
  ASSERT_TRUE(outcome_of(machine, machine.accept(make_mail(1, 100), as_bytes("event"), 1)));
  const std::uint64_t first = machine.log->replay_generation();
  fill(machine, 2, 30);
  EXPECT_GT(machine.log->filling_generation(), first);
  EXPECT_EQ(machine.log->replay_generation(), first);
  machine.log->audit_acknowledged({machine.incarnation(), 1});
  EXPECT_EQ(machine.log->replay_generation(), machine.log->filling_generation());
}

}  // namespace
}  // namespace ringpost::spool
