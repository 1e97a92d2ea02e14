#include "ringpost/smtp/data_decoder.hh"

#include "ringpost/smtp/dot_stuffer.hh"
#include "support.hh"

namespace ringpost::smtp {
namespace {

using namespace testing;

struct Outcome {
  bool ended = false;
  std::size_t consumed = 0;
  std::string content;
  std::uint64_t size = 0;
  std::uint64_t longest_line = 0;
  bool eight_bit = false;
  TextFaults faults;
  Reply refusal;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

MutableBytes writable(std::string& text) { return std::as_writable_bytes(std::span{text}); }

Outcome decode_pieces(const std::vector<std::string>& pieces, BareNewline policy) {
  DataDecoder decoder(policy);
  Outcome outcome;
  for (std::string piece : pieces) {
    MutableBytes input = writable(piece);
    while (!input.empty() && !outcome.ended) {
      DataDecoder::Step step = decoder.next(input);
      EXPECT_TRUE(step.consumed != 0 || !step.content.empty());
      outcome.content += as_text(step.content);
      outcome.consumed += step.consumed;
      outcome.ended = step.end;
      input = input.subspan(step.consumed);
    }
  }
  EXPECT_EQ(decoder.ended(), outcome.ended);
  outcome.size = decoder.size();
  outcome.longest_line = decoder.longest_line();
  outcome.eight_bit = decoder.eight_bit();
  outcome.faults = decoder.faults();
  outcome.refusal = decoder.refusal();
  return outcome;
}

/// Decodes `wire` and checks that no cut changes anything.
Outcome decode(std::string_view wire, BareNewline policy = BareNewline::refuse) {
  Outcome whole = decode_pieces({std::string(wire)}, policy);
  for_each_cut(wire, [&](const std::vector<std::string>& pieces) {
    Outcome cut = decode_pieces(pieces, policy);
    // A refused message may have given out one CR more or less before its fault was seen; nobody keeps it.
    if (whole.refusal) cut.content = whole.content;
    ASSERT_EQ(cut, whole) << "cut behind " << pieces[0].size();
  });
  return whole;
}

std::string stuff(std::string_view content) {
  DotStuffer stuffer;
  std::string wire;
  for (Bytes rest = as_bytes(content); !rest.empty();) {
    DotStuffer::Step step = stuffer.next(rest);
    if (stuffer.failed()) return "";
    wire += as_text(step.output);
    rest = rest.subspan(step.consumed);
  }
  wire += as_text(stuffer.finish());
  return stuffer.failed() ? "" : wire;
}

constexpr std::string_view kBefore = "Subject: x\r\n\r\nfirst";
constexpr std::string_view kSmuggled = "MAIL FROM:<evil@example.org>\r\nRCPT TO:<you@example.com>\r\nDATA\r\n";
constexpr std::string_view kEnd = "\r\n.\r\n";
constexpr std::string_view kNext = "QUIT\r\n";

/// `variant` stands in the middle of a message: it must not end there, and is refused at the true end.
void expect_not_the_end(std::string_view variant) {
  std::string message = std::string(kBefore) + std::string(variant) + std::string(kSmuggled) + std::string(kEnd);
  Outcome outcome = decode(message + std::string(kNext));
  EXPECT_TRUE(outcome.ended);
  EXPECT_EQ(outcome.consumed, message.size());
  EXPECT_EQ(outcome.refusal.code, 554);
  EXPECT_EQ(outcome.refusal.enhanced.subject, 6);

  // Repair keeps the same end, and what it makes goes out as one well-formed message.
  Outcome repaired = decode(message + std::string(kNext), BareNewline::repair);
  EXPECT_EQ(repaired.consumed, message.size());
  EXPECT_EQ(bool(repaired.refusal), repaired.faults.nul);
  if (repaired.refusal) return;
  EXPECT_NE(repaired.content.find(kSmuggled), std::string::npos);
  Outcome again = decode(stuff(repaired.content));
  EXPECT_EQ(again.content, repaired.content);
  EXPECT_FALSE(again.faults.any());
}

/// `variant` ends the message, which is refused for a stray byte before its end.
void expect_refused_end(std::string_view variant) {
  std::string message = std::string(kBefore) + std::string(variant);
  Outcome outcome = decode(message + std::string(kSmuggled));
  EXPECT_TRUE(outcome.ended);
  EXPECT_EQ(outcome.consumed, message.size());
  EXPECT_EQ(outcome.refusal.code, 554);
}

/// `variant` is text: kept byte for byte but for one stuffed dot, and stuffed again on its way out.
void expect_text(std::string_view variant, std::string_view kept) {
  std::string message = std::string(kBefore) + std::string(variant) + std::string(kSmuggled) + std::string(kEnd);
  Outcome outcome = decode(message + std::string(kNext));
  EXPECT_TRUE(outcome.ended);
  EXPECT_EQ(outcome.consumed, message.size());
  EXPECT_FALSE(outcome.refusal);
  std::string content = std::string(kBefore) + std::string(kept) + std::string(kSmuggled) + "\r\n";
  EXPECT_EQ(outcome.content, content);
  EXPECT_EQ(outcome.size, content.size());
  EXPECT_EQ(decode(stuff(content)).content, content);
}

TEST(Attacks, E1_lf_dot_lf_is_not_the_end) { expect_not_the_end("\n.\n"); }
TEST(Attacks, E2_lf_dot_crlf_is_not_the_end) { expect_not_the_end("\n.\r\n"); }
TEST(Attacks, E3_lf_dot_cr_is_not_the_end) { expect_not_the_end("\n.\r"); }
TEST(Attacks, E4_cr_dot_cr_is_not_the_end) { expect_not_the_end("\r.\r"); }
TEST(Attacks, E5_cr_dot_lf_is_not_the_end) { expect_not_the_end("\r.\n"); }
TEST(Attacks, E6_cr_dot_crlf_is_not_the_end) { expect_not_the_end("\r.\r\n"); }
TEST(Attacks, E7_crlf_dot_lf_is_not_the_end) { expect_not_the_end("\r\n.\n"); }
TEST(Attacks, E8_crlf_dot_cr_is_not_the_end) { expect_not_the_end("\r\n.\r"); }
TEST(Attacks, E9_crlf_dot_crcrlf_is_not_the_end) { expect_not_the_end("\r\n.\r\r\n"); }
TEST(Attacks, E10_crcrlf_dot_crcrlf_is_not_the_end) { expect_not_the_end("\r\r\n.\r\r\n"); }
TEST(Attacks, E11_crlf_nul_dot_crlf_is_not_the_end) { expect_not_the_end("\r\n\0.\r\n"sv); }
TEST(Attacks, E12_crlf_dot_nul_crlf_is_not_the_end) { expect_not_the_end("\r\n.\0\r\n"sv); }
TEST(Attacks, E13_cr_nul_lf_dot_crlf_is_not_the_end) { expect_not_the_end("\r\0\n.\r\n"sv); }
TEST(Attacks, E14_crlf_dot_cr_nul_lf_is_not_the_end) { expect_not_the_end("\r\n.\r\0\n"sv); }
TEST(Attacks, E15_a_nul_before_the_end_refuses_the_message) {
  expect_refused_end("\0\r\n.\r\n"sv);
  EXPECT_TRUE(decode("a\0\r\n.\r\n"sv).faults.nul);
}
TEST(Attacks, E16_a_nul_behind_the_end_is_no_part_of_the_message) {
  Outcome outcome = decode("text\r\n.\r\n\0"sv);
  EXPECT_TRUE(outcome.ended);
  EXPECT_EQ(outcome.consumed, 9u);
  EXPECT_FALSE(outcome.refusal);
  EXPECT_EQ(outcome.content, "text\r\n");
}
TEST(Attacks, E17_a_cr_before_the_end_refuses_the_message) { expect_refused_end("\r\r\n.\r\n"); }
TEST(Attacks, E18_an_lf_before_the_end_refuses_the_message) { expect_refused_end("\n\r\n.\r\n"); }
TEST(Attacks, E19_lfcr_dot_lfcr_is_not_the_end) { expect_not_the_end("\n\r.\n\r"); }
TEST(Attacks, E20_crlf_blank_dot_crlf_is_text) { expect_text("\r\n .\r\n", "\r\n .\r\n"); }
TEST(Attacks, E21_crlf_dot_blank_crlf_is_text) { expect_text("\r\n. \r\n", "\r\n \r\n"); }
TEST(Attacks, E22_crlf_dot_dot_crlf_is_one_dot) { expect_text("\r\n..\r\n", "\r\n.\r\n"); }
TEST(Attacks, E23_crlf_dot_tab_crlf_is_text) { expect_text("\r\n.\t\r\n", "\r\n\t\r\n"); }
TEST(Attacks, E24_vt_and_ff_are_text) {
  expect_text("\v.\r\n", "\v.\r\n");
  expect_text("\f.\r\n", "\f.\r\n");
}
TEST(Attacks, E25_nel_and_line_separators_are_text) {
  expect_text("\x85.\r\n", "\x85.\r\n");
  expect_text("\xe2\x80\xa8.\r\n", "\xe2\x80\xa8.\r\n");
}
TEST(Attacks, E26_crlf_dot_lf_crlf_is_not_the_end) { expect_not_the_end("\r\n.\n\r\n"); }
TEST(Attacks, E27_the_end_may_come_byte_by_byte) {
  Outcome outcome = decode("Subject: x\r\n\r\nfirst\r\n.\r\n");
  EXPECT_TRUE(outcome.ended);
  EXPECT_FALSE(outcome.refusal);
  EXPECT_EQ(outcome.content, "Subject: x\r\n\r\nfirst\r\n");
}
TEST(Attacks, E28_commands_behind_the_end_are_left_where_they_are) {
  std::string message = "text\r\n.\r\n", commands = "RSET\r\nMAIL FROM:<a@b>\r\n";
  EXPECT_EQ(decode(message + commands).consumed, message.size());
}
TEST(Attacks, E29_lf_only_never_ends) {
  Outcome outcome = decode("Subject: x\n\ntext\n.\nQUIT\n");
  EXPECT_FALSE(outcome.ended);
  EXPECT_EQ(outcome.refusal.code, 554);
  EXPECT_FALSE(decode("Subject: x\n\ntext\n.\nQUIT\n", BareNewline::repair).ended);
}
TEST(Attacks, E30_cr_only_never_ends) {
  Outcome outcome = decode("Subject: x\r\rtext\r.\rQUIT\r");
  EXPECT_FALSE(outcome.ended);
  EXPECT_EQ(outcome.refusal.code, 554);
  EXPECT_FALSE(decode("Subject: x\r\rtext\r.\rQUIT\r", BareNewline::repair).ended);
}

TEST(DataDecoder, a_dot_alone_at_the_start_is_the_empty_message) {
  Outcome outcome = decode(".\r\nQUIT\r\n");
  EXPECT_TRUE(outcome.ended);
  EXPECT_EQ(outcome.consumed, 3u);
  EXPECT_EQ(outcome.content, "");
  EXPECT_FALSE(outcome.refusal);
}

TEST(DataDecoder, stuffed_dots_are_taken_away_one_a_line) {
  Outcome outcome = decode("..\r\n...a\r\n.b\r\nc..\r\n.\r\n");
  EXPECT_EQ(outcome.content, ".\r\n..a\r\nb\r\nc..\r\n");
  EXPECT_EQ(outcome.longest_line, 3u);
  EXPECT_EQ(outcome.size, outcome.content.size());
}

TEST(DataDecoder, counts_the_longest_line_without_its_end) {
  std::string line(998, 'a');
  EXPECT_EQ(decode("x\r\n" + line + "\r\ny\r\n.\r\n").longest_line, 998u);
  EXPECT_EQ(decode("." + line + "\r\n.\r\n").longest_line, 998u);
  EXPECT_EQ(decode(line + line).longest_line, 1996u);
}

TEST(DataDecoder, sees_8_bit_text) {
  EXPECT_FALSE(decode("abc\x7f\r\n.\r\n").eight_bit);
  EXPECT_TRUE(decode("ab\x80\r\n.\r\n").eight_bit);
  EXPECT_TRUE(decode("a\r\n.\xc3\xbc\r\n.\r\n").eight_bit);
}

TEST(DataDecoder, repair_makes_every_lone_newline_a_crlf) {
  auto repaired = [](std::string_view wire) { return decode(wire, BareNewline::repair).content; };
  EXPECT_EQ(repaired("a\nb\rc\r\n.\r\n"), "a\r\nb\r\nc\r\n");
  EXPECT_EQ(repaired("a\r\rb\n\nc\n\r\n.\r\n"), "a\r\n\r\nb\r\n\r\nc\r\n\r\n");
  EXPECT_EQ(repaired("a\r\r\n.\r\n"), "a\r\n\r\n");
  // A dot behind a repaired newline was not stuffed and ends nothing; one behind CRLF was.
  EXPECT_EQ(repaired("a\n.\nb\r\n.\r\n"), "a\r\n.\r\nb\r\n");
  EXPECT_EQ(repaired("a\n..\r\n.\r\n"), "a\r\n..\r\n");
  EXPECT_EQ(repaired("a\r\n.\nb\r\n.\r\n"), "a\r\n.\r\nb\r\n");
  EXPECT_EQ(repaired("a\r\n.\r.\r\n.\r\n"), "a\r\n.\r\n.\r\n");
  EXPECT_EQ(decode("a\nb\r\n.\r\n", BareNewline::repair).size, 6u);
  EXPECT_EQ(decode("abc\nb\r\n.\r\n", BareNewline::repair).longest_line, 3u);
  EXPECT_EQ(decode("\r\n.\r\r\n.\r\n", BareNewline::repair).longest_line, 1u);  // the dot that stays counts
  EXPECT_EQ(decode("a\0\nb\r\n.\r\n"sv, BareNewline::repair).refusal, replies::kNulInMessage);
}

TEST(DataDecoder, content_is_not_copied_and_comes_in_one_piece) {
  std::string wire;
  for (int i = 0; i < 1000; ++i) wire += "a line of ordinary text, as mail has them\r\n";
  DataDecoder decoder;
  DataDecoder::Step step = decoder.next(writable(wire));
  EXPECT_EQ(step.content.data(), as_bytes(wire).data());
  EXPECT_EQ(step.content.size(), wire.size());
  EXPECT_EQ(step.consumed, wire.size());
}

TEST(DataDecoder, a_message_full_of_dots_comes_in_one_piece_with_its_end) {
  std::string wire, content;
  for (int i = 0; i < 1000; ++i) {
    const std::string line = std::string(static_cast<std::size_t>(i % 70), '.') + "\r\n";
    content += line;
    wire += (line.starts_with('.') ? "." : "") + line;
  }
  wire += ".\r\n";
  const std::size_t size = wire.size();
  wire += "QUIT\r\n";
  DataDecoder decoder;
  DataDecoder::Step step = decoder.next(writable(wire));
  EXPECT_EQ(as_text(step.content), content);
  EXPECT_EQ(step.consumed, size);
  EXPECT_TRUE(step.end && decoder.ended());
  EXPECT_EQ(decoder.size(), content.size());
  EXPECT_EQ(decoder.longest_line(), 69u);
  EXPECT_EQ(wire.substr(size), "QUIT\r\n");
}

TEST(DataDecoder, after_a_fault_nothing_more_is_given_out) {
  DataDecoder decoder;
  std::string wire = "good\nbad text\r\n.\r\n";
  MutableBytes rest = writable(wire);
  decoder.next(rest.first(4));
  decoder.next(rest.subspan(4, 1));
  EXPECT_TRUE(decoder.next(rest.subspan(5, 10)).content.empty());
  EXPECT_TRUE(decoder.next(rest.subspan(15)).end);
}

TEST(Attacks, E32_bdat_content_holds_no_stray_byte_across_any_boundary) {
  auto check = [](std::string_view content) {
    TextFaults faults;
    bool first = true;
    for_each_cut(content, [&](const std::vector<std::string>& pieces) {
      ChunkChecker checker;
      for (const std::string& piece : pieces) checker.feed(as_bytes(piece));
      checker.finish();
      EXPECT_EQ(checker.size(), content.size());
      if (!first) {
        ASSERT_EQ(checker.faults(), faults) << content;
      }
      first = false;
      faults = checker.faults();
    });
    return fault_refusal(faults).code;
  };
  for (auto good : {""sv, "a"sv, "a\r\nb\r\n"sv, ".\r\n.\r\n..\r\n"sv, "no line end"sv, "\r\n.\r\n"sv, "\r\n .\r\n"sv,
                    "\v.\r\n"sv, "\x85.\r\n"sv}) {
    EXPECT_EQ(check(good), 0) << good;
  }
  for (auto bad : {"\n.\n"sv, "\n.\r\n"sv, "\n.\r"sv, "\r.\r"sv, "\r.\n"sv, "\r.\r\n"sv, "\r\n.\n"sv, "\r\n.\r"sv,
                   "\r\n.\r\r\n"sv, "\r\r\n.\r\n"sv, "\r\n\0.\r\n"sv, "\r\n.\0\r\n"sv, "\r\0\n.\r\n"sv, "\0"sv, "a\r"sv,
                   "\n\r.\n\r"sv, "\r\n.\n\r\n"sv, "a\n"sv}) {
    EXPECT_EQ(check(bad), 554) << bad;
  }
}

TEST(ChunkChecker, measures_lines_over_chunks) {
  ChunkChecker checker;
  for (auto chunk : {"abc", "def\r", "\nxy\xc3", "\xbc\r\n"}) checker.feed(as_bytes(chunk));
  checker.finish();
  EXPECT_EQ(checker.longest_line(), 6u);
  EXPECT_TRUE(checker.eight_bit());
  EXPECT_FALSE(checker.faults().any());
}

}  // namespace
}  // namespace ringpost::smtp
