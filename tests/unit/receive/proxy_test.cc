// Clients behind proxies: the PROXY protocol in front of a session.
#include "../tls/certificates.hh"
#include "ringpost/runtime/memory_reserve.hh"
#include "support.hh"

namespace ringpost::receive {
namespace {

using namespace testing;
using config::ListenerTls;

constexpr std::string_view kProxy = "203.0.113.1";
const std::string kHeader = "PROXY TCP4 198.51.100.7 192.0.2.1 4711 25\r\n";
const std::string kSignature = "\r\n\r\n\0\r\nQUIT\n"s;

std::string header_of(const std::string& client) { return "PROXY TCP4 " + client + " 192.0.2.1 4711 25\r\n"; }

config::Settings behind_proxy(ListenerTls tls = ListenerTls::none, config::Settings settings = small_settings()) {
  static const auto certificate = std::make_shared<const tls::Certificate>(
      tls::testing::made_of("mx", tls::testing::files().mx_chain, tls::testing::files().mx_key));
  settings.tls.certificates = {{.name = "mx", .loaded = certificate}};
  settings.listeners = {{.name = "test",
                         .address = kServer,
                         .tls = tls,
                         .proxy_protocol = config::ProxyProtocol::required,
                         .proxy_peers = {*Network::parse("203.0.113.0/28")}}};
  return settings;
}

std::string send_message(Client& client) {
  client.begin_data();
  return client.ask("x\r\n.").substr(0, 3);
}

TEST(Proxy, the_client_it_names_is_the_client) {
  Bench bench(behind_proxy());
  Client client(bench, kProxy, kHeader);
  client.greet();
  EXPECT_EQ(send_message(client), "250") << "198.51.100.7 may relay, and 203.0.113.1 may not";
  ASSERT_EQ(bench.intake.stored.size(), 1u);
  EXPECT_EQ(bench.intake.stored[0].client, "198.51.100.7");
  EXPECT_NE(bench.intake.stored[0].content.find("([198.51.100.7])"), std::string::npos);
  Client stranger(bench, kProxy, "PROXY TCP6 2001:db9::7 ::1 1 25\r\n");
  stranger.greet();
  EXPECT_EQ(stranger.ask("MAIL FROM:<a@client.test>").substr(0, 3), "250");
  EXPECT_EQ(stranger.ask("RCPT TO:<b@next.test>").substr(0, 3), "550");
}

TEST(Proxy, nothing_is_said_before_a_whole_header) {
  Bench bench(behind_proxy());
  for (std::size_t cut = 0; cut < kHeader.size(); cut += 3) {
    Client client(bench, kProxy, kHeader.substr(0, cut));
    bench.run_for(seconds{2});
    EXPECT_EQ(client.inbox, "") << cut;
    client.send(kHeader.substr(cut));
    client.greet();
    EXPECT_EQ(client.ask("QUIT").substr(0, 3), "221");
  }
}

TEST(Proxy, who_brings_no_header_in_time_is_closed_without_a_word) {
  Bench bench(behind_proxy());
  const Instant begun = bench.world.now();
  Client silent(bench, kProxy), half(bench, kProxy, kHeader.substr(0, 20)), long_one(bench, kProxy, kSignature + "\x20\x00\x40\x00"s);
  EXPECT_EQ(silent.rest() + half.rest() + long_one.rest(), "");
  EXPECT_GE(bench.world.now() - begun, seconds{4});
  EXPECT_LT(bench.world.now() - begun, seconds{8});
  EXPECT_EQ(bench.metrics.connections_refused.value(), 3u);
  EXPECT_EQ(bench.metrics.sessions_started.value(), 0u);
}

TEST(Proxy, what_comes_with_the_header_is_the_clients) {
  Bench bench(behind_proxy());
  Client early(bench, kProxy, kHeader + "EHLO client.test\r\n");
  EXPECT_EQ(early.codes_to_end(), "554") << "it talked before the banner";
}

TEST(Proxy, health_checks_are_the_proxys_own) {
  Bench bench(behind_proxy());
  for (const std::string& header : {kSignature + "\x20\x00\x00\x00"s, "PROXY UNKNOWN\r\n"s}) {
    Client check(bench, kProxy, header);
    check.greet();
    EXPECT_EQ(check.ask("QUIT").substr(0, 3), "221");
  }
}

TEST(Proxy, whom_it_cannot_name_relays_nothing_though_it_may_itself) {
  config::Settings settings = behind_proxy();
  settings.relay.clients = {*Network::parse("203.0.113.0/24")};
  Bench bench(settings);
  for (const std::string& header : {"PROXY UNKNOWN\r\n"s, kSignature + "\x21\x00\x00\x00"s}) {
    Client unknown(bench, kProxy, header);
    unknown.greet();
    EXPECT_EQ(unknown.ask("MAIL FROM:<a@client.test>").substr(0, 3), "250");
    EXPECT_EQ(unknown.ask("RCPT TO:<b@next.test>").substr(0, 3), "550");
  }
  Client own(bench, kProxy, kSignature + "\x20\x00\x00\x00"s);
  own.greet();
  EXPECT_EQ(send_message(own), "250");
}

TEST(Proxy, it_stands_before_tls_of_both_kinds) {
  for (ListenerTls tls : {ListenerTls::implicit, ListenerTls::offered}) {
    Bench bench(behind_proxy(tls));
    Client client(bench, kProxy, kHeader);
    if (tls == ListenerTls::offered) {
      client.greet();
      EXPECT_EQ(client.ask("STARTTLS").substr(0, 3), "220");
    }
    ASSERT_TRUE(client.start_tls());
    if (tls == ListenerTls::implicit) client.begin();
    EXPECT_TRUE(client.ask("EHLO client.test").starts_with("250-"));
    EXPECT_EQ(send_message(client), "250");
    EXPECT_EQ(bench.intake.stored.at(0).client, "198.51.100.7");
  }
}

TEST(Proxy, a_handshake_may_come_in_the_headers_segment) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Bench bench(behind_proxy(ListenerTls::implicit), seed);
    if (seed % 2) bench.world.faults().set(Fault::net_split, 2);
    Client client(bench, kProxy, kHeader);
    ASSERT_TRUE(client.start_tls()) << seed;
    client.greet();
  }
}

