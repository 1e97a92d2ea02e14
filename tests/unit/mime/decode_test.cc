// Decoders: what they make of good, bad and hostile input.
#include "ringpost/mime/decode.hh"

#include <gtest/gtest.h>

#include <array>
#include <string>

#include "ringpost/mime/parameters.hh"

namespace ringpost::mime {
namespace {

using Decoder = Decoded (*)(std::string_view, std::span<char>) noexcept;

std::string decoded(Decoder decoder, std::string_view in, bool* malformed = nullptr) {
  std::array<char, 4096> out;
  const Decoded result = decoder(in, out);
  if (malformed != nullptr) *malformed = result.malformed;
  EXPECT_FALSE(result.truncated);
  EXPECT_EQ(result.consumed, in.size());
  return {out.data(), result.written};
}

std::string words(std::string_view value) {
  std::array<char, 4096> out;
  return std::string(decode_words(value, out).text);
}
std::string parameter(std::string_view value, std::string_view name = "filename") {
  std::array<char, 4096> out;
  return std::string(decode_parameter(value, name, out).text);
}

struct Case {
  std::string_view in;
  std::string_view out;
  bool malformed;
};

TEST(MimeDecode, base64_table) {
  const Case cases[] = {
      {"", "", false},
      {"SGVsbG8=", "Hello", false},
      {"SGVs\r\nbG8h", "Hello!", false},
      {"SGVsbG8", "Hello", true},
      {"S", "", true},
      {"SGVsbG8=SGk=", "HelloHi", false},
      {"====", "", false},
      {"S*G#VsbG8=", "Hello", true},
      {"\x80\xff", "", true},
      {"SA==SGk=", "HHi", false},
  };
  for (const Case& c : cases) {
    bool malformed = false;
    EXPECT_EQ(decoded(decode_base64, c.in, &malformed), c.out) << c.in;
    EXPECT_EQ(malformed, c.malformed) << c.in;
  }
}

TEST(MimeDecode, quoted_printable_table) {
  const Case cases[] = {
      {"a=3Db", "a=b", false},
      {"soft=\r\nbreak", "softbreak", false},
      {"soft= \t\nbreak", "softbreak", false},
      {"end=", "end", false},
      {"end=4", "end=4", true},
      {"a=ZZ", "a=ZZ", true},
      {"blank  \r\nx", "blank\r\nx", false},
      {"a  b", "a  b", false},
      {"=e4=C4", "\xe4\xc4", false},
      {"last  ", "last", false},
      {"==41", "=A", true},
  };
  for (const Case& c : cases) {
    bool malformed = false;
    EXPECT_EQ(decoded(decode_quoted_printable, c.in, &malformed), c.out) << c.in;
    EXPECT_EQ(malformed, c.malformed) << c.in;
  }
}

TEST(MimeDecode, uuencode_table) {
  EXPECT_EQ(decoded(decode_uuencode, "begin 644 cat.txt\r\n#0V%T\r\n`\r\nend\r\n"), "Cat");
  EXPECT_EQ(decoded(decode_uuencode, "#0V%T\n"), "Cat");
  bool malformed = false;
  decoded(decode_uuencode, "#\x01\x02\xff\xff\n", &malformed);
  EXPECT_TRUE(malformed);
  EXPECT_EQ(decoded(decode_uuencode, "M\n").size(), 45U);  // blanks lost in transport
}

TEST(MimeDecode, capped_output_can_be_continued) {
  const std::string encoded = "SGVsbG8sIHdvcmxkISBIb3cgYXJlIHlvdT8=";
  const std::string whole = decoded(decode_base64, encoded);
  for (std::size_t cap = 3; cap < whole.size(); ++cap) {
    std::string got;
    std::string_view rest = encoded;
    std::string out(cap, '\0');
    for (;;) {
      const Decoded piece = decode_base64(rest, out);
      ASSERT_LE(piece.written, cap);
      got += out.substr(0, piece.written);
      if (!piece.truncated) break;
      ASSERT_GT(piece.consumed, 0U);
      rest.remove_prefix(piece.consumed);
    }
    EXPECT_EQ(got, whole);
  }
  const std::string quoted = "a=3Db  c=\r\nd   \r\nlast";
  const std::string whole_quoted = decoded(decode_quoted_printable, quoted);
  for (std::size_t cap = 1; cap < whole_quoted.size(); ++cap) {
    std::string got;
    std::string_view rest = quoted;
    std::string out(cap, '\0');
    for (;;) {
      const Decoded piece = decode_quoted_printable(rest, out);
      got += out.substr(0, piece.written);
      if (!piece.truncated) break;
      ASSERT_GT(piece.consumed, 0U);
      rest.remove_prefix(piece.consumed);
    }
    EXPECT_EQ(got, whole_quoted) << cap;
  }
}

TEST(MimeDecode, words_table) {
  EXPECT_EQ(words(" plain text"), "plain text");
  EXPECT_EQ(words("=?utf-8?Q?=C3=A4_b?="), "\xc3\xa4 b");
  EXPECT_EQ(words("=?ISO-8859-1?q?a=E4?= =?iso-8859-1?B?5A==?="), "a\xc3\xa4\xc3\xa4");  // RFC 2047 section 8: no blank between
  EXPECT_EQ(words("=?utf-8?Q?a?= b =?utf-8?Q?c?="), "a b c");
  EXPECT_EQ(words("=?utf-8?Q?=C3?=\r\n =?utf-8?Q?=A4?="), "\xc3\xa4");  // a character across two words
  EXPECT_EQ(words("=?windows-1252?Q?=80?="), "\xe2\x82\xac");
  EXPECT_EQ(words("=?utf-8*en?Q?x?="), "x");
  EXPECT_EQ(words("folded\r\n value"), "folded value");
  EXPECT_EQ(words("=?utf-8?X?x?="), "=?utf-8?X?x?=");
  EXPECT_EQ(words("=?utf-8?Q?open"), "=?utf-8?Q?open");
  EXPECT_EQ(words("=??Q?x?="), "=??Q?x?=");
}

TEST(MimeDecode, invalid_bytes_become_replacement_characters) {
  std::array<char, 64> out;
  for (const std::string_view bad : {"\xff", "\xc0\x80", "\xed\xa0\x80", "\xf5\x80\x80\x80", "\xc3"}) {
    const Text text = decode_words(bad, out);
    EXPECT_TRUE(text.lossy);
    EXPECT_TRUE(text.text.starts_with("\xef\xbf\xbd"));
  }
  const Text unknown = decode_words("=?koi8-r?B?wQ==?=", out);
  EXPECT_TRUE(unknown.lossy);
  EXPECT_EQ(unknown.text, "\xef\xbf\xbd");
}

TEST(MimeDecode, parameters_table) {
  EXPECT_EQ(parameter("attachment; filename=a.txt"), "a.txt");
  EXPECT_EQ(parameter("attachment; FILENAME=\"a \\\"b\\\".txt\""), "a \"b\".txt");
  EXPECT_EQ(parameter("attachment; filename=bare words (1).txt; x=y"), "bare words (1).txt");
  EXPECT_EQ(parameter("attachment; filename=\"=?utf-8?Q?=C3=A4?=.txt\""), "\xc3\xa4.txt");
  EXPECT_EQ(parameter("attachment; filename*=iso-8859-1'de'%E4.txt"), "\xc3\xa4.txt");
  EXPECT_EQ(parameter("attachment; filename=old; filename*=utf-8''new"), "new");
  EXPECT_EQ(parameter("x; filename*1=b; filename*2*=%63; filename*0*=utf-8''%C3%A4"),
            "\xc3\xa4"
            "bc");
  EXPECT_EQ(parameter("attachment; filename=\"never closed"), "never closed");
  EXPECT_EQ(parameter("attachment; x=\"filename=no\"; filename=yes"), "yes");
  EXPECT_EQ(parameter("attachment; x; ;; =y; filename = z"), "z");
  EXPECT_EQ(parameter("attachment"), "");
  EXPECT_EQ(parameter("a; filename=\"fol\r\n ded\""), "fol ded");
}

TEST(MimeDecode, a_mark_without_a_name_is_a_name) {
  for (const std::string_view value : {"x; *1=y", "x; *=y", "x; *1*=y"}) {
    ParameterScanner scanner(value);
    Parameter got;
    ASSERT_TRUE(scanner.next(got));
    EXPECT_TRUE(got.name.starts_with('*'));
    EXPECT_EQ(got.section, -1);
  }
}

TEST(MimeDecode, text_after_the_end_of_uuencode_is_ignored) { EXPECT_EQ(decoded(decode_uuencode, "#0V%T\nend\n#0V%T\n"), "Cat"); }

TEST(MimeDecode, scanner_reads_head_and_marks) {
  ParameterScanner scanner(" text / plain (c) ; charset = utf-8 ; a*3*=x; b*=y; c*z=1");
  EXPECT_EQ(scanner.first(), "text");
  EXPECT_EQ(scanner.second(), "plain");
  Parameter got;
  ASSERT_TRUE(scanner.next(got));
  EXPECT_EQ(got.name, "charset");
  EXPECT_EQ(got.value, "utf-8");
  ASSERT_TRUE(scanner.next(got));
  EXPECT_EQ(got.name, "a");
  EXPECT_EQ(got.section, 3);
  EXPECT_TRUE(got.extended);
  ASSERT_TRUE(scanner.next(got));
  EXPECT_EQ(got.section, -1);
  EXPECT_TRUE(got.extended);
  ASSERT_TRUE(scanner.next(got));
  EXPECT_EQ(got.name, "c*z");
  EXPECT_FALSE(scanner.next(got));
}

}  // namespace
}  // namespace ringpost::mime
