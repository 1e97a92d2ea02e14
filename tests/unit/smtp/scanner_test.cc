#include "ringpost/smtp/scanner.hh"

#include "ringpost/base/prng.hh"
#include "support.hh"

namespace ringpost::smtp {
namespace {

using namespace testing;

TEST(Scanner, every_processor_has_the_plain_one_and_uses_the_last) {
  ASSERT_FALSE(scanners().empty());
  EXPECT_EQ(scanners().front().name, "plain");
#if defined(__x86_64__)
  EXPECT_GE(scanners().size(), 2u);
#endif
}

TEST(Scanner, finds_the_first_of_cr_lf_and_nul_at_every_place) {
  for (const Scanner& scanner : scanners()) {
    for (std::size_t size = 0; size <= 200; ++size) {
      std::string text(size, 'x');
      EXPECT_EQ(scanner.find_line_end(as_bytes(text)), (LineScan{size, false})) << scanner.name;
      for (std::size_t at = 0; at < size; at += 7) {
        for (char c : {'\r', '\n', '\0'}) {
          std::string with = text;
          with[at] = c;
          if (at + 1 < size) with[at + 1] = '\x80';  // behind it: not of interest
          EXPECT_EQ(scanner.find_line_end(as_bytes(with)), (LineScan{at, false})) << scanner.name << size << " " << at;
          if (at != 0) with[0] = '\xff';
          EXPECT_EQ(scanner.find_line_end(as_bytes(with)), (LineScan{at, at != 0})) << scanner.name << size << " " << at;
        }
      }
    }
  }
}

TEST(Scanner, passes_well_formed_text_and_counts_its_lines) {
  std::string line(76, 'a'), text;
  for (int i = 0; i < 10; ++i) text += line + "\r\n";
  text += "a\xc3\xbc.b";
  for (const Scanner& scanner : scanners()) {
    TextState state;
    EXPECT_EQ(scanner.scan_text(as_bytes(text), state, Dots::stop), text.size());
    EXPECT_EQ(state, (TextState{.line_start = false, .eight_bit = true, .line_bytes = 5, .longest_line = 76})) << scanner.name;
  }
}

TEST(Scanner, stops_before_what_needs_thought) {
  struct Case {
    std::string_view text;
    std::size_t stop;
  };
  for (const Scanner& scanner : scanners()) {
    for (std::size_t shift : {0, 1, 61, 62, 63, 64, 65, 127, 128, 500}) {
      std::string before(shift, 'x');
      for (Case c :
           {Case{"ab\rc", 2}, Case{"ab\nc", 2}, Case{"a\r\n\nc", 3}, Case{"a\r\r\n", 1}, Case{"ab\0"sv, 2}, Case{"ab\r", 2},
            Case{"a\r\n.b", 3}, Case{"a\r\nb.\r\n..", 7}, Case{"a\r\0"sv, 1}, Case{"a\r.\r\n", 1}, Case{"a.b\r\n", 5}}) {
        std::string text = before + std::string(c.text);
        TextState state{.line_start = shift % 2 == 0};
        EXPECT_EQ(scanner.scan_text(as_bytes(text), state, Dots::stop), shift + c.stop) << scanner.name << " " << shift << c.text;
      }
      TextState state;
      std::string text = before + "\r\n.a\r\n..\r\n";
      EXPECT_EQ(scanner.scan_text(as_bytes(text), state, Dots::pass), text.size());
    }
  }
}

TEST(Scanner, all_implementations_agree_on_random_text) {
  Prng random(20260101);
  constexpr std::string_view kAlphabet{"\r\n.\r\n\0a\x80xyzxyzxyz", 16};
  for (int round = 0; round < 20'000; ++round) {
    // Sometimes mostly line ends, sometimes mostly text.
    std::uint64_t letters = 1 + random.below(round % 3 == 0 ? 2000 : 20);
    std::string text(random.below(300), 'a');
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (random.below(letters) == 0)
        text[i] = kAlphabet[random.below(kAlphabet.size())];
      else if (random.below(40) == 0 && i + 1 < text.size())
        text[i] = '\r', text[++i] = '\n';
    }
    TextState start{.line_start = random.one_in(2), .line_bytes = random.below(100)};
    if (start.line_start) start.line_bytes = 0;
    start.longest_line = start.line_bytes;
    for (Dots dots : {Dots::pass, Dots::stop}) {
      TextState expected = start;
      std::size_t passed = scanners().front().scan_text(as_bytes(text), expected, dots);
      for (const Scanner& scanner : scanners()) {
        TextState state = start;
        ASSERT_EQ(scanner.scan_text(as_bytes(text), state, dots), passed) << scanner.name << " round " << round;
        ASSERT_EQ(state, expected) << scanner.name << " round " << round;
        ASSERT_EQ(scanner.find_line_end(as_bytes(text)), scanners().front().find_line_end(as_bytes(text))) << scanner.name;
      }
    }
  }
}

}  // namespace
}  // namespace ringpost::smtp
