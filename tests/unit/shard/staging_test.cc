#include "shard/staging.hh"

#include <gtest/gtest.h>

#include "ringpost/sim/sim_ring.hh"
#include "ringpost/sim/world.hh"

namespace ringpost::shard {
namespace {

struct StagingTest : testing::Test {
  ~StagingTest() override { world.retire(ring); }
  sim::World world{1};
  sim::SimRing& ring = world.make_ring("shard");
  metrics::ShardMetrics metrics;
};

TEST_F(StagingTest, it_gives_out_no_more_than_it_has_and_takes_it_back) {
  Staging staging{ring, 2 * Staging::kLargeBytes, metrics};
  {
    StagingBuffer first = staging.take(Staging::kLargeBytes), second = staging.take(Staging::kLargeBytes);
    ASSERT_TRUE(first);
    ASSERT_TRUE(second);
    EXPECT_TRUE(staging.is_tight());
    EXPECT_FALSE(staging.take(Staging::kSmallBytes));
    EXPECT_EQ(metrics.staging_exhausted.value(), 1u);
    EXPECT_EQ(metrics.staging_buffers_in_use.value(), 2);
  }
  EXPECT_EQ(metrics.staging_buffers_in_use.value(), 0);
  EXPECT_FALSE(staging.is_tight());
  EXPECT_TRUE(staging.take(Staging::kLargeBytes));
}

TEST_F(StagingTest, what_is_set_aside_is_there_when_it_is_taken) {
  Staging staging{ring, Staging::kSmallBytes, metrics};
  ASSERT_TRUE(staging.set_aside());
  EXPECT_FALSE(staging.set_aside());
  EXPECT_FALSE(staging.take(Staging::kSmallBytes));
  EXPECT_EQ(metrics.staging_exhausted.value(), 2u);
  staging.put_back();
  EXPECT_TRUE(staging.take(Staging::kSmallBytes));
}

TEST_F(StagingTest, a_buffer_comes_back_wiped_and_moves_with_its_content) {
  Staging staging{ring, Staging::kSmallBytes, metrics};
  const std::byte* memory = nullptr;
  {
    StagingBuffer buffer = staging.take(Staging::kSmallBytes);
    buffer.append(as_bytes(std::string_view{"secret"}));
    StagingBuffer moved = std::move(buffer);
    EXPECT_EQ(as_text(moved.bytes()), "secret");
    EXPECT_EQ(moved.room(), Staging::kSmallBytes - 6);
    memory = moved.bytes().data();
  }
  StagingBuffer again = staging.take(Staging::kSmallBytes);
  EXPECT_EQ(again.bytes().size(), 0u);
  EXPECT_EQ(again.bytes().data(), memory) << "the same memory";
  for (std::size_t i = 0; i < 6; ++i) EXPECT_EQ(memory[i], std::byte{0});
}

}  // namespace
}  // namespace ringpost::shard
