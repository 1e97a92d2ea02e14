#include "bench/schedule.hh"

#include <gtest/gtest.h>

namespace ringpost::bench {
namespace {

constexpr Instant kStart{std::chrono::hours(5)};
using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(Schedule, closed_loop_hands_out_so_many_at_once) {
  Schedule schedule{kStart, 0, 3, {}};
  Instant now = kStart + seconds(9);
  for (std::uint64_t number = 0; number < 3; ++number) {
    auto claim = schedule.claim(now);
    ASSERT_TRUE(claim);
    EXPECT_EQ(claim->number, number);
    EXPECT_EQ(claim->due, now);
  }
  EXPECT_FALSE(schedule.claim(now));
}

TEST(Schedule, open_loop_is_due_by_the_clock_however_late_it_is_claimed) {
  Schedule schedule{kStart, 100, 0, {}};
  EXPECT_EQ(schedule.claim(kStart)->due, kStart);
  EXPECT_EQ(schedule.claim(kStart)->due, kStart + milliseconds(10));
  // A server that stalled for a second: the message is late, not its due time.
  EXPECT_EQ(schedule.claim(kStart + seconds(1))->due, kStart + milliseconds(20));
}

TEST(Schedule, nothing_is_due_behind_the_end) {
  Schedule open{kStart, 2, 0, seconds(1)};
  EXPECT_TRUE(open.claim(kStart));
  EXPECT_TRUE(open.claim(kStart));   // due at 0.5 s
  EXPECT_FALSE(open.claim(kStart));  // due at 1 s
  Schedule closed{kStart, 0, 0, seconds(1)};
  EXPECT_TRUE(closed.claim(kStart + milliseconds(999)));
  EXPECT_FALSE(closed.claim(kStart + seconds(1)));
}

TEST(Schedule, stop_ends_it) {
  Schedule schedule{kStart, 0, 0, {}};
  EXPECT_TRUE(schedule.claim(kStart));
  schedule.stop();
  EXPECT_FALSE(schedule.claim(kStart));
}

}  // namespace
}  // namespace ringpost::bench
