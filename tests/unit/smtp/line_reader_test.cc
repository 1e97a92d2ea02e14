#include "ringpost/smtp/line_reader.hh"

#include "support.hh"

namespace ringpost::smtp {
namespace {

using namespace testing;

/// What a session would see: lines as they are, everything else as the name of its fault.
std::vector<std::string> read(const std::vector<std::string>& pieces, std::size_t limit = kCommandLineBytesMax) {
  LineReader reader(limit);
  std::vector<std::string> seen;
  auto fault = [&](std::string_view name, bool close) { seen.push_back("!" + std::string(name) + (close ? ", close" : "")); };
  for (const std::string& piece : pieces) {
    Bytes input = as_bytes(piece);
    for (;;) {
      LineStep step = reader.next(input);
      input = input.subspan(step.consumed);
      if (step.status == LineStatus::need_more) break;
      switch (step.status) {
        case LineStatus::line: seen.emplace_back(as_text(step.text)); break;
        case LineStatus::too_long: fault("too_long", step.close); break;
        case LineStatus::bare_cr: fault("bare_cr", step.close); break;
        case LineStatus::bare_lf: fault("bare_lf", step.close); break;
        case LineStatus::nul: fault("nul", step.close); break;
        case LineStatus::endless: seen.emplace_back("!endless"); return seen;
        case LineStatus::need_more: break;
      }
      EXPECT_EQ(bool(line_refusal(step.status)), step.status != LineStatus::line);
    }
    EXPECT_TRUE(input.empty());
  }
  return seen;
}

using Lines = std::vector<std::string>;

void expect_lines(std::string_view input, const Lines& expected, std::size_t limit = kCommandLineBytesMax) {
  for_each_cut(input, [&](const std::vector<std::string>& pieces) {
    ASSERT_EQ(read(pieces, limit), expected) << "cut behind " << pieces[0].size();
  });
}

TEST(LineReader, lines_come_out_however_the_bytes_came_in) {
  expect_lines("EHLO a\r\nMAIL FROM:<>\r\n\r\nQUIT\r\nrest", {"EHLO a", "MAIL FROM:<>", "", "QUIT"});
}

TEST(LineReader, a_line_within_one_buffer_is_not_copied) {
  LineReader reader;
  std::string input = "NOOP\r\nQUIT\r\n";
  LineStep step = reader.next(as_bytes(input));
  EXPECT_EQ(static_cast<const void*>(step.text.data()), input.data());
  EXPECT_EQ(step.consumed, 6u);
}

TEST(LineReader, knows_when_it_is_inside_a_line) {
  LineReader reader;
  EXPECT_FALSE(reader.in_line());
  reader.next(as_bytes("NO"));
  EXPECT_TRUE(reader.in_line());
  reader.next(as_bytes("OP\r\n"));
  EXPECT_FALSE(reader.in_line());
  reader.next(as_bytes("QU"));
  reader.reset();
  EXPECT_EQ(as_text(reader.next(as_bytes("IT\r\n")).text), "IT");
}

TEST(LineReader, the_limit_includes_the_line_end) {
  expect_lines(std::string(14, 'a') + "\r\nb\r\n", {std::string(14, 'a'), "b"}, 16);
  expect_lines(std::string(15, 'a') + "\r\nb\r\n", {"!too_long", "b"}, 16);
  expect_lines(std::string(16, 'a') + "\r\nb\r\n", {"!too_long", "b"}, 16);
  expect_lines(std::string(40, 'a') + "\n\0\r\nb\r\n"s, {"!too_long", "b"}, 16);
}

TEST(Attacks, E31_bare_newlines_never_make_two_commands) {
  expect_lines("MAIL FROM:<a@b>\nRCPT TO:<c@d>\r\nQUIT\r\n", {"!bare_lf", "QUIT"});
  expect_lines("MAIL FROM:<a@b>\rRCPT TO:<c@d>\r\nQUIT\r\n", {"!bare_cr", "QUIT"});
  expect_lines("MAIL FROM:<a@b>\r\rRCPT TO:<c@d>\n\r\nQUIT\r\n", {"!bare_cr", "QUIT"});
  expect_lines("NOOP\r\r\nQUIT\r\n", {"!bare_cr", "QUIT"});
  expect_lines("\nNOOP\r\nQUIT\r\n", {"!bare_lf", "QUIT"});
  expect_lines("NOOP\n\n\n\n\n", {"!bare_lf"});
  EXPECT_EQ(line_refusal(LineStatus::bare_lf).code, 500);
  EXPECT_EQ(line_refusal(LineStatus::bare_lf).enhanced, (EnhancedCode{5, 5, 2}));
}

TEST(Attacks, C12_a_bdat_that_is_no_line_ends_the_session) {
  expect_lines("BDAT 10\nRCPT TO:<c@d>\r\n", {"!bare_lf, close"});
  expect_lines("bdat 10\rRCPT TO:<c@d>\r\n", {"!bare_cr, close"});
  expect_lines("BDAT 1\0\r\n"s, {"!nul, close"});
  expect_lines("BDAT 00000000000\r\n", {"!too_long, close"}, 16);
  expect_lines("BDA\nT 10\r\n", {"!bare_lf"});
  expect_lines("BDAT 10\r\n", {"BDAT 10"});
}

TEST(Attacks, C9_nul_in_a_command) {
  expect_lines("NO\0OP\r\nQUIT\r\n"s, {"!nul", "QUIT"});
  expect_lines("\0\r\nQUIT\r\n"s, {"!nul", "QUIT"});
  expect_lines("NOOP\r\0\nQUIT\r\nRSET\r\n"s, {"!bare_cr", "RSET"});
}

TEST(Attacks, C8_an_endless_line_costs_constant_memory_and_ends_the_session) {
  static_assert(sizeof(LineReader) < 4096);
  for (std::size_t size : {std::size_t{4} << 10, std::size_t{64} << 10, std::size_t{1} << 20}) {
    LineReader reader;
    std::string piece(1000, 'A');
    int refusals = 0, endless = 0;
    for (std::size_t sent = 0; sent < size && endless == 0; sent += piece.size()) {
      Bytes input = as_bytes(piece);
      while (!input.empty() && endless == 0) {
        LineStep step = reader.next(input);
        input = input.subspan(step.consumed);
        refusals += step.status == LineStatus::too_long;
        endless += step.status == LineStatus::endless;
      }
    }
    EXPECT_EQ(refusals, 1);
    EXPECT_EQ(endless, size > kSkippedBytesMax + kCommandLineBytesMax + 1000 ? 1 : 0) << size;
  }
}

TEST(LineReader, the_verdict_of_long_lines_does_not_depend_on_the_cut) {
  for (std::size_t size = 10; size < 20; ++size) {
    for (auto end : {"\r\nx\r\n"s, "\rb\r\nx\r\n"s, "\nb\r\nx\r\n"s, "\0b\r\nx\r\n"s, "\r\r\nx\r\n"s}) {
      std::string input = std::string(size, 'a') + end;
      Lines whole = read({input}, 16);
      EXPECT_EQ(whole.size(), 2u);
      expect_lines(input, whole, 16);
    }
  }
}

}  // namespace
}  // namespace ringpost::smtp