TEST(Attacks, C18_limits_are_those_of_the_clients_behind_a_proxy) {
  config::Settings settings = behind_proxy();
  settings.limits.connections_per_client = 2;
  settings.limits.connections_per_prefix = 4;
  Bench bench(settings);
  std::vector<std::unique_ptr<Client>> open;
  std::string first;
  auto come = [&](const std::string& client) {
    open.push_back(std::make_unique<Client>(bench, kProxy, header_of(client)));
    first += open.back()->codes(1) + " ";
  };
  for (int i = 1; i <= 3; ++i) come("198.51.100.7");
  for (int i = 1; i <= 4; ++i) come("198.51.100." + std::to_string(100 + i));
  for (int i = 1; i <= 4; ++i) come("198.51." + std::to_string(i) + ".7");
  EXPECT_EQ(first, "220 220 421 220 220 421 421 220 220 220 220 ");
  EXPECT_EQ(bench.connections.open(), 8u);
  EXPECT_EQ(bench.metrics.connections_refused.value(), 3u);
}

TEST(Attacks, C18_behind_a_proxy_who_is_one_too_many_for_implicit_tls_is_just_closed) {
  config::Settings settings = behind_proxy(ListenerTls::implicit);
  settings.limits.connections_per_client = 1;
  Bench bench(settings);
  Client first(bench, kProxy, kHeader);
  ASSERT_TRUE(first.start_tls());
  first.greet();
  Client second(bench, kProxy, kHeader);
  EXPECT_EQ(second.rest(), "");
}

