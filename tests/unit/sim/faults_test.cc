// Faults strike when they are told to, and are counted.
#include <algorithm>
#include <cerrno>

#include "support.hh"

namespace ringpost::sim {
namespace {

TEST(SimFaults, the_nth_chance_fails_and_no_other) {
  Prng prng(1);
  Faults faults(prng);
  (void)faults.strike(Fault::disk_read_error);
  faults.fail_nth(Fault::disk_read_error, 3, 2);
  std::string struck;
  for (int i = 0; i < 6; ++i) struck += faults.strike(Fault::disk_read_error) ? 'x' : '.';
  EXPECT_EQ(struck, "..xx..");
  EXPECT_EQ(faults.hits(Fault::disk_read_error), 2u);
  EXPECT_EQ(faults.of(Fault::disk_read_error).chances, 7u);
}

TEST(SimFaults, one_in_n_strikes_about_as_often) {
  Prng prng(1);
  Faults faults(prng);
  faults.set(Fault::net_reset, 10);
  for (int i = 0; i < 10'000; ++i) (void)faults.strike(Fault::net_reset);
  EXPECT_GT(faults.hits(Fault::net_reset), 850u);
  EXPECT_LT(faults.hits(Fault::net_reset), 1150u);
}

TEST(SimFaults, healing_stops_all_and_forgets_nothing) {
  Prng prng(1);
  Faults faults(prng);
  faults.set(Fault::disk_open_error, 1);
  faults.fail_nth(Fault::disk_sync_error, 1, Faults::kForEver);
  faults.point("keyd_away").one_in = 1;
  EXPECT_TRUE(faults.strike(Fault::disk_open_error) && faults.strike(Fault::disk_sync_error) && faults.strike("keyd_away"));
  faults.heal();
  EXPECT_FALSE(faults.strike(Fault::disk_open_error) || faults.strike(Fault::disk_sync_error) || faults.strike("keyd_away"));
  const std::map<std::string, std::uint64_t> expected{{"disk_open_error", 1}, {"disk_sync_error", 1}, {"keyd_away", 1}};
  EXPECT_EQ(faults.hits(), expected);
}

struct FileCase {
  Fault fault;
  Errc expected;
};

/// Opens, writes, syncs, reads, renames and unlinks once; returns the first error.
Task<Result<>> use_a_file(runtime::Ring& ring) {
  auto opened = co_await ring.open("/file", O_RDWR | O_CREAT);
  if (!opened) co_return std::unexpected(opened.error());
  const Fd fd{static_cast<int>(*opened)};
  auto bytes = filled(4096, 'x');
  auto outcome = co_await ring.write_then_sync(fd, sealed(bytes), 0);
  std::vector<std::byte> seen(4096);
  auto read = co_await ring.read(fd, seen, 0);
  (void)co_await ring.close(fd);
  auto renamed = co_await ring.rename("/file", "/other");
  if (!outcome.written) co_return std::unexpected(outcome.written.error());
  if (!outcome.synced) co_return std::unexpected(outcome.synced.error());
  if (!read) co_return std::unexpected(read.error());
  if (!renamed) co_return std::unexpected(renamed.error());
  if (*read != seen.size() || seen != bytes) co_return std::unexpected(Error{Errc::corrupt});
  co_return {};
}

Task<void> expect_error(runtime::Ring& ring, Errc expected) {
  auto used = co_await use_a_file(ring);
  EXPECT_TRUE(!used && used.error().code == expected);
}

Task<void> expect_success(runtime::Ring& ring) {
  auto used = co_await use_a_file(ring);
  EXPECT_TRUE(used);
}

class SimFileFault : public testing::TestWithParam<FileCase> {};

TEST_P(SimFileFault, reaches_its_caller_once_and_leaves_no_operation) {
  World world(3);
  SimRing& ring = world.make_ring("user");
  world.faults().fail_nth(GetParam().fault, 1);
  drive(ring, expect_error(ring, GetParam().expected));
  EXPECT_EQ(world.faults().hits(GetParam().fault), 1u);
  EXPECT_TRUE(ring.quiet());
  drive(ring, expect_success(ring));
}

TEST_P(SimFileFault, for_ever_means_for_ever) {
  World world(3);
  SimRing& ring = world.make_ring("user");
  world.faults().fail_nth(GetParam().fault, 1, Faults::kForEver);
  for (int i = 0; i < 3; ++i) drive(ring, expect_error(ring, GetParam().expected));
  world.faults().heal();
  drive(ring, expect_success(ring));
}

INSTANTIATE_TEST_SUITE_P(Each, SimFileFault,
                         testing::Values(FileCase{Fault::disk_open_error, Errc::io}, FileCase{Fault::disk_write_error, Errc::io},
                                         FileCase{Fault::disk_no_space, Errc::no_space},
                                         FileCase{Fault::disk_sync_error, Errc::io}, FileCase{Fault::disk_read_error, Errc::io},
                                         FileCase{Fault::disk_name_error, Errc::io},
                                         FileCase{Fault::disk_short_write, Errc::cancelled},
                                         FileCase{Fault::disk_short_read, Errc::corrupt}),
                         [](const auto& info) { return std::string{fault_name(info.param.fault)}; });

Task<void> write_slowly(SimRing& ring) {
  ring.world().faults().fail_nth(Fault::disk_slow, 1);
  const Instant before = ring.now();
  const Fd fd = co_await open_file(ring, "/file", O_RDWR | O_CREAT);
  EXPECT_GE(ring.now() - before, milliseconds{50});
  (void)co_await ring.close(fd);
}

TEST(SimFaults, a_slow_disk_costs_virtual_time) {
  World world(1);
  SimRing& ring = world.make_ring("user");
  drive(ring, write_slowly(ring));
}

TEST(SimFaults, a_read_only_disk_refuses_every_change) {
  World world(1);
  world.disk().put("/file", as_bytes("x"));
  world.disk().set_read_only(true);
  SimRing& ring = world.make_ring("user");
  drive(ring, expect_error(ring, Errc::permission));
  EXPECT_EQ(as_text(*world.disk().content("/file")), "x");
}

}  // namespace
}  // namespace ringpost::sim
