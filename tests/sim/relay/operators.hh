// Operators who look at the queue, hold mail, release it and have it tried again, while everything else happens.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "ringpost/base/socket_address.hh"
#include "ringpost/runtime/scope.hh"
#include "ringpost/sim/sim_ring.hh"

namespace ringpost::sim::relay {

/// A message that an operator read to be held, and when its release was asked for; kNever: not yet.
struct Hold {
  Instant held{}, released = kNever;
};
using Holds = std::map<std::string, std::vector<Hold>>;  // by message id

/// All operators of a world, on one ring: they never crash.
class Operators {
 public:
  Operators(World& world, const SocketAddress& control, std::size_t shards);

  void start() { scope_.spawn(live()); }
  /// From now on they release everything, again and again.
  void tidy() { tidy_ = true; }
  void stop() { stopping_ = true; }
  bool stopped() const { return stopping_ && scope_.running() == 0; }
  SimRing& ring() { return ring_; }

  const Holds& holds() const { return holds_; }
  std::uint64_t retried() const { return retried_; }

 private:
  runtime::Task<void> live();
  runtime::Task<std::vector<std::string>> ask(std::string request);
  std::string draw();

  World& world_;
  SocketAddress control_;
  std::size_t shards_;
  SimRing& ring_;
  runtime::Scope scope_;
  Holds holds_;
  std::uint64_t retried_ = 0;
  bool tidy_ = false, stopping_ = false;
  bool loose_end_ = false;  ///< a release was not answered to its end
};

}  // namespace ringpost::sim::relay
