#include "bench/faults.hh"

#include <gtest/gtest.h>

#include <map>

namespace ringpost::bench {
namespace {

FaultPlan plan(std::string_view text) {
  auto parsed = FaultPlan::parse(text);
  EXPECT_TRUE(parsed) << (parsed ? "" : parsed.error());
  return parsed.value_or(FaultPlan{});
}

TEST(Faults, nothing_is_asked_for) {
  Prng prng{1};
  FaultPlan none = plan("");
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(none.draw(Stage::mail, prng), Fault::none);
  EXPECT_EQ(none.slow(), Duration::zero());
}

TEST(Faults, a_rate_left_out_is_always_and_for_its_stage_only) {
  Prng prng{1};
  FaultPlan all = plan("tempfail@rcpt,drop@content");
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(all.draw(Stage::rcpt, prng), Fault::tempfail);
    ASSERT_EQ(all.draw(Stage::content, prng), Fault::drop);
    ASSERT_EQ(all.draw(Stage::mail, prng), Fault::none);
  }
}

TEST(Faults, rates_of_one_stage_share_the_draws) {
  Prng prng{1};
  FaultPlan mixed = plan("tempfail@end=0.2,permfail@end=0.1,drop@end=0.3");
  std::map<Fault, int> seen;
  constexpr int kDraws = 100'000;
  for (int i = 0; i < kDraws; ++i) ++seen[mixed.draw(Stage::end, prng)];
  EXPECT_NEAR(seen[Fault::tempfail], 0.2 * kDraws, 0.01 * kDraws);
  EXPECT_NEAR(seen[Fault::permfail], 0.1 * kDraws, 0.01 * kDraws);
  EXPECT_NEAR(seen[Fault::drop], 0.3 * kDraws, 0.01 * kDraws);
}

TEST(Faults, times) {
  EXPECT_EQ(plan("slow=50ms").slow(), std::chrono::milliseconds(50));
  EXPECT_EQ(plan("greylist=1.5s").greylist(), std::chrono::milliseconds(1500));
}

TEST(Faults, what_makes_no_sense_is_refused) {
  for (std::string_view text : {"tempfail", "tempfail@", "tempfail@nowhere", "explode@mail", "tempfail@content", "permfail@reply",
                                "drop@mail=2", "drop@mail=-1", "drop@mail=", "drop@mail=x", "slow", "slow=5", "slow=-1s",
                                "slow=nans", "greylist=ms", "drop@mail=nan", ",", "drop@mail,,drop@end"})
    EXPECT_FALSE(FaultPlan::parse(text)) << text;
}

TEST(Greylist, a_pair_passes_when_it_comes_back_late_enough) {
  Greylist greylist;
  Instant start{std::chrono::hours(1)};
  Duration delay = std::chrono::seconds(2);
  EXPECT_FALSE(greylist.passes("a", "b", delay, start));
  EXPECT_FALSE(greylist.passes("a", "b", delay, start + std::chrono::seconds(1)));
  EXPECT_TRUE(greylist.passes("a", "b", delay, start + delay));
  EXPECT_FALSE(greylist.passes("a", "c", delay, start + delay));
  EXPECT_FALSE(greylist.passes("c", "b", delay, start + delay));
}

}  // namespace
}  // namespace ringpost::bench
