#include "ringpost/base/base64.hh"

#include <gtest/gtest.h>

#include <vector>

namespace ringpost {
namespace {

std::optional<std::string> decoded(std::string_view text, Base64 form = Base64::standard) {
  std::vector<std::byte> bytes(base64_bytes_max(text.size()));
  const std::optional<std::size_t> size = decode_base64(text, bytes, form);
  if (!size) return std::nullopt;
  return std::string{as_text(Bytes{bytes}.first(*size))};
}

TEST(Base64, the_standards_examples_go_both_ways) {  // RFC 4648 section 10
  const std::pair<const char*, const char*> cases[] = {{"", ""},
                                                       {"f", "Zg=="},
                                                       {"fo", "Zm8="},
                                                       {"foo", "Zm9v"},
                                                       {"foob", "Zm9vYg=="},
                                                       {"fooba", "Zm9vYmE="},
                                                       {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, text] : cases) {
    EXPECT_EQ(encode_base64(as_bytes(plain)), text);
    EXPECT_EQ(decoded(text), plain);
    std::string bare{text};
    while (bare.ends_with('=')) bare.pop_back();
    EXPECT_EQ(encode_base64(as_bytes(plain), Base64::bare), bare);
    EXPECT_EQ(decoded(bare, Base64::bare), plain);
    EXPECT_EQ(decoded(bare, Base64::url), plain);
  }
}

TEST(Base64, alphabets_differ_in_two_characters) {
  EXPECT_EQ(encode_base64(as_bytes("\xfb\xff")), "+/8=");
  EXPECT_EQ(encode_base64(as_bytes("\xfb\xff"), Base64::bare), "+/8");
  EXPECT_EQ(encode_base64(as_bytes("\xfb\xff"), Base64::url), "-_8");
  EXPECT_EQ(decoded("-_8", Base64::url), "\xfb\xff");
  EXPECT_FALSE(decoded("+/8", Base64::url));
  EXPECT_FALSE(decoded("-_8", Base64::bare));
}

TEST(Base64, whatever_is_not_the_one_form_is_refused) {
  for (const char* bad : {"Z",    "Zg",       "Zg=",   "Zg===",    "Zm8",      "=",    "==",         "===",
                          "====", "Zm9v====", "Z===",  "Zm9vZ===", "Zg==Zg==", "Zm=v",
                          "Zh==",  // unused bits
                          "Zm9=", "Zm9v\n",   " Zm9v", "Zm 9",     "Zm9v\r\n", "Zm.v", "Z\xc3\xa9v", "*"})
    EXPECT_FALSE(decoded(bad)) << bad;
  for (const char* bad : {"Z", "Zg==", "Zh", "Zm9", "Zm9vY"}) EXPECT_FALSE(decoded(bad, Base64::bare)) << bad;
  EXPECT_FALSE(decoded(std::string_view{"Zm\0v", 4}));
}

TEST(Base64, all_octets_survive) {
  std::string all;
  for (int value = 0; value < 256; ++value) all.push_back(static_cast<char>(value));
  for (std::size_t size = 0; size <= all.size(); ++size)
    for (Base64 form : {Base64::standard, Base64::bare, Base64::url})
      ASSERT_EQ(decoded(encode_base64(as_bytes(all.substr(256 - size)), form), form), all.substr(256 - size));
}

}  // namespace
}  // namespace ringpost
