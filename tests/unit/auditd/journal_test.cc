#include "support.hh"

namespace ringpost::auditd {
namespace {

const IncarnationId kFirst = incarnation(1), kSecond = incarnation(2);

TEST(Journal, an_event_sent_again_is_stored_once) {
  JournalWorld world;
  ASSERT_TRUE(world.start());
  EXPECT_EQ(world.append(kFirst, 1, 5), 5u);
  EXPECT_EQ(world.append(kFirst, 1, 5), 5u);
  EXPECT_EQ(world.append(kFirst, 3, 8), 8u);
  EXPECT_EQ(world.append(kFirst, 2, 4), 4u) << "no more is acknowledged than was sent";
  EXPECT_EQ(world.append(kSecond, 1, 2), 2u);
  EXPECT_EQ(world.sequences(kFirst), up_to(8));
  EXPECT_EQ(world.sequences(kSecond), up_to(2));
  EXPECT_TRUE(world.gaps().empty());
}

TEST(Journal, marks_survive_restarts_and_files_without_events) {
  JournalWorld world;
  ASSERT_TRUE(world.start());
  EXPECT_EQ(world.append(kFirst, 1, 5), 5u);
  for (int life = 0; life < 3; ++life) {
    world.stop();
    ASSERT_TRUE(world.start());
  }
  EXPECT_EQ(world.append(kFirst, 4, 7), 7u);
  EXPECT_EQ(world.sequences(kFirst), up_to(7));
}

TEST(Journal, a_hole_is_an_event_of_its_own_also_before_the_first) {
  JournalWorld world;
  ASSERT_TRUE(world.start());
  EXPECT_EQ(world.append(kFirst, 1, 2), 2u);
  EXPECT_EQ(world.append(kFirst, 6, 6), 6u);
  EXPECT_EQ(world.append(kSecond, 4, 4), 4u);
  std::vector<std::string> gaps = world.gaps();
  ASSERT_EQ(gaps.size(), 2u);
  EXPECT_TRUE(gaps[0].contains("\"source\":\"" + hex(kFirst) + "\",\"first\":3,\"count\":3")) << gaps[0];
  EXPECT_TRUE(gaps[1].contains("\"source\":\"" + hex(kSecond) + "\",\"first\":1,\"count\":3")) << gaps[1];
}

TEST(Journal, a_torn_last_line_does_not_count_and_comes_again) {
  JournalWorld world;
  ASSERT_TRUE(world.start());
  EXPECT_EQ(world.append(kFirst, 1, 3), 3u);
  world.kill();
  world.disk().truncate(JournalWorld::name(1), world.text(1).size() - 7);
  ASSERT_TRUE(world.start());
  EXPECT_EQ(world.append(kFirst, 1, 3), 3u);
  EXPECT_EQ(world.sequences(kFirst), up_to(3));
}

TEST(Journal, whole_lines_behind_a_damaged_one_do_not_count_and_come_again) {
  JournalWorld world;
  ASSERT_TRUE(world.start());
  EXPECT_EQ(world.append(kFirst, 1, 3), 3u);
  world.kill();
  world.disk().flip_bit(JournalWorld::name(1), world.text(1).find("\"sequence\":2") + 11, 6);
  ASSERT_TRUE(world.start());
  EXPECT_EQ(world.append(kFirst, 1, 3), 3u);
  EXPECT_EQ(world.sequences(kFirst), up_to(3));
}

TEST(Journal, a_newest_file_without_whole_marks_is_passed_over) {
  JournalWorld world;
  ASSERT_TRUE(world.start());
  EXPECT_EQ(world.append(kFirst, 1, 3), 3u);
  world.stop();
  world.disk().put(JournalWorld::name(2), as_bytes("{\"marks\":\"of\",\"incarnation\":\"" + hex(kFirst) + "\",\"sequence\":99}\n"));
  ASSERT_TRUE(world.start());
  EXPECT_EQ(world.append(kFirst, 2, 5), 5u);
  EXPECT_EQ(world.sequences(kFirst), up_to(5));
  EXPECT_TRUE(world.gaps().empty());
}

TEST(Journal, a_file_that_is_full_gives_way_to_the_next) {
  JournalWorld world;
  ASSERT_TRUE(world.start(2000));
  for (std::uint64_t sequence = 1; sequence <= 30; ++sequence) EXPECT_EQ(world.append(kFirst, sequence, sequence), sequence);
  EXPECT_TRUE(world.disk().exists(JournalWorld::name(3)));
  world.stop();
  ASSERT_TRUE(world.start());
  EXPECT_EQ(world.append(kFirst, 1, 31), 31u);
  EXPECT_EQ(world.sequences(kFirst), up_to(31));
}

TEST(Journal, a_second_auditd_is_refused) {
  JournalWorld world;
  ASSERT_TRUE(world.start());
  sim::SimRing& ring = world.world().make_ring("other");
  Log log{LogLevel::error};
  Journal other{ring, log, kDirectory};
  std::optional<Result<>> opened;
  auto open = [](Journal& journal, std::optional<Result<>>& result) -> Task<void> {
    result = co_await journal.open();
    co_await journal.close();
  };
  world.run_on(ring, open(other, opened));
  ASSERT_FALSE(*opened);
  EXPECT_EQ(opened->error().code, Errc::busy);
  world.world().retire(ring);
}

/// Fails the first, second, .. operation of a kind, until one run has none left to fail.
void fail_each(sim::Fault fault) {
  for (std::uint64_t nth = 1;; ++nth) {
    SCOPED_TRACE(std::string{sim::fault_name(fault)} + " " + std::to_string(nth));
    JournalWorld world{nth};
    ASSERT_TRUE(world.start(1500));
    world.world().faults().fail_nth(fault, nth);
    std::uint64_t sequence = 0;
    for (int round = 0; round < 8; ++round) {
      std::uint64_t last = sequence + 2;
      auto appended = world.append(kFirst, sequence + 1, last);
      if (!appended) appended = world.append(kFirst, sequence + 1, last);
      ASSERT_EQ(appended, last);
      sequence = last;
    }
    bool struck = world.world().faults().hits(fault) > 0;
    world.world().faults().heal();
    EXPECT_EQ(world.sequences(kFirst), up_to(sequence));
    world.kill(true);
    ASSERT_TRUE(world.start());
    EXPECT_EQ(world.append(kFirst, sequence - 1, sequence + 1), sequence + 1);
    EXPECT_EQ(world.sequences(kFirst), up_to(sequence + 1)) << "what was acknowledged outlives a power cut";
    EXPECT_TRUE(world.gaps().empty());
    if (!struck) {
      EXPECT_GT(nth, 8u) << "the fault was met";
      return;
    }
  }
}
TEST(Journal, a_failed_write_is_made_up_for_and_counts_once) { fail_each(sim::Fault::disk_write_error); }
TEST(Journal, a_failed_sync_is_made_up_for_and_counts_once) { fail_each(sim::Fault::disk_sync_error); }
TEST(Journal, short_writes_are_no_failure) { fail_each(sim::Fault::disk_short_write); }

TEST(Journal, a_full_disk_acknowledges_nothing_and_does_not_fill_with_empty_files) {
  JournalWorld world;
  ASSERT_TRUE(world.start());
  EXPECT_EQ(world.append(kFirst, 1, 2), 2u);
  world.world().faults().fail_nth(sim::Fault::disk_no_space, 1, sim::Faults::kForEver);
  for (int i = 0; i < 5; ++i) {
    auto refused = world.append(kFirst, 3, 4);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::no_space);
  }
  world.world().faults().heal();
  unsigned files = 0;
  for (unsigned number = 1; number < 10; ++number) files += world.disk().exists(JournalWorld::name(number));
  EXPECT_EQ(files, 1u);
  EXPECT_EQ(world.append(kFirst, 3, 4), 4u);
  EXPECT_EQ(world.sequences(kFirst), up_to(4));
}

TEST(Journal, own_events_keep_their_numbers_when_a_write_fails) {
  JournalWorld world;
  ASSERT_TRUE(world.start());
  ASSERT_TRUE(world.run(world.journal().note({.kind = event::Kind::process_started})));
  world.world().faults().fail_nth(sim::Fault::disk_sync_error, 1);
  EXPECT_FALSE(world.append(kFirst, 3, 3));
  EXPECT_EQ(world.append(kFirst, 3, 3), 3u);
  EXPECT_EQ(world.sequences(world.journal().incarnation()), up_to(2));
  EXPECT_EQ(world.gaps().size(), 1u);
}

// A predecessor died between its write and its sync: nobody was told, but the next one reads the line and will drop the event.
TEST(Journal, what_it_reads_at_a_start_it_makes_durable_before_it_relies_on_it) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    JournalWorld world{seed};
    ASSERT_TRUE(world.start());
    EXPECT_EQ(world.append(kFirst, 1, 2), 2u);
    world.world().plan_crash({.process = "auditd", .code = runtime::OpCode::write, .nth = 1});
    std::vector<std::byte> packet = batch_of(kFirst, 3, 6);
    auto batch = event::Batch::decode(packet);
    auto discard = [](Journal& journal, const event::Batch& of) -> Task<void> { (void)co_await journal.append(of); };
    auto scope = std::make_unique<runtime::Scope>(world.life().ring);
    scope->spawn(discard(world.journal(), *batch));
    ASSERT_EQ(world.world().run_until([] { return false; }, std::chrono::hours{1}), sim::Stop::crash);
    world.world().kill(world.life().ring);
    {
      runtime::CrashGuard guard;
      scope.reset();
    }
    world.bury_killed();
    ASSERT_TRUE(world.start());
    EXPECT_EQ(world.append(kFirst, 3, 6), 6u);
    world.kill(true);
    EXPECT_EQ(world.sequences(kFirst), up_to(6));
    ASSERT_TRUE(world.start());
  }
}

}  // namespace
}  // namespace ringpost::auditd