TEST(Attacks, C19_a_proxy_header_from_elsewhere_is_closed_at_once) {
  Bench bench(behind_proxy());
  const Instant begun = bench.world.now();
  Client stranger(bench, "203.0.113.99", kHeader), silent(bench, "198.51.100.7");
  EXPECT_EQ(stranger.rest() + silent.rest(), "");
  EXPECT_LT(bench.world.now() - begun, seconds{2});
  EXPECT_EQ(bench.connections.open(), 0u);
  EXPECT_EQ(bench.metrics.connections_refused.value(), 2u);
}

TEST(Attacks, C19_a_malformed_header_is_closed_and_no_address_is_taken) {
  Bench bench(behind_proxy());
  for (const std::string& bad :
       {"EHLO client.test\r\n"s, "PROXY TCP4 198.51.100.7 192.0.2.1 4711\r\n"s, "PROXY TCP4 198.51.100.7 192.0.2.1 4711 25\n"s,
        kSignature + "\x21\x11\x00\x04\xc6\x33\x64\x07"s, kSignature + "\x31\x11\x00\x0c"s, kSignature + "\x21\x11\xff\xff"s,
        kSignature.substr(0, 11) + "x"}) {
    const Instant begun = bench.world.now();
    Client client(bench, kProxy, bad);
    EXPECT_EQ(client.rest(), "") << bad;
    EXPECT_LT(bench.world.now() - begun, seconds{2}) << bad;
  }
  EXPECT_EQ(bench.connections.open(), 0u);
  EXPECT_EQ(bench.metrics.sessions_started.value(), 0u);
}

TEST(Attacks, C19_where_no_header_is_asked_for_it_is_another_protocol) {
  Bench bench;
  const std::string block = kSignature + "\x21\x11\x00\x0c\xc6\x33\x64\x08\xc0\x00\x02\x01\x12\x67\x00\x19"s;
  Client early(bench, "203.0.113.9", kHeader);
  const std::string first = early.reply().substr(0, 3);  // before the banner or behind it: the network decides
  EXPECT_TRUE(first == "554" || (first == "220" && early.codes_to_end() == "554")) << first;
  Client late(bench, "203.0.113.9");
  late.begin();
  late.send(kHeader + "EHLO client.test\r\n");
  EXPECT_EQ(late.codes_to_end(), "554");
  Client binary(bench, "203.0.113.9");
  binary.begin();
  binary.send(block + "EHLO client.test\r\n");
  EXPECT_EQ(binary.codes_to_end(), "500 500 500");
}

TEST(Proxy, a_server_short_of_memory_says_nothing_before_the_header_either) {
  ASSERT_TRUE(runtime::MemoryReserve::open());
  runtime::MemoryReserve::spend();
  {
    Bench proxied(behind_proxy()), direct;
    Client first(proxied, kProxy, kHeader), second(direct, "198.51.100.7");
    EXPECT_EQ(first.rest(), "");
    EXPECT_EQ(second.codes_to_end(), "421");
  }
  EXPECT_TRUE(runtime::MemoryReserve::refill());
  runtime::MemoryReserve::close();
}

TEST(Proxy, a_stop_does_not_wait_for_headers) {
  Bench bench(behind_proxy());
  Client waiting(bench, kProxy), served(bench, kProxy, kHeader);
  served.greet();
  const Instant begun = bench.world.now();
  bench.begin_stop(seconds{30});
  EXPECT_EQ(served.codes_to_end(), "421");
  EXPECT_EQ(waiting.rest(), "");
  EXPECT_LT(bench.world.now() - begun, seconds{2});
}

TEST(Proxy, the_network_may_cut_a_connection_anywhere) {
  for (std::uint64_t nth = 1; nth < 12; ++nth) {
    Bench bench(behind_proxy(ListenerTls::offered));
    bench.world.faults().fail_nth(Fault::net_reset, nth);
    Client client(bench, kProxy, kHeader);
    client.ask("EHLO client.test");
    client.ask("STARTTLS");
    if (!client.ended()) (void)client.start_tls();
    client.ask("EHLO client.test");
    client.ask("QUIT");
  }
}

}  // namespace
}  // namespace ringpost::receive
