#include "shard/recovered.hh"

#include <gtest/gtest.h>

#include "../drive.hh"
#include "ringpost/index/memory_store.hh"
#include "ringpost/sim/sim_ring.hh"
#include "ringpost/sim/world.hh"

namespace ringpost::shard {
namespace {

struct NobodyListens final : outbox::Listener {
  void acknowledged(const IncarnationId&, std::uint64_t) override {}
};

runtime::Task<void> open_index(runtime::Ring& ring, index::MemoryRows& rows, std::unique_ptr<index::Index>& index) {
  auto opened = co_await index::Index::open(ring, index::make_memory_store(rows), StoreId{}, PartitionId{}, std::vector<std::byte>(32));
  RP_ASSERT(opened);
  index = std::move(opened->index);
}

TEST(Recovered, only_events_above_the_mark_are_sent_again_each_once) {
  sim::World world{1};
  sim::SimRing& ring = world.make_ring("shard");
  Log log{LogLevel::error};
  metrics::ShardMetrics metrics;
  NobodyListens nobody;
  {
    outbox::Outbox outbox{ring, log, metrics, *SocketAddress::from_path("/run/audit.sock"), nobody};
    index::MemoryRows rows;
    std::unique_ptr<index::Index> index;
    sim::drive(ring, open_index(ring, rows, index));
    const bool stopping = false;
    Recovered recovered{ring, log, *index, stopping};
    IncarnationId first, second;
    first.bytes[0] = std::byte{1};
    second.bytes[0] = std::byte{2};
    std::byte encoded[] = {std::byte{7}};
    for (std::uint64_t sequence : {3, 1, 2, 4, 4}) recovered.on_audit(first, sequence, encoded);
    recovered.on_audit(second, 9, encoded);
    recovered.on_audit_acknowledged({first, 2});
    recovered.on_audit_acknowledged({first, 1});
    recovered.hand_over(outbox);
    EXPECT_EQ(outbox.pending(), 3u) << "3 and 4 of the first, 9 of the second";
  }
  world.retire(ring);
}

// ---- pieces

spool::RecoveredMessage message(std::uint8_t number, std::span<const spool::RecipientStatus> recipients) {
  MessageId id;
  id.bytes[0] = std::byte{number};
  return {.id = id, .place = {.generation = 1, .offset = 4096u * number, .length = 100}, .scheduling = {.recipients = recipients}};
}

struct Replay {
  sim::World world{1};
  sim::SimRing& ring = world.make_ring("shard");
  Log log{LogLevel::error};
  index::MemoryRows rows;
  std::unique_ptr<index::Index> index;
  bool stopping = false;
  std::optional<Recovered> recovered;

  Replay() {
    sim::drive(ring, open_index(ring, rows, index));
    recovered.emplace(ring, log, *index, stopping);
  }
  ~Replay() {
    recovered.reset();
    index.reset();
    world.retire(ring);
  }
};

runtime::Task<void> two_pieces(Replay& replay) {
  const std::array<spool::RecipientStatus, 1> one{};
  replay.recovered->on_message(message(1, one));
  Result<> relieved = co_await replay.recovered->relieve();
  EXPECT_TRUE(relieved);
  EXPECT_EQ(replay.index->stats().totals.entries, 0u) << "it did not wait for the index";
  replay.recovered->on_message(message(2, one));
  relieved = co_await replay.recovered->relieve();
  EXPECT_TRUE(relieved);
  EXPECT_EQ(replay.index->stats().totals.entries, 1u) << "the first piece is in before the second begins";
  Result<> settled = co_await replay.recovered->settle();
  EXPECT_TRUE(settled);
  EXPECT_EQ(replay.index->stats().totals.entries, 2u);
}

TEST(Recovered, a_piece_is_read_while_the_one_before_is_merged) {
  Replay replay;
  sim::drive(replay.ring, two_pieces(replay));
}

runtime::Task<void> no_space_twice(Replay& replay) {
  const std::array<spool::RecipientStatus, 1> one{};
  replay.rows.fail_commits(2, Error{Errc::no_space});
  replay.recovered->on_message(message(1, one));
  Result<> relieved = co_await replay.recovered->relieve();
  EXPECT_TRUE(relieved);
  const Instant before = replay.ring.now();
  Result<> settled = co_await replay.recovered->settle();
  EXPECT_TRUE(settled);
  EXPECT_GE(replay.ring.now() - before, std::chrono::seconds(2));
  EXPECT_EQ(replay.index->stats().totals.entries, 1u);
}

TEST(Recovered, space_is_waited_for) {
  Replay replay;
  sim::drive(replay.ring, no_space_twice(replay));
}

runtime::Task<void> end_while_merging(Replay& replay) {
  const std::array<spool::RecipientStatus, 1> one{};
  replay.recovered->on_message(message(1, one));
  Result<> relieved = co_await replay.recovered->relieve();
  EXPECT_TRUE(relieved);
  replay.stopping = true;
  EXPECT_TRUE(replay.recovered->is_full());
  Result<> settled = co_await replay.recovered->settle();
  EXPECT_EQ(settled.error().code, Errc::cancelled);
}

TEST(Recovered, an_end_waits_for_the_piece_that_is_merged) {
  Replay replay;
  sim::drive(replay.ring, end_while_merging(replay));
}

TEST(Recovered, many_recipients_fill_a_piece_early) {
  Replay replay;
  const std::vector<spool::RecipientStatus> many(1000);
  std::uint8_t messages = 0;
  while (!replay.recovered->is_full() && messages < 200) replay.recovered->on_message(message(++messages, many));
  EXPECT_LT(messages, 100);
}

}  // namespace
}  // namespace ringpost::shard
