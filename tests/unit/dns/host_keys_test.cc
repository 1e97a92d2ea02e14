// TLSA records of mail hosts: which are asked for, and which answers count (T7; RFC 7672 section 2).
#include "ringpost/dns/host_keys.hh"

#include "ringpost/dns/mail_hosts.hh"
#include "world.hh"

namespace ringpost::dns {
namespace {

using Status = HostKeys::Status;

constexpr std::array<std::byte, 32> kDigest{std::byte{7}};

class HostKeysTest : public testing::Test {
 protected:
  HostKeysTest() : hosts_(w_.resolver, {}) {
    zone_.authentic = true;
    zone_.mx("example.com", 10, "mx.example").a("mx.example", "203.0.113.1");
  }
  /// Of the first mail host of example.com: "found mx.example 311", "none", "insecure", "failed: no answer in time"...
  std::string keys() {
    MailHostsAnswer answer;
    sim::drive(w_.ring, find_into(answer));
    if (answer.hosts.empty()) return "no host";
    const HostKeys& keys = answer.hosts.front().keys;
    switch (keys.status) {
      case Status::insecure: return "insecure";
      case Status::none: return "none";
      case Status::failed: return "failed: " + std::string{failure_name(keys.failure)};
      case Status::found: break;
    }
    std::string text = "found " + keys.base;
    for (const Association& each : keys.records)
      text += " " + std::to_string(each.usage) + std::to_string(each.selector) + std::to_string(each.matching);
    return text;
  }
  void publish(std::initializer_list<const char*> names, std::uint32_t ttl = 300) {
    for (const char* name : names) zone_.tlsa(name, 3, 1, 1, kDigest, ttl);
  }
  std::size_t asked(const std::string& name) { return w_.asked(zone_, name, Type::tlsa); }

  DnsWorld w_{1, {.servers = {kFirst}, .trust_ad = TrustAd::yes}};
  Zone& zone_ = w_.zone;
  MailHosts hosts_;

