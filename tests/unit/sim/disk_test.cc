// What the simulated disk promises, and above all what it does not.
#include <algorithm>
#include <cerrno>
#include <set>

#include "support.hh"

namespace ringpost::sim {
namespace {

constexpr std::uint64_t kCuts = 200;

/// Runs `write` on a fresh world for many seeds, cuts the power after it, and hands the disk to `look`.
template <typename Write, typename Look>
void after_power_cuts(Write write, Look look) {
  for (std::uint64_t seed = 1; seed <= kCuts; ++seed) {
    World world(seed);
    SimRing& ring = world.make_ring("writer");
    drive(ring, write(ring));
    world.kill(ring, Death::power_loss);
    world.disk().power_cut();
    look(world.disk());
  }
}

Task<void> write_without_sync(runtime::Ring& ring) {
  const Fd fd = co_await open_file(ring, "/file", O_RDWR | O_CREAT);
  const Fd root = co_await open_file(ring, "/", O_RDONLY | O_DIRECTORY);
  const auto old = filled(2048, 'a'), fresh = filled(2048, 'b');
  (void)co_await ring.write(fd, sealed(old), 0);
  (void)co_await ring.sync_data(fd);
  (void)co_await ring.sync_all(root);
  auto written = co_await ring.write(fd, sealed(fresh), 0);
  EXPECT_EQ(written.value_or(0), 2048u);
}

TEST(SimDisk, a_cut_keeps_any_subset_of_unsynced_sectors) {
  std::set<std::string> outcomes;
  after_power_cuts(write_without_sync, [&](const Disk& disk) {
    auto bytes = disk.content("/file");
    ASSERT_TRUE(bytes);
    ASSERT_EQ(bytes->size(), 2048u);
    std::string outcome;
    for (std::size_t sector = 0; sector < 4; ++sector) {
      auto begin = bytes->begin() + static_cast<std::ptrdiff_t>(sector * 512);
      ASSERT_EQ(std::count(begin, begin + 512, *begin), 512) << "a sector was torn";
      outcome += static_cast<char>(*begin);
    }
    outcomes.insert(outcome);
  });
  EXPECT_TRUE(outcomes.contains("aaaa"));
  EXPECT_TRUE(outcomes.contains("bbbb"));
  EXPECT_GT(outcomes.size(), 8u);
}

Task<void> write_and_sync(runtime::Ring& ring) {
  const Fd fd = co_await open_file(ring, "/file", O_RDWR | O_CREAT);
  const Fd root = co_await open_file(ring, "/", O_RDONLY | O_DIRECTORY);
  const auto bytes = filled(5000, 'x');
  auto outcome = co_await ring.write_then_sync(fd, sealed(bytes), 0);
  EXPECT_TRUE(outcome.written && outcome.synced);
  (void)co_await ring.sync_all(root);
}

TEST(SimDisk, what_was_synced_survives_every_cut) {
  after_power_cuts(write_and_sync, [](const Disk& disk) { EXPECT_EQ(disk.content("/file"), filled(5000, 'x')); });
}

Task<void> create_without_directory_sync(runtime::Ring& ring) {
  const Fd fd = co_await open_file(ring, "/file", O_RDWR | O_CREAT);
  const auto bytes = filled(100, 'x');
  auto outcome = co_await ring.write_then_sync(fd, sealed(bytes), 0);
  EXPECT_TRUE(outcome.synced);
}

TEST(SimDisk, a_name_without_a_directory_sync_may_be_lost) {
  std::uint64_t lost = 0;
  after_power_cuts(create_without_directory_sync, [&](const Disk& disk) { lost += !disk.exists("/file"); });
  EXPECT_GT(lost, 0u);
  EXPECT_LT(lost, kCuts);
}

Task<void> replace_by_rename(runtime::Ring& ring) {
  const Fd root = co_await open_file(ring, "/", O_RDONLY | O_DIRECTORY);
  const auto old = filled(600, 'a'), fresh = filled(700, 'b');
  const Fd first = co_await open_file(ring, "/file", O_RDWR | O_CREAT);
  (void)co_await ring.write_then_sync(first, sealed(old), 0);
  (void)co_await ring.sync_all(root);
  const Fd second = co_await open_file(ring, "/file.new", O_RDWR | O_CREAT);
  (void)co_await ring.write_then_sync(second, sealed(fresh), 0);
  auto renamed = co_await ring.rename("/file.new", "/file");
  EXPECT_TRUE(renamed);
}

TEST(SimDisk, a_rename_of_synced_bytes_is_old_or_new) {
  std::uint64_t renewed = 0;
  after_power_cuts(replace_by_rename, [&](const Disk& disk) {
    auto bytes = disk.content("/file");
    ASSERT_TRUE(bytes);
    EXPECT_TRUE(*bytes == filled(600, 'a') || *bytes == filled(700, 'b'));
    renewed += bytes->size() == 700;
  });
  EXPECT_GT(renewed, 0u);
  EXPECT_LT(renewed, kCuts);
}

Task<void> grow_without_sync(runtime::Ring& ring) {
  const Fd root = co_await open_file(ring, "/", O_RDONLY | O_DIRECTORY);
  const Fd fd = co_await open_file(ring, "/file", O_RDWR | O_CREAT);
  (void)co_await ring.sync_all(root);
  auto grown = co_await ring.allocate(fd, 0, 8192);
  EXPECT_TRUE(grown);
  auto info = ring.file_info(fd);
  EXPECT_TRUE(info && info->size == 8192);
}

TEST(SimDisk, an_unsynced_size_may_be_lost) {
  std::set<std::size_t> sizes;
  after_power_cuts(grow_without_sync, [&](const Disk& disk) { sizes.insert(disk.content("/file")->size()); });
  EXPECT_EQ(sizes, (std::set<std::size_t>{0, 8192}));
}

Task<void> retry_a_failed_sync(SimRing& ring) {
  const Fd root = co_await open_file(ring, "/", O_RDONLY | O_DIRECTORY);
  const Fd fd = co_await open_file(ring, "/file", O_RDWR | O_CREAT);
  (void)co_await ring.sync_all(root);
  const auto bytes = filled(2048, 'x');
  (void)co_await ring.write(fd, sealed(bytes), 0);
  ring.world().faults().fail_nth(Fault::disk_sync_error, 1);
  auto first = co_await ring.sync_data(fd);
  EXPECT_TRUE(!first && first.error().code == Errc::io);
  auto second = co_await ring.sync_data(fd);
  EXPECT_TRUE(second);
  std::vector<std::byte> seen(2048);
  auto read = co_await ring.read(fd, seen, 0);  // the page cache still has it
  EXPECT_TRUE(read && seen == bytes);
}

TEST(SimDisk, a_sync_that_succeeds_after_one_that_failed_proves_nothing) {
  std::uint64_t lost = 0;
  after_power_cuts(retry_a_failed_sync, [&](const Disk& disk) { lost += disk.content("/file") != filled(2048, 'x'); });
  EXPECT_GT(lost, kCuts / 4);
  EXPECT_LT(lost, kCuts);
}

TEST(SimDisk, a_kill_alone_loses_nothing) {
  World world(7);
  SimRing& ring = world.make_ring("writer");
  drive(ring, write_without_sync(ring));
  world.kill(ring);
  EXPECT_EQ(world.disk().content("/file"), filled(2048, 'b'));
}

Task<void> refuse_misaligned(SimRing& ring) {
  auto memory = ring.make_io_buffer(4096);
  const Fd fd = co_await open_file(ring, "/file", O_RDWR | O_CREAT | O_DIRECT);
  auto good = co_await ring.write(fd, sealed(*memory), 0);
  EXPECT_EQ(good.value_or(0), 4096u);
  auto size = co_await ring.write(fd, sealed(memory->first(100)), 0);
  EXPECT_TRUE(!size && size.error().detail == EINVAL);
  auto offset = co_await ring.write(fd, sealed(memory->first(512)), 100);
  EXPECT_TRUE(!offset && offset.error().detail == EINVAL);
  auto place = co_await ring.write(fd, sealed(memory->subspan(8, 512)), 0);
  EXPECT_TRUE(!place && place.error().detail == EINVAL);
  auto read = co_await ring.read(fd, memory->subspan(8, 512), 0);
  EXPECT_TRUE(!read && read.error().detail == EINVAL);
  (void)co_await ring.close(fd);
}

TEST(SimDisk, direct_io_must_be_aligned) {
  World world(1);
  SimRing& ring = world.make_ring("writer");
  drive(ring, refuse_misaligned(ring));
}

Task<void> fill_up(SimRing& ring) {
  ring.world().disk().set_capacity(3 * 4096);
  const Fd fd = co_await open_file(ring, "/file", O_RDWR | O_CREAT);
  const auto bytes = filled(2 * 4096, 'x');
  auto first = co_await ring.write(fd, sealed(bytes), 0);
  EXPECT_EQ(first.value_or(0), bytes.size());
  auto info = ring.disk_info("/");
  EXPECT_TRUE(info && info->bytes_free == 4096);
  auto outcome = co_await ring.write_then_sync(fd, sealed(bytes), bytes.size());
  EXPECT_EQ(outcome.written.value_or(0), 4096u);  // what fits
  EXPECT_TRUE(!outcome.synced && outcome.synced.error().code == Errc::cancelled);
  auto none = co_await ring.write(fd, sealed(bytes), 3 * 4096);
  EXPECT_TRUE(!none && none.error().code == Errc::no_space);
  auto over = co_await ring.write(fd, sealed(bytes), 0);  // no new space needed
  EXPECT_EQ(over.value_or(0), bytes.size());
  (void)co_await ring.close(fd);
  auto unlinked = co_await ring.unlink("/file");
  EXPECT_TRUE(unlinked);
  const Fd root = co_await open_file(ring, "/", O_RDONLY | O_DIRECTORY);
  (void)co_await ring.sync_all(root);
  (void)co_await ring.close(root);
  EXPECT_EQ(ring.world().disk().bytes_used(), 0u);
}

TEST(SimDisk, a_full_disk_takes_what_fits_and_frees_what_is_unlinked) {
  World world(1);
  SimRing& ring = world.make_ring("writer");
  drive(ring, fill_up(ring));
}

Task<void> lock_twice(SimRing& first, SimRing& second) {
  const Fd mine = co_await open_file(first, "/lock", O_RDWR | O_CREAT);
  EXPECT_TRUE(first.lock_file(mine));
  const Fd other = co_await open_file(second, "/lock", O_RDWR);
  auto busy = second.lock_file(other);
  EXPECT_TRUE(!busy && busy.error().code == Errc::busy);
  (void)co_await first.close(mine);
  EXPECT_TRUE(second.lock_file(other));
}

Task<void> lock_again(SimRing& ring) {
  const Fd fd = co_await open_file(ring, "/lock", O_RDWR);
  EXPECT_TRUE(ring.lock_file(fd));
}

TEST(SimDisk, a_lock_is_held_until_its_description_is_closed) {
  World world(1);
  SimRing &first = world.make_ring("first"), &second = world.make_ring("second"), &third = world.make_ring("third");
  drive(first, lock_twice(first, second));
  world.kill(second);
  drive(third, lock_again(third));
}

Task<void> meet_planted_links(SimRing& ring) {
  auto followed = co_await ring.open("/link", O_RDONLY);
  EXPECT_TRUE(followed);
  auto refused = co_await ring.open("/link", O_RDONLY | O_NOFOLLOW);
  EXPECT_TRUE(!refused && refused.error().detail == ELOOP);
  auto info = ring.path_info("/link");
  EXPECT_TRUE(info && info->is_symlink && !info->is_regular);
  auto exclusive = co_await ring.open("/link", O_RDWR | O_CREAT | O_EXCL);
  EXPECT_TRUE(!exclusive && exclusive.error().code == Errc::exists);
  auto loop = co_await ring.open("/loop", O_RDONLY);
  EXPECT_TRUE(!loop && loop.error().detail == ELOOP);
}

TEST(SimDisk, symbolic_links_are_followed_only_where_asked) {
  World world(1);
  world.disk().put("/target", as_bytes("secret"));
  world.disk().make_symlink("/link", "target");
  world.disk().make_symlink("/loop", "/loop");
  SimRing& ring = world.make_ring("reader");
  drive(ring, meet_planted_links(ring));
}

Task<void> leave_traces(SimRing& ring) {
  const Fd fd = co_await open_file(ring, "/file", O_RDWR | O_CREAT);
  auto bytes = filled(8192, '.');
  copy_bytes(MutableBytes{bytes}.subspan(4090), as_bytes("plaintext"));  // across a page's edge
  (void)co_await ring.write(fd, sealed(bytes), 0);
  (void)co_await ring.sync_data(fd);
  EXPECT_TRUE(ring.world().disk().contains(as_bytes("plaintext")));
  const auto clean = filled(8192, '.');
  (void)co_await ring.write(fd, sealed(clean), 0);
  EXPECT_TRUE(ring.world().disk().contains(as_bytes("plaintext")));  // not seen any more, but still durable
  (void)co_await ring.sync_data(fd);
  EXPECT_FALSE(ring.world().disk().contains(as_bytes("plaintext")));
}

TEST(SimDisk, planted_plaintext_is_found_wherever_it_stands) {
  World world(1);
  world.disk().watch(as_bytes("plaintext"));
  SimRing& ring = world.make_ring("writer");
  drive(ring, leave_traces(ring));
  EXPECT_EQ(world.disk().watched_hits(), 1u);  // remembered although it was overwritten
}

TEST(SimDisk, tampering_reaches_the_named_bit_only) {
  World world(1);
  world.disk().put("/file", as_bytes("abc"));
  world.disk().flip_bit("/file", 1, 0);
  EXPECT_EQ(as_text(*world.disk().content("/file")), "acc");
  world.disk().truncate("/file", 1);
  EXPECT_EQ(as_text(*world.disk().content("/file")), "a");
  world.disk().remove("/file");
  EXPECT_FALSE(world.disk().content("/file"));
}

}  // namespace
}  // namespace ringpost::sim
