// SMTP clients that send the ledger's messages until enough of them were accepted.
#pragma once

#include <memory>
#include <vector>

#include "ledger.hh"
#include "ringpost/base/socket_address.hh"
#include "ringpost/runtime/scope.hh"
#include "ringpost/sim/sim_ring.hh"
#include "wire.hh"

namespace ringpost::sim::relay {

/// All clients of a world, on one ring: machines of their own, which never crash.
class Clients {
 public:
  /// `wanted`: messages to be accepted, all clients together.
  Clients(World& world, Ledger& ledger, const SocketAddress& server, std::size_t wanted);

  void start(std::size_t count);
  bool done() const { return ledger_.accepted() >= wanted_ && scope_.running() == 0; }
  SimRing& ring() { return ring_; }

 private:
  /// What became of a transaction, as far as the connection is concerned.
  enum class Next : std::uint8_t { go_on, wait, hang_up };

  runtime::Task<void> live();
  runtime::Task<void> converse(Fd socket);
  runtime::Task<bool> greet(Wire& wire);
  runtime::Task<Next> submit(Wire& wire, Fd socket);
  runtime::Task<Next> offer(Wire& wire, Submission& submission, bool pipelined, bool with_data);
  runtime::Task<Next> send_data(Wire& wire, Submission& submission);
  runtime::Task<Next> send_chunks(Wire& wire, Submission& submission, bool pipelined);
  Next conclude(Submission& submission, std::string_view reply);
  Prng& prng() { return world_.prng(); }

  World& world_;
  Ledger& ledger_;
  SocketAddress server_;
  std::size_t wanted_;
  SimRing& ring_;
  runtime::Scope scope_;
};

}  // namespace ringpost::sim::relay
