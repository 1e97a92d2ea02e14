// Hostile messages: header bombs (M1), nesting bombs (M2), decoder bombs (M3), overlong lines (M4).
#include <gtest/gtest.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <functional>
#include <limits>

#include "ringpost/mime/decode.hh"
#include "ringpost/mime/survey.hh"
#include "support.hh"

namespace ringpost::mime {
namespace {

using testing::flag_names;
using testing::index_of;

/// Seconds of processor time: other programs on the machine do not count.
double cpu_s() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

double best_of(int tries, const std::function<void()>& work) {
  double best = std::numeric_limits<double>::max();
  for (int i = 0; i < tries; ++i) {
    const double begin = cpu_s();
    work();
    best = std::min(best, cpu_s() - begin);
  }
  return best;
}

/// A message made of a head and then one block over and over. The block is repeated in memory until it is of a size
/// worth feeding, and fed again and again, so that the cache is as warm for ten times the bytes.
struct Attack {
  std::string_view name;
  std::string head;
  std::string block;
  std::uint64_t bytes = 4 << 20;
};

void feed(Indexer& indexer, const Attack& attack, std::uint64_t bytes) {
  std::string span;
  while (span.size() < 65536) span += attack.block;
  indexer.reset();
  indexer.feed(as_bytes(attack.head));
  for (std::uint64_t fed = 0; fed < bytes; fed += span.size()) indexer.feed(as_bytes(span));
  indexer.finish();
}

void expect_linear(const Attack& attack, const Limits& limits = {}) {
  Indexer indexer(limits);
  double ratio = 0;
  for (int round = 0; round < 5; ++round) {
    const double once = best_of(5, [&] { feed(indexer, attack, attack.bytes); });
    const double tenfold = best_of(3, [&] { feed(indexer, attack, 10 * attack.bytes); });
    ratio = tenfold / std::max(once, 1e-5);
    if (ratio <= 12) break;
  }
  EXPECT_LE(ratio, 12) << attack.name;
  EXPECT_EQ(testing::broken_invariant(indexer.index(), indexer.index().size()), "") << attack.name;
}

std::string multipart(std::string_view boundary) {
  return "Content-Type: multipart/mixed; boundary=\"" + std::string(boundary) + "\"\r\n\r\n";
}

std::string nested_multiparts(int depth, const std::function<std::string(int)>& boundary) {
  std::string message;
  for (int i = 0; i < depth; ++i) message += multipart(boundary(i)) + "--" + boundary(i) + "\r\n";
  return message;
}

// M1

TEST(M1HeaderBombs, one_header_line_without_end_is_opaque_from_its_begin) {
  Indexer indexer;
  indexer.feed(as_bytes("A: b\r\nBomb: "));
  const std::string block(1 << 20, 'x');
  for (int i = 0; i < 100; ++i) indexer.feed(as_bytes(block));
  const Index& index = indexer.finish();
  EXPECT_EQ(index.opaque_begin(), 6U);
  EXPECT_EQ(index.fields().size(), 1U);
  EXPECT_EQ(flag_names(index.flags()), "header_too_long");
}

TEST(M1HeaderBombs, a_million_fields_stop_at_the_limit) {
  std::string message;
  for (int i = 0; i < 1'000'000; ++i) message += "A: b\r\n";
  const Index index = index_of(message, {.header_bytes_max = 100'000'000});
  EXPECT_EQ(index.fields().size(), Limits{}.fields_max);
  EXPECT_EQ(index.opaque_begin(), 6ULL * Limits{}.fields_max);
  EXPECT_EQ(flag_names(index.flags()), "over_fields");
  EXPECT_EQ(flag_names(index_of(message, {.fields_max = 2'000'000}).flags()), "header_too_long");
}

TEST(M1HeaderBombs, a_million_folds_stop_at_the_limit) {
  std::string message = "A: b\r\n";
  for (int i = 0; i < 1'000'000; ++i) message += " c\r\n";
  const Index index = index_of(message);
  EXPECT_EQ(flag_names(index.flags()), "header_too_long");
  EXPECT_LE(index.opaque_begin(), Limits{}.header_bytes_max);
}

TEST(M1HeaderBombs, a_name_of_a_mebibyte_is_no_field) {
  const std::string message = std::string(1 << 20, 'n') + ": x\r\n\r\n";
  EXPECT_EQ(flag_names(index_of(message).flags()), "header_too_long");
  const Index index = index_of(message, {.header_bytes_max = 1 << 24});
  EXPECT_EQ(flag_names(index.flags()), "no_colon long_line");
  EXPECT_TRUE(index.fields().empty());
}

TEST(M1HeaderBombs, no_colon_nul_and_eight_bit_are_flagged) {
  const std::string nul("A: \0\r\nno colon\xff\r\n", 18);
  EXPECT_EQ(flag_names(index_of(nul).flags()), "no_colon nul eight_bit");
}

TEST(M1HeaderBombs, content_value_above_the_limit_is_read_from_its_begin) {
  const std::string message =
      "Content-Type: multipart/mixed; boundary=x; y=\"" + std::string(100'000, 'y') + "\"\r\n\r\n--x\r\n\r\na\r\n--x--\r\n";
  const Index index = index_of(message);
  EXPECT_EQ(index.parts().size(), 2U);
  EXPECT_EQ(flag_names(index.flags()), "field_too_long long_line");
}

TEST(M1HeaderBombs, time_is_linear_in_bytes) {
  const Limits wide{.fields_max = 20'000'000, .header_bytes_max = 1'000'000'000};
  expect_linear({"fields", "", "Some: value\r\n"}, wide);
  expect_linear({"folds", "A: b\r\n", " c\r\n"}, wide);
  expect_linear({"content folds", "Content-Type: text/plain\r\n", " ; a=b\r\n"}, wide);
  expect_linear({"content fields", "", "Content-Type: text/plain; boundary*0=a; boundary*1=b\r\n"}, wide);
  expect_linear({"open comments", "", "Content-Type: ((((((((((((((((((((((((((((\"\r\n"}, wide);
  expect_linear({"one line", "A: ", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}, wide);
  expect_linear({"refused", "", "A: b\r\n"});
}

// M2

TEST(M2StructureBombs, depth_ten_thousand_stays_within_the_limit) {
  const auto boundary = [](int i) { return "b" + std::to_string(i) + "."; };
  const std::string message = nested_multiparts(10'000, boundary);
  const Index index = index_of(message);
  EXPECT_EQ(index.parts().size(), Limits{}.depth_max + 1U);
  EXPECT_EQ(index.parts().back().depth, Limits{}.depth_max);
  EXPECT_EQ(index.parts().back().body, Body::leaf);
  EXPECT_EQ(index.parts().back().body_end, message.size());
  EXPECT_TRUE(index.flags().has(Flag::over_depth));
  EXPECT_EQ(testing::broken_invariant(index, message.size()), "");
}

TEST(M2StructureBombs, nested_messages_ten_thousand_deep_stay_within_the_limit) {
  std::string message;
  for (int i = 0; i < 10'000; ++i) message += "Content-Type: message/rfc822\r\n\r\n";
  const Index index = index_of(message);
  EXPECT_EQ(index.parts().size(), Limits{}.depth_max + 1U);
  EXPECT_EQ(flag_names(index.flags()), "over_depth");
  EXPECT_EQ(testing::broken_invariant(index, message.size()), "");
}

TEST(M2StructureBombs, what_follows_a_part_that_is_too_deep_is_still_read) {
  const auto boundary = [](int i) { return std::to_string(i) + "/"; };
  const std::string message = nested_multiparts(3, boundary) + "\r\ndeep\r\n--0/\r\n\r\nafter\r\n--0/--\r\n";
  const Index index = index_of(message, {.depth_max = 1});
  ASSERT_EQ(index.parts().size(), 3U);
  EXPECT_TRUE(index.parts()[1].flags.has(Flag::over_depth));
  EXPECT_EQ(message.substr(index.parts()[2].body_begin, 5), "after");
  EXPECT_EQ(index.opaque_begin(), message.size());
}

TEST(M2StructureBombs, a_million_parts_stop_at_the_limit) {
  std::string message = multipart("x");
  for (int i = 0; i < 1'000'000; ++i) message += "--x\r\n\r\n";
  const Index index = index_of(message);
  EXPECT_EQ(index.parts().size(), Limits{}.parts_max);
  EXPECT_EQ(flag_names(index.flags()), "over_parts");
  EXPECT_LT(index.opaque_begin(), 10'000U);
  EXPECT_EQ(testing::broken_invariant(index, message.size()), "");
}

TEST(M2StructureBombs, a_boundary_of_ten_kibibytes_makes_the_body_opaque) {
  const std::string boundary(10'240, 'b');
  const std::string message = multipart(boundary) + "--" + boundary + "\r\n\r\na\r\n--" + boundary + "--\r\n";
  const Index index = index_of(message);
  EXPECT_EQ(index.parts().size(), 1U);
  EXPECT_TRUE(index.flags().has(Flag::boundary_too_long));
  EXPECT_EQ(index.parts()[0].body, Body::leaf);
}

TEST(M2StructureBombs, boundaries_that_are_prefixes_of_each_other_are_told_apart) {
  const auto boundary = [](int i) { return std::string(static_cast<std::size_t>(i) + 1, 'a'); };
  std::string message = nested_multiparts(32, boundary) + "\r\nleaf\r\n";
  for (int i = 31; i >= 0; --i) message += "--" + boundary(i) + "--\r\n";
  const Index index = index_of(message);
  EXPECT_EQ(index.parts().size(), 33U);
  EXPECT_EQ(flag_names(index.flags()), "");
}

TEST(M2StructureBombs, time_is_linear_in_bytes) {
  const auto prefixes = [](int i) { return std::string(static_cast<std::size_t>(i) * 7 + 1, 'a'); };
  const std::string deep = nested_multiparts(32, prefixes) + "\r\n";
  expect_linear({"nothing open", "A: b\r\n\r\n", "body\r\n--x\r\n", 64 << 20});
  expect_linear({"text", multipart("x"), "Seventy bytes or so of text that nobody would take for a delimiter....\r\n", 16 << 20});
  expect_linear({"dashes", multipart("x"), "--\r\n-\r\n---\r\n"});
  expect_linear({"almost", multipart(std::string(200, 'x')), "--" + std::string(199, 'x') + "\r\n"});
  expect_linear({"prefixes", deep, "--" + std::string(250, 'b') + "\r\n"});
  expect_linear({"shared prefixes of a long line", deep + "--", std::string(4096, 'b')});
  expect_linear({"a line that may be a delimiter and never ends", multipart("x") + "--y", std::string(4096, 'y')});
  expect_linear({"depth", "", "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n"});
  expect_linear({"messages", "", "Content-Type: message/rfc822\r\n\r\n"});
  expect_linear({"parts", multipart("x"), "--x\r\n\r\n"}, {.parts_max = 65'000});
  expect_linear({"parts that open and close", multipart("x"),
                 "--x\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--y\r\n\r\na\r\n--y--\r\n"},
                {.parts_max = 65'000});
}

// M3

void expect_decoders_bounded(std::string_view in) {
  for (const std::size_t cap : {0U, 1U, 2U, 5U, 64U, 4096U}) {
    std::string out(cap + 8, '!');
    const std::span<char> room = std::span(out).first(cap);
    for (const auto decoder : {decode_base64, decode_quoted_printable, decode_uuencode}) {
      const Decoded result = decoder(in, room);
      EXPECT_LE(result.written, cap);
      EXPECT_LE(result.consumed, in.size());
      EXPECT_TRUE(result.truncated || result.consumed == in.size());
    }
    EXPECT_LE(decode_words(in, room).text.size(), cap);
    EXPECT_LE(decode_parameter(in, "filename", room).text.size(), cap);
    EXPECT_EQ(std::string_view(out).substr(cap), "!!!!!!!!");
  }
}

TEST(M3DecoderBombs, junk_never_breaks_the_cap) {
  for (const std::string_view in : {"",
                                    "=",
                                    "==",
                                    "=4",
                                    "=?",
                                    "=?=",
                                    "=?utf-8?B???\?\?=",
                                    "=?utf-8?Q?=?=",
                                    "=?a?b?=?=?=",
                                    "%",
                                    "x; filename*=%",
                                    "x; filename*0*='",
                                    "x;filename*=utf-8''%f0%9f%98",
                                    "x;filename=\"\\",
                                    "(((((",
                                    "\\",
                                    "M",
                                    "begin ",
                                    "end",
                                    "x; filename*99999999999=1"}) {
    expect_decoders_bounded(in);
  }
  std::string all;
  for (int i = 0; i < 1024; ++i) all += static_cast<char>(i * 37);
  expect_decoders_bounded(all);
}

TEST(M3DecoderBombs, a_million_continuations_out_of_order_cost_one_pass) {
  std::string value = "attachment";
  for (int i = 1'000'000; i >= 0; i -= 1)
    value += "; filename*" + std::to_string(i) + "=" + std::string(1, static_cast<char>('a' + i % 26));
  std::array<char, 64> out;
  const Text text = decode_parameter(value, "filename", out);
  EXPECT_EQ(text.text, "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl");
  EXPECT_TRUE(text.truncated);
  EXPECT_TRUE(text.malformed);
}

TEST(M3DecoderBombs, a_gap_in_continuations_ends_the_value) {
  std::array<char, 64> out;
  const Text text = decode_parameter("x; filename*0=a; filename*2=c", "filename", out);
  EXPECT_EQ(text.text, "a");
  EXPECT_TRUE(text.malformed);
}

TEST(M3DecoderBombs, nested_and_overlong_words_are_decoded_once) {
  std::array<char, 64> out;
  EXPECT_EQ(decode_words("=?utf-8?B?PT91dGYtOD9RP2E/PQ==?=", out).text, "=?utf-8?Q?a?=");
  const std::string overlong = "=?utf-8?Q?" + std::string(100'000, 'x') + "?=";
  const Text text = decode_words(overlong, out);
  EXPECT_EQ(text.text, std::string(64, 'x'));
  EXPECT_TRUE(text.truncated);
}

TEST(M3DecoderBombs, unknown_charsets_keep_their_ascii_half) {
  std::array<char, 64> out;
  const Text text = decode_words("=?x-bomb-" + std::string(10'000, '9') + "?Q?a=FFb?=", out);
  EXPECT_EQ(text.text,
            "a\xef\xbf\xbd"
            "b");
  EXPECT_TRUE(text.lossy);
}

TEST(M3DecoderBombs, time_is_linear_in_bytes) {
  std::vector<char> out(16 << 20);
  const auto expect = [&](std::string_view what, std::string_view block, const auto& decode) {
    std::string one;
    while (one.size() < 262'144) one += block;
    std::string ten;
    for (int i = 0; i < 10; ++i) ten += one;
    double ratio = 0;
    for (int round = 0; round < 5; ++round) {
      const double once = best_of(5, [&] { decode(one); });
      ratio = best_of(3, [&] { decode(ten); }) / std::max(once, 1e-5);
      if (ratio <= 12) break;
    }
    EXPECT_LE(ratio, 12) << what;
  };
  for (const std::string_view block : {"=?", "=?a?Q?", "=?a?Q?x", " \r\n", "=?utf-8?Q?a?= ", "?"}) {
    expect(block, block, [&](const std::string& in) { (void)decode_words(in, out); });
  }
  for (const std::string_view block : {"; filename*1=a", "\"", "(", "\\", "; x=\""}) {
    expect(block, block, [&](const std::string& in) { (void)decode_parameter(in, "filename", out); });
  }
  for (const std::string_view block : {" ", "=", "= ", "=\r\n"}) {
    expect(block, block, [&](const std::string& in) { (void)decode_quoted_printable(in, out); });
  }
}

// M4

TEST(M4LineLengths, the_survey_knows_the_longest_line_in_any_split) {
  for (const std::size_t length : {0U, 1U, 998U, 999U, 1000U, 1001U, 100'000U}) {
    const std::string line(length, 'x');
    for (const std::string& message :
         {line + "\r\n", line + "\n", line, "short\r\n" + line + "\r\nshort", "\r\n" + line + "\r\n"}) {
      const std::uint64_t expected = std::max<std::uint64_t>(length, message.starts_with("short") ? 5 : 0);
      for (const std::size_t step : {std::size_t{1}, std::size_t{997}, message.size() + 1}) {
        Survey survey;
        for (std::size_t at = 0; at < message.size(); at += step)
          survey.feed(as_bytes(std::string_view(message).substr(at, step)));
        EXPECT_EQ(survey.longest_line(), expected) << length << " in steps of " << step;
        EXPECT_FALSE(survey.eight_bit());
        EXPECT_FALSE(survey.nul());
      }
    }
  }
}

TEST(M4LineLengths, the_survey_sees_nul_and_eight_bit_wherever_they_are) {
  for (std::size_t at = 0; at < 100; ++at) {
    std::string message(100, 'x');
    message[at] = '\0';
    Survey survey;
    survey.feed(as_bytes(message));
    EXPECT_TRUE(survey.nul());
    EXPECT_FALSE(survey.eight_bit());
    message[at] = '\x80';
    survey.reset();
    survey.feed(as_bytes(message));
    EXPECT_TRUE(survey.eight_bit());
    EXPECT_FALSE(survey.nul());
  }
}

TEST(M4LineLengths, header_lines_above_998_are_flagged) {
  EXPECT_EQ(flag_names(index_of("A: " + std::string(995, 'x') + "\r\n\r\n").flags()), "");
  EXPECT_EQ(flag_names(index_of("A: " + std::string(996, 'x') + "\r\n\r\n").flags()), "long_line");
  EXPECT_EQ(flag_names(index_of("A: b\r\n\r\n" + std::string(2000, 'x') + "\r\n").flags()), "");
}

TEST(M4LineLengths, a_body_line_of_100_mebibytes_hides_no_delimiter_after_it) {
  Indexer indexer;
  indexer.feed(as_bytes(multipart("x") + "--x\r\n\r\n"));
  const std::string block(1 << 20, '-');
  for (int i = 0; i < 100; ++i) indexer.feed(as_bytes(block));
  indexer.feed(as_bytes("\r\n--x--\r\n"));
  const Index& index = indexer.finish();
  EXPECT_EQ(index.parts().size(), 2U);
  EXPECT_EQ(index.parts()[1].body_end - index.parts()[1].body_begin, 100ULL << 20);
  EXPECT_EQ(flag_names(index.flags()), "");
}

}  // namespace
}  // namespace ringpost::mime
