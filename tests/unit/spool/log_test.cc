// Appending, waiting, failing and reading back on a simulated disk.
#include "support.hh"

namespace ringpost::spool {
namespace {

TEST(Log, a_small_message_comes_back) {
  Machine machine;
  NonceOracle oracle;
  ASSERT_TRUE(machine.open());
  const Mail mail = make_mail(1, 3000, 3);
  ASSERT_TRUE(outcome_of(machine, machine.accept(mail)));
  ASSERT_TRUE(outcome_of(machine, machine.check(mail, machine.places[mail.id])));
  machine.restart();
  ASSERT_TRUE(machine.ledger.messages.contains(mail.id));
  EXPECT_EQ(machine.ledger.messages[mail.id].recipients.size(), 3u);
  EXPECT_TRUE(machine.ledger.damages.empty());
  EXPECT_TRUE(outcome_of(machine, machine.check(mail, machine.places[mail.id])));
  EXPECT_GT(oracle.count(), 0u);
}

TEST(Log, messages_of_every_size_come_back) {
  Machine machine;
  ASSERT_TRUE(machine.open());
  std::vector<Mail> mails;
  for (std::size_t size : {0u, 1u, 15u, 16u, 4096u, 16384u, 16385u, 32768u, 300'000u}) {
    mails.push_back(make_mail(mails.size() + 1, size));
    ASSERT_TRUE(outcome_of(machine, machine.accept(mails.back())));
  }
  machine.crash();
  for (const Mail& mail : mails)
    EXPECT_TRUE(outcome_of(machine, machine.check(mail, machine.places[mail.id]))) << mail.body.size();
}

Task<void> accept_and_count(Machine& machine, Mail mail, std::size_t& accepted) {
  Result<> done = co_await machine.accept(std::move(mail));
  EXPECT_TRUE(done);
  ++accepted;
}

Task<void> keep_busy(runtime::Ring& ring, const std::size_t& accepted, std::size_t until) {
  while (accepted < until) co_await ring.sleep_for(Duration::zero());
}

Task<void> accept_after_turns(Machine& machine, Mail mail, std::size_t& accepted, int turns) {
  for (int i = 0; i < turns; ++i) co_await machine.ring->sleep_for(Duration::zero());
  co_await accept_and_count(machine, std::move(mail), accepted);
}

TEST(Log, messages_that_come_together_share_a_group) {
  Machine machine;
  ASSERT_TRUE(machine.open());
  std::size_t accepted = 0;
  {
    runtime::Scope scope(*machine.ring);
    for (std::uint64_t i = 1; i <= 100; ++i) scope.spawn(accept_and_count(machine, make_mail(i, 500), accepted));
    ASSERT_EQ(machine.world.run_until([&] { return scope.running() == 0; }, kLong), sim::Stop::reached);
  }
  EXPECT_EQ(accepted, 100u);
  machine.restart();
  EXPECT_EQ(machine.ledger.messages.size(), 100u);
  EXPECT_LE(machine.log->report().groups, 5u);
}

TEST(Log, what_comes_while_the_loop_is_busy_shares_a_group) {
  Machine machine;
  ASSERT_TRUE(machine.open());
  ASSERT_TRUE(outcome_of(machine, machine.accept(make_mail(1, 500))));
  const std::uint64_t before = machine.log->newest_group();
  std::size_t accepted = 0;
  {
    runtime::Scope scope(*machine.ring);
    scope.spawn(keep_busy(*machine.ring, accepted, 3));
    scope.spawn(accept_and_count(machine, make_mail(2, 500), accepted));
    scope.spawn(accept_after_turns(machine, make_mail(3, 500), accepted, 5));
    ASSERT_EQ(machine.world.run_until([&] { return accepted == 2; }, kLong), sim::Stop::reached) << "the loop was never quiet";
    EXPECT_EQ(machine.log->newest_group(), before + 1);
    ++accepted;
    ASSERT_EQ(machine.world.run_until([&] { return scope.running() == 0; }, kLong), sim::Stop::reached);
  }
}

TEST(Log, an_audit_event_lies_in_the_group_of_its_fact) {
  Machine machine;
  ASSERT_TRUE(machine.open());
  const IncarnationId first = machine.incarnation();
  ASSERT_TRUE(outcome_of(machine, machine.accept(make_mail(1, 100), as_bytes("accepted"), 7)));
  machine.restart();
  EXPECT_EQ((machine.ledger.audit[{first, 7}]), "accepted");
  machine.log->audit_acknowledged({first, 7});
  ASSERT_TRUE(outcome_of(machine, machine.accept(make_mail(2, 100))));  // the next segment's CHECKPOINT knows
  machine.restart();
  ASSERT_TRUE(outcome_of(machine, machine.accept(make_mail(3, 100))));
  machine.restart();
  EXPECT_EQ(machine.ledger.acknowledged[first], 7u);
}

TEST(Log, H5_a_short_write_is_completed) {
  Machine machine;
  ASSERT_TRUE(machine.open());
  machine.world.disk().set_direct_alignment(4096);
  machine.settle();
  const Mail mail = make_mail(1, 15'000);
  machine.world.faults().fail_nth(Fault::disk_short_write, 1, 2);
  ASSERT_TRUE(outcome_of(machine, machine.accept(mail)));
  EXPECT_EQ(machine.world.faults().hits(Fault::disk_short_write), 2u);
  machine.crash(sim::Death::power_loss);
  EXPECT_TRUE(outcome_of(machine, machine.check(mail, machine.places[mail.id])));
}

TEST(Log, what_a_failed_sync_refused_never_comes_back) {
  for (Fault fault : {Fault::disk_sync_error, Fault::disk_write_error, Fault::disk_no_space}) {
    SCOPED_TRACE(sim::fault_name(fault));
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      Machine machine({.seed = seed});
      ASSERT_TRUE(machine.open());
      ASSERT_TRUE(outcome_of(machine, machine.accept(make_mail(1, 2000))));
      machine.settle();
      machine.world.faults().fail_nth(fault, 1);
      const Result<> refused = outcome_of(machine, machine.accept(make_mail(2, 2000)));
      ASSERT_FALSE(refused);
      ASSERT_TRUE(outcome_of(machine, machine.accept(make_mail(3, 2000))));
      machine.crash(seed % 2 == 0 ? sim::Death::power_loss : sim::Death::crash);
      EXPECT_TRUE(machine.ledger.messages.contains(make_id<MessageId>(1)));
      EXPECT_FALSE(machine.ledger.messages.contains(make_id<MessageId>(2)));
      EXPECT_TRUE(machine.ledger.messages.contains(make_id<MessageId>(3)));
      EXPECT_TRUE(machine.ledger.damages.empty());
    }
  }
}

TEST(Log, who_waits_behind_a_failed_group_is_told) {
  Machine machine;
  ASSERT_TRUE(machine.open());
  ASSERT_TRUE(outcome_of(machine, machine.accept(make_mail(99, 100))));  // takes a segment into use
  machine.settle();
  machine.world.faults().fail_nth(Fault::disk_sync_error, 1);
  std::size_t refused = 0, accepted = 0;
  struct Sender {
    static Task<void> run(Machine& machine, Mail mail, std::size_t& accepted, std::size_t& refused) {
      Result<> done = co_await machine.accept(std::move(mail));
      ++(done ? accepted : refused);
    }
  };
  runtime::Scope scope(*machine.ring);
  for (std::uint64_t i = 1; i <= 40; ++i) scope.spawn(Sender::run(machine, make_mail(i, 20'000), accepted, refused));
  ASSERT_EQ(machine.world.run_until([&] { return scope.running() == 0; }, kLong), sim::Stop::reached);
  EXPECT_GT(refused, 0u);
  EXPECT_EQ(accepted + refused, 40u);
  EXPECT_EQ(machine.places.size(), accepted + 1);
  EXPECT_EQ(machine.log->space().live_records, accepted * 2 + 1);  // each of the forty has one chunk
}

TEST(Log, a_second_process_is_locked_out) {
  Machine machine;
  ASSERT_TRUE(machine.open());
  sim::SimRing& other = machine.world.make_ring("other");
  struct Second {
    static Task<void> run(Machine& machine, sim::SimRing& ring, Result<>& result) {
      Ledger ledger;
      LogOptions options = machine.log_options();
      auto opened = co_await Log::open(ring, options, machine.metadata_key, ledger);
      if (!opened) result = std::unexpected(opened.error());
    }
  };
  Result<> result;
  drive(other, Second::run(machine, other, result));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::busy);
  machine.world.retire(other);
}

TEST(Log, a_wrong_metadata_key_touches_nothing) {
  Machine machine;
  ASSERT_TRUE(machine.open());
  ASSERT_TRUE(outcome_of(machine, machine.accept(make_mail(1, 100))));
  machine.stop();
  machine.boot();
  machine.metadata_key[5] ^= std::byte{1};
  const Result<> opened = machine.open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Errc::corrupt);
  machine.metadata_key[5] ^= std::byte{1};
  ASSERT_TRUE(machine.open());
  EXPECT_TRUE(machine.ledger.messages.contains(make_id<MessageId>(1)));
}

TEST(Log, H6_what_is_no_plain_segment_is_reported_and_left_alone) {
  Machine machine;
  ASSERT_TRUE(machine.open());
  ASSERT_TRUE(outcome_of(machine, machine.accept(make_mail(1, 100))));
  machine.stop();
  machine.world.disk().put("/elsewhere", std::vector<std::byte>(1_MiB, std::byte{7}));
  machine.world.disk().make_symlink(machine.directory + "/00000050.seg", "/elsewhere");
  machine.world.disk().put(machine.directory + "/notes.txt", std::vector<std::byte>(10));
  machine.boot();
  ASSERT_TRUE(machine.open());
  EXPECT_EQ(machine.ledger.count(DamageKind::foreign_file), 2u);
  EXPECT_TRUE(machine.ledger.messages.contains(make_id<MessageId>(1)));
  for (std::uint64_t i = 2; i < 100; ++i) ASSERT_TRUE(outcome_of(machine, machine.accept(make_mail(i, 20'000))));
  EXPECT_EQ(machine.world.disk().content("/elsewhere"), std::vector<std::byte>(1_MiB, std::byte{7}));
}

TEST(Log, H11_without_descriptors_it_waits_instead_of_spinning) {
  Machine machine;
  ASSERT_TRUE(machine.open());
  machine.settle();
  machine.world.faults().set(Fault::disk_open_error, 1);
  for (std::uint64_t i = 1; i <= 60; ++i) static_cast<void>(outcome_of(machine, machine.accept(make_mail(i, 20'000))));
  const std::uint64_t before = machine.ring->operations_in();
  machine.world.run_for(std::chrono::seconds{20});
  EXPECT_LT(machine.ring->operations_in() - before, 200u);
  machine.world.faults().heal();
  machine.world.run_for(std::chrono::seconds{5});
  EXPECT_TRUE(outcome_of(machine, machine.accept(make_mail(100, 20'000))));
}

TEST(Log, room_that_is_given_back_leaves_no_trace) {
  Machine machine;
  ASSERT_TRUE(machine.open());
  struct Dropper {
    static Task<void> run(Machine& machine) {
      Result<Room> room = co_await machine.log->reserve(bytes_of_audit(4), Use::upkeep);
      EXPECT_TRUE(room);
      if (room) room->add_audit(machine.incarnation(), 1, as_bytes("gone"));
    }
  };
  drive(*machine.ring, Dropper::run(machine));
  ASSERT_TRUE(outcome_of(machine, machine.accept(make_mail(1, 100), as_bytes("kept"), 1)));
  const IncarnationId first = machine.incarnation();
  machine.restart();
  EXPECT_EQ(machine.ledger.audit.size(), 1u);
  EXPECT_EQ((machine.ledger.audit[{first, 1}]), "kept");
}

TEST(Log, what_fills_a_group_waits_for_the_opening_records_of_its_segment) {
  Machine machine;
  ASSERT_TRUE(machine.open());
  struct Asker {
    static Task<void> run(Machine& machine, Result<>& result) {
      Result<Room> room = co_await machine.log->reserve(machine.log->record_bytes_max(), Use::mail);
      if (!room) result = std::unexpected(room.error());
    }
  };
  Result<> result;
  drive(*machine.ring, Asker::run(machine, result));
  EXPECT_TRUE(result);
}

TEST(Log, more_than_a_group_holds_is_refused) {
  Machine machine;
  ASSERT_TRUE(machine.open());
  struct Asker {
    static Task<void> run(Machine& machine, Result<>& result) {
      Result<Room> room = co_await machine.log->reserve(machine.log->record_bytes_max() + 8, Use::mail);
      if (!room) result = std::unexpected(room.error());
    }
  };
  Result<> result;
  drive(*machine.ring, Asker::run(machine, result));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::limit);
}

}  // namespace
}  // namespace ringpost::spool
