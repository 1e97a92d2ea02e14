// The resolver that the server asks where mail goes: a zone that always says the same, told by somebody with moods.
#pragma once

#include "ringpost/sim/sim_ring.hh"
#include "zone_server.hh"

namespace ringpost::sim::relay {

/// Named fault points of the resolver, for Faults::strike().
inline constexpr std::string_view kDnsMoods[] = {"dns says SERVFAIL", "dns says REFUSED",  "dns is silent",
                                                 "dns truncates",     "dns talks rubbish", "dns is slow"};

class NameServer {
 public:
  /// `hop`: where the senders' domain and the recipients' one have their mail host; `second_hop`: that of the recipients' other domain,
  /// and the one to go to when `hop` does not answer.
  NameServer(World& world, const SocketAddress& address, const IpAddress& hop, const IpAddress& second_hop);
  NameServer(const NameServer&) = delete;
  ~NameServer();

  void start() { server_.start(); }
  void stop() { scope_.spawn(server_.stop()); }
  bool stopped() const { return scope_.running() == 0; }
  SimRing& ring() { return ring_; }

 private:
  void draw_mood();

  World& world_;
  SocketAddress address_;
  SimRing& ring_;
  runtime::Scope scope_;
  dns::Zone zone_;
  dns::SimZoneServer server_;
};

}  // namespace ringpost::sim::relay
