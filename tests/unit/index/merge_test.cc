// What the log says, taken in piece by piece.
#include <gtest/gtest.h>

#include <algorithm>

#include "index_world.hh"
#include "ringpost/index/memory_store.hh"

namespace ringpost::index {
namespace {

using runtime::Ring;
using runtime::Task;

const StoreId kStore{};
const PartitionId kPartition{};
const std::vector<std::byte> kMetadataKey(32, std::byte{9});

LogFact message(const Entry& entry) { return {.is_outcome = false, .entry = entry, .changes = {}}; }

LogFact outcome(Entry& entry, Prng& prng) {
  LogFact fact{.is_outcome = true};
  fact.entry.id = entry.id;
  fact.entry.revision = ++entry.revision;
  fact.entry.due = entry.due = entry.due + Duration{static_cast<std::int64_t>(prng.below(1'000'000'000'000))};
  fact.entry.held = entry.held = prng.one_in(5);
  fact.entry.waited = entry.waited = {static_cast<std::uint32_t>(prng.below(1000)), prng.one_in(2)};
  for (std::uint32_t i = 0; i < entry.recipients.size(); ++i) {
    if (prng.one_in(2)) continue;
    entry.recipients[i].state = prng.one_in(3) ? spool::RecipientState::waiting : spool::RecipientState::delivered;
    fact.changes.emplace_back(i, entry.recipients[i]);
  }
  return fact;
}

/// A log in which messages come, are tried, are copied forward, and end. `truth`: what it comes to.
std::vector<LogFact> random_log(Prng& prng, Model& truth) {
  std::vector<LogFact> log;
  std::uint64_t generation = 1;
  while (log.size() < 400) {
    generation += prng.one_in(20);
    if (truth.empty() || prng.one_in(3)) {
      Entry entry = random_entry(prng);
      entry.revision = 0;
      entry.place.generation = generation;
      for (spool::RecipientStatus& status : entry.recipients) status.state = spool::RecipientState::waiting;
      log.push_back(message(entry));
      truth[entry.id] = entry;
      continue;
    }
    auto chosen = std::next(truth.begin(), static_cast<long>(prng.below(truth.size())));
    Entry& entry = chosen->second;
    if (prng.one_in(5)) {
      entry.place = {generation, static_cast<std::uint32_t>(log.size()), 100};
      entry.chunks = random_entry(prng).chunks;
      log.push_back(message(entry));
      continue;
    }
    log.push_back(outcome(entry, prng));
    if (entry.is_over()) truth.erase(chosen);
  }
  return log;
}

Task<void> take_in(Ring& ring, std::uint64_t seed) {
  Prng prng(seed);
  MemoryRows rows;
  auto opened = co_await Index::open(ring, make_memory_store(rows), kStore, kPartition, kMetadataKey);
  CO_ASSERT(opened);
  Index& index = *opened->index;
  Model truth;
  const std::vector<LogFact> log = random_log(prng, truth);
  // A start may end anywhere in it; the next one begins from the front.
  for (const std::size_t upto : {prng.below(log.size()), log.size()}) {
    for (std::size_t from = 0; from < upto;) {
      const std::size_t count = std::min<std::size_t>(1 + prng.below(90), upto - from);
      const Result<> merged = co_await index.merge({log.begin() + static_cast<long>(from), log.begin() + static_cast<long>(from + count)});
      EXPECT_TRUE(merged);
      from += count;
    }
  }
  Collector collector;
  auto visited = co_await visit_all(index, collector);
  EXPECT_TRUE(visited);
  EXPECT_TRUE(collector.entries == truth) << "seed " << seed << ": " << collector.entries.size() << " of " << truth.size();
  EXPECT_EQ(index.stats().totals.entries, truth.size());
  std::uint64_t waiting = 0;
  std::map<std::uint64_t, GenerationLive> live;
  for (const auto& [id, entry] : truth) {
    waiting += entry.waiting();
    ++live[entry.place.generation].records;
    for (const spool::Extent& extent : entry.chunks) live[extent.generation].records += extent.records;
  }
  EXPECT_EQ(index.stats().totals.waiting_recipients, waiting);
  auto generations = co_await index.live_by_generation();
  CO_ASSERT(generations);
  EXPECT_EQ(generations->size(), live.size());
  for (const GenerationLive& generation : *generations) EXPECT_EQ(generation.records, live[generation.generation].records);
  auto proven = co_await index.prove();
  EXPECT_TRUE(proven && *proven);
}

TEST(IndexMerge, a_log_taken_in_by_pieces_comes_to_what_it_says_also_when_begun_again) {
  World world;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) world.run(take_in(world.ring(), seed));
}

Task<void> find_many(Ring& ring) {
  Prng prng(3);
  MemoryRows rows;
  auto opened = co_await Index::open(ring, make_memory_store(rows), kStore, kPartition, kMetadataKey);
  CO_ASSERT(opened);
  Index& index = *opened->index;
  const Entry stored = random_entry(prng), changed = random_entry(prng), erased = random_entry(prng), fresh = random_entry(prng);
  for (const Entry& entry : {stored, changed, erased}) index.insert(entry);
  EXPECT_EQ(co_await index.commit({1, 1}), true);
  Entry now = changed;
  now.revision += 1;
  index.put(now);
  index.erase(erased.id);
  index.insert(fresh);
  auto found = co_await index.find_all({stored.id, changed.id, erased.id, fresh.id, random_id<MessageId>(prng)});
  CO_ASSERT(found);
  Model model;
  for (Entry& entry : *found) model[entry.id] = entry;
  EXPECT_EQ(found->size(), 3u);
  EXPECT_TRUE(model[stored.id] == stored && model[changed.id] == now && model[fresh.id] == fresh);
}

TEST(IndexMerge, many_are_found_at_once_as_they_are_now) {
  World world;
  world.run(find_many(world.ring()));
}

}  // namespace
}  // namespace ringpost::index
