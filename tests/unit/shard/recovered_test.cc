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

}  // namespace
}  // namespace ringpost::shard
