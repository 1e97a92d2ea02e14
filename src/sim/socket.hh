// One end of a simulated connection, and listeners.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "description.hh"
#include "ringpost/base/socket_address.hh"
#include "ringpost/base/units.hh"
#include "ringpost/runtime/operation.hh"
#include "ringpost/sim/network.hh"

namespace ringpost::sim {

/// Both directions of a connection are modelled at their ends: a sender owes what its peer has not read (`outstanding_`), a
/// receiver holds what has arrived (`inbox_`). Bytes under way are events of the world.
class Socket final : public Description, public std::enable_shared_from_this<Socket> {
 public:
  Socket(Network& network, runtime::SocketKind kind, bool is_unix);
  ~Socket() override;
  Socket* as_socket() override { return this; }
  void forget(std::uint64_t ring, std::uint64_t ticket) override;

  void fall_silent() override { broken_ = true; }

  // ---- set up
  static void join(const std::shared_ptr<Socket>& a, const std::shared_ptr<Socket>& b);
  void set_names(const SocketAddress& local, const SocketAddress& peer) {
    local_ = local;
    peer_ = peer;
  }
  const SocketAddress& local() const { return local_; }
  const SocketAddress& peer() const { return peer_; }
  bool connected() const { return connected_; }
  bool is_unix() const { return is_unix_; }
  runtime::SocketKind kind() const { return kind_; }

  // ---- operations; those that cannot be served yet wait here
  void receive(SimRing& ring, std::uint64_t ticket, bool multishot);
  void send(SimRing& ring, std::uint64_t ticket);
  int shutdown(int how);

  /// Takes the next bytes (one message of a seqpacket socket, cut to size). -EAGAIN when there are none yet.
  std::int32_t take(MutableBytes into, bool whole_size = false);
  /// True when take() would not give -EAGAIN.
  bool readable() const { return !inbox_.empty() || error_ != 0 || fin_ || shut_read_; }
  bool has_bytes() const { return !inbox_.empty(); }
  /// Serves waiting receives, then waiting sends.
  void serve();
  /// The connection breaks here, without a word to the peer.
  void break_with(int error);
  /// Breaks both ends.
  void reset();

 private:
  struct Segment {
    std::vector<std::byte> bytes;
    std::size_t taken = 0;
  };
  void close();
  void serve_readers();
  void serve_writers();
  std::int32_t try_send(const runtime::Operation& operation);
  void transmit(Bytes bytes);
  void transmit_fin();
  void transmit_reset();
  Instant next_arrival();
  void arrive(std::vector<std::byte> bytes);
  void credit(std::size_t bytes);

  Network& network_;
  runtime::SocketKind kind_;
  bool is_unix_;
  SocketAddress local_, peer_;
  std::weak_ptr<Socket> other_;
  bool connected_ = false, broken_ = false, fin_ = false, shut_read_ = false, shut_write_ = false, dead_end_ = false;
  int error_ = 0;  // told once
  std::deque<Segment> inbox_;
  std::size_t window_, outstanding_ = 0;
  Instant last_arrival_{};
  std::deque<Waiter> readers_, writers_;
};

class Listener final : public Description {
 public:
  Listener(Network& network, const SocketAddress& address, runtime::SocketKind kind, const runtime::ListenOptions& options)
      : network_(network), address_(address), kind_(kind), options_(options) {}
  ~Listener() override { network_.remove(*this); }
  Listener* as_listener() override { return this; }
  void fall_silent() override {
    for (const auto& socket : backlog_) socket->fall_silent();
  }
  void forget(std::uint64_t ring, std::uint64_t ticket) override;

  const SocketAddress& address() const { return address_; }
  runtime::SocketKind kind() const { return kind_; }
  bool reuse_port() const { return options_.reuse_port; }
  bool full() const { return backlog_.size() >= static_cast<std::size_t>(options_.backlog); }
  void arrive(std::shared_ptr<Socket> socket);
  void accept(SimRing& ring, std::uint64_t ticket);

 private:
  void serve();

  Network& network_;
  SocketAddress address_;
  runtime::SocketKind kind_;
  runtime::ListenOptions options_;
  std::deque<std::shared_ptr<Socket>> backlog_;
  std::deque<Waiter> waiters_;
};

}  // namespace ringpost::sim
