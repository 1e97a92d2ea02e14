#include "ringpost/smtp/dot_stuffer.hh"

#include "support.hh"

namespace ringpost::smtp {
namespace {

using namespace testing;

struct Sent {
  std::string wire;
  TextFaults faults;
};

Sent send(const std::vector<std::string>& pieces) {
  DotStuffer stuffer;
  Sent sent;
  for (const std::string& piece : pieces) {
    for (Bytes content = as_bytes(piece); !content.empty() && !stuffer.failed();) {
      auto step = stuffer.next(content);
      sent.wire += as_text(step.output);
      content = content.subspan(step.consumed);
    }
  }
  sent.wire += as_text(stuffer.finish());
  sent.faults = stuffer.faults();
  return sent;
}

void expect_wire(std::string_view content, std::string_view wire) {
  for_each_cut(content, [&](const std::vector<std::string>& pieces) {
    Sent sent = send(pieces);
    ASSERT_EQ(sent.wire, wire);
    ASSERT_FALSE(sent.faults.any());
  });
}

TEST(DotStuffer, adds_dots_and_the_end) {
  expect_wire("a\r\n", "a\r\n.\r\n");
  expect_wire("a", "a\r\n.\r\n");
  expect_wire("a\r\n\r\n", "a\r\n\r\n.\r\n");
  expect_wire(".", "..\r\n.\r\n");
  expect_wire(".\r\n", "..\r\n.\r\n");
  expect_wire(".a\r\n..\r\nb.c\r\n.d\r\n", "..a\r\n...\r\nb.c\r\n..d\r\n.\r\n");
  EXPECT_EQ(send({}).wire, ".\r\n");
}

TEST(Attacks, E33_no_stray_byte_ever_goes_out) {
  for (auto content :
       {"\n.\n"sv, "a\n.\r\n"sv, "a\n.\r"sv, "a\r.\r"sv, "a\r.\n"sv, "a\r.\r\n"sv, "a\r\n.\n"sv, "a\r\n.\r"sv, "a\r\n.\r\r\n"sv,
        "a\r\r\n.\r\r\n"sv, "a\r\n\0.\r\n"sv, "a\r\n.\0\r\n"sv, "a\r\0\n.\r\n"sv, "a\0"sv, "a\r"sv, "a\n"sv, "a\n\r.\n\r"sv}) {
    for_each_cut(content, [&](const std::vector<std::string>& pieces) {
      Sent sent = send(pieces);
      ASSERT_TRUE(sent.faults.any());
      ASSERT_EQ(sent.wire.find("\r\n.\r\n"), std::string::npos);
      ASSERT_EQ(sent.wire.find('\0'), std::string::npos);
      for (std::size_t i = 0; i < sent.wire.size(); ++i) {  // only whole CRLF
        ASSERT_EQ(sent.wire[i] == '\n', i > 0 && sent.wire[i - 1] == '\r') << i;
        ASSERT_FALSE(sent.wire[i] == '\r' && i + 1 == sent.wire.size());
      }
    });
  }
}

TEST(Attacks, E20_to_E25_text_is_stuffed_again) {
  expect_wire("a\r\n .\r\n", "a\r\n .\r\n.\r\n");
  expect_wire("a\r\n. \r\n", "a\r\n.. \r\n.\r\n");
  expect_wire("a\r\n.\t\r\n", "a\r\n..\t\r\n.\r\n");
  expect_wire("a\v.\f.\x85.\r\n", "a\v.\f.\x85.\r\n.\r\n");
}

TEST(DotStuffer, copies_into_buffers_of_any_size) {
  std::string content = ".a\r\n..\r\nb.c\r\n\r\n.d\r\n", wire = "..a\r\n...\r\nb.c\r\n\r\n..d\r\n.\r\n";
  for (std::size_t room = 2; room < 40; ++room) {
    DotStuffer stuffer;
    std::string sent;
    Bytes rest = as_bytes(content);
    while (!rest.empty()) {
      std::vector<std::byte> out(room);
      std::size_t written = stuffer.copy(rest, out);
      ASSERT_GT(written, 0u);
      sent += as_text(Bytes{out}.first(written));
    }
    sent += as_text(stuffer.finish());
    EXPECT_EQ(sent, wire) << room;
  }
}

}  // namespace
}  // namespace ringpost::smtp
