#include "shard/clock_jumps.hh"

#include <gtest/gtest.h>

#include "shard/message_order.hh"

namespace ringpost::shard {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(ClockJumps, adds_up_what_came_since) {
  Instant now{};
  WallTime wall{hours{1000}};
  ClockJumps jumps(now, wall, 3);
  const auto pass = [&](Duration time, Duration jump, std::uint64_t group) {
    now += time;
    wall += time + jump;
    jumps.look(now, wall, group);
  };
  pass(seconds{1}, {}, 5);
  EXPECT_EQ(jumps.since(0), Duration{});
  pass(seconds{1}, hours{2}, 10);
  pass(seconds{1}, -hours{3}, 20);
  EXPECT_EQ(jumps.since(0), -hours{1});
  EXPECT_EQ(jumps.since(9), -hours{1});
  EXPECT_EQ(jumps.since(10), -hours{3}) << "what came behind the look, before the next group";
  EXPECT_EQ(jumps.since(20), Duration{});
  EXPECT_FALSE(jumps.knows(2));
  EXPECT_TRUE(jumps.knows(3));
  EXPECT_TRUE(jumps.went_back());
}

TEST(ClockJumps, a_clock_that_is_set_right_slowly_does_not_jump) {
  Instant now{};
  WallTime wall{hours{1000}};
  ClockJumps jumps(now, wall, 3);
  for (int i = 0; i < 10'000; ++i) {
    now += seconds{1};
    wall += seconds{1} - milliseconds{1};
    jumps.look(now, wall, 1);
  }
  EXPECT_EQ(jumps.since(0), Duration{});
  EXPECT_FALSE(jumps.went_back());
}

TEST(Attacks, H10_a_clock_that_jumps_for_ever_takes_no_memory) {
  Instant now{};
  WallTime wall{hours{1000}};
  ClockJumps jumps(now, wall, 3);
  for (std::uint64_t group = 1; group <= 100'000; ++group) {
    now += seconds{1};
    wall += seconds{2};
    jumps.look(now, wall, group);
  }
  EXPECT_EQ(jumps.since(99'990), seconds{10});
  EXPECT_EQ(jumps.since(0), seconds{100'000});
}

TEST(MessageOrder, goes_both_ways_and_leaves_the_rest) {
  MessageId id;
  id.bytes.fill(std::byte{0xee});
  put_order(id, 0x0102'0304'0506);
  EXPECT_EQ(order_of(id), 0x0102'0304'0506u);
  EXPECT_EQ(id.bytes[kOrderBytes], std::byte{0xee});
}

}  // namespace
}  // namespace ringpost::shard
