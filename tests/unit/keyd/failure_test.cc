// Every disk operation of keyd fails once, every moment sees a crash or a power cut: what was handed out is never lost.
#include "support.hh"

namespace ringpost::keyd {
namespace {

/// What a run of keyd and one client came to.
struct Outcome {
  std::optional<StoreId> store;
  std::optional<KeyId> lease;
};

Task<Outcome> hello_and_lease(keys::Client& client, Instant deadline) {
  Outcome outcome;
  Result<keys::Hello> hello = co_await client.hello(deadline);
  if (!hello) co_return outcome;
  outcome.store = hello->store;
  Result<KeyId> lease = co_await client.lease({}, KeyClass::incoming);
  if (lease) outcome.lease = *lease;
  co_return outcome;
}

/// A clean start after whatever happened: the store opens and holds what `before` was told.
void expect_kept(KeydWorld& world, const Outcome& before) {
  world.start_keyd();
  keys::Client& client = world.make_client(!before.store);
  const Outcome after = world.run(hello_and_lease(client, world.ring().now() + std::chrono::minutes{1}));
  ASSERT_TRUE(after.store);
  ASSERT_TRUE(after.lease);
  if (before.store) EXPECT_EQ(*after.store, *before.store);
  if (before.lease) EXPECT_EQ(*after.lease, *before.lease);
}

class KeydFailure : public testing::TestWithParam<sim::Fault> {};

TEST_P(KeydFailure, H4_fail_the_nth_disk_operation) {
  std::uint64_t hits = 0;
  for (std::uint64_t nth = 1; nth < 200; ++nth) {
    KeydWorld world{nth};
    world.world().faults().fail_nth(GetParam(), nth);
    Outcome outcome;
    for (int life = 0; life < 2; ++life) {  // the first one creates, the second one reads
      world.start_keyd();
      keys::Client& client = world.make_client(!outcome.store);
      const Outcome now = world.run(hello_and_lease(client, world.ring().now() + std::chrono::seconds{5}));
      if (now.store) outcome.store = now.store;
      if (now.lease) outcome.lease = now.lease;
      world.stop(client);
      world.stop_keyd();
    }
    const bool struck = world.world().faults().hits(GetParam()) > 0;
    hits += struck;
    world.world().faults().heal();
    world.disk().power_cut();
    expect_kept(world, outcome);
    if (!struck) break;
  }
  EXPECT_GT(hits, 0u) << sim::fault_name(GetParam());
}

INSTANTIATE_TEST_SUITE_P(EveryDiskFault, KeydFailure,
                         testing::Values(sim::Fault::disk_short_write, sim::Fault::disk_write_error, sim::Fault::disk_sync_error,
                                         sim::Fault::disk_read_error, sim::Fault::disk_short_read, sim::Fault::disk_open_error,
                                         sim::Fault::disk_name_error, sim::Fault::disk_no_space),
                         [](const auto& info) { return std::string{sim::fault_name(info.param)}; });

TEST(KeydCrash, H2_a_power_cut_at_any_completion_keeps_what_was_handed_out) {
  int crashes = 0;
  for (std::uint64_t nth = 1; nth < 200; ++nth) {
    KeydWorld world{nth};
    world.world().plan_crash({.process = "keyd", .nth = nth});
    world.start_keyd();
    keys::Client& client = world.make_client(true, std::chrono::seconds{2});
    Outcome outcome;
    const auto ask = [](keys::Client& client, Instant deadline, Outcome& outcome) -> Task<void> {
      outcome = co_await hello_and_lease(client, deadline);
    };
    runtime::Scope scope{world.ring()};
    scope.spawn(ask(client, world.ring().now() + std::chrono::seconds{2}, outcome));
    const sim::Stop stop = world.world().run_until([&] { return scope.running() == 0; }, kLong);
    const bool crashed = stop == sim::Stop::crash;
    world.world().cancel_crash();
    if (crashed) {
      ++crashes;
      world.kill_keyd();
      if (nth % 2 == 0) world.disk().power_cut();
      ASSERT_EQ(world.world().run_until([&] { return scope.running() == 0; }, kLong), sim::Stop::reached);
    } else {
      world.stop_keyd();
    }
    world.stop(client);
    // The directory itself is the launcher's business: durable long before.
    expect_kept(world, outcome);
    if (!crashed) break;
  }
  EXPECT_GT(crashes, 10);
}

}  // namespace
}  // namespace ringpost::keyd
