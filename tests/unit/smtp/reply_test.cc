#include "ringpost/smtp/reply.hh"

#include "ringpost/smtp/extensions.hh"
#include "ringpost/smtp/reply_parser.hh"
#include "support.hh"

namespace ringpost::smtp {
namespace {

using namespace testing;

std::string written(const Reply& reply, std::size_t room = kReplyBytesMax) {
  std::vector<std::byte> out(room);
  return std::string(as_text(Bytes{out}.first(write_reply(reply, out))));
}

TEST(Reply, the_enhanced_code_stands_on_every_line) {
  EXPECT_EQ(written({250, {2, 1, 0}, "one\ntwo"}), "250-2.1.0 one\r\n250 2.1.0 two\r\n");
  EXPECT_EQ(written({354, {}, "go on"}), "354 go on\r\n");
  EXPECT_EQ(written({250, {}, ""}), "250 \r\n");
}

TEST(Reply, text_cannot_break_out_of_its_line) {
  EXPECT_EQ(written({550, {5, 1, 1}, "no \r250 ok\x1b[31m\xc3\xbc\x7f\t"}), "550 5.1.1 no ?250 ok?[31m????\r\n");
  EXPECT_EQ(written({550, {5, 1, 1}, "a\0b"sv}), "550 5.1.1 a?b\r\n");
}

TEST(Reply, long_text_goes_on_in_the_next_line) {
  std::string text(1700, 'x'), all = written({550, {5, 255, 65535}, text});
  std::size_t letters = 0;
  for (std::string_view rest = all; !rest.empty();) {
    std::size_t end = rest.find("\r\n");
    ASSERT_NE(end, std::string_view::npos);
    EXPECT_LE(end + 2, kReplyLineBytesMax);
    letters += end - std::string_view("550 5.255.65535 ").size();
    rest.remove_prefix(end + 2);
    EXPECT_EQ(all[all.size() - rest.size() - end - 2 + 3], rest.empty() ? ' ' : '-');
  }
  EXPECT_EQ(letters, text.size());
}

TEST(Reply, what_does_not_fit_is_not_written) {
  for (std::size_t room = 0; room < 13; ++room) EXPECT_EQ(written(replies::kOk, room), "");
  EXPECT_EQ(written(replies::kOk, 14), "250 2.0.0 Ok\r\n");
  EXPECT_EQ(written({250, {}, std::string(2000, 'x')}).size() > 2000, true);
}

TEST(Golden, standard_replies_and_greetings) {
  using namespace replies;
  std::string all;
  for (const Reply& reply : {kClosing,
                             kOk,
                             kSenderOk,
                             kRecipientOk,
                             kCannotVerify,
                             kHelp,
                             kStartData,
                             kShuttingDown,
                             kNoMemory,
                             kStartTls,
                             kTlsUnavailable,
                             kTimedOut,
                             kTooSlow,
                             kTooManyErrors,
                             kTooMuchJunk,
                             kTooManyConnections,
                             kTooManyMessages,
                             kLocalError,
                             kTooManyRecipients,
                             kNoSpace,
                             kUnknownCommand,
                             kLineTooLong,
                             kBareNewline,
                             kControlCharacter,
                             kSyntax,
                             kNoArgument,
                             kBadHeloName,
                             kBadParameter,
                             kDuplicateParameter,
                             kBadChunkSize,
                             kNotImplemented,
                             kUnknownParameter,
                             kAlienProtocol,
                             kEarlyTalker,
                             kNeedGreeting,
                             kNeedMail,
                             kNestedMail,
                             kRcptAfterChunk,
                             kDataAfterChunk,
                             kChunkAfterFailure,
                             kChunkNeedsEhlo,
                             kNeedEhlo,
                             kTlsActive,
                             kTlsRequired,
                             kNoValidRecipients,
                             kRelayDenied,
                             kNotAuthorized,
                             kMessageTooLarge,
                             kBadNewlineInMessage,
                             kNulInMessage,
                             kTextLineTooLong,
                             kMailLoop,
                             kUtf8NotAllowed}) {
    EXPECT_TRUE(!reply.enhanced || reply.enhanced.klass == reply.code / 100) << reply.text;
    all += written(reply);
  }
  std::byte out[kEhloBytesMax];
  auto add = [&](std::size_t size) {
    EXPECT_GT(size, 0u);
    all += as_text(Bytes{out}.first(size));
  };
  add(write_greeting("mx.example.org", out));
  add(write_helo("mx.example.org", out));
  add(write_ehlo({.host = "mx.example.org", .message_bytes_max = 64 << 20, .mail_max = 1000, .rcpt_max = 1000}, out));
  add(write_ehlo({.host = "mx.example.org", .smtputf8 = false, .chunking = false}, out));
  add(write_ehlo({.host = "mx.example.org", .starttls = true}, out));
  add(write_ehlo({.host = "mx.example.org", .xclient = true, .xforward = true}, out));
  std::string expected = golden_file("replies.txt"), wire;
  for (char c : expected) wire += c == '\n' ? "\r\n"s : std::string(1, c);
  EXPECT_EQ(all, wire);
}

TEST(Golden, our_own_parser_reads_every_reply) {
  std::string wire;
  for (char c : golden_file("replies.txt")) wire += c == '\n' ? "\r\n"s : std::string(1, c);
  ReplyParser parser;
  int replies = 0;
  for (Bytes rest = as_bytes(wire); !rest.empty();) {
    auto step = parser.next(rest);
    ASSERT_NE(step.status, ReplyParser::Status::error) << reply_fault_name(parser.fault());
    rest = rest.subspan(step.consumed);
    replies += step.status == ReplyParser::Status::done;
  }
  EXPECT_EQ(replies, 59);
}

}  // namespace
}  // namespace ringpost::smtp
