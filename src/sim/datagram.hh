// A simulated UDP socket.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "description.hh"
#include "ringpost/base/socket_address.hh"
#include "ringpost/base/units.hh"
#include "ringpost/runtime/operation.hh"

namespace ringpost::sim {

class Network;

/// Bound by listen() or by connecting; connected, it takes datagrams from its peer alone.
class DatagramSocket final : public Description, public std::enable_shared_from_this<DatagramSocket> {
 public:
  /// What UDP carries over IPv4 at most.
  static constexpr std::size_t kBytesMax = 65'507;

  DatagramSocket(Network& network, const SocketAddress& local) : network_(network), local_(local) {}
  ~DatagramSocket() override;
  DatagramSocket* as_datagram() override { return this; }
  void forget(std::uint64_t ring, std::uint64_t ticket) override;

  /// Completes at once: no packet is sent for it.
  void connect(const SocketAddress& target, SimRing& ring, std::uint64_t ticket);
  void send(SimRing& ring, std::uint64_t ticket);
  void receive(SimRing& ring, std::uint64_t ticket);

  const SocketAddress& local() const { return local_; }
  const SocketAddress& peer() const { return peer_; }
  bool connected() const { return static_cast<bool>(peer_); }

  // ---- for the network
  bool takes_from(const SocketAddress& from) const { return !connected() || from == peer_; }
  void arrive(Bytes datagram);
  /// The peer's machine said that nobody listens there.
  void refused();

 private:
  static constexpr std::size_t kInboxMax = 256;  // datagrams; what comes on top is lost, as in the kernel
  void serve();

  Network& network_;
  SocketAddress local_, peer_;
  int error_ = 0;  // told once
  std::deque<std::vector<std::byte>> inbox_;
  std::deque<Waiter> readers_;
};

}  // namespace ringpost::sim
