#include "ringpost/sim/network.hh"

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>

#include "ringpost/sim/sim_ring.hh"
#include "ringpost/sim/world.hh"
#include "socket.hh"

namespace ringpost::sim {

namespace {

SocketAddress unnamed_unix() {
  const sockaddr_un native{.sun_family = AF_UNIX, .sun_path = {}};
  return SocketAddress::from_native(reinterpret_cast<const sockaddr*>(&native), sizeof native.sun_family).value();
}

}  // namespace

Result<std::shared_ptr<Listener>> Network::listen(const SocketAddress& wanted, runtime::SocketKind kind,
                                                  const runtime::ListenOptions& options) {
  SocketAddress address = wanted;
  if (address.is_ip() && address.port() == 0) address = address.with_port(free_port(address.ip()));
  auto [first, last] = listeners_.equal_range(address);
  for (auto place = first; place != last; ++place) {
    if (!address.is_ip() || !options.reuse_port || !place->second->reuse_port()) {
      return std::unexpected(error_from_errno(EADDRINUSE));
    }
  }
  auto listener = std::make_shared<Listener>(*this, address, kind, options);
  listeners_.emplace(address, listener.get());
  if (!address.is_ip()) once_bound_.insert(address);
  return listener;
}

std::shared_ptr<Socket> Network::make_socket(runtime::SocketKind kind, bool is_unix, const IpAddress& local) {
  auto socket = std::make_shared<Socket>(*this, kind, is_unix);
  socket->set_names(is_unix ? unnamed_unix() : SocketAddress{local, 0}, {});
  return socket;
}

void Network::connect(const std::shared_ptr<Socket>& socket, const SocketAddress& target, SimRing& ring, std::uint64_t ticket) {
  if (socket->connected()) return ring.finish(ticket, {.result = -EISCONN});
  Faults& faults = world_.faults();
  Route route = this->route(target);
  if (target.is_ip() && faults.strike(Fault::net_connect_lost)) route = Route::lost;
  if (faults.strike(Fault::net_refused)) route = Route::refused;
  if (route == Route::lost) return;
  const Range& wire = target.is_ip() ? world_.timing().wire : world_.timing().unix_wire;
  if (route == Route::open) {
    return world_.after(ring, world_.draw(wire), [this, socket, target, &ring, ticket] {
      if (ring.waiting(ticket)) arrive(socket, target, ring, ticket);
    });
  }
  world_.after(ring, 2 * world_.draw(wire), [&ring, ticket, route] {
    ring.finish(ticket, {.result = route == Route::refused ? -ECONNREFUSED : -ENETUNREACH});
  });
}

void Network::arrive(const std::shared_ptr<Socket>& socket, const SocketAddress& target, SimRing& ring, std::uint64_t ticket) {
  Listener* listener = find(target);
  if (!listener || listener->kind() != socket->kind()) {
    const bool missing = !target.is_ip() && !once_bound_.contains(target);
    return ring.finish(ticket, {.result = missing ? -ENOENT : -ECONNREFUSED});
  }
  if (listener->full()) {
    if (!target.is_ip()) return ring.finish(ticket, {.result = -EAGAIN});
    return world_.after(ring, std::chrono::seconds{1}, [this, socket, target, &ring, ticket] {  // the SYN is sent again
      if (ring.waiting(ticket)) arrive(socket, target, ring, ticket);
    });
  }
  auto server = std::make_shared<Socket>(*this, socket->kind(), socket->is_unix());
  if (target.is_ip()) {
    const IpAddress& from = target.ip().is_loopback() ? target.ip() : socket->local().ip();
    socket->set_names({from, free_port(from)}, target);
    server->set_names(target, socket->local());
  } else {
    socket->set_names(unnamed_unix(), target);
    server->set_names(target, unnamed_unix());
  }
  Socket::join(socket, server);
  listener->arrive(std::move(server));
  const Range& wire = target.is_ip() ? world_.timing().wire : world_.timing().unix_wire;
  world_.after(ring, world_.draw(wire), [&ring, ticket] { ring.finish(ticket, {.result = 0}); });
}

Listener* Network::find(const SocketAddress& target) {
  auto [first, last] = listeners_.equal_range(target);
  if (first == last && target.is_ip()) {
    for (const char* any : {"0.0.0.0", "::"}) {
      if (first != last) break;
      std::tie(first, last) = listeners_.equal_range(SocketAddress{*IpAddress::parse(any), target.port()});
    }
  }
  if (first == last) return nullptr;
  std::advance(first, world_.prng().below(static_cast<std::uint64_t>(std::distance(first, last))));  // SO_REUSEPORT
  return first->second;
}

std::uint16_t Network::free_port(const IpAddress& ip) {
  for (;;) {
    if (++next_port_ < 32768) next_port_ = 32768;
    if (!listeners_.contains(SocketAddress{ip, next_port_})) return next_port_;
  }
}

void Network::reset_all(const SocketAddress& address) {
  std::vector<Socket*> hit;
  for (const auto& [number, socket] : sockets_) {
    if (socket->connected() && (socket->local() == address || socket->peer() == address)) hit.push_back(socket);
  }
  for (Socket* socket : hit) socket->reset();
}

void Network::remove(const Socket& socket) {
  std::erase_if(sockets_, [&](const auto& entry) { return entry.second == &socket; });
}

void Network::remove(const Listener& listener) {
  std::erase_if(listeners_, [&](const auto& entry) { return entry.second == &listener; });
}

}  // namespace ringpost::sim
