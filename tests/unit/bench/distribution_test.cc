#include "bench/distribution.hh"

#include <gtest/gtest.h>

#include <array>

namespace ringpost::bench {
namespace {

TEST(Distribution, numbers_and_ranges) {
  EXPECT_EQ(Distribution::parse("4k", 1, 1 << 20)->text(), "4096");
  EXPECT_EQ(Distribution::parse("1k-2M:3,7", 1, 1 << 30)->text(), "1024-2097152:3,7:1");
}

TEST(Distribution, what_is_no_distribution) {
  for (const char* text : {"", "x", "4k,", "5-4", "0", "4k:0", "4k:", "4k:x", "1:2:3", "2000", "-5", "4kk"})
    EXPECT_FALSE(Distribution::parse(text, 1, text == std::string_view{"2000"} ? 1000 : 1 << 20)) << text;
}

TEST(Distribution, draws_by_weight_and_within_bounds) {
  auto sizes = Distribution::parse("10-19:80,100:15,1000-1001:5", 1, 5000);
  ASSERT_TRUE(sizes);
  Prng prng{7};
  std::array<int, 3> counts{};
  for (int i = 0; i < 100'000; ++i) {
    const std::uint64_t drawn = sizes->draw(prng);
    ASSERT_TRUE((drawn >= 10 && drawn <= 19) || drawn == 100 || drawn == 1000 || drawn == 1001) << drawn;
    ++counts[drawn < 20 ? 0 : drawn == 100 ? 1 : 2];
  }
  EXPECT_NEAR(counts[0], 80'000, 1'000);
  EXPECT_NEAR(counts[1], 15'000, 1'000);
  EXPECT_NEAR(counts[2], 5'000, 500);
}

}  // namespace
}  // namespace ringpost::bench
