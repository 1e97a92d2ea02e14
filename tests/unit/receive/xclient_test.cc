// XCLIENT and XFORWARD: peers that speak for other clients.
#include "../tls/certificates.hh"
#include "support.hh"

namespace ringpost::receive {
namespace {

using namespace testing;
using config::ListenerTls;

constexpr std::string_view kFilter = "203.0.113.1";

config::Settings with_peers() {
  static const auto certificate = std::make_shared<const tls::Certificate>(
      tls::testing::made_of("mx", tls::testing::files().mx_chain, tls::testing::files().mx_key));
  config::Settings settings = small_settings();
  settings.tls.certificates = {{.name = "mx", .loaded = certificate}};
  settings.smtp.xclient_peers = {*Network::parse("203.0.113.1")};
  settings.smtp.xforward_peers = {*Network::parse("203.0.113.0/24")};
  return settings;
}

/// What a RCPT to somewhere else is answered: only 198.51.100.0/24 may relay.
std::string rcpt(Client& client) {
  EXPECT_EQ(client.ask("MAIL FROM:<a@client.test>").substr(0, 3), "250");
  return client.ask("RCPT TO:<b@next.test>").substr(0, 3);
}

TEST(Xclient, it_is_offered_to_those_who_may_use_it) {
  Bench bench(with_peers());
  const std::string both = "250-XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT\r\n250-XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE\r\n";
  auto offered = [&](std::string_view address) {
    Client client(bench, address);
    client.begin();
    return client.ask("EHLO client.test");
  };
  EXPECT_NE(offered(kFilter).find(both), std::string::npos);
  EXPECT_EQ(offered("203.0.113.2").find("XCLIENT"), std::string::npos);
  EXPECT_NE(offered("203.0.113.2").find("XFORWARD"), std::string::npos);
  EXPECT_EQ(offered("198.51.100.7").find("250-X"), std::string::npos);
}

TEST(Xclient, the_client_it_names_is_the_client) {
  Bench bench(with_peers());
  Client client(bench, kFilter);
  client.greet();
  EXPECT_EQ(rcpt(client), "550");
  EXPECT_EQ(client.ask("RSET").substr(0, 3), "250");
  EXPECT_TRUE(client.ask("XCLIENT NAME=spike.test ADDR=198.51.100.7 PORT=4711 LOGIN=joe").starts_with("220 mx.test "));
  EXPECT_EQ(client.ask("MAIL FROM:<a@client.test>").substr(0, 3), "503") << "the session is at its beginning again";
  EXPECT_TRUE(client.ask("EHLO client.test").starts_with("250-"));
  EXPECT_EQ(rcpt(client), "250");
  EXPECT_EQ(client.ask("DATA").substr(0, 3), "354");
  EXPECT_EQ(client.ask("x\r\n.").substr(0, 3), "250");
  ASSERT_EQ(bench.intake.stored.size(), 1u);
  EXPECT_EQ(bench.intake.stored[0].client, "198.51.100.7");
  EXPECT_NE(bench.intake.stored[0].content.find("([198.51.100.7])"), std::string::npos);
  // It speaks for the next one.
  EXPECT_EQ(client.ask("XCLIENT ADDR=IPV6:2001:db9::1").substr(0, 3), "220");
  EXPECT_TRUE(client.ask("EHLO client.test").starts_with("250-"));
  EXPECT_EQ(rcpt(client), "550");
}

TEST(Xclient, whom_it_cannot_name_relays_nothing) {
  config::Settings settings = with_peers();
  settings.relay.clients = {*Network::parse("203.0.113.0/24")};
  Bench bench(settings);
  Client client(bench, kFilter);
  client.greet();
  EXPECT_EQ(rcpt(client), "250");
  EXPECT_EQ(client.ask("RSET").substr(0, 3), "250");
  EXPECT_EQ(client.ask("XCLIENT ADDR=[UNAVAILABLE]").substr(0, 3), "220");
  EXPECT_TRUE(client.ask("EHLO client.test").starts_with("250-"));
  EXPECT_EQ(rcpt(client), "550");
}

TEST(Xclient, limits_are_those_of_the_clients) {
  config::Settings settings = with_peers();
  settings.limits.connections_per_client = 1;
  Bench bench(settings);
  Client first(bench, kFilter);
  first.greet();
  EXPECT_EQ(first.ask("XCLIENT ADDR=198.51.100.7").substr(0, 3), "220");
  Client second(bench, kFilter);
  second.greet();
  second.send("XCLIENT ADDR=198.51.100.7\r\n");
  EXPECT_EQ(second.codes_to_end(), "421");
  Client third(bench, kFilter);
  third.greet();
  EXPECT_EQ(third.ask("XCLIENT ADDR=198.51.100.8").substr(0, 3), "220");
}

TEST(Attacks, C19_who_may_not_speak_for_others_gets_550_and_stays_who_it_is) {
  Bench bench(with_peers());
  Client client(bench, "203.0.113.99");
  client.greet();
  EXPECT_EQ(client.ask("XCLIENT ADDR=198.51.100.7"), "550 5.7.1 You may not speak for others\r\n");
  EXPECT_EQ(client.ask("XCLIENT"), "550 5.7.1 You may not speak for others\r\n");
  EXPECT_EQ(rcpt(client), "550");
  EXPECT_EQ(client.ask("XCLIENT ADDR=198.51.100.7").substr(0, 3), "550");
  Client none(bench, "192.0.2.99");
  none.greet();
  EXPECT_EQ(none.ask("XFORWARD ADDR=198.51.100.7").substr(0, 3), "550");
  EXPECT_EQ(rcpt(none), "550");
}

TEST(Attacks, C19_what_is_malformed_or_comes_in_a_transaction_changes_nothing) {
  Bench bench(with_peers());
  Client client(bench, kFilter);
  client.greet();
  for (const std::string& bad : {"XCLIENT"s, "XCLIENT ADDR"s, "XCLIENT ADDR=198.51.100"s, "XCLIENT ADDR=198.51.100.7 FOO=1"s, "XCLIENT ADDR=198.51.100.7+0D+0A"s,
                                 "XCLIENT ADDR=198.51.100.7 ADDR=198.51.100.8"s, "XFORWARD PORT=0"s})
    EXPECT_EQ(client.ask(bad).substr(0, 3), "501") << bad;
  EXPECT_EQ(client.ask("MAIL FROM:<a@client.test>").substr(0, 3), "250");
  EXPECT_EQ(client.ask("XCLIENT ADDR=198.51.100.7").substr(0, 3), "503");
  EXPECT_EQ(client.ask("XFORWARD ADDR=198.51.100.7").substr(0, 3), "503");
  EXPECT_EQ(client.ask("RCPT TO:<b@next.test>").substr(0, 3), "550");
}

TEST(Attacks, C19_xclient_does_not_change_who_may_use_it) {
  Bench bench(with_peers());
  Client client(bench, kFilter);
  client.greet();
  EXPECT_EQ(client.ask("XCLIENT ADDR=198.51.100.7").substr(0, 3), "220");
  EXPECT_EQ(client.ask("XCLIENT ADDR=198.51.100.8").substr(0, 3), "220");
  Client other(bench, "203.0.113.2");
  other.greet();
  EXPECT_EQ(other.ask("XFORWARD ADDR=203.0.113.1").substr(0, 3), "250");
  EXPECT_EQ(other.ask("XCLIENT ADDR=198.51.100.8").substr(0, 3), "550");
}

TEST(Attacks, C19_behind_a_proxy_the_client_is_who_may_use_it_or_not) {
  config::Settings settings = with_peers();
  settings.listeners = {{.name = "test", .address = kServer, .proxy_protocol = config::ProxyProtocol::required,
                         .proxy_peers = {*Network::parse("203.0.113.1")}}};
  Bench bench(settings);
  Client client(bench, kFilter, "PROXY TCP4 192.0.2.66 192.0.2.1 4711 25\r\n"), unknown(bench, kFilter, "PROXY UNKNOWN\r\n");
  for (Client* each : {&client, &unknown}) {
    each->greet();
    EXPECT_EQ(each->ask("XCLIENT ADDR=198.51.100.7").substr(0, 3), "550");
  }
}

TEST(Attacks, C3_starttls_forgets_what_xclient_said) {
  Bench bench(with_peers(), 1, config::BareNewline::refuse, ListenerTls::offered);
  Client client(bench, kFilter);
  client.greet();
  EXPECT_EQ(client.ask("XCLIENT ADDR=198.51.100.7").substr(0, 3), "220");
  EXPECT_EQ(client.ask("EHLO client.test").substr(0, 4), "250-");
  EXPECT_EQ(client.ask("XFORWARD ADDR=192.0.2.77").substr(0, 3), "250");
  EXPECT_EQ(client.ask("STARTTLS").substr(0, 3), "220");
  ASSERT_TRUE(client.start_tls());
  EXPECT_EQ(client.ask("EHLO client.test").substr(0, 4), "250-");
  EXPECT_EQ(rcpt(client), "550");
  EXPECT_EQ(client.ask("RSET").substr(0, 3), "250");
  // Under TLS it counts, and stays.
  EXPECT_EQ(client.ask("XCLIENT ADDR=198.51.100.7").substr(0, 3), "220");
  EXPECT_EQ(client.ask("EHLO client.test").substr(0, 4), "250-");
  EXPECT_EQ(client.ask("STARTTLS").substr(0, 3), "503");
  EXPECT_EQ(rcpt(client), "250");
}

TEST(Xforward, it_decides_nothing) {
  Bench bench(with_peers());
  Client client(bench, kFilter);
  client.greet();
  EXPECT_EQ(client.ask("XFORWARD NAME=spike.test ADDR=198.51.100.7 SOURCE=LOCAL").substr(0, 3), "250");
  EXPECT_EQ(client.ask("XFORWARD PORT=4711 IDENT=4F2A").substr(0, 3), "250");
  EXPECT_EQ(rcpt(client), "550");
}

}  // namespace
}  // namespace ringpost::receive
