// The index over UringRing and LMDB: what goes in comes out, at once and after a restart.
#include <algorithm>
#include <fstream>
#include <iterator>

#include "index_world.hh"
#include "ringpost/index/memory_store.hh"

namespace ringpost::index {
namespace {

using runtime::Ring;
using runtime::Task;

constexpr LogMark mark_of(std::uint64_t group) { return {.generation = 1 + group / 10, .group = group}; }

std::map<std::uint64_t, GenerationLive> live_of(const Model& model) {
  std::map<std::uint64_t, GenerationLive> live;
  for (const auto& [id, entry] : model) {
    const auto hold = [&](std::uint64_t generation, std::uint64_t records, std::uint64_t bytes) {
      GenerationLive& of = live[generation];
      of.generation = generation;
      of.records += records;
      of.bytes += bytes;
    };
    hold(entry.place.generation, 1, entry.place.length);
    for (const spool::Extent& extent : entry.chunks) hold(extent.generation, extent.records, extent.bytes);
  }
  return live;
}

Task<void> expect_content(Index& index, const Model& model) {
  Collector collector;
  auto visited = co_await visit_all(index, collector);
  CO_ASSERT(visited);
  EXPECT_EQ(collector.entries.size(), model.size());
  EXPECT_TRUE(collector.entries == model);
}

/// All pages of a query.
Task<std::vector<Entry>> all_due(Index& index, DueQuery query) {
  std::vector<Entry> all;
  for (;;) {
    auto page = co_await index.due(query);
    EXPECT_TRUE(page);
    if (!page) co_return all;
    EXPECT_LE(page->entries.size(), query.limit);
    std::ranges::move(page->entries, std::back_inserter(all));
    if (!page->next) co_return all;
    query.after = page->next;
  }
}

Task<void> expect_due(Index& index, const Model& model, WallTime from, WallTime before, std::size_t limit) {
  auto due = co_await all_due(index, {.from = from, .before = before, .limit = limit});
  Model expected, got;
  for (const auto& [id, entry] : model)
    if (entry.is_scheduled() && entry.due >= from && entry.due < before) expected.emplace(id, entry);
  for (std::size_t i = 0; i < due.size(); ++i) {
    if (i > 0) EXPECT_LE(due_bucket(due[i - 1].due), due_bucket(due[i].due));
    EXPECT_TRUE(got.emplace(due[i].id, due[i]).second) << "returned twice";
  }
  EXPECT_EQ(got.size(), expected.size());
  EXPECT_TRUE(got == expected);
}

Task<void> round_trip(Ring& ring, std::string directory, std::size_t count) {
  Prng prng(7);
  Model model;
  {
    auto opened = co_await proven(Index::open(ring, directory, kStore, kPartition, kMetadataKey));
    CO_ASSERT(opened);
    EXPECT_EQ(opened->state, Opening::created);
    EXPECT_EQ(opened->mark, LogMark{});
    Index& index = *opened->index;
    for (std::uint64_t group = 1; model.size() < count; ++group) {
      for (int i = 0; i < 20'000 && model.size() < count; ++i) {
        const Entry entry = random_entry(prng);
        index.insert(entry);
        model.emplace(entry.id, entry);
      }
      auto committed = co_await index.commit(mark_of(group));
      CO_ASSERT(committed && *committed);
    }
    co_await expect_content(index, model);
  }
  auto opened = co_await proven(Index::open(ring, directory, kStore, kPartition, kMetadataKey));
  CO_ASSERT(opened);
  EXPECT_EQ(opened->state, Opening::restored);
  EXPECT_EQ(opened->mark, mark_of((count + 19'999) / 20'000));
  Index& index = *opened->index;
  EXPECT_EQ(index.stats().totals.entries, count);
  co_await expect_content(index, model);
  for (const auto& [id, entry] : model) {
    if (!prng.one_in(100)) continue;
    auto found = co_await index.find(id);
    CO_ASSERT(found);
    EXPECT_EQ(*found, entry);
  }
  auto unknown = co_await index.find(random_id<MessageId>(prng));
  CO_ASSERT(unknown);
  EXPECT_EQ(*unknown, std::nullopt);
  co_await expect_due(index, model, kSomeDay + std::chrono::hours(3), kSomeDay + std::chrono::hours(5), 1000);
  auto live = co_await index.live_by_generation();
  CO_ASSERT(live);
  auto expected = live_of(model);
  EXPECT_EQ(live->size(), expected.size());
  for (const GenerationLive& of : *live) EXPECT_EQ(of, expected[of.generation]);
}

TEST(Index, a_hundred_thousand_entries_survive_a_restart) {
  Directory directory;
  World world;
  world.run(round_trip(world.ring(), directory.index(), 100'000));
}

/// Random changes, commits and restarts; everything the index says is compared with the model.
class Walk {
 public:
  Walk(Ring& ring, std::uint64_t seed) : ring_(ring), prng_(seed) {}

  template <typename Reopen>
  Task<void> run(Reopen reopen, int steps) {
    co_await restart(reopen);
    for (int step = 0; step < steps && index_; ++step) {
      for (std::uint64_t changes = prng_.below(80); changes > 0; --changes) change(model_);
      const std::uint64_t what = prng_.below(12);
      if (what < 5) {
        ++group_;
        auto committed = co_await index_->commit(mark_of(group_));
        CO_ASSERT(committed);
        if (*committed) committed_ = model_;
      } else if (what < 7) {
        co_await commit_and_look();
      } else if (what == 7) {
        co_await restart(reopen);
      } else {
        co_await look();
      }
    }
    index_.reset();
  }

 private:
  void change(Model& model) {
    const std::uint64_t what = prng_.below(10);
    if (ids_.empty() || what < 4) {
      const Entry entry = random_entry(prng_);
      ids_.push_back(entry.id);
      index_->insert(entry);
      model.insert_or_assign(entry.id, entry);
      return;
    }
    const MessageId id = ids_[prng_.below(ids_.size())];
    if (what < 7) {
      if (!model.contains(id)) return;
      const Entry entry = random_entry(prng_, id);
      index_->put(entry);
      model.insert_or_assign(id, entry);
    } else {
      index_->erase(id);
      model.erase(id);
    }
  }
  Task<void> look() {
    co_await expect_content(*index_, model_);
    const WallTime from = kSomeDay + std::chrono::hours(prng_.below(24));
    co_await expect_due(*index_, model_, from, from + std::chrono::minutes(prng_.below(600)), 1 + prng_.below(40));
    for (int i = 0; i < 5 && !ids_.empty(); ++i) {
      const MessageId id = ids_[prng_.below(ids_.size())];
      auto found = co_await index_->find(id);
      CO_ASSERT(found);
      const auto known = model_.find(id);
      EXPECT_EQ(*found, known == model_.end() ? std::nullopt : std::optional(known->second));
    }
  }
  Task<void> commit_in_background() {
    auto committed = co_await index_->commit(mark_of(group_));
    EXPECT_TRUE(committed);
  }
  /// Changes and reads while a commit is in flight.
  Task<void> commit_and_look() {
    ++group_;
    committed_ = model_;
    runtime::Scope scope(ring_);
    scope.spawn(commit_in_background());
    for (int i = 0; i < 20; ++i) change(model_);
    co_await look();
    co_await scope.join();
  }
  template <typename Reopen>
  Task<void> restart(Reopen& reopen) {
    const bool first = !index_;
    index_.reset();
    auto opened = co_await reopen();
    CO_ASSERT(opened);
    if (!first && group_ > 0) {
      EXPECT_EQ(opened->state, Opening::restored);
      EXPECT_EQ(opened->mark, mark_of(group_));
    }
    index_ = std::move(opened->index);
    model_ = committed_;
    std::erase_if(ids_, [this](const MessageId& id) { return !model_.contains(id); });
    co_await look();
  }

  Ring& ring_;
  Prng prng_;
  std::unique_ptr<Index> index_;
  Model model_, committed_;
  std::vector<MessageId> ids_;
  std::uint64_t group_ = 0;
};

struct OpenLmdb {
  Ring& ring;
  std::string directory;
  Task<Result<Index::Opened>> operator()() const {
    return proven(Index::open(ring, directory, kStore, kPartition, kMetadataKey));
  }
};
struct OpenMemory {
  Ring& ring;
  MemoryRows& rows;
  Task<Result<Index::Opened>> operator()() const {
    return proven(Index::open(ring, make_memory_store(rows), kStore, kPartition, kMetadataKey));
  }
};

TEST(Index, in_lmdb_equals_a_map_through_changes_commits_and_restarts) {
  World world;
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE(seed);
    Directory directory;
    Walk walk(world.ring(), seed);
    world.run(walk.run(OpenLmdb{world.ring(), directory.index()}, 60));
  }
}

TEST(Index, in_memory_equals_a_map_through_changes_commits_and_restarts) {
  World world;
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(seed);
    MemoryRows rows;
    Walk walk(world.ring(), seed);
    world.run(walk.run(OpenMemory{world.ring(), rows}, 60));
  }
}

// ---- reads that began before a commit, and end while it is in flight

Task<void> expect_found(Index& index, Entry expected) {
  auto found = co_await index.find(expected.id);
  CO_ASSERT(found);
  EXPECT_EQ(*found, expected);
}
Task<void> commit_group(Index& index, std::uint64_t group) { EXPECT_EQ(co_await index.commit(mark_of(group)), true); }

Task<void> reads_before_a_commit(Ring& ring, MemoryRows& rows) {
  Prng prng(4);
  auto opened = co_await proven(Index::open(ring, make_memory_store(rows), kStore, kPartition, kMetadataKey));
  CO_ASSERT(opened);
  Index& index = *opened->index;
  const Entry first = random_entry(prng), second = random_entry(prng), third = random_entry(prng);
  index.insert(first);
  index.insert(second);
  EXPECT_EQ(co_await index.commit(mark_of(1)), true);
  Entry changed = first;
  changed.revision = 77;
  const Model after{{changed.id, changed}, {third.id, third}};
  runtime::Scope scope(ring);
  scope.spawn(expect_found(index, changed));  // asks the store, and has its answer after the change
  scope.spawn(expect_content(index, after));
  index.put(changed);
  index.erase(second.id);
  index.insert(third);
  scope.spawn(commit_group(index, 2));
  co_await scope.join();
}

TEST(Index, a_read_that_began_before_a_commit_sees_the_changes_in_flight) {
  World world;
  MemoryRows rows;
  world.run(reads_before_a_commit(world.ring(), rows));
}

// ---- when it commits

Task<void> commits_by_time(Ring& ring, MemoryRows& rows) {
  Prng prng(1);
  const Options options{.commit_interval = std::chrono::milliseconds(1), .commit_log_bytes = 1000};
  auto opened = co_await proven(Index::open(ring, make_memory_store(rows), kStore, kPartition, kMetadataKey, options));
  CO_ASSERT(opened);
  Index& index = *opened->index;
  co_await ring.sleep_for(std::chrono::milliseconds(2));
  EXPECT_EQ(co_await index.maybe_commit(mark_of(1), 500), false) << "nothing has changed and there is little log";
  const Entry delivered_at_once = random_entry(prng);
  index.insert(delivered_at_once);
  index.erase(delivered_at_once.id);
  EXPECT_EQ(co_await index.maybe_commit(mark_of(2), 600), false) << "what was delivered at once never touches the store";
  EXPECT_EQ(rows.commits(), 0u);
  index.insert(random_entry(prng));
  EXPECT_EQ(co_await index.maybe_commit(mark_of(3), 601), true) << "the interval is over";
  EXPECT_EQ(index.committed(), mark_of(3));
  EXPECT_EQ(index.stats().totals.entries, 1u);
}

TEST(Index, commits_changes_after_an_interval) {
  World world;
  MemoryRows rows;
  world.run(commits_by_time(world.ring(), rows));
}

Task<void> commits_by_log(Ring& ring, MemoryRows& rows) {
  Prng prng(1);
  const Options options{.commit_interval = std::chrono::hours(1), .commit_log_bytes = 1000};
  auto opened = co_await proven(Index::open(ring, make_memory_store(rows), kStore, kPartition, kMetadataKey, options));
  CO_ASSERT(opened);
  Index& index = *opened->index;
  index.insert(random_entry(prng));
  EXPECT_EQ(co_await index.maybe_commit(mark_of(1), 999), false) << "neither time nor log";
  EXPECT_EQ(co_await index.maybe_commit(mark_of(2), 1000), true);
  EXPECT_EQ(co_await index.maybe_commit(mark_of(3), 1999), false);
  EXPECT_EQ(co_await index.maybe_commit(mark_of(4), 2000), true) << "the mark moves on without a change";
  EXPECT_EQ(index.committed(), mark_of(4));
  EXPECT_EQ(rows.commits(), 2u);
}

TEST(Index, commits_after_much_log) {
  World world;
  MemoryRows rows;
  world.run(commits_by_log(world.ring(), rows));
}

Task<void> loses_nothing_without_space(Ring& ring, MemoryRows& rows) {
  Prng prng(1);
  const Options options{.overlay_bytes_max = 20'000};
  Model model;
  {
    auto opened = co_await proven(Index::open(ring, make_memory_store(rows), kStore, kPartition, kMetadataKey, options));
    CO_ASSERT(opened);
    Index& index = *opened->index;
    rows.fail_commits(2, {Errc::no_space});
    while (!index.is_full()) {
      const Entry entry = random_entry(prng);
      index.insert(entry);
      model.emplace(entry.id, entry);
    }
    for (int i = 0; i < 2; ++i) {
      auto committed = co_await index.commit(mark_of(1));
      CO_ASSERT(!committed);
      EXPECT_EQ(committed.error().code, Errc::no_space);
      EXPECT_EQ(index.health(), Health::behind);
      EXPECT_TRUE(index.is_full());
      co_await expect_content(index, model);
    }
    EXPECT_EQ(co_await index.commit(mark_of(1)), true);
    EXPECT_EQ(index.health(), Health::good);
    EXPECT_FALSE(index.is_full());
  }
  auto opened = co_await proven(Index::open(ring, make_memory_store(rows), kStore, kPartition, kMetadataKey, options));
  CO_ASSERT(opened);
  EXPECT_EQ(opened->state, Opening::restored);
  co_await expect_content(*opened->index, model);
}

TEST(Index, a_commit_without_space_loses_nothing_and_mail_stops_until_it_works) {
  World world;
  MemoryRows rows;
  world.run(loses_nothing_without_space(world.ring(), rows));
}

Task<void> is_given_up(Ring& ring, MemoryRows& rows) {
  Prng prng(1);
  {
    auto opened = co_await proven(Index::open(ring, make_memory_store(rows), kStore, kPartition, kMetadataKey, {}));
    CO_ASSERT(opened);
    Index& index = *opened->index;
    index.insert(random_entry(prng));
    EXPECT_EQ(co_await index.commit(mark_of(1)), true);
    rows.fail_commits(1, {Errc::io});
    const Entry entry = random_entry(prng);
    index.insert(entry);
    auto committed = co_await index.commit(mark_of(2));
    CO_ASSERT(!committed);
    EXPECT_EQ(index.health(), Health::broken);
    EXPECT_FALSE(index.is_full());
    auto found = co_await index.find(entry.id);
    CO_ASSERT(!found);
    EXPECT_EQ(found.error().code, Errc::unavailable);
  }
  auto opened = co_await proven(Index::open(ring, make_memory_store(rows), kStore, kPartition, kMetadataKey, {}));
  CO_ASSERT(opened);
  EXPECT_EQ(opened->state, Opening::unproven);
  EXPECT_EQ(opened->mark, LogMark{});
  co_await expect_content(*opened->index, {});
}

TEST(Index, a_commit_that_cannot_be_trusted_gives_the_index_up_until_the_next_start) {
  World world;
  MemoryRows rows;
  world.run(is_given_up(world.ring(), rows));
}

// ---- growing

Task<void> grows(Ring& ring, std::string directory) {
  Prng prng(5);
  Model model;
  const Options options{.lmdb = {.map_bytes = 1_MiB}};
  {
    auto opened = co_await proven(Index::open(ring, directory, kStore, kPartition, kMetadataKey, options));
    CO_ASSERT(opened);
    Index& index = *opened->index;
    // The first commits fit and let the map grow ahead of need; one is larger than any map before it: MAP_FULL inside.
    for (std::uint64_t group = 1, count = 200; count < 100'000; ++group, count *= 8) {
      for (std::uint64_t i = 0; i < count; ++i) {
        const Entry entry = random_entry(prng);
        index.insert(entry);
        model.emplace(entry.id, entry);
      }
      EXPECT_EQ(co_await index.commit(mark_of(group)), true);
    }
    co_await expect_content(index, model);
  }
  EXPECT_GT(std::filesystem::file_size(directory + "/data.mdb"), 4_MiB);
  auto opened = co_await proven(Index::open(ring, directory, kStore, kPartition, kMetadataKey, options));
  CO_ASSERT(opened);
  EXPECT_EQ(opened->state, Opening::restored);
  co_await expect_content(*opened->index, model);
}

TEST(Index, the_map_grows_and_nothing_is_lost) {
  Directory directory;
  World world;
  world.run(grows(world.ring(), directory.index()));
}

Task<void> map_full(Ring& ring, std::string directory) {
  Prng prng(5);
  Model model;
  auto fill = [&](Index& index, int count) {
    for (int i = 0; i < count; ++i) {
      const Entry entry = random_entry(prng);
      index.insert(entry);
      model.emplace(entry.id, entry);
    }
  };
  {
    auto opened = co_await proven(Index::open(ring, directory, kStore, kPartition, kMetadataKey,
                                       {.lmdb = {.map_bytes = 1_MiB, .map_bytes_max = 1_MiB}}));
    CO_ASSERT(opened);
    Index& index = *opened->index;
    fill(index, 500);
    EXPECT_EQ(co_await index.commit(mark_of(1)), true);
    const Model committed = model;
    fill(index, 50'000);
    auto full = co_await index.commit(mark_of(2));
    CO_ASSERT(!full);
    EXPECT_EQ(full.error().code, Errc::no_space);
    EXPECT_EQ(index.health(), Health::behind);
    EXPECT_EQ(index.committed(), mark_of(1));
    co_await expect_content(index, model);
    model = committed;
  }
  auto opened = co_await proven(Index::open(ring, directory, kStore, kPartition, kMetadataKey));
  CO_ASSERT(opened);
  EXPECT_EQ(opened->state, Opening::restored);
  EXPECT_EQ(opened->mark, mark_of(1));
  co_await expect_content(*opened->index, model);
}

TEST(Index, a_map_that_may_not_grow_keeps_the_last_commit_and_the_changes) {
  Directory directory;
  World world;
  world.run(map_full(world.ring(), directory.index()));
}

// ---- what lies on disk

std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

Task<void> commit_entries(Ring& ring, std::string directory, const Model& model) {
  auto opened = co_await proven(Index::open(ring, directory, kStore, kPartition, kMetadataKey));
  CO_ASSERT(opened);
  for (const auto& [id, entry] : model) opened->index->insert(entry);
  EXPECT_EQ(co_await opened->index->commit(mark_of(1)), true);
}

TEST(Index, files_show_ids_and_coarse_times_and_nothing_else) {
  Prng prng(11);
  Model model;
  while (model.size() < 200) {
    Entry entry = random_entry(prng);
    for (std::byte& byte : entry.destination) byte = static_cast<std::byte>(1 + prng.below(255));
    model.emplace(entry.id, entry);
  }
  Directory directory;
  World world;
  world.run(commit_entries(world.ring(), directory.index(), model));
  std::string files;
  for (const auto& file : std::filesystem::directory_iterator(directory.index())) files += content_of(file.path());
  for (const auto& [id, entry] : model) {
    EXPECT_NE(files.find(as_text(id.bytes)), std::string::npos) << "the search works: ids are keys";
    EXPECT_EQ(files.find(as_text(entry.destination)), std::string::npos);
    std::vector<std::byte> encoded;
    append_encoded(entry, encoded);
    EXPECT_EQ(files.find(as_text(encoded)), std::string::npos);
    for (const WallTime time : {entry.due, entry.arrived}) {
      std::array<std::byte, 8> bytes;
      store_le(bytes.data(), std::int64_t{time.time_since_epoch().count()});
      EXPECT_EQ(files.find(as_text(bytes)), std::string::npos);
      std::ranges::reverse(bytes);
      EXPECT_EQ(files.find(as_text(bytes)), std::string::npos);
    }
  }
  EXPECT_FALSE(std::filesystem::exists(directory.mark()));
}

}  // namespace
}  // namespace ringpost::index
