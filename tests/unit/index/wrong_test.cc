// Contents that are not what the last commit left: noticed where they can be.
#include "index_world.hh"
#include "ringpost/index/memory_store.hh"

namespace ringpost::index {
namespace {

using runtime::Ring;
using runtime::Task;

constexpr std::size_t kGroups = 6;

/// Commits `kGroups` groups; `models[group]` is what each left.
Task<void> fill(Ring& ring, MemoryRows& rows, std::uint64_t seed, std::vector<Model>& models) {
  Prng prng(seed);
  auto opened = co_await proven(Index::open(ring, make_memory_store(rows), kStore, kPartition, kMetadataKey));
  CO_ASSERT(opened);
  Model model;
  models.assign(1, {});
  for (std::uint64_t group = 1; group <= kGroups; ++group) {
    for (int i = 0; i < 10; ++i) {
      const Entry entry = random_entry(prng);
      opened->index->insert(entry);
      model.insert_or_assign(entry.id, entry);
      if (prng.one_in(2)) continue;
      const Entry changed = random_entry(prng, model.begin()->first);
      opened->index->put(changed);
      model.insert_or_assign(changed.id, changed);
    }
    EXPECT_EQ(co_await opened->index->commit({1, group}), true);
    models.push_back(model);
  }
}

struct Found {
  Opening state{};
  LogMark mark;
  Model content;
};

Task<void> look(Ring& ring, MemoryRows& rows, StoreId store, PartitionId partition, std::vector<std::byte> key, Found& found) {
  auto opened = co_await proven(Index::open(ring, make_memory_store(rows), store, partition, key));
  CO_ASSERT(opened);
  found.state = opened->state;
  found.mark = opened->mark;
  Collector collector;
  auto visited = co_await visit_all(*opened->index, collector);
  CO_ASSERT(visited);
  found.content = std::move(collector.entries);
}

Found found_in(World& world, MemoryRows& rows, StoreId store = kStore, PartitionId partition = kPartition,
               std::vector<std::byte> key = kMetadataKey) {
  Found found;
  world.run(look(world.ring(), rows, store, partition, std::move(key), found));
  return found;
}

TEST(IndexWrong, every_state_a_crash_leaves_is_a_committed_one_or_noticed) {
  World world;
  int seen[kCrashStates] = {}, stale = 0, noticed = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    MemoryRows rows;
    std::vector<Model> models;
    world.run(fill(world.ring(), rows, seed, models));
    Prng prng(seed);
    const auto state = static_cast<CrashState>(seed % kCrashStates);
    ++seen[seed % kCrashStates];
    rows.crash(state, prng);
    const Found found = found_in(world, rows);
    if (found.state == Opening::restored) {
      ASSERT_LE(found.mark.group, kGroups);
      EXPECT_TRUE(found.content == models[found.mark.group]);
    } else {
      EXPECT_EQ(found.mark, LogMark{});
      EXPECT_TRUE(found.content.empty());
    }
    if (state == CrashState::intact) EXPECT_EQ(found.mark.group, kGroups);
    if (state == CrashState::gone) EXPECT_EQ(found.state, Opening::created);
    stale += found.state == Opening::restored && found.mark.group < kGroups;
    noticed += found.state == Opening::wrong || found.state == Opening::foreign;
  }
  for (const int count : seen) EXPECT_GT(count, 0);
  EXPECT_GT(stale, 10);
  EXPECT_GT(noticed, 20);
}

TEST(IndexWrong, another_partition_store_or_key_is_not_believed) {
  World world;
  std::vector<Model> models;
  const StoreId other_store{{std::byte{99}}};
  const PartitionId other_partition{{std::byte{99}}};
  MemoryRows of_store, of_partition, of_key;
  for (MemoryRows* rows : {&of_store, &of_partition, &of_key}) world.run(fill(world.ring(), *rows, 1, models));
  EXPECT_EQ(found_in(world, of_store, other_store).state, Opening::foreign);
  EXPECT_EQ(found_in(world, of_partition, kStore, other_partition).state, Opening::foreign);
  const Found found = found_in(world, of_key, kStore, kPartition, std::vector<std::byte>(32, std::byte{7}));
  EXPECT_EQ(found.state, Opening::wrong);
  EXPECT_TRUE(found.content.empty());
}

Task<void> find_damaged(Ring& ring, MemoryRows& rows, bool& noticed) {
  auto opened = co_await Index::open(ring, make_memory_store(rows), kStore, kPartition, kMetadataKey);
  CO_ASSERT(opened);
  if (opened->state != Opening::restored) co_return;  // it hit the head
  Collector collector;
  auto visited = co_await visit_all(*opened->index, collector);
  if (visited) co_return;
  noticed = true;
  EXPECT_EQ(visited.error().code, Errc::corrupt);
  EXPECT_EQ(opened->index->health(), Health::broken);
}

TEST(IndexWrong, without_the_check_at_start_a_damaged_row_is_noticed_when_it_is_read_and_the_next_start_rebuilds) {
  World world;
  int noticed_in_all = 0;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    MemoryRows rows;
    std::vector<Model> models;
    world.run(fill(world.ring(), rows, seed, models));
    Prng prng(seed);
    rows.crash(CrashState::wrong, prng);
    bool noticed = false;
    world.run(find_damaged(world.ring(), rows, noticed));
    if (!noticed) continue;
    ++noticed_in_all;
    EXPECT_EQ(found_in(world, rows).state, Opening::unproven);
  }
  EXPECT_GT(noticed_in_all, 5);
}

Task<void> start_over(Ring& ring, MemoryRows& rows) {
  auto opened = co_await proven(Index::open(ring, make_memory_store(rows), kStore, kPartition, kMetadataKey));
  CO_ASSERT(opened);
  EXPECT_EQ(opened->mark.group, kGroups);
  CO_ASSERT(co_await opened->index->reset());
  EXPECT_EQ(opened->index->committed(), LogMark{});
  Prng prng(77);
  opened->index->insert(random_entry(prng));
  EXPECT_EQ(co_await opened->index->commit({9, 900}), true);
}

TEST(IndexWrong, an_index_that_is_ahead_of_its_log_can_be_thrown_away) {
  World world;
  MemoryRows rows;
  std::vector<Model> models;
  world.run(fill(world.ring(), rows, 1, models));
  world.run(start_over(world.ring(), rows));
  const Found found = found_in(world, rows);
  EXPECT_EQ(found.state, Opening::restored);
  EXPECT_EQ(found.mark, (LogMark{9, 900}));
  EXPECT_EQ(found.content.size(), 1u);
}

}  // namespace
}  // namespace ringpost::index
