#include "ringpost/smtp/received.hh"

#include "support.hh"

namespace ringpost::smtp {
namespace {

using namespace testing;
using namespace std::chrono;

constexpr WallTime kAt = sys_days{2026y / November / 22} + 18h + 35min + 15s;

std::string written(const ReceivedTrace& trace, std::size_t room = kReceivedBytesMax) {
  std::vector<std::byte> out(room);
  return std::string(as_text(Bytes{out}.first(write_received(trace, out))));
}
std::string date(WallTime at) {
  std::array<std::byte, kDateBytes> out;
  write_date(at, out);
  return std::string(as_text(Bytes{out}));
}

ReceivedTrace example() {
  ReceivedTrace trace{.helo = "client.example", .client = "192.0.2.1", .by = "mx.example.org", .at = kAt};
  trace.id.bytes.fill(std::byte{0xab});
  return trace;
}

TEST(Received, the_plain_field) {
  EXPECT_EQ(written(example()),
            "Received: from client.example ([192.0.2.1])\r\n"
            "\tby mx.example.org with ESMTP\r\n"
            "\tid abababababababababababababababab;\r\n"
            "\tSun, 22 Nov 2026 18:35:15 +0000\r\n");
}

TEST(Received, with_every_clause) {
  ReceivedTrace trace = example();
  trace.client = "2001:db8::1";
  trace.with = {.utf8 = true, .tls = true, .authenticated = true};
  trace.tls_cipher = "TLS_AES_256_GCM_SHA384";
  trace.tls_group = "X25519";
  trace.tls_version = "TLSv1.3";
  trace.authentication = "scram-sha-256";
  trace.for_address = "a@b.example";
  EXPECT_EQ(written(trace),
            "Received: from client.example ([IPv6:2001:db8::1])\r\n"
            "\tby mx.example.org with UTF8SMTPSA\r\n"
            "\ttls TLS_AES_256_GCM_SHA384 group X25519 (TLSv1.3)\r\n"
            "\t(authentication: scram-sha-256)\r\n"
            "\tid abababababababababababababababab\r\n"
            "\tfor <a@b.example>;\r\n"
            "\tSun, 22 Nov 2026 18:35:15 +0000\r\n");
}

TEST(Received, the_longest_names_fit_and_no_line_is_too_long) {
  ReceivedTrace trace = example();
  std::string name(255, 'n'), address(254, 'a'), client = "1111:2222:3333:4444:5555:6666:7777:8888";
  trace.helo = trace.by = name;
  trace.client = client;
  trace.for_address = address;
  std::string field = written(trace);
  ASSERT_FALSE(field.empty());
  for (std::size_t at = 0, end; at < field.size(); at = end + 2) {
    end = field.find("\r\n", at);
    ASSERT_NE(end, std::string::npos);
    EXPECT_LE(end - at, 998u);
  }
  EXPECT_EQ(written(trace, field.size() - 1), "");
  std::string helo(50, 'h');
  trace = example();
  trace.helo = helo;
  EXPECT_NE(written(trace).find(helo + "\r\n\t([192.0.2.1])"), std::string::npos);
}

TEST(Attacks, C15_a_name_cannot_add_lines_to_the_field) {
  ReceivedTrace trace = example();
  trace.helo = "a\r\nBcc: x\x1b";
  EXPECT_EQ(written(trace).substr(0, 36), "Received: from a??Bcc: x? ([192.0.2.");
  trace.helo = "";
  EXPECT_TRUE(written(trace).starts_with("Received: from unknown ("));
}

TEST(Received, keywords_of_rfc_3848_and_6531) {
  EXPECT_EQ(with_keyword({.extended = false}), "SMTP");
  EXPECT_EQ(with_keyword({}), "ESMTP");
  EXPECT_EQ(with_keyword({.tls = true}), "ESMTPS");
  EXPECT_EQ(with_keyword({.authenticated = true}), "ESMTPA");
  EXPECT_EQ(with_keyword({.tls = true, .authenticated = true}), "ESMTPSA");
  EXPECT_EQ(with_keyword({.utf8 = true}), "UTF8SMTP");
  EXPECT_EQ(with_keyword({.utf8 = true, .tls = true}), "UTF8SMTPS");
  EXPECT_EQ(with_keyword({.lmtp = true}), "LMTP");
  EXPECT_EQ(with_keyword({.utf8 = true, .tls = true, .lmtp = true}), "UTF8LMTPS");
}

TEST(Received, dates) {
  EXPECT_EQ(date(kAt), "Sun, 22 Nov 2026 18:35:15 +0000");
  EXPECT_EQ(date(sys_days{1970y / January / 1}), "Thu, 01 Jan 1970 00:00:00 +0000");
  EXPECT_EQ(date(sys_days{2024y / February / 29} + 23h + 59min + 59s + 999ms), "Thu, 29 Feb 2024 23:59:59 +0000");
  EXPECT_EQ(date(WallTime::min()), "Thu, 01 Jan 1970 00:00:00 +0000");
  EXPECT_EQ(date(WallTime::max()), "Fri, 11 Apr 2262 23:47:16 +0000");
}

TEST(Attacks, A6_received_fields_are_counted_however_the_header_is_cut) {
  auto expect_count = [](std::string_view content, std::uint32_t count, bool ended) {
    for_each_cut(content, [&](const std::vector<std::string>& pieces) {
      ReceivedCounter counter;
      for (const std::string& piece : pieces) counter.feed(as_bytes(piece));
      ASSERT_EQ(counter.count(), count) << content;
      ASSERT_EQ(counter.header_ended(), ended) << content;
    });
  };
  expect_count("Received: a\r\n\tfolded\r\nreceived: b\r\nRECEIVED : c\r\nSubject: x\r\n\r\nReceived: body\r\n", 3, true);
  expect_count("X-Received: a\r\nReceivedx: b\r\nReceived-SPF: c\r\n Received: folded\r\nReceive: d\r\nReceived", 0, false);
  expect_count("\r\nReceived: body\r\n", 0, true);
  expect_count("Received:", 1, false);
  expect_count(written(example()) + "From: a\r\n\r\n", 1, true);
  std::string many;
  for (int i = 0; i < 100; ++i) many += "Received: x\r\n";
  expect_count(many, 100, false);
}

}  // namespace
}  // namespace ringpost::smtp
