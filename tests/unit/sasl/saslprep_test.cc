#include "ringpost/sasl/saslprep.hh"

#include <gtest/gtest.h>

#include <string>

namespace ringpost::sasl {
namespace {

std::optional<std::string> prepared(std::string_view text) {
  const std::optional<SecretBytes> bytes = saslprep(text);
  if (!bytes) return std::nullopt;
  return std::string{bytes->text()};
}

TEST(Saslprep, the_standards_examples) {  // RFC 4013 section 3
  EXPECT_EQ(prepared("I\u00adX"), "IX");
  EXPECT_EQ(prepared("user"), "user");
  EXPECT_EQ(prepared("USER"), "USER");
  EXPECT_EQ(prepared("\u00aa"), "a");
  EXPECT_EQ(prepared("\u2168"), "IX");
  EXPECT_FALSE(prepared("\x07"));
  EXPECT_FALSE(prepared("\u06271"));
}

TEST(Saslprep, the_same_characters_become_the_same_octets) {
  EXPECT_EQ(prepared("Gr\u00fc\u00dfe"), "Gr\u00fc\u00dfe");
  EXPECT_EQ(prepared("Gru\u0308\u00dfe"), "Gr\u00fc\u00dfe");
  EXPECT_EQ(prepared("a\u00a0b"), "a b");
  EXPECT_EQ(prepared("a b~!"), "a b~!");
  EXPECT_EQ(prepared("\U0001F511 key"), "\U0001F511 key");  // newer than Unicode 3.2
}

TEST(Saslprep, what_no_name_or_password_may_hold_is_refused) {
  EXPECT_FALSE(prepared(""));
  EXPECT_FALSE(prepared("\u00ad"));  // nothing is left
  EXPECT_FALSE(prepared((std::string_view{"a\0b", 3})));
  EXPECT_FALSE(prepared((std::string_view{"\u00fc\0b", 4})));
  EXPECT_FALSE(prepared("a\nb"));
  EXPECT_FALSE(prepared("a\x7f"));
  EXPECT_FALSE(prepared("\u0085"));
  EXPECT_FALSE(prepared("\u202e"));
  EXPECT_FALSE(prepared("\ue000"));
  for (const char* bad : {"\xff", "\xc3", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "a\x80", "\xe2\x82"})
    EXPECT_FALSE(prepared(bad));
}

TEST(Saslprep, length_is_bounded_before_and_after) {
  EXPECT_TRUE(prepared(std::string(kPreparedBytesMax, 'a')));
  EXPECT_FALSE(prepared(std::string(kPreparedBytesMax + 1, 'a')));
  std::string growing;  // 3 octets become 33
  for (int i = 0; i < 31; ++i) growing += "\ufdfa";
  EXPECT_TRUE(prepared(growing));
  EXPECT_FALSE(prepared(growing + "\ufdfa"));
}

}  // namespace
}  // namespace ringpost::sasl
