// Mail hosts of a domain: RFC 5321 section 5.1, RFC 7505, and whom never to connect to (D1, D2, D4, A6).
#include "ringpost/dns/mail_hosts.hh"

#include <map>

#include "mail_ranking.hh"
#include "world.hh"

namespace ringpost::dns {
namespace {

using event::Reason;
using std::chrono::seconds;

class MailHostsTest : public testing::Test {
 protected:
  explicit MailHostsTest(MailHostsSettings settings = {.own_names = {"mx.ourselves.example"},
                                                       .own_addresses = {*IpAddress::parse("203.0.113.25")}})
      : hosts_(w_.resolver, std::move(settings)) {}

  MailHostsAnswer find(std::string domain) {
    MailHostsAnswer answer;
    sim::drive(w_.ring, find_into(std::move(domain), answer));
    EXPECT_NE(answer.hosts.empty(), !answer.failure.has_value()) << "hosts or a failure, never both";
    for (const MailHost& host : answer.hosts) EXPECT_FALSE(host.addresses.empty());
    return answer;
  }
  /// "10 a.example 203.0.113.1 2001:db8::1; 20 ..." or "permanent 550 5.1.2 dns_no_such_domain".
  std::string found(std::string domain) {
    const MailHostsAnswer answer = find(std::move(domain));
    if (answer.failure) {
      const MailHostsFailure& failure = *answer.failure;
      EXPECT_FALSE(failure.text.empty());
      EXPECT_EQ(failure.permanent, failure.reply.code >= 500);
      return std::string{failure.permanent ? "permanent " : "temporary "} + std::to_string(failure.reply.code) + " " +
             std::to_string(failure.reply.enhanced_class) + "." + std::to_string(failure.reply.enhanced_subject) + "." +
             std::to_string(failure.reply.enhanced_detail) + " " + std::string{event::name_of(failure.reason)};
    }
    std::string text;
    for (const MailHost& host : answer.hosts) {
      if (!text.empty()) text += "; ";
      text += std::to_string(host.preference) + " " + host.name;
      for (const IpAddress& address : host.addresses) text += " " + address.text();
    }
    return text;
  }

  std::string addresses(std::string host, MailHosts::NamedBy by) {
    std::string text;
    sim::drive(w_.ring, addresses_into(std::move(host), by, text));
    return text;
  }

  DnsWorld w_;
  Zone& zone_ = w_.zone;
  MailHosts hosts_;

