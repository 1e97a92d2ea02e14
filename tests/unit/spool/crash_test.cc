// Crashes and power cuts at every operation, and faults at every chance: what was acknowledged is there, what was refused is not.
#include "support.hh"

namespace ringpost::spool {
namespace {

/// Sends a series of messages, delivers every third, and remembers what was said about each.
struct Workload {
  enum class Word : std::uint8_t { none, accepted, refused };
  std::map<std::uint64_t, Mail> mails;
  std::map<MessageId, Word> words;
  std::set<MessageId> delivering, delivered;
  std::map<std::uint64_t, bool> audit;  // sequence -> acknowledged

  Task<void> send(Machine& machine, std::uint64_t number, std::size_t bytes) {
    Mail mail = make_mail(number, bytes, 1 + number % 3);
    mails[number] = mail;
    const std::string event = "event " + std::to_string(number);
    Result<> done = co_await machine.accept(mail, as_bytes(event), number);
    words[mail.id] = done ? Word::accepted : Word::refused;
    if (!done || number % 3 != 0) co_return;
    delivering.insert(mail.id);
    Result<> noted = co_await machine.deliver(mail.id, mail.recipients.size());
    if (noted) delivered.insert(mail.id);
  }

  void check(Machine& machine) {
    for (const auto& [number, mail] : mails) {
      SCOPED_TRACE(number);
      const auto known = machine.ledger.messages.find(mail.id);
      const bool there = known != machine.ledger.messages.end();
      const auto word = words.contains(mail.id) ? words[mail.id] : Word::none;
      if (word == Word::refused) EXPECT_FALSE(there) << "refused, and yet it is there";
      if (delivered.contains(mail.id)) {  // it may be gone altogether
        if (there) EXPECT_TRUE(known->second.finished()) << "its outcome is lost";
        continue;
      }
      if (word == Word::accepted && !delivering.contains(mail.id)) {
        ASSERT_TRUE(there) << "an acknowledged message is lost";
        EXPECT_FALSE(known->second.finished());
      }
      if (there && !known->second.finished()) {
        const Result<> read = outcome_of(machine, machine.check(mail, known->second.place));
        EXPECT_TRUE(read) << error_name(read.error().code);
      }
      if (word == Word::accepted && there) {  // the event lies in the group of its message
        bool found = false;
        for (const auto& [key, event] : machine.ledger.audit) found = found || event == "event " + std::to_string(number);
        EXPECT_TRUE(found) << "the audit event is lost";
      }
    }
  }
};

void send_all(Machine& machine, Workload& workload, std::uint64_t first, std::uint64_t count) {
  runtime::Scope scope(*machine.ring);
  for (std::uint64_t i = first; i < first + count; ++i)
    scope.spawn(workload.send(machine, i, machine.world.prng().one_in(3) ? machine.world.prng().below(60'000) : 700));
  machine.world.run_until([&] { return scope.running() == 0; }, kLong);
}

/// One after the other: no message shares a group with its neighbours.
Task<void> send_in_turn(Machine& machine, Workload& workload, std::uint64_t first, std::uint64_t count) {
  for (std::uint64_t i = first; i < first + count; ++i) co_await workload.send(machine, i, i % 4 == 0 ? 40'000 : 900);
}

void crash_at_every_completion(sim::Death death) {
  NonceOracle oracle;
  bool crashed = true;
  std::uint64_t nth = 1;
  for (; crashed; ++nth) {
    SCOPED_TRACE("crash at completion " + std::to_string(nth));
    Machine machine({.seed = nth, .segment_bytes = 256_KiB, .group_bytes = 64_KiB});
    Workload workload;
    {
      machine.world.plan_crash({.process = "mta", .code = {}, .nth = nth});
      auto scope = std::make_unique<runtime::Scope>(*machine.ring);
      struct Whole {
        static Task<void> run(Machine& machine, Workload& workload) {
          Result<> opened;
          co_await machine.open_into(opened);
          EXPECT_TRUE(opened);
          co_await send_in_turn(machine, workload, 1, 12);
        }
      };
      scope->spawn(Whole::run(machine, workload));
      const sim::Stop stop = machine.world.run_until([&] { return scope->running() == 0; }, kLong);
      crashed = stop == sim::Stop::crash;
      if (crashed) {
        machine.kill(death);
        const runtime::CrashGuard guard;
        scope.reset();
      }
    }
    machine.world.cancel_crash();
    if (!crashed) break;
    machine.boot();
    ASSERT_TRUE(machine.open());
    EXPECT_TRUE(machine.ledger.damages.empty()) << machine.ledger.describe();
    workload.check(machine);
    if (testing::Test::HasFatalFailure()) return;
    // And it goes on: more mail, another crash, and everything is still there.
    send_all(machine, workload, 100, 10);
    machine.crash(death);
    EXPECT_TRUE(machine.ledger.damages.empty()) << machine.ledger.describe();
    workload.check(machine);
  }
  EXPECT_GT(nth, 50u);
}

TEST(Crash, at_every_completion_nothing_acknowledged_is_lost) { crash_at_every_completion(sim::Death::crash); }
TEST(Crash, power_cut_at_every_completion_loses_nothing_acknowledged) { crash_at_every_completion(sim::Death::power_loss); }

void fail_every_chance(Fault fault, std::uint64_t times) {
  std::uint64_t nth = 1;
  for (bool struck = true; struck; ++nth) {
    SCOPED_TRACE(std::string(sim::fault_name(fault)) + " at chance " + std::to_string(nth));
    Machine machine({.seed = nth, .segment_bytes = 256_KiB, .group_bytes = 64_KiB});
    Workload workload;
    ASSERT_TRUE(machine.open());
    machine.settle();
    machine.world.faults().fail_nth(fault, nth, times);
    drive(*machine.ring, send_in_turn(machine, workload, 1, 15));
    struck = machine.world.faults().hits(fault) > 0;
    machine.world.faults().heal();
    // The trouble is over: mail is accepted again, as soon as background work has tried once more.
    machine.world.run_for(std::chrono::seconds{5});
    drive(*machine.ring, send_in_turn(machine, workload, 50, 5));
    for (std::uint64_t i = 50; i < 55; ++i) EXPECT_EQ(workload.words[make_id<MessageId>(i)], Workload::Word::accepted);
    machine.crash(nth % 2 == 0 ? sim::Death::power_loss : sim::Death::crash);
    EXPECT_TRUE(machine.ledger.damages.empty()) << machine.ledger.describe();
    workload.check(machine);
    if (testing::Test::HasFatalFailure()) return;
  }
  EXPECT_GT(nth, 3u);
}

TEST(Faults, any_sync_may_fail) { fail_every_chance(Fault::disk_sync_error, 1); }
TEST(Faults, any_two_syncs_in_a_row_may_fail) { fail_every_chance(Fault::disk_sync_error, 2); }
TEST(Faults, any_write_may_fail) { fail_every_chance(Fault::disk_write_error, 1); }
TEST(Faults, H5_any_write_may_be_short) { fail_every_chance(Fault::disk_short_write, 1); }
TEST(Faults, any_three_writes_may_find_no_space) { fail_every_chance(Fault::disk_no_space, 3); }
TEST(Faults, any_open_may_fail) { fail_every_chance(Fault::disk_open_error, 1); }

/// Random faults of all kinds, crashes, power cuts and restarts.
TEST(Faults, a_long_life_of_trouble) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    NonceOracle oracle;
    Machine machine({.seed = seed, .segment_bytes = 256_KiB, .group_bytes = 64_KiB});
    Workload workload;
    ASSERT_TRUE(machine.open());
    for (std::uint64_t life = 0; life < 8; ++life) {
      sim::Faults& faults = machine.world.faults();
      for (Fault fault : {Fault::disk_short_write, Fault::disk_write_error, Fault::disk_sync_error, Fault::disk_no_space,
                          Fault::disk_open_error, Fault::disk_name_error, Fault::disk_short_read})
        faults.set(fault, 10 + machine.world.prng().below(40));
      send_all(machine, workload, 1 + life * 100, 20 + machine.world.prng().below(30));
      faults.heal();
      if (life % 3 == 2) {
        machine.restart();
      } else {
        machine.crash(life % 2 == 0 ? sim::Death::power_loss : sim::Death::crash);
      }
      ASSERT_NE(machine.log, nullptr);
      EXPECT_TRUE(machine.ledger.damages.empty()) << machine.ledger.describe();
      workload.check(machine);
      if (testing::Test::HasFailure()) return;
    }
  }
}

}  // namespace
}  // namespace ringpost::spool
