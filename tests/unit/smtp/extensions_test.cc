#include "ringpost/smtp/extensions.hh"

#include "support.hh"

namespace ringpost::smtp {
namespace {

using namespace testing;

Capabilities read(std::initializer_list<std::string_view> lines) {
  Capabilities capabilities;
  for (auto line : lines) capabilities.add_line(line);
  return capabilities;
}

TEST(Extensions, the_answer_never_overruns_its_buffer) {
  EhloOffer offer{.host = "mx.example.org", .message_bytes_max = 1, .future_release_max_s = 1, .deliver_by = true, .deliver_by_min_s = 1, .priority = true, .mail_max = 1, .rcpt_max = 1};
  std::byte out[kEhloBytesMax];
  std::size_t full = write_ehlo(offer, out);
  for (std::size_t room = 0; room < full; ++room) {
    std::vector<std::byte> small(room);
    EXPECT_EQ(write_ehlo(offer, small), 0u);
  }
  EXPECT_EQ(write_greeting(std::string(2000, 'a'), out), 0u);
}

TEST(Extensions, future_release_says_how_long_and_until_when) {
  std::byte out[kEhloBytesMax];
  const EhloOffer offer{.host = "mx.example.org", .future_release_max_s = 86'400, .now = std::chrono::sys_seconds{std::chrono::seconds{1'700'000'000}}};
  const std::string_view said = as_text(Bytes{out}.first(write_ehlo(offer, out)));
  EXPECT_NE(said.find("\r\n250-FUTURERELEASE 86400 2023-11-15T22:13:20Z\r\n"), said.npos) << said;
}

TEST(Extensions, deliver_by_says_the_least_it_takes) {
  std::byte out[kEhloBytesMax];
  EhloOffer offer{.host = "mx.example.org", .deliver_by = true};
  EXPECT_NE(as_text(Bytes{out}.first(write_ehlo(offer, out))).find("\r\n250-DELIVERBY\r\n"), std::string_view::npos);
  offer.deliver_by_min_s = 60;
  EXPECT_NE(as_text(Bytes{out}.first(write_ehlo(offer, out))).find("\r\n250-DELIVERBY 60\r\n"), std::string_view::npos);
  EXPECT_TRUE(read({"DELIVERBY"}).deliver_by);
  EXPECT_TRUE(read({"MT-PRIORITY MIXER"}).priority);
  EXPECT_EQ(read({"deliverby 120"}).deliver_by_min_s, 120u);
  EXPECT_EQ(read({"DELIVERBY -1"}).deliver_by_min_s, 0u);
}

TEST(Extensions, what_a_next_hop_offers) {
  Capabilities c = read({"PIPELINING", "size 1000", "8bitmime", "SMTPUTF8", "CHUNKING", "BINARYMIME", "ENHANCEDSTATUSCODES",
                         "DSN", "STARTTLS", "LIMITS RCPTMAX=100 MAILMAX=7 RCPTDOMAINMAX=2 FUTURE=x"});
  EXPECT_TRUE(c.pipelining && c.size && c.eight_bit_mime && c.smtputf8 && c.chunking && c.binary_mime &&
              c.enhanced_status_codes && c.dsn && c.starttls);
  EXPECT_EQ(c.size_max, 1000u);
  EXPECT_EQ(c.rcpt_max, 100u);
  EXPECT_EQ(c.mail_max, 7u);
  EXPECT_EQ(c.rcpt_domain_max, 2u);
}

TEST(Attacks, N5_lies_and_nonsense_offer_nothing) {
  EXPECT_EQ(read({"", " ", "PIPELINING=1", "XPIPELINING", "8BITMIMEX", "LIMITS", "LIMITS =", "LIMITS RCPTMAX",
                  "LIMITS RCPTMAX=", "LIMITS RCPTMAX=0", "LIMITS RCPTMAX=01", "LIMITS RCPTMAX=1000000", "LIMITS RCPTMAX=-1",
                  "LIMITS RCPTMAX=1x", "\xff\xfe"}),
            Capabilities{});
  for (auto line : {"SIZE", "SIZE 0", "SIZE x", "SIZE -1", "SIZE 100000000000000000000"}) {
    Capabilities c = read({line});
    EXPECT_TRUE(c.size) << line;
    EXPECT_EQ(c.size_max, 0u) << line;
  }
  EXPECT_EQ(read({"SIZE 1"}).size_max, 1u);
  EXPECT_EQ(read({"SIZE 18446744073709551616"}).size_max, UINT64_MAX);
  EXPECT_EQ(read({"LIMITS RCPTMAX=9", "LIMITS RCPTMAX=5 RCPTMAX=7"}).rcpt_max, 5u);
  Capabilities c;
  for (int i = 0; i < 10'000; ++i) c.add_line("X-EXTENSION-" + std::to_string(i));
  EXPECT_EQ(c, Capabilities{});
}

TEST(Extensions, we_understand_our_own_offer) {
  std::byte out[kEhloBytesMax];
  std::size_t size = write_ehlo({.host = "h", .message_bytes_max = 5, .mail_max = 3, .rcpt_max = 4}, out);
  Capabilities c;
  std::string_view rest = as_text(Bytes{out}.first(size));
  for (bool first = true; !rest.empty(); first = false) {
    std::size_t end = rest.find("\r\n");
    if (!first) c.add_line(rest.substr(4, end - 4));
    rest.remove_prefix(end + 2);
  }
  EXPECT_EQ(c, (Capabilities{.pipelining = true,
                             .eight_bit_mime = true,
                             .smtputf8 = true,
                             .chunking = true,
                             .enhanced_status_codes = true,
                             .dsn = true,
                             .size = true,
                             .size_max = 5,
                             .mail_max = 3,
                             .rcpt_max = 4}));
}

}  // namespace
}  // namespace ringpost::smtp
