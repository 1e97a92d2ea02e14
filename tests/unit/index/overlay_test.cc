// The overlay against a plain map.
#include "index_world.hh"

namespace ringpost::index {
namespace {

TEST(IndexOverlay, a_message_that_comes_and_goes_leaves_nothing) {
  Prng prng(1);
  Overlay overlay;
  const Entry entry = random_entry(prng);
  overlay.insert(entry);
  EXPECT_GT(overlay.bytes(), 0u);
  overlay.put(entry);
  overlay.erase(entry.id);
  EXPECT_TRUE(overlay.empty());
  EXPECT_EQ(overlay.bytes(), 0u);
}

TEST(IndexOverlay, an_erased_message_that_may_be_stored_is_remembered) {
  Prng prng(1);
  Overlay overlay;
  const Entry entry = random_entry(prng);
  overlay.put(entry);
  overlay.erase(entry.id);
  ASSERT_TRUE(overlay.find(entry.id));
  EXPECT_FALSE(overlay.find(entry.id)->entry);
}

TEST(IndexOverlay, after_a_commit_that_failed_newer_changes_win_and_nobody_knows_what_is_stored) {
  Prng prng(1);
  Overlay older, newer;
  const Entry only_older = random_entry(prng), erased = random_entry(prng), changed = random_entry(prng);
  for (const Entry& entry : {only_older, erased, changed}) older.insert(entry);
  Entry again = changed;
  ++again.revision;
  newer.erase(erased.id);
  newer.put(again);
  newer.merge_older(std::move(older));
  EXPECT_TRUE(older.empty());
  ASSERT_EQ(newer.size(), 3u);
  EXPECT_EQ(newer.find(only_older.id)->entry, only_older);
  EXPECT_EQ(newer.find(erased.id)->entry, std::nullopt);
  EXPECT_EQ(newer.find(changed.id)->entry, again);
  for (const auto& [id, change] : newer.changes()) EXPECT_TRUE(change.stored);
}

TEST(IndexOverlay, committed_again_and_again_it_equals_a_map) {
  Prng prng(3);
  Model model, stored;
  Overlay overlay;
  std::vector<MessageId> ids;
  for (int step = 0; step < 20'000; ++step) {
    const std::uint64_t what = prng.below(10);
    if (ids.empty() || what < 4) {
      const Entry entry = random_entry(prng);
      ids.push_back(entry.id);
      overlay.insert(entry);
      model.insert_or_assign(entry.id, entry);
    } else if (what < 7) {
      const MessageId id = ids[prng.below(ids.size())];
      if (!model.contains(id)) continue;
      const Entry entry = random_entry(prng, id);
      overlay.put(entry);
      model.insert_or_assign(id, entry);
    } else if (what < 9) {
      const MessageId id = ids[prng.below(ids.size())];
      overlay.erase(id);
      model.erase(id);
    } else if (prng.one_in(20)) {
      for (const auto& [id, change] : overlay.changes()) {
        if (!change.stored) EXPECT_FALSE(stored.contains(id));
        if (change.entry)
          stored.insert_or_assign(id, *change.entry);
        else
          stored.erase(id);
      }
      overlay.clear();
      ASSERT_EQ(stored, model);
    }
  }
}

}  // namespace
}  // namespace ringpost::index
