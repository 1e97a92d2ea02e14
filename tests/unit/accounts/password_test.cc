#include "ringpost/accounts/password.hh"

#include <gtest/gtest.h>

#include "support.hh"

namespace ringpost::accounts {
namespace {

// Made with Debian's argon2(1).
constexpr std::string_view kDefault =
    "$argon2id$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$rk2Mi3E4dgRMg0fHaYaptWVZRKqs//6b6k3/nntqGJk";
constexpr std::string_view kLanes =
    "$argon2id$v=19$m=256,t=3,p=4$MDEyMzQ1Njc4OWFiY2RlZg$USEex5GkBPi8iVdvcybwmsgcBlH/R42wvXzlHd+3IB0";

TEST(Password, hashes_are_those_of_other_programs) {
  std::array<std::byte, kSaltBytes> salt;
  copy_bytes(salt, as_bytes("0123456789abcdef"));
  EXPECT_EQ(format_hash(*hash_password("correct horse", salt)), kDefault);
  EXPECT_EQ(format_hash(*hash_password("correct horse", salt, {256, 3, 4})), kLanes);
  for (std::string_view text : {kDefault, kLanes}) {
    const std::optional<PasswordHash> hash = parse_hash(text);
    ASSERT_TRUE(hash);
    EXPECT_EQ(format_hash(*hash), text);
    EXPECT_EQ(format_hash(hash->duplicate()), text);
    EXPECT_EQ(is_password(*hash, "correct horse"), true);
    EXPECT_EQ(is_password(*hash, "correct horsf"), false);
    EXPECT_EQ(is_password(*hash, ""), false);
  }
}

TEST(Password, it_is_prepared_before_it_is_hashed) {
  const PasswordHash hash = cheap_hash("Gru\u0308n");
  EXPECT_EQ(is_password(hash, "Gr\u00fcn"), true);
  EXPECT_EQ(is_password(hash, "Gr\u00fcn\n"), false);
  EXPECT_EQ(hash_password("a\nb", salt_of(1), kCheap).error().code, Errc::invalid);
  EXPECT_EQ(hash_password("", salt_of(1), kCheap).error().code, Errc::invalid);
}

TEST(Password, a_hash_of_nothing_lets_no_unprepared_password_in) {
  // The work for what cannot be prepared is done with nothing: a hash that happens to be nothing's must still not fit.
  const std::optional<PasswordHash> nothing =
      parse_hash("$argon2id$v=19$m=8,t=1,p=1$MDEyMzQ1Njc4OWFiY2RlZg$1EDrpniG35PWQ9y4ppsCr2jBbShM1vaGWVU+JFv578A");
  ASSERT_TRUE(nothing);
  EXPECT_EQ(is_password(*nothing, "\n"), false);
  EXPECT_EQ(is_password(*nothing, ""), false);
}

TEST(Password, costs_are_bounded) {
  EXPECT_TRUE(Cost{}.sane());
  EXPECT_TRUE((Cost{8, 1, 1}.sane()));
  EXPECT_TRUE((Cost{1024 * 1024, 64, 16}.sane()));
  for (const Cost& cost : {Cost{7, 1, 1}, Cost{15, 1, 2}, Cost{8, 0, 1}, Cost{8, 1, 0}, Cost{8, 65, 1}, Cost{1024, 1, 17},
                           Cost{1024 * 1024 + 1, 1, 1}}) {
    EXPECT_FALSE(cost.sane());
    EXPECT_EQ(hash_password("x", salt_of(1), cost).error().code, Errc::invalid);
  }
}

TEST(Password, texts_in_another_form_are_refused) {
  const std::string good{kLanes};
  for (std::size_t size = 0; size < good.size(); ++size) EXPECT_FALSE(parse_hash(good.substr(0, size))) << size;
  EXPECT_FALSE(parse_hash(good + "A"));
  EXPECT_FALSE(parse_hash(good + "="));
  EXPECT_FALSE(parse_hash(good + " "));
  for (const auto& [from, to] : {std::pair{"argon2id", "argon2i"},
                                 {"v=19", "v=16"},
                                 {"v=19$", ""},
                                 {"m=256", "m=0256"},
                                 {"m=256", "m=7"},
                                 {"m=256", "m=1048577"},
                                 {"m=256", "m=99999999999"},
                                 {"m=256", "m=-1"},
                                 {"m=256,t=3", "t=3,m=256"},
                                 {"t=3", "t=0"},
                                 {"p=4", "p=17"},
                                 {"p=4", "p=4,keyid=x"},
                                 {"MDEy", "MDE"},
                                 {"MDEyMzQ1Njc4OWFiY2RlZg", "MDEyMzQ1Njc4OWFiY2RlZh"},
                                 {"USEe", "US=e"}}) {
    std::string changed = good;
    changed.replace(changed.find(from), std::string_view{from}.size(), to);
    EXPECT_FALSE(parse_hash(changed)) << changed;
  }
}

}  // namespace
}  // namespace ringpost::accounts
