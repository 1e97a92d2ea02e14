// Network: the simulated IP and Unix sockets of one world.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "ringpost/base/error.hh"
#include "ringpost/base/socket_address.hh"
#include "ringpost/runtime/ring.hh"

namespace ringpost::sim {

class DatagramSocket;
class Listener;
class SimRing;
class Socket;
class World;

/// What becomes of connections to an address.
enum class Route : std::uint8_t { open, refused, lost, unreachable };

class Network {
 public:
  explicit Network(World& world) : world_(world) {}
  Network(const Network&) = delete;

  // ---- knobs
  /// For every new connection and every datagram to `target`; established connections go on.
  void set_route(const SocketAddress& target, Route route) { routes_[target] = route; }
  /// Bytes one direction of a connection holds before its sender has to wait (new connections).
  void set_window(std::size_t bytes) { window_ = bytes; }
  std::size_t window() const { return window_; }
  /// Breaks every connection to or from `address` (a listener's or a client's).
  void reset_all(const SocketAddress& address);
  /// Connections with at least one open end.
  std::size_t open_sockets() const { return sockets_.size(); }

  // ---- datagrams, from whoever claims to be `from`
  /// An actor without a socket: shown every datagram to `at`. Nothing: nobody is there any more.
  using DatagramHandler = std::function<void(const SocketAddress& from, Bytes datagram)>;
  void answer_datagrams(const SocketAddress& at, DatagramHandler handler);
  /// Under way like any other, `later` than that. Faults and routes apply; who really sends it is nobody's business.
  void send_datagram(const SocketAddress& from, const SocketAddress& to, Bytes datagram, Duration later = {});

  // ---- for SimRing
  World& world() { return world_; }
  Result<std::shared_ptr<Listener>> listen(const SocketAddress& address, runtime::SocketKind kind,
                                           const runtime::ListenOptions& options);
  std::shared_ptr<Socket> make_socket(runtime::SocketKind kind, bool is_unix, const IpAddress& local);
  /// Starts to connect: the ring's operation completes once the answer came, if ever.
  void connect(const std::shared_ptr<Socket>& socket, const SocketAddress& target, SimRing& ring, std::uint64_t ticket);

  Result<std::shared_ptr<DatagramSocket>> bind_datagrams(const SocketAddress& address);

  // ---- for sockets and listeners
  Route route(const SocketAddress& target) const;
  SocketAddress bind(DatagramSocket& socket, const IpAddress& ip);
  void unbind(const DatagramSocket& socket);
  void add(Socket& socket) { sockets_.insert({++socket_count_, &socket}); }
  void remove(const Socket& socket);
  void remove(const Listener& listener);

 private:
  Listener* find(const SocketAddress& target);
  std::uint16_t free_port(const IpAddress& ip);
  void deliver_datagram(const SocketAddress& from, const SocketAddress& to, Bytes datagram);
  void arrive(const std::shared_ptr<Socket>& socket, const SocketAddress& target, SimRing& ring, std::uint64_t ticket);

  World& world_;
  std::size_t window_ = 64 * 1024;
  std::uint64_t socket_count_ = 0;
  std::uint16_t next_port_ = 32768;
  std::map<SocketAddress, Route> routes_;
  std::multimap<SocketAddress, Listener*> listeners_;
  std::set<SocketAddress> once_bound_;  // Unix paths: refused, not missing
  std::map<std::uint64_t, Socket*> sockets_;
  std::map<SocketAddress, DatagramSocket*> bound_;
  std::map<SocketAddress, DatagramHandler> datagram_handlers_;
};

}  // namespace ringpost::sim
