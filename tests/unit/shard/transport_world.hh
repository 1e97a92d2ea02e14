// A shard's way to DNS and to the web, in a simulated world.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "../dns/zone_server.hh"
#include "../drive.hh"
#include "ringpost/config/configuration.hh"
#include "ringpost/helper/web.hh"
#include "shard/dns_hosts.hh"

namespace ringpost::shard::testing {

inline const SocketAddress kServer = *SocketAddress::parse("192.0.2.53:53");

inline config::Settings settings_of(const std::string& lines) {
  const config::Source source{"ringpost.conf", "dns.servers = " + kServer.text() + "\n" + lines};
  auto built = config::Configuration::load({&source, 1}, {.hostname = "relay.example.org"});
  if (!built) ADD_FAILURE() << built.error().front().text();
  return built ? built->settings() : config::Settings{};
}

/// Web servers as a test wants them: by domain, or by URI.
class FakeWeb final : public helper::Web {
 public:
  explicit FakeWeb(runtime::Ring& ring) : ring_(ring) {}
  runtime::Task<Result<helper::WebAnswer>> fetch_policy(std::string_view domain, std::vector<IpAddress> addresses) override {
    return answer(std::string{domain}, std::move(addresses), {});
  }
  runtime::Task<Result<helper::WebAnswer>> post_report(std::string_view uri, std::vector<IpAddress> addresses, Bytes report) override {
    return answer(std::string{uri}, std::move(addresses), std::string{as_text(report)});
  }

  std::map<std::string, helper::WebAnswer> answers;  ///< who has none has no web server
  bool away = false;                                 ///< helperd
  Duration delay{};
  std::map<std::string, std::size_t> asked;
  std::vector<std::string> bodies;
  std::vector<IpAddress> told;  ///< addresses, the last time

 private:
  runtime::Task<Result<helper::WebAnswer>> answer(std::string what, std::vector<IpAddress> addresses, std::string body) {
    ++asked[what];
    told = std::move(addresses);
    if (!body.empty()) bodies.push_back(std::move(body));
    if (delay > Duration{}) co_await ring_.sleep_for(delay);
    if (away) co_return std::unexpected(Error{Errc::unavailable});
    const auto found = answers.find(what);
    co_return found == answers.end() ? helper::WebAnswer{.fault = helper::WebFault::connect} : found->second;
  }
  runtime::Ring& ring_;
};

class TransportWorld : public ::testing::Test {
 protected:
  TransportWorld()
      : world_(1), ring_(world_.make_ring("daemon", {.address = *IpAddress::parse("198.51.100.1")})), far_(world_.make_ring("servers")),
        server_(far_, kServer, zone_), hosts_(ring_, settings_of("")), web_(ring_) {
    server_.start();
  }
  ~TransportWorld() override {
    sim::drive(ring_, hosts_.stop());
    sim::drive(far_, server_.stop());
  }
  void txt(const std::string& name, const std::string& text, std::uint32_t ttl = 1) {
    zone_.remove(name);
    zone_.add(name, dns::Type::txt, dns::data_of(dns::PacketWriter{}.u8(static_cast<unsigned>(text.size())).raw(as_bytes(text))), ttl);
  }

  sim::World world_;
  sim::SimRing &ring_, &far_;
  dns::Zone zone_;
  dns::SimZoneServer server_;
  DnsHosts hosts_;
  FakeWeb web_;
  metrics::ShardMetrics metrics_;
  Log log_{LogLevel::error};
};

}  // namespace ringpost::shard::testing
