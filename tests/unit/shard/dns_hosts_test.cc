// The dns.* keys do what they say, against a server of the simulated network.
#include "shard/dns_hosts.hh"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "../dns/zone_server.hh"
#include "../drive.hh"
#include "ringpost/config/configuration.hh"

namespace ringpost::shard {
namespace {

using std::chrono::seconds;

const SocketAddress kServer = *SocketAddress::parse("192.0.2.53:53");

config::Settings settings(const std::string& lines) {
  const config::Source source{"ringpost.conf", "dns.servers = " + kServer.text() + "\n" + lines};
  auto built = config::Configuration::load({&source, 1}, {.hostname = "relay.example.org"});
  if (!built) ADD_FAILURE() << built.error().front().text();
  return built ? built->settings() : config::Settings{};
}

class DnsKeys : public testing::Test {
 protected:
  DnsKeys()
      : world_(1), ring_(world_.make_ring("daemon", {.address = *IpAddress::parse("198.51.100.1")})),
        far_(world_.make_ring("servers")), server_(far_, kServer, zone_) {
    server_.start();
    hosts_ = std::make_unique<DnsHosts>(ring_, settings(""));
    for (const char* name : {"a.example", "b.example", "c.example"}) zone_.a(name, "203.0.113.9");
  }
  ~DnsKeys() override {
    sim::drive(ring_, hosts_->stop());
    sim::drive(far_, server_.stop());
  }
  void use(const std::string& lines) { hosts_->reconfigure(settings(lines)); }
  /// How long the answer took.
  Duration look_up(const std::string& name) {
    sim::drive(ring_, look_up_into(name));
    return took_;
  }
  runtime::Task<void> look_up_into(std::string name) {
    co_await ring_.sleep_for({});  // a ring that slept knows the time only from its next turn on
    const Instant began = ring_.now();
    found_ = co_await hosts_->host(std::move(name), 25);
    took_ = ring_.now() - began;
  }
  std::size_t asked(const std::string& name) { return zone_.asked[name + "/1"]; }

  sim::World world_;
  sim::SimRing &ring_, &far_;
  dns::Zone zone_;
  dns::SimZoneServer server_;
  std::unique_ptr<DnsHosts> hosts_;
  std::expected<deliver::Hosts, deliver::NoHosts> found_;
  Duration took_{};
};

// A next hop is asked for twice, by AAAA and by A.
TEST_F(DnsKeys, timeout_bounds_each_question) {
  zone_.everywhere = dns::Habit::silent;
  const Duration patient = look_up("a.example");
  EXPECT_GE(patient, seconds{38});
  EXPECT_LE(patient, seconds{42});
  EXPECT_FALSE(found_);
  world_.run_for(seconds{60});  // a silent server rests, and nobody waits for it
  use("dns.timeout = 1 s\n");
  const Duration hasty = look_up("b.example");
  EXPECT_GE(hasty, seconds{1});
  EXPECT_LT(hasty, seconds{3});
  EXPECT_FALSE(found_);
  zone_.everywhere = dns::Habit::normal;
  world_.run_for(seconds{60});
  (void)look_up("b.example");
  EXPECT_TRUE(found_);
}

TEST_F(DnsKeys, cache_entries_bounds_what_is_kept) {
  for (int round = 0; round < 3; ++round)
    for (const char* name : {"a.example", "b.example", "c.example"}) (void)look_up(name);
  EXPECT_EQ(asked("a.example"), 1u);
  use("dns.cache_entries = 2\n");  // the two answers about c stay
  for (int round = 0; round < 3; ++round) (void)look_up("c.example");
  EXPECT_EQ(asked("c.example"), 1u);
  for (int round = 0; round < 3; ++round)
    for (const char* name : {"a.example", "b.example"}) (void)look_up(name);
  EXPECT_EQ(asked("a.example"), 4u);
  EXPECT_EQ(asked("b.example"), 4u);
}

// ---- what is proven

class DnsProofs : public DnsKeys {
 protected:
  DnsProofs() {
    zone_.authentic = true;
    zone_.add("", dns::Type::soa, dns::soa_data(60));
    zone_.mx("next.example", 10, "mx.next.example").a("mx.next.example", "203.0.113.7");
    publish("_25._tcp.mx.next.example");
  }
  void publish(const std::string& name) { zone_.tlsa(name, 3, 1, 1, std::array<std::byte, 32>{}); }
  void watch(const std::string& lines) {
    use("route.default = mx\n" + lines);
    hosts_->start(metrics_, nullptr);
    world_.run_for(seconds{1});
  }
  /// Of the first mail host: "found mx.next.example 311, names mx.next.example next.example"
  std::string proof(const std::string& domain = "next.example") {
    sim::drive(ring_, find_into(domain));
    return text();
  }
  std::string text() {
    if (!found_ || found_->proofs.empty()) return "no proof";
    const deliver::HostProof& first = found_->proofs.front();
    EXPECT_EQ(first.addresses, found_->addresses);
    std::string text{deliver::status_name(first.status)};
    if (first.status != deliver::HostProof::Status::found) return text;
    text += " " + first.base;
    for (const tls::Association& each : first.records) text += " " + std::to_string(each.usage) + std::to_string(each.selector) + std::to_string(each.matching);
    text += ", names";
    for (const std::string& name : first.names) text += " " + name;
    return text;
  }
  runtime::Task<void> find_into(std::string domain) {
    co_await ring_.sleep_for({});
    found_ = co_await hosts_->mail_hosts(std::move(domain));
  }

