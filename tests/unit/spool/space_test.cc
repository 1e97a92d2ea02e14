// Space: segments are used again when nothing in them is alive, low space is said before it is too late, cleaning moves mail.
#include "support.hh"

namespace ringpost::spool {
namespace {

constexpr MachineOptions kSmall{.segment_bytes = 256_KiB, .group_bytes = 64_KiB};

Task<void> accept_and_deliver(Machine& machine, std::uint64_t first, std::uint64_t count, std::size_t bytes,
                              std::uint64_t& failures) {
  for (std::uint64_t i = first; i < first + count; ++i) {
    Result<> done = co_await machine.accept(make_mail(i, bytes));
    if (done) done = co_await machine.deliver(make_id<MessageId>(i), 1);
    failures += !done;
  }
}

TEST(Space, segments_of_delivered_mail_are_used_again) {
  Machine machine(kSmall);
  ASSERT_TRUE(machine.open());
  std::uint64_t failures = 0;
  drive(*machine.ring, accept_and_deliver(machine, 1, 300, 10'000, failures));
  machine.settle();
  EXPECT_EQ(failures, 0u);
  EXPECT_LE(machine.log->space().segments, 6u);  // 3 MB went through 256 KiB segments
  EXPECT_EQ(machine.log->space().live_records, 0u);
  machine.crash(sim::Death::power_loss);
  EXPECT_TRUE(machine.places.empty()) << "delivered mail came back";
  EXPECT_TRUE(machine.ledger.damages.empty()) << machine.ledger.describe();
}

TEST(Space, live_mail_is_never_overwritten) {
  Machine machine(kSmall);
  ASSERT_TRUE(machine.open());
  const Mail kept = make_mail(1'000'000, 50'000);
  ASSERT_TRUE(outcome_of(machine, machine.accept(kept)));
  std::uint64_t failures = 0;
  drive(*machine.ring, accept_and_deliver(machine, 1, 300, 10'000, failures));
  machine.crash(sim::Death::power_loss);
  ASSERT_EQ(machine.places.size(), 1u);
  EXPECT_TRUE(outcome_of(machine, machine.check(kept, machine.places[kept.id])));
}

TEST(Space, an_unacknowledged_audit_event_keeps_its_segment) {
  Machine machine(kSmall);
  ASSERT_TRUE(machine.open());
  const IncarnationId first = machine.incarnation();
  ASSERT_TRUE(outcome_of(machine, machine.accept(make_mail(1'000'000, 100), as_bytes("kept"), 1)));
  ASSERT_TRUE(outcome_of(machine, machine.deliver(make_id<MessageId>(1'000'000), 1)));
  std::uint64_t failures = 0;
  drive(*machine.ring, accept_and_deliver(machine, 1, 200, 10'000, failures));
  machine.crash();
  EXPECT_EQ((machine.ledger.audit[{first, 1}]), "kept");
  machine.log->audit_acknowledged({first, 1});
  drive(*machine.ring, accept_and_deliver(machine, 1'000, 200, 10'000, failures));
  machine.settle();
  machine.crash();
  EXPECT_TRUE(machine.ledger.audit.empty());
  EXPECT_LE(machine.log->space().segments, 12u);
}

TEST(Space, an_outcome_outlives_the_record_it_changes) {
  // One message stays, so its generation does; outcomes of its neighbours must stay with it or they would be delivered again.
  Machine machine(kSmall);
  ASSERT_TRUE(machine.open());
  const Mail kept = make_mail(1'000'000, 100);
  ASSERT_TRUE(outcome_of(machine, machine.accept(make_mail(1'000'001, 100))));
  ASSERT_TRUE(outcome_of(machine, machine.accept(kept)));
  std::uint64_t failures = 0;
  drive(*machine.ring, accept_and_deliver(machine, 1, 40, 10'000, failures));  // into other segments
  ASSERT_TRUE(outcome_of(machine, machine.deliver(make_id<MessageId>(1'000'001), 1)));
  drive(*machine.ring, accept_and_deliver(machine, 100, 200, 10'000, failures));
  machine.crash(sim::Death::power_loss);
  ASSERT_EQ(machine.places.size(), 1u);
  EXPECT_TRUE(machine.places.contains(kept.id));
}

TEST(Space, chunks_of_a_broken_transaction_are_garbage) {
  Machine machine(kSmall);
  ASSERT_TRUE(machine.open());
  struct Broken {
    static Task<void> run(Machine& machine) {
      Key256 key;
      machine.ring->random(key.mutable_view());
      crypto::MessageSealer sealer(std::move(key), machine.store, make_id<MessageId>(1));
      Chunks chunks;
      for (int i = 0; i < 5; ++i) {
        Result<Room> room = co_await machine.log->reserve(bytes_of_chunk(1000), Use::mail);
        EXPECT_TRUE(room->add_chunk(chunks, sealer, std::vector<std::byte>(1000)));
        room->commit();
      }
      EXPECT_EQ(machine.log->space().live_records, 5u);
    }
  };
  drive(*machine.ring, Broken::run(machine));
  EXPECT_EQ(machine.log->space().live_records, 0u);
  machine.restart();
  EXPECT_TRUE(machine.ledger.messages.empty());
}

TEST(Space, a_full_disk_refuses_new_mail_and_recovers_alone) {
  Machine machine(kSmall);
  machine.world.disk().set_capacity(2_MiB);
  ASSERT_TRUE(machine.open());
  std::uint64_t accepted = 0;
  Result<> last;
  while (accepted < 1000) {
    if (!machine.log->admit(10'000)) break;
    last = outcome_of(machine, machine.accept(make_mail(accepted + 1, 10'000)));
    if (!last) break;
    ++accepted;
  }
  EXPECT_GT(accepted, 50u);
  EXPECT_LT(accepted, 200u);
  ASSERT_FALSE(machine.log->admit(10'000));
  EXPECT_EQ(machine.log->admit(10'000).error().code, Errc::no_space);
  // What was accepted still moves: outcomes find room, and with them space comes back.
  for (std::uint64_t i = 1; i <= accepted; ++i) ASSERT_TRUE(outcome_of(machine, machine.deliver(make_id<MessageId>(i), 1))) << i;
  machine.world.run_for(std::chrono::seconds{5});
  EXPECT_TRUE(machine.log->admit(10'000));
  EXPECT_TRUE(outcome_of(machine, machine.accept(make_mail(5000, 10'000))));
}

TEST(Space, mail_without_end_on_a_full_disk_is_refused_not_lost) {
  Machine machine(kSmall);
  machine.world.disk().set_capacity(2_MiB);
  ASSERT_TRUE(machine.open());
  std::set<MessageId> accepted;
  std::uint64_t refused = 0;
  for (std::uint64_t i = 1; i < 300; ++i) {  // nobody asks admit()
    const Result<> done = outcome_of(machine, machine.accept(make_mail(i, 20'000)));
    if (done)
      accepted.insert(make_id<MessageId>(i));
    else
      ++refused;
  }
  EXPECT_GT(refused, 0u);
  for (const MessageId& id : accepted) ASSERT_TRUE(outcome_of(machine, machine.deliver(id, 1))) << "no room for an outcome";
}

TEST(Space, H3_starts_on_a_full_disk_use_the_reserve_so_that_outcomes_go_on) {
  Machine machine({.segment_bytes = 256_KiB, .group_bytes = 64_KiB, .disk_reserve_bytes = 1_MiB});
  machine.world.disk().set_capacity(3_MiB);
  ASSERT_TRUE(machine.open());
  std::uint64_t accepted = 0;
  while (accepted < 1000 && machine.log->admit(10'000)) {
    if (!outcome_of(machine, machine.accept(make_mail(accepted + 1, 10'000)))) break;
    ++accepted;
  }
  EXPECT_GT(accepted, 50u);
  // Each start begins a segment, and on this disk there is none to use again.
  std::uint64_t delivered = 0;
  for (int start = 0; start < 5; ++start) {
    machine.crash(sim::Death::power_loss);
    EXPECT_FALSE(machine.log->admit(10'000)) << "the reserve is not for new mail";
    ASSERT_TRUE(outcome_of(machine, machine.deliver(make_id<MessageId>(++delivered), 1))) << "no room for an outcome after start " << start;
  }
  while (delivered < accepted) ASSERT_TRUE(outcome_of(machine, machine.deliver(make_id<MessageId>(++delivered), 1))) << delivered;
  machine.settle();
  EXPECT_TRUE(machine.log->admit(10'000)) << "and with what is dead now the disk is not full any more";
}

TEST(Space, mail_may_be_refused_while_much_is_left) {
  Machine machine(kSmall);
  machine.world.disk().set_capacity(16_MiB);
  ASSERT_TRUE(machine.open());
  EXPECT_TRUE(machine.log->admit(10'000, 8_MiB));
  EXPECT_FALSE(machine.log->admit(10'000, 17_MiB));
  EXPECT_EQ(machine.log->admit(10'000, 17_MiB).error().code, Errc::no_space);
}

TEST(Space, copying_forward_empties_a_generation) {
  Machine machine(kSmall);
  NonceOracle oracle;
  ASSERT_TRUE(machine.open());
  const Mail small = make_mail(1'000'000, 700, 3), large = make_mail(1'000'001, 60'000);
  ASSERT_TRUE(outcome_of(machine, machine.accept(small)));
  ASSERT_TRUE(outcome_of(machine, machine.accept(large)));
  // One recipient of the small one is done: the copy must carry that.
  ASSERT_TRUE(outcome_of(machine, machine.record(small.id, {{1, {.state = RecipientState::delivered}, ""}}, 1)));
  std::uint64_t failures = 0;
  drive(*machine.ring, accept_and_deliver(machine, 1, 100, 10'000, failures));
  const std::uint64_t old = machine.places[small.id].generation;
  ASSERT_EQ(machine.places[large.id].generation, old);
  struct Copier {
    static Task<void> run(Machine& machine, Mail mail, std::uint64_t generation, std::uint32_t revision) {
      std::vector<RecipientStatus> statuses(mail.recipients.size());
      if (revision > 0) statuses[1].state = RecipientState::delivered;
      const Scheduling scheduling{.size = mail.body.size(), .revision = revision, .recipients = statuses};
      Result<Position> copy = co_await machine.log->copy_forward(mail.id, machine.places[mail.id], generation, scheduling);
      EXPECT_TRUE(copy);
      if (copy) machine.places[mail.id] = *copy;
    }
  };
  drive(*machine.ring, Copier::run(machine, small, old, 1));
  drive(*machine.ring, Copier::run(machine, large, old, 0));
  EXPECT_NE(machine.places[small.id].generation, old);
  EXPECT_FALSE(machine.log->has_chunks_in(large.id, old));
  for (const Mail& mail : {small, large}) EXPECT_TRUE(outcome_of(machine, machine.check(mail, machine.places[mail.id])));
  drive(*machine.ring, accept_and_deliver(machine, 1'000, 100, 10'000, failures));
  machine.settle();
  machine.crash(sim::Death::power_loss);
  EXPECT_TRUE(machine.ledger.damages.empty()) << machine.ledger.describe();
  ASSERT_EQ(machine.places.size(), 2u);
  EXPECT_EQ(machine.ledger.messages[small.id].recipients[1].state, RecipientState::delivered);
  EXPECT_EQ(machine.ledger.messages[small.id].revision, 1u);
  for (const Mail& mail : {small, large}) EXPECT_TRUE(outcome_of(machine, machine.check(mail, machine.places[mail.id])));
  EXPECT_LE(machine.log->space().segments, 8u);
}

TEST(Space, cleaning_is_asked_for_when_space_is_short) {
  Machine machine(kSmall);
  machine.world.disk().set_capacity(3_MiB);
  ASSERT_TRUE(machine.open());
  EXPECT_EQ(machine.log->cleaning_candidate(), 0u);
  // In each segment one message stays.
  std::uint64_t number = 0, stay = 1'000'000;
  while (machine.log->admit(30'000) && number < 200) {
    ASSERT_TRUE(outcome_of(machine, machine.accept(make_mail(++stay, 500))));
    std::uint64_t failures = 0;
    drive(*machine.ring, accept_and_deliver(machine, number += 20, 19, 10'000, failures));
    machine.world.run_for(std::chrono::seconds{3});
  }
  const std::uint64_t candidate = machine.log->cleaning_candidate();
  ASSERT_NE(candidate, 0u);
  bool lies_there = false;
  for (const auto& [id, place] : machine.places) lies_there = lies_there || place.generation == candidate;
  EXPECT_TRUE(lies_there);
}

TEST(Space, a_start_that_uses_an_old_segment_again_knows_how_much_the_disk_has) {
  Machine machine(kSmall);
  ASSERT_TRUE(machine.open());
  ASSERT_TRUE(outcome_of(machine, machine.accept(make_mail(1, 1000))));
  ASSERT_TRUE(outcome_of(machine, machine.deliver(make_id<MessageId>(1), 1)));
  machine.restart();
  EXPECT_TRUE(machine.log->admit(30'000)) << "a nearly empty disk";
}

TEST(Space, a_segment_of_a_share_of_the_disk) {
  EXPECT_EQ(segment_bytes_for(1_GiB, 1), 16_MiB);
  EXPECT_EQ(segment_bytes_for(1_GiB, 16), 4_MiB);
  EXPECT_EQ(segment_bytes_for(1024_GiB, 8), 64_MiB);
  EXPECT_EQ(segment_bytes_for(1'000'000'007, 1) % crypto::kBlockBytes, 0u);
}

}  // namespace
}  // namespace ringpost::spool
