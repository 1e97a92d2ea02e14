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

}  // namespace
}  // namespace ringpost::shard