 private:
  runtime::Task<void> find_into(MailHostsAnswer& into) {
    co_await w_.ring.sleep_for({});
    into = co_await hosts_.find("example.com");
  }
};

TEST_F(HostKeysTest, are_at_the_port_of_the_host) {
  publish({"_25._tcp.mx.example"});
  zone_.tlsa("_25._tcp.mx.example", 2, 0, 1, kDigest);
  EXPECT_EQ(keys(), "found mx.example 311 201");
}

TEST_F(HostKeysTest, T7_there_are_none_though_the_zone_is_signed) { EXPECT_EQ(keys(), "none"); }

TEST_F(HostKeysTest, T7_those_of_another_port_say_nothing) {
  publish({"_26._tcp.mx.example", "_443._tcp.mx.example", "_25._udp.mx.example", "mx.example"});
  EXPECT_EQ(keys(), "none");
}

TEST_F(HostKeysTest, T7_nobody_asks_where_the_list_of_hosts_is_not_proven) {
  publish({"_25._tcp.mx.example"});
  zone_.unproven = {"example.com"};
  EXPECT_EQ(keys(), "insecure");
  EXPECT_EQ(asked("_25._tcp.mx.example"), 0u);
}

TEST_F(HostKeysTest, T7_nor_where_the_addresses_are_not) {
  publish({"_25._tcp.mx.example"});
  zone_.unproven = {"mx.example"};
  EXPECT_EQ(keys(), "insecure");
  EXPECT_EQ(asked("_25._tcp.mx.example"), 0u);
}

TEST_F(HostKeysTest, T7_records_that_are_not_proven_are_none) {
  publish({"_25._tcp.mx.example"});
  zone_.unproven = {"_tcp.mx.example"};
  EXPECT_EQ(keys(), "none");
}

TEST_F(HostKeysTest, T7_without_an_answer_nobody_knows) {
  publish({"_25._tcp.mx.example"});
  zone_.habit("_25._tcp.mx.example", Habit::servfail);
  EXPECT_EQ(keys(), "failed: server failure");
  w_.world.run_for(std::chrono::seconds{6});  // that is not asked again at once (RFC 9520)
  zone_.habit("_25._tcp.mx.example", Habit::bogus);
  EXPECT_EQ(keys(), "failed: DNSSEC does not hold");
  w_.world.run_for(std::chrono::seconds{6});
  zone_.habit("_25._tcp.mx.example", Habit::malformed);
  EXPECT_EQ(keys(), "failed: malformed answer");
  w_.world.run_for(std::chrono::seconds{6});
  zone_.habit("_25._tcp.mx.example", Habit::silent);
  EXPECT_EQ(keys(), "failed: no answer in time");
  w_.world.run_for(std::chrono::minutes{2});
  zone_.habit("_25._tcp.mx.example", Habit::normal);
  EXPECT_EQ(keys(), "found mx.example 311");
}

// Else whoever can suppress one of two answers about addresses could suppress DANE.
TEST_F(HostKeysTest, T7_nor_when_one_family_of_addresses_has_no_answer) {
  publish({"_25._tcp.mx.example"});
  zone_.silent_types.insert(Type::aaaa);
  EXPECT_EQ(keys(), "failed: none");
}

TEST_F(HostKeysTest, T7_of_an_alias_the_expanded_name_comes_first) {
  zone_.remove("mx.example");
  zone_.cname("mx.example", "real.example").a("real.example", "203.0.113.1");
  EXPECT_EQ(keys(), "none");
  EXPECT_EQ(asked("_25._tcp.real.example"), 1u);
  EXPECT_EQ(asked("_25._tcp.mx.example"), 1u);
  w_.world.run_for(std::chrono::minutes{10});
  publish({"_25._tcp.mx.example"});
  EXPECT_EQ(keys(), "found mx.example 311");
  w_.world.run_for(std::chrono::minutes{10});
  publish({"_25._tcp.real.example"});
  EXPECT_EQ(keys(), "found real.example 311");
}

TEST_F(HostKeysTest, T7_an_alias_into_a_zone_that_is_not_signed_keeps_its_own_name) {
  zone_.remove("mx.example");
  zone_.cname("mx.example", "real.elsewhere").a("real.elsewhere", "203.0.113.1");
  zone_.unproven = {"elsewhere"};
  publish({"_25._tcp.mx.example", "_25._tcp.real.elsewhere"});
  EXPECT_EQ(keys(), "found mx.example 311") << "the alias itself is proven";
  EXPECT_EQ(asked("_25._tcp.real.elsewhere"), 0u);
  w_.world.run_for(std::chrono::minutes{10});
  zone_.unproven = {"elsewhere", "mx.example"};
  EXPECT_EQ(keys(), "insecure");
}

TEST_F(HostKeysTest, hold_as_long_as_their_ttl) {
  publish({"_25._tcp.mx.example"}, 40);
  EXPECT_EQ(keys(), "found mx.example 311");
  w_.world.run_for(std::chrono::seconds{30});
  (void)keys();
  EXPECT_EQ(asked("_25._tcp.mx.example"), 1u);
  w_.world.run_for(std::chrono::seconds{30});
  (void)keys();
  EXPECT_EQ(asked("_25._tcp.mx.example"), 2u);
}

TEST_F(HostKeysTest, are_not_asked_for_where_nobody_wants_them) {
  publish({"_25._tcp.mx.example"});
  hosts_.apply({.keys = false});
  EXPECT_EQ(keys(), "insecure");
  EXPECT_EQ(asked("_25._tcp.mx.example"), 0u);
}

TEST(Security, of_two_answers) {
  using enum Security;
  EXPECT_EQ(together(secure, secure), secure);
  EXPECT_EQ(together(secure, failed), failed);
  EXPECT_EQ(together(failed, secure), failed);
  EXPECT_EQ(together(insecure, failed), insecure);
  EXPECT_EQ(together(failed, insecure), insecure);
  EXPECT_EQ(together(secure, insecure), insecure);
}

}  // namespace
}  // namespace ringpost::dns
