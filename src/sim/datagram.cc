#include "datagram.hh"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "ringpost/sim/network.hh"
#include "ringpost/sim/sim_ring.hh"
#include "ringpost/sim/world.hh"

namespace ringpost::sim {

DatagramSocket::~DatagramSocket() { network_.unbind(*this); }

void DatagramSocket::forget(std::uint64_t ring, std::uint64_t ticket) {
  std::erase_if(readers_, [&](const Waiter& reader) { return reader.ring_number == ring && reader.ticket == ticket; });
}

void DatagramSocket::connect(const SocketAddress& target, SimRing& ring, std::uint64_t ticket) {
  if (!target.is_ip()) return ring.finish(ticket, {.result = -EAFNOSUPPORT});
  if (network_.route(target) == Route::unreachable) return ring.finish(ticket, {.result = -ENETUNREACH});
  if (local_.port() == 0) {
    const IpAddress& from = target.ip().is_loopback() ? target.ip() : local_.ip();
    local_ = network_.bind(*this, from);
  }
  peer_ = target;
  inbox_.clear();  // nothing from elsewhere is seen any more
  ring.finish(ticket, {.result = 0});
}

void DatagramSocket::send(SimRing& ring, std::uint64_t ticket) {
  const runtime::Operation& operation = ring.operation(ticket);
  if (error_ != 0) return ring.finish(ticket, {.result = -std::exchange(error_, 0)});
  if (!connected()) return ring.finish(ticket, {.result = -EDESTADDRREQ});
  if (operation.size > kBytesMax) return ring.finish(ticket, {.result = -EMSGSIZE});
  network_.send_datagram(local_, peer_, {operation.buffer, operation.size});
  ring.finish(ticket, {.result = static_cast<std::int32_t>(operation.size)});
}

void DatagramSocket::receive(SimRing& ring, std::uint64_t ticket) {
  readers_.push_back({&ring, ring.number(), ticket});
  serve();
}

void DatagramSocket::serve() {
  while (!readers_.empty() && (error_ != 0 || !inbox_.empty())) {
    const Waiter reader = readers_.front();
    readers_.pop_front();
    if (error_ != 0) {
      reader.ring->finish(reader.ticket, {.result = -std::exchange(error_, 0)});
      continue;
    }
    const runtime::Operation& operation = reader.ring->operation(reader.ticket);
    const Bytes datagram = Bytes{inbox_.front()}.first(std::min<std::size_t>(operation.size, inbox_.front().size()));
    copy_bytes({operation.buffer, operation.size}, datagram);
    const auto count = static_cast<std::int32_t>(datagram.size());
    inbox_.pop_front();
    reader.ring->finish(reader.ticket, {.result = count});
  }
}

void DatagramSocket::arrive(Bytes datagram) {
  if (inbox_.size() >= kInboxMax) return;
  inbox_.emplace_back(datagram.begin(), datagram.end());
  serve();
}

void DatagramSocket::refused() {
  error_ = ECONNREFUSED;
  serve();
}

// ---- the network's part

Route Network::route(const SocketAddress& target) const {
  auto place = routes_.find(target);
  return place == routes_.end() ? Route::open : place->second;
}

SocketAddress Network::bind(DatagramSocket& socket, const IpAddress& ip) {
  for (;;) {  // as the kernel does, at random: a guessed port is part of what a forger has to know
    const SocketAddress address{ip, static_cast<std::uint16_t>(32'768 + world_.prng().below(28'232))};
    if (bound_.emplace(address, &socket).second) return address;
  }
}

Result<std::shared_ptr<DatagramSocket>> Network::bind_datagrams(const SocketAddress& wanted) {
  if (!wanted.is_ip()) return std::unexpected(error_from_errno(EAFNOSUPPORT));
  if (wanted.port() == 0) {
    auto socket = std::make_shared<DatagramSocket>(*this, SocketAddress{});
    const SocketAddress address = bind(*socket, wanted.ip());
    bound_.erase(address);
    return bind_datagrams(address);
  }
  if (bound_.contains(wanted) || datagram_handlers_.contains(wanted)) return std::unexpected(error_from_errno(EADDRINUSE));
  auto socket = std::make_shared<DatagramSocket>(*this, wanted);
  bound_.emplace(wanted, socket.get());
  return socket;
}

void Network::unbind(const DatagramSocket& socket) {
  std::erase_if(bound_, [&](const auto& entry) { return entry.second == &socket; });
}

void Network::answer_datagrams(const SocketAddress& at, DatagramHandler handler) {
  if (handler) {
    datagram_handlers_[at] = std::move(handler);
  } else {
    datagram_handlers_.erase(at);
  }
}

void Network::send_datagram(const SocketAddress& from, const SocketAddress& to, Bytes datagram, Duration later) {
  Faults& faults = world_.faults();
  if (faults.strike(Fault::net_datagram_lost) || route(to) == Route::lost) return;
  const int copies = faults.strike(Fault::net_datagram_twice) ? 2 : 1;
  for (int copy = 0; copy < copies; ++copy) {
    Duration delay = later + world_.draw(world_.timing().wire);
    if (faults.strike(Fault::net_datagram_late)) delay += world_.draw({std::chrono::milliseconds{100}, std::chrono::seconds{15}});
    world_.after(delay, [this, from, to, bytes = std::vector<std::byte>(datagram.begin(), datagram.end())] {
      deliver_datagram(from, to, bytes);
    });
  }
}

void Network::deliver_datagram(const SocketAddress& from, const SocketAddress& to, Bytes datagram) {
  world_.trace("datagram", to.port(), static_cast<std::int64_t>(datagram.size()));
  const bool refused = route(to) == Route::refused;
  if (auto place = bound_.find(to); !refused && place != bound_.end()) {
    if (place->second->takes_from(from)) place->second->arrive(datagram);
    return;
  }
  if (auto place = datagram_handlers_.find(to); !refused && place != datagram_handlers_.end()) {
    const DatagramHandler handler = place->second;  // it may replace itself
    return handler(from, datagram);
  }
  world_.after(world_.draw(world_.timing().wire), [this, from, to] {  // ICMP port unreachable
    auto sender = bound_.find(from);
    if (sender != bound_.end() && sender->second->peer() == to) sender->second->refused();
  });
}

}  // namespace ringpost::sim