  metrics::ShardMetrics metrics_;
};

TEST_F(DnsProofs, T7_of_the_mail_hosts_of_a_domain) {
  watch("dns.trust_ad = yes\n");
  EXPECT_EQ(metrics_.dns_validating.value(), 1);
  EXPECT_EQ(proof(), "found mx.next.example 311, names mx.next.example next.example next.example");
  zone_.cname("alias.example", "next.example");
  EXPECT_EQ(proof("alias.example"), "found mx.next.example 311, names mx.next.example next.example alias.example");
  zone_.habit("_25._tcp.mx.next.example", dns::Habit::bogus);
  world_.run_for(seconds{400});
  EXPECT_EQ(proof(), "failed");
}

TEST_F(DnsProofs, T7_of_a_next_hop_at_its_own_port) {
  watch("dns.trust_ad = yes\n");
  publish("_9._tcp.a.example");
  (void)look_up("a.example");
  EXPECT_EQ(text(), "none") << "there are none at port 25";
  publish("_25._tcp.b.example");
  (void)look_up("b.example");
  EXPECT_EQ(text(), "found b.example 311, names b.example");
}

TEST_F(DnsProofs, T7_a_resolver_that_does_not_validate_turns_dane_off) {
  zone_.authentic = false;
  watch("dns.trust_ad = yes\n");
  EXPECT_EQ(metrics_.dns_validating.value(), 0);
  EXPECT_EQ(proof(), "off");
  EXPECT_EQ(zone_.asked["_25._tcp.mx.next.example/52"], 0u);
  (void)look_up("a.example");
  EXPECT_EQ(text(), "off");
  zone_.authentic = true;
  world_.run_for(std::chrono::hours{1});
  EXPECT_EQ(metrics_.dns_validating.value(), 1) << "it was mended";
  EXPECT_EQ(proof(), "found mx.next.example 311, names mx.next.example next.example next.example");
  zone_.strips = true;
  world_.run_for(std::chrono::hours{1});
  EXPECT_EQ(metrics_.dns_validating.value(), 0);
  EXPECT_EQ(proof(), "off") << "AD without a signature is no proof";
}

TEST_F(DnsProofs, T7_the_word_of_a_distant_resolver_counts_where_the_configuration_says_so) {
  watch("");
  EXPECT_EQ(proof(), "off");
  use("route.default = mx\ndns.trust_ad = yes\n");
  world_.run_for(seconds{1});
  EXPECT_EQ(proof(), "found mx.next.example 311, names mx.next.example next.example next.example");
  use("route.default = mx\ndns.trust_ad = no\n");
  world_.run_for(seconds{1});
  EXPECT_EQ(proof(), "off");
}

TEST_F(DnsProofs, nobody_is_asked_where_no_route_asks_dns) {
  use("route.default = smtp://192.0.2.1:25\n");
  hosts_->start(metrics_, nullptr);
  world_.run_for(std::chrono::hours{1});
  EXPECT_EQ(zone_.asked["/6"], 0u);
  use("route.default = smtp://192.0.2.1:25\nroute.other.example = mx\n");
  world_.run_for(seconds{1});
  EXPECT_EQ(zone_.asked["/6"], 1u);
}

}  // namespace
}  // namespace ringpost::shard
