#include "ringpost/smtp/reply_parser.hh"

#include "support.hh"

namespace ringpost::smtp {
namespace {

using namespace testing;

struct Seen {
  int code = 0;
  EnhancedCode enhanced;
  std::string text;
  std::vector<std::string> lines;
  friend bool operator==(const Seen&, const Seen&) = default;
};
struct All {
  std::vector<Seen> replies;
  ReplyFault fault = ReplyFault::none;
  bool in_reply = false;
  friend bool operator==(const All&, const All&) = default;
};

All parse_pieces(const std::vector<std::string>& pieces) {
  auto parser = std::make_unique<ReplyParser>();
  All all;
  std::vector<std::string> lines;
  for (const std::string& piece : pieces) {
    for (Bytes input = as_bytes(piece); !input.empty();) {
      auto step = parser->next(input);
      input = input.subspan(step.consumed);
      if (step.status == ReplyParser::Status::need_more) EXPECT_TRUE(input.empty());
      if (step.status == ReplyParser::Status::error) {
        all.fault = parser->fault();
        return all;
      }
      if (step.status != ReplyParser::Status::need_more) lines.emplace_back(step.line);
      if (step.status == ReplyParser::Status::done) {
        all.replies.push_back({parser->code(), parser->enhanced(), std::string(parser->text()), lines});
        lines.clear();
      }
    }
  }
  all.in_reply = parser->in_reply();
  return all;
}

All parse(std::string_view wire) {
  All whole = parse_pieces({std::string(wire)});
  for_each_cut(wire, [&](const std::vector<std::string>& pieces) { ASSERT_EQ(parse_pieces(pieces), whole) << pieces[0].size(); });
  return whole;
}

TEST(ReplyParser, single_and_multi_line_replies) {
  All all = parse("220 mx ESMTP\r\n250-mx\r\n250-PIPELINING\r\n250 SIZE 100\r\n354\r\n250 2.0.0 Ok\r\n25");
  ASSERT_EQ(all.replies.size(), 4u);
  EXPECT_EQ(all.replies[0], (Seen{220, {}, "mx ESMTP", {"mx ESMTP"}}));
  EXPECT_EQ(all.replies[1], (Seen{250, {}, "mx PIPELINING SIZE 100", {"mx", "PIPELINING", "SIZE 100"}}));
  EXPECT_EQ(all.replies[2], (Seen{354, {}, "", {""}}));
  EXPECT_EQ(all.replies[3], (Seen{250, {2, 0, 0}, "Ok", {"2.0.0 Ok"}}));
  EXPECT_TRUE(all.in_reply);
}

TEST(Attacks, N1_hostile_replies_are_errors) {
  auto fault = [](std::string_view wire) { return parse(wire).fault; };
  for (auto wire : {"2x0 ok\r\n", "999 ok\r\n", "199 ok\r\n", "260 ok\r\n", "25\r\n", "-250 ok\r\n", "ok\r\n", " 250 ok\r\n"}) {
    EXPECT_EQ(fault(wire), ReplyFault::bad_code) << wire;
  }
  EXPECT_EQ(fault("250_ok\r\n"), ReplyFault::bad_separator);
  EXPECT_EQ(fault("2500 ok\r\n"), ReplyFault::bad_separator);
  EXPECT_EQ(fault("250-a\r\n251 b\r\n"), ReplyFault::mixed_codes);
  EXPECT_EQ(fault("\r\n"), ReplyFault::empty_line);
  EXPECT_EQ(fault("250-a\r\n\r\n250 b\r\n"), ReplyFault::empty_line);
  EXPECT_EQ(fault("250 a\0b\r\n"sv), ReplyFault::nul);
  EXPECT_EQ(fault("250 a\rb\r\n"), ReplyFault::bare_cr);
  EXPECT_EQ(fault("250 a\r\r\n"), ReplyFault::bare_cr);
  EXPECT_EQ(fault("250 a\n"), ReplyFault::bare_lf);
}

TEST(Attacks, N1_endless_replies_end_at_the_caps) {
  ReplyParser parser;
  std::size_t lines = 0;
  ReplyParser::Step step;
  do {
    step = parser.next(as_bytes("250-for ever\r\n"));
    ++lines;
  } while (step.status == ReplyParser::Status::line);
  EXPECT_EQ(lines, kPeerReplyLinesMax + 1);
  EXPECT_EQ(parser.fault(), ReplyFault::too_many_lines);
  EXPECT_EQ(parser.next(as_bytes("250 ok\r\n")).status, ReplyParser::Status::error);

  parser.reset();
  std::string piece(1000, 'a');
  std::size_t fed = 0;
  do {
    step = parser.next(as_bytes(piece));
    fed += step.consumed;
  } while (step.status == ReplyParser::Status::need_more && fed < 1'000'000);
  EXPECT_EQ(parser.fault(), ReplyFault::line_too_long);
  EXPECT_EQ(fed, kPeerReplyLineBytesMax);

  parser.reset();
  std::string line = "250-" + std::string(3000, 'a') + "\r\n";
  do step = parser.next(as_bytes(line));
  while (step.status == ReplyParser::Status::line);
  EXPECT_EQ(parser.fault(), ReplyFault::too_many_bytes);
}

TEST(ReplyParser, a_line_of_exactly_the_cap_is_read) {
  std::string line = "250 " + std::string(kPeerReplyLineBytesMax - 6, 'a') + "\r\n";
  EXPECT_EQ(parse_pieces({line}).replies.size(), 1u);
  EXPECT_EQ(parse_pieces({line.substr(0, 4095), line.substr(4095)}).replies.size(), 1u);
  line.insert(4, "a");
  EXPECT_EQ(parse_pieces({line}).fault, ReplyFault::line_too_long);
  EXPECT_EQ(parse_pieces({line.substr(0, 4095), line.substr(4095)}).fault, ReplyFault::line_too_long);
}

TEST(Attacks, N3_reply_text_is_printable_and_bounded) {
  All all = parse("550 5.7.1 \x1b[31mno\xc3\xbc\t\x7f\r\n");
  EXPECT_EQ(all.replies.at(0).text, "?[31mno????");
  all = parse_pieces({"550-" + std::string(3000, 'x') + "\r\n550 " + std::string(3000, 'y') + "\r\n"});
  EXPECT_EQ(all.replies.at(0).text, std::string(kPeerReplyTextMax, 'x'));
}

TEST(Attacks, N4_enhanced_codes_are_exact_and_never_stale) {
  auto codes = [](std::string_view wire) {
    std::vector<EnhancedCode> found;
    for (const Seen& seen : parse(wire).replies) found.push_back(seen.enhanced);
    return found;
  };
  using Codes = std::vector<EnhancedCode>;
  EXPECT_EQ(codes("550 5.7.2\r\n"), (Codes{{5, 7, 2}}));
  EXPECT_EQ(codes("550 5.1234.5 x\r\n"), Codes{{}});
  EXPECT_EQ(codes("550 5.7.1 no\r\n550 no\r\n"), (Codes{{5, 7, 1}, {}}));
  EXPECT_EQ(codes("550 2.0.0 x\r\n550 4.7.1 x\r\n250 5.1.1 x\r\n"), (Codes{{}, {}, {}}));
  EXPECT_EQ(codes("550 5.7.x\r\n550 5.7\r\n550 5.7.1x\r\n550 5..1\r\n550 55.7.1\r\n550 5.7.1234\r\n"), Codes(6));
  EXPECT_EQ(codes("452-4.5.3 a\r\n452 4.9.9 b\r\n"), (Codes{{4, 5, 3}}));
}

}  // namespace
}  // namespace ringpost::smtp
