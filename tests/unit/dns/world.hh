// A resolver in a simulated world, with two zone servers.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "../drive.hh"
#include "ringpost/dns/resolver.hh"
#include "zone_server.hh"

namespace ringpost::dns {

inline const SocketAddress kFirst = *SocketAddress::parse("192.0.2.53:53");
inline const SocketAddress kSecond = *SocketAddress::parse("192.0.2.54:53");

class DnsWorld {
 public:
  explicit DnsWorld(std::uint64_t seed = 1, ResolverSettings settings = {.servers = {kFirst}})
      : world(seed),
        ring(world.make_ring("daemon", {.address = *IpAddress::parse("198.51.100.1")})),
        far(world.make_ring("servers")),
        first(far, kFirst, zone),
        second(far, kSecond, backup),
        resolver(ring, std::move(settings)) {
    first.start();
    second.start();
  }
  ~DnsWorld() { finish(); }
  /// Ends resolver and servers; a test may do it itself, to look at what follows.
  void finish() {
    if (std::exchange(finished_, true)) return;
    world.faults().heal();
    sim::drive(ring, resolver.stop());
    sim::drive(far, first.stop());
    sim::drive(far, second.stop());
  }

  Answer ask(std::string name, Type type = Type::a) {
    Answer answer;
    sim::drive(ring, ask_into(std::move(name), type, 0, answer));
    return answer;
  }
  runtime::Task<void> ask_into(std::string name, Type type, std::uint64_t party, Answer& into) {
    co_await ring.sleep_for({});  // a ring that slept knows the time only from its next turn on
    into = co_await resolver.ask(std::move(name), type, party);
  }
  /// How often a server saw the question over UDP.
  static std::size_t asked(const Zone& zone, std::string_view name, Type type = Type::a) {
    const auto found = zone.asked.find(std::string{name} + "/" + std::to_string(static_cast<unsigned>(type)));
    return found == zone.asked.end() ? 0 : found->second;
  }

  sim::World world;
  sim::SimRing &ring, &far;
  Zone zone, backup;
  SimZoneServer first, second;
  Resolver resolver;

 private:
  bool finished_ = false;
};

}  // namespace ringpost::dns
