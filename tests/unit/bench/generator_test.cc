#include "bench/generator.hh"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "bench/content_digest.hh"
#include "ringpost/smtp/data_decoder.hh"
#include "ringpost/smtp/dot_stuffer.hh"

namespace ringpost::bench {
namespace {

GeneratedMessage made(const GeneratorOptions& options, std::uint64_t number) {
  GeneratedMessage message;
  Generator{options}.make(number, message);
  return message;
}

smtp::TextFaults faults_of(std::string_view content, bool* eight_bit = nullptr) {
  smtp::ChunkChecker checker;
  checker.feed(as_bytes(content));
  checker.finish();
  if (eight_bit) *eight_bit = checker.eight_bit();
  return checker.faults();
}

TEST(Generator, one_seed_gives_one_message) {
  GeneratorOptions options{.run = "r", .seed = 5, .bytes = Range{128, 9000}, .recipients = {1, 50}};
  GeneratedMessage first = made(options, 17), again = made(options, 17), other = made(options, 18);
  EXPECT_EQ(first.content, again.content);
  EXPECT_EQ(first.recipients, again.recipients);
  EXPECT_EQ(first.token, "r-17");
  EXPECT_NE(first.content, other.content);
  options.seed = 6;
  EXPECT_NE(made(options, 17).content, first.content);
}

TEST(Generator, memory_of_an_earlier_message_does_not_show) {
  Generator generator{{.run = "r", .bytes = Range{128, 9000}}};
  GeneratedMessage reused;
  for (std::uint64_t number : {3, 1, 2, 3}) {
    GeneratedMessage fresh;
    generator.make(number, fresh);
    generator.make(number, reused);
    EXPECT_EQ(reused.content, fresh.content);
  }
}

TEST(Generator, every_size_is_met_with_a_token_and_well_formed_lines) {
  for (bool eight_bit : {false, true}) {
    for (std::uint64_t bytes = kMessageBytesMin; bytes < 1500; ++bytes) {
      GeneratorOptions options{.run = std::string(kRunBytesMax, 'r'), .bytes = Range{bytes, bytes}, .eight_bit = eight_bit};
      GeneratedMessage message = made(options, 12'345'678'901'234'567'890u);
      ASSERT_EQ(message.content.size(), bytes);
      ASSERT_TRUE(message.content.ends_with("\r\n"));
      ASSERT_FALSE(faults_of(message.content).any()) << bytes;
      ContentDigest digest;
      digest.feed(as_bytes(message.content));
      ASSERT_EQ(digest.finish().token, message.token);
    }
  }
}

TEST(Generator, larger_than_its_text_still_well_formed) {
  GeneratedMessage message = made({.run = "r", .bytes = Range{3'000'000, 3'000'000}}, 1);
  EXPECT_EQ(message.content.size(), 3'000'000u);
  EXPECT_FALSE(faults_of(message.content).any());
}

TEST(Generator, sizes_and_recipients_cover_their_ranges) {
  Generator generator{{.run = "r", .bytes = Range{200, 203}, .recipients = {1, 3}}};
  std::set<std::size_t> sizes, recipients;
  GeneratedMessage message;
  for (std::uint64_t number = 0; number < 200; ++number) {
    generator.make(number, message);
    sizes.insert(message.content.size());
    recipients.insert(message.recipients);
  }
  EXPECT_EQ(sizes, (std::set<std::size_t>{200, 201, 202, 203}));
  EXPECT_EQ(recipients, (std::set<std::size_t>{1, 2, 3}));
}

TEST(Generator, bodies_hold_the_lines_that_dot_stuffing_is_for) {
  GeneratedMessage message = made({.run = "r", .bytes = Range{100'000, 100'000}}, 1);
  EXPECT_NE(message.content.find("\r\n.\r\n"), std::string::npos);
  EXPECT_NE(message.content.find("\r\n..\r\n"), std::string::npos);
  EXPECT_NE(message.content.find("\r\n\r\n\r\n"), std::string::npos);
}

TEST(Generator, octets_above_127_only_when_asked_for) {
  bool eight_bit = false;
  (void)faults_of(made({.run = "r", .bytes = Range{9000, 9000}}, 1).content, &eight_bit);
  EXPECT_FALSE(eight_bit);
  (void)faults_of(made({.run = "r", .bytes = Range{9000, 9000}, .eight_bit = true}, 1).content, &eight_bit);
  EXPECT_TRUE(eight_bit);
}

TEST(Generator, survives_dot_stuffing_and_back) {
  std::string content = made({.run = "r", .bytes = Range{50'000, 50'000}}, 9).content, wire, back;
  smtp::DotStuffer stuffer;
  for (Bytes rest = as_bytes(content); !rest.empty();) {
    auto step = stuffer.next(rest);
    wire.append(as_text(step.output));
    rest = rest.subspan(step.consumed);
  }
  wire.append(as_text(stuffer.finish()));
  EXPECT_GT(wire.size(), content.size() + 3);
  smtp::DataDecoder decoder;
  for (MutableBytes rest = std::as_writable_bytes(std::span{wire}); !decoder.ended();) {
    auto step = decoder.next(rest);
    back.append(as_text(step.content));
    rest = rest.subspan(step.consumed);
  }
  EXPECT_EQ(back, content);
}

}  // namespace
}  // namespace ringpost::bench