 private:
  runtime::Task<void> addresses_into(std::string host, MailHosts::NamedBy by, std::string& into) {
    co_await w_.ring.sleep_for({});  // as in DnsWorld
    const std::vector<IpAddress> found = co_await hosts_.addresses(std::move(host), by);
    for (const IpAddress& address : found) into += address.text() + " ";
  }
  runtime::Task<void> find_into(std::string domain, MailHostsAnswer& into) {
    co_await w_.ring.sleep_for({});  // as in DnsWorld
    into = co_await hosts_.find(std::move(domain));
  }
};

constexpr const char* kNoAnswer = "temporary 451 4.4.3 dns_temporary";
constexpr const char* kNoDomain = "permanent 550 5.1.2 dns_no_such_domain";
constexpr const char* kNoHost = "temporary 451 4.4.4 no_mail_host";
constexpr const char* kLoop = "permanent 554 5.4.6 mail_loop";
constexpr const char* kPrivate = "permanent 550 5.4.4 private_address";

TEST_F(MailHostsTest, by_preference_with_both_families_in_turn) {
  zone_.mx("example.com", 20, "b.example").mx("example.com", 10, "a.example");
  zone_.a("a.example", "203.0.113.1").a("a.example", "203.0.113.2").a("a.example", "2a00::1").a("b.example", "203.0.113.3");
  const std::string first = found("Example.COM.");
  EXPECT_EQ(first, "10 a.example 2a00::1 203.0.113.1 203.0.113.2; 20 b.example 203.0.113.3");
  EXPECT_FALSE(find("example.com").implicit);
}

TEST_F(MailHostsTest, equal_preferences_take_turns_at_being_first) {
  for (const char* host : {"a.example", "b.example", "c.example"}) zone_.mx("example.com", 10, host).a(host, "203.0.113.1");
  zone_.mx("example.com", 5, "first.example").a("first.example", "203.0.113.5");
  std::map<std::string, int> seconds;
  for (int i = 0; i < 300; ++i) {
    const auto hosts = find("example.com").hosts;
    EXPECT_EQ(hosts[0].name, "first.example");
    ++seconds[hosts[1].name];
  }
  EXPECT_EQ(seconds.size(), 3u);
  for (const auto& [name, count] : seconds) EXPECT_GT(count, 60) << name;
}

TEST_F(MailHostsTest, without_mx_the_domain_itself_takes_mail) {
  zone_.a("example.com", "203.0.113.1");
  EXPECT_EQ(found("example.com"), "0 example.com 203.0.113.1");
  EXPECT_TRUE(find("example.com").implicit);
  zone_.mx("dead.example", 10, "gone.example").a("dead.example", "203.0.113.1");
  EXPECT_EQ(found("dead.example"), kNoHost) << "with MX records its own address does not count";
}

TEST_F(MailHostsTest, null_mx_fails_at_once) {
  zone_.mx("example.com", 0, "").a("example.com", "203.0.113.1");
  EXPECT_EQ(found("example.com"), "permanent 556 5.1.10 null_mx");
  zone_.mx("confused.example", 0, "").mx("confused.example", 10, "a.example").a("a.example", "203.0.113.1");
  EXPECT_EQ(found("confused.example"), "10 a.example 203.0.113.1") << "beside others it means nothing";
}

TEST_F(MailHostsTest, cnames_of_the_domain_and_of_a_host_are_followed) {
  zone_.cname("example.com", "real.example").mx("real.example", 10, "mx.example").cname("mx.example", "host.example");
  zone_.a("host.example", "203.0.113.1");
  EXPECT_EQ(found("example.com"), "10 mx.example 203.0.113.1");
  zone_.cname("round.example", "about.example").cname("about.example", "round.example");
  EXPECT_EQ(found("round.example"), kNoAnswer);
}

TEST_F(MailHostsTest, D1_only_nxdomain_and_null_mx_are_permanent) {
  EXPECT_EQ(found("missing.example"), kNoDomain);
  zone_.empty("empty.example");
  EXPECT_EQ(found("empty.example"), kNoHost);
  int number = 0;
  for (Habit habit : {Habit::servfail, Habit::refuse, Habit::silent, Habit::lame, Habit::malformed}) {
    const std::string domain = "d" + std::to_string(++number) + ".example";
    zone_.mx(domain, 10, "a.example").habit(domain, habit);
    EXPECT_EQ(found(domain), kNoAnswer) << number;
  }
}

TEST_F(MailHostsTest, D1_truncated_without_tcp_waits) {
  zone_.mx("big.example", 10, "a.example").a("a.example", "203.0.113.1").habit("big.example", Habit::truncate);
  w_.world.faults().set(sim::Fault::net_refused, 1);
  EXPECT_EQ(found("big.example"), kNoAnswer);
  w_.world.faults().heal();
  w_.world.run_for(seconds{6});
  EXPECT_EQ(found("big.example"), "10 a.example 203.0.113.1");
}

TEST_F(MailHostsTest, D1_a_host_without_an_answer_keeps_mail_waiting_only_when_no_other_is_left) {
  zone_.mx("example.com", 10, "dark.example").mx("example.com", 20, "b.example").a("b.example", "203.0.113.2");
  zone_.habit("dark.example", Habit::servfail);
  EXPECT_EQ(found("example.com"), "20 b.example 203.0.113.2");
  zone_.mx("other.example", 10, "dark.example").mx("other.example", 20, "mx.ourselves.example");
  EXPECT_EQ(found("other.example"), kNoAnswer) << "a loop is not certain while the better host may be there";
}

TEST_F(MailHostsTest, D2_mx_to_ip_text_and_odd_names_are_no_hosts) {
  zone_.mx("text.example", 10, "203.0.113.7").mx("odd.example", 10, "under score.example");
  EXPECT_EQ(found("text.example"), kNoHost);
  EXPECT_EQ(found("odd.example"), kNoHost);
  EXPECT_EQ(w_.asked(zone_, "203.0.113.7"), 0u);
}

TEST_F(MailHostsTest, D2_of_a_thousand_mx_the_best_twenty_are_looked_up) {
  for (unsigned i = 0; i < 1000; ++i) {
    const std::string host = "h" + std::to_string(i) + ".example";
    zone_.mx("many.example", 1000 - i, host).a(host, "203.0.113.1");
  }
  const auto answer = find("many.example");
  EXPECT_EQ(answer.hosts.size(), 20u);
  EXPECT_EQ(answer.hosts.front().name, "h999.example");
  EXPECT_LE(w_.zone.asked.size(), 42u);
}

TEST_F(MailHostsTest, D4_addresses_that_are_not_somebody_elses_host_are_refused) {
  const std::pair<const char*, const char*> cases[] = {
      {"127.0.0.1", kLoop},
      {"127.8.9.1", kLoop},
      {"0.0.0.0", kLoop},
      {"::1", kLoop},
      {"::", kLoop},
      {"203.0.113.25", kLoop},  // our own
      {"10.1.2.3", kPrivate},
      {"172.31.0.1", kPrivate},
      {"192.168.1.1", kPrivate},
      {"169.254.1.1", kPrivate},
      {"100.64.0.1", kPrivate},
      {"fe80::1", kPrivate},
      {"fd00::1", kPrivate},
      {"224.0.0.1", kPrivate},
      {"255.255.255.255", kPrivate},
      {"ff02::1", kPrivate},
      {"0.1.2.3", kPrivate},
      {"::ffff:127.0.0.1", kLoop},
      {"::ffff:10.0.0.1", kPrivate},
      {"::10.0.0.1", kPrivate},
      {"172.32.0.1", "10 h.example 172.32.0.1"},
      {"11.0.0.1", "10 h.example 11.0.0.1"},
      {"2a00::1", "10 h.example 2a00::1"},
  };
  int number = 0;
  for (const auto& [ip, verdict] : cases) {
    const std::string domain = "d" + std::to_string(++number) + ".example", host = "h" + std::to_string(number) + ".example";
    zone_.mx(domain, 10, host);
    zone_.add(host, std::string_view{ip}.find(':') == std::string_view::npos ? Type::a : Type::aaaa, [&] {
      Octets data = a_data(ip);
      if (std::string_view{ip}.starts_with("::ffff:")) {  // as an AAAA record of 16 octets
        const IpAddress mapped = *IpAddress::parse(ip);
        data.assign(mapped.bytes.begin(), mapped.bytes.end());
      }
      return data;
    }());
    std::string expected = verdict;
    if (const auto at = expected.find(" h.example"); at != expected.npos) expected.replace(at, 10, " " + host);
    EXPECT_EQ(found(domain), expected) << ip;
    // A better address beside it is used.
    zone_.mx("also" + domain, 10, "also" + host).mx("also" + domain, 5, host).a("also" + host, "203.0.113.99");
    const auto answer = find("also" + domain);
    if (std::string_view{ip} != "203.0.113.25") {
      EXPECT_FALSE(answer.failure) << ip;
    }
  }
}

TEST_F(MailHostsTest, D4_a_web_server_may_be_inside_if_the_configuration_names_it) {
  zone_.a("id.example", "10.0.0.2").a("id.example", "127.0.0.1").a("id.example", "0.0.0.0").a("id.example", "224.0.0.1");
  EXPECT_EQ(addresses("id.example", MailHosts::NamedBy::anybody), "");
  EXPECT_EQ(addresses("id.example", MailHosts::NamedBy::configuration), "10.0.0.2 127.0.0.1 ");
}

TEST_F(MailHostsTest, D4_and_used_where_the_configuration_allows_it) {
  hosts_.apply({.own_addresses = {*IpAddress::parse("10.0.0.1")}, .allow_private = true});
  zone_.mx("in.example", 10, "h.example").a("h.example", "127.0.0.2").a("h.example", "10.0.0.2").a("h.example", "fd00::1");
  EXPECT_EQ(found("in.example"), "10 h.example fd00::1 127.0.0.2 10.0.0.2");
  zone_.mx("self.example", 10, "self.example").a("self.example", "10.0.0.1");
  EXPECT_EQ(found("self.example"), kLoop) << "never our own";
  zone_.mx("any.example", 10, "any.example").a("any.example", "0.0.0.0");
  EXPECT_EQ(found("any.example"), kLoop);
}

TEST_F(MailHostsTest, A6_our_own_name_among_the_mx_ends_the_list_there) {
  zone_.mx("example.com", 10, "a.example").mx("example.com", 20, "MX.ourselves.example").mx("example.com", 20, "equal.example");
  zone_.mx("example.com", 30, "behind.example");
  for (const char* host : {"a.example", "equal.example", "behind.example"}) zone_.a(host, "203.0.113.1");
  EXPECT_EQ(found("example.com"), "10 a.example 203.0.113.1");
  zone_.mx("best.example", 10, "mx.ourselves.example").mx("best.example", 20, "behind.example");
  EXPECT_EQ(found("best.example"), kLoop);
  hosts_.apply({.own_names = {"Behind.Example."}});
  EXPECT_EQ(found("example.com"), "10 a.example 203.0.113.1; 20 equal.example 203.0.113.1") << "new settings count at once";
}

TEST_F(MailHostsTest, A6_our_own_address_under_another_name_ends_it_too) {
  zone_.mx("example.com", 10, "a.example").mx("example.com", 20, "alias.example").mx("example.com", 30, "behind.example");
  zone_.a("a.example", "203.0.113.1").a("alias.example", "203.0.113.25").a("behind.example", "203.0.113.3");
  EXPECT_EQ(found("example.com"), "10 a.example 203.0.113.1");
}

TEST_F(MailHostsTest, address_literals) {
  EXPECT_EQ(found("[203.0.113.7]"), "0 [203.0.113.7] 203.0.113.7");
  EXPECT_EQ(found("[IPv6:2a00::7]"), "0 [IPv6:2a00::7] 2a00::7");
  EXPECT_EQ(found("[127.0.0.1]"), kLoop);
  EXPECT_EQ(found("[10.0.0.1]"), kPrivate);
  for (const char* wrong : {"[]", "[x]", "[2a00::7]", "[IPv6:203.0.113.7]", "[203.0.113.7", "[IPv6:]"})
    EXPECT_EQ(found(wrong), kNoDomain) << wrong;
}

TEST_F(MailHostsTest, names_that_cannot_be_in_dns_do_not_exist) {
  for (const char* wrong : {"", ".", "a..b", "exa mple.com", "-\x01.example", "hidden.onion"})
    EXPECT_EQ(found(wrong), kNoDomain) << wrong;
}

TEST_F(MailHostsTest, a_domain_of_another_script_is_asked_for_in_ascii) {
  zone_.mx("xn--bcher-kva.example", 10, "a.example").mx("xn--fa-hia.example", 10, "a.example").a("a.example", "203.0.113.1");
  EXPECT_EQ(found("b\u00fccher.example"), "10 a.example 203.0.113.1");
  EXPECT_EQ(found("B\u00dcCHER\u3002example"), "10 a.example 203.0.113.1") << "upper case, and another script's full stop";
  EXPECT_EQ(found("bu\u0308cher.example"), "10 a.example 203.0.113.1") << "u and two dots of its own";
  EXPECT_EQ(found("fa\u00df.example"), "10 a.example 203.0.113.1");
  for (std::string_view wrong : {"\xff.example", "\xc3.example", "\u2028.example", "\u00fc..example"})
    EXPECT_EQ(found(std::string{wrong}), kNoDomain);
  EXPECT_EQ(found(std::string{"\u00fc\0.example", 11}), kNoDomain);
  EXPECT_EQ(found("\u00fc" + std::string(5000, 'x') + ".example"), kNoDomain);
}

TEST_F(MailHostsTest, holds_for_the_shortest_time_and_is_proven_by_all_it_rests_on) {
  w_.resolver.apply({.servers = {kFirst}, .trust_ad = TrustAd::yes});
  zone_.authentic = true;
  zone_.negative_ttl = 200;
  zone_.mx("example.com", 10, "a.example", 500).a("a.example", "203.0.113.1", 90).a("a.example", "2a00::1", 400);
  const auto answer = find("example.com");
  EXPECT_EQ(answer.ttl, seconds{90});
  EXPECT_TRUE(answer.authenticated && answer.hosts[0].authenticated);
  zone_.mx("keys.example", 10, "b.example", 500).a("b.example", "203.0.113.2", 400).a("b.example", "2a00::2", 400);
  EXPECT_EQ(find("keys.example").ttl, seconds{200}) << "nor longer than that there are no keys";
}

TEST_F(MailHostsTest, D5_while_the_resolver_is_dead_mail_waits) {
  zone_.everywhere = Habit::silent;
  zone_.mx("example.com", 10, "a.example").a("a.example", "203.0.113.1");
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(found("example.com"), kNoAnswer);
    w_.world.run_for(std::chrono::minutes{1});
  }
  zone_.everywhere = Habit::normal;
  w_.world.run_for(seconds{40});
  EXPECT_EQ(found("example.com"), "10 a.example 203.0.113.1");
}

runtime::Task<void> look_up_one(MailHosts& hosts, std::string domain) { (void)co_await hosts.find(std::move(domain)); }

TEST(MailHostsInACrash, whatever_was_under_way_ends_with_its_process) {
  for (int moment = 0; moment < 40; ++moment) {
    sim::World world(static_cast<std::uint64_t>(moment) + 1);
    sim::SimRing &daemon = world.make_ring("daemon"), &far = world.make_ring("servers");
    Zone zone;
    SimZoneServer server(far, kFirst, zone);
    server.delay = std::chrono::milliseconds{2};
    server.start();
    auto resolver = std::make_unique<Resolver>(daemon, ResolverSettings{.servers = {kFirst}, .in_flight_max = 4});
    auto hosts = std::make_unique<MailHosts>(*resolver, MailHostsSettings{});
    auto scope = std::make_unique<runtime::Scope>(daemon);
    for (int i = 0; i < 10; ++i) {
      const std::string domain = "d" + std::to_string(i) + ".example";
      zone.mx(domain, 10, "mx." + domain).mx(domain, 10, "large." + domain).a("mx." + domain, "203.0.113.1");
      zone.habit("large." + domain, i % 2 ? Habit::truncate : Habit::silent);
      scope->spawn(look_up_one(*hosts, domain));
    }
    world.run_for(std::chrono::microseconds{700} * moment);
    EXPECT_GT(scope->running(), 0u);
    world.kill(daemon);
    {
      runtime::CrashGuard crashing;
      scope.reset();
      hosts.reset();
      resolver.reset();
    }
    world.bury();
    sim::drive(far, server.stop());
  }
}

}  // namespace
}  // namespace ringpost::dns
