// MTA-STS policies over a restart, and within their bounds.
#include <gtest/gtest.h>

#include "ringpost/base/prng.hh"
#include "ringpost/transport/sts_cache.hh"

namespace ringpost::transport {
namespace {

using std::chrono::days;
using std::chrono::hours;
using std::chrono::seconds;

constexpr std::size_t kMuch = 1 << 20;
constexpr StsCache::Time kNow{seconds{1'800'000'000}};

CachedPolicy cached(const std::string& mode, StsCache::Time fetched, unsigned max_age_s = 86400, const std::string& id = "1") {
  auto policy = parse_policy("version: STSv1\nmode: " + mode + "\nmx: *.a.example\nmx: b.example\nmax_age: " + std::to_string(max_age_s) + "\n");
  EXPECT_TRUE(policy);
  return {std::move(*policy), id, fetched};
}

TEST(StsMemory, comes_back_as_it_was_without_what_has_ended) {
  StsCache cache{kMuch};
  const CachedPolicy enforce = cached("enforce", kNow - hours{3}), none = cached("none", kNow, 604800, "x9");
  cache.put("a.example", enforce, kNow);
  cache.put("b.example", none, kNow);
  cache.put("ended.example", cached("enforce", kNow - days{2}), kNow);
  EXPECT_EQ(cache.revision(), 3u);
  const std::vector<std::byte> bytes = cache.encode(kNow);
  StsCache next{kMuch};
  EXPECT_TRUE(next.decode(bytes, kNow + hours{1}));
  EXPECT_EQ(next.size(), 2u);
  EXPECT_EQ(next.revision(), 0u) << "nothing to write down";
  for (const auto& [domain, expected] : {std::pair{"a.example", enforce}, std::pair{"b.example", none}}) {
    const auto found = next.find(domain, kNow);
    ASSERT_TRUE(found) << domain;
    EXPECT_EQ(found->policy, expected.policy);
    EXPECT_EQ(found->id, expected.id);
    EXPECT_EQ(found->fetched, expected.fetched);
  }
  EXPECT_FALSE(next.find("ended.example", kNow));
  EXPECT_FALSE(next.find("c.example", kNow));
}

// The example of docs/formats/transport-memory.md.
TEST(StsMemory, the_example_of_the_format_page) {
  StsCache cache{kMuch};
  cache.put("a.example", {*parse_policy("version: STSv1\r\n\r\nmode: none\r\nmax_age: 10\r\n"), "1", kNow}, kNow);
  constexpr char kExample[] =
      "\x01\x01\0\0\0\x09\0\0\0a.example\x01\0\0\0" "1\0\xd2\x49\x6b\0\0\0\0\0\xd2\x49\x6b\0\0\0\0"
      "\x26\0\0\0version: STSv1\nmode: none\nmax_age: 10\n";
  EXPECT_EQ(as_text(cache.encode(kNow)), (std::string_view{kExample, sizeof kExample - 1}));
}

// A clock that was wrong when it was fetched does not make it last for ever.
TEST(StsMemory, what_was_fetched_in_the_future_was_fetched_now) {
  StsCache cache{kMuch};
  cache.put("a.example", cached("enforce", kNow + days{3650}), kNow + days{3650});
  StsCache next{kMuch};
  EXPECT_TRUE(next.decode(cache.encode(kNow + days{3650}), kNow));
  EXPECT_EQ(next.find("a.example", kNow)->fetched, kNow);
}

TEST(StsMemory, every_byte_string_has_a_verdict) {
  StsCache cache{kMuch};
  cache.put("a.example", cached("enforce", kNow), kNow);
  cache.put("b.example", cached("testing", kNow), kNow);
  const std::vector<std::byte> bytes = cache.encode(kNow);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    StsCache next{kMuch};
    EXPECT_FALSE(next.decode(Bytes{bytes}.first(size), kNow)) << size;
  }
  Prng random{3};
  for (int i = 0; i < 5000; ++i) {
    std::vector<std::byte> changed = bytes;
    changed[random.below(changed.size())] = static_cast<std::byte>(random.below(256));
    StsCache next{kMuch};
    (void)next.decode(changed, kNow);
    EXPECT_LE(next.size(), 2u);
  }
}

TEST(StsMemory, is_bounded_and_forgets_what_was_used_least_lately) {
  StsCache cache{100'000};
  cache.put("used.example", cached("enforce", kNow), kNow);
  for (int i = 0; i < 2000; ++i) {
    (void)cache.find("used.example", kNow + seconds{i});
    cache.put(std::to_string(i) + ".example", cached("enforce", kNow), kNow + seconds{i});
  }
  EXPECT_LT(cache.size(), 300u);
  EXPECT_GT(cache.size(), 50u);
  EXPECT_TRUE(cache.find("used.example", kNow));
  EXPECT_TRUE(cache.find("1999.example", kNow));
  EXPECT_FALSE(cache.find("0.example", kNow));
}

TEST(StsMemory, a_policy_is_to_be_renewed_before_it_ends_while_it_is_in_use) {
  StsCache cache{kMuch};
  cache.put("a.example", cached("enforce", kNow, 86400 * 100), kNow);
  EXPECT_TRUE(cache.ageing(kNow + days{49}, 10).empty());
  (void)cache.find("a.example", kNow + days{49});
  EXPECT_EQ(cache.ageing(kNow + days{51}, 10), std::vector<std::string>{"a.example"});
  EXPECT_TRUE(cache.ageing(kNow + days{51} + hours{1} - seconds{1}, 10).empty()) << "asked for a while ago";
  EXPECT_EQ(cache.ageing(kNow + days{51} + hours{1}, 10), std::vector<std::string>{"a.example"});
  EXPECT_TRUE(cache.ageing(kNow + days{80}, 10).empty()) << "nobody has used it for a month";
  (void)cache.find("a.example", kNow + days{99});
  EXPECT_TRUE(cache.ageing(kNow + days{100}, 10).empty()) << "it has ended";
}

}  // namespace
}  // namespace ringpost::transport
