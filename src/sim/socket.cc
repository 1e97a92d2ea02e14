#include "socket.hh"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "ringpost/sim/sim_ring.hh"
#include "ringpost/sim/world.hh"

namespace ringpost::sim {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

void forget_in(std::deque<Waiter>& waiters, std::uint64_t ring, std::uint64_t ticket) {
  std::erase_if(waiters, [&](const Waiter& waiter) { return waiter.ring_number == ring && waiter.ticket == ticket; });
}

}  // namespace

Socket::Socket(Network& network, runtime::SocketKind kind, bool is_unix)
    : network_(network), kind_(kind), is_unix_(is_unix), window_(network.window()) {
  network_.add(*this);
}

Socket::~Socket() {
  close();
  network_.remove(*this);
}

void Socket::forget(std::uint64_t ring, std::uint64_t ticket) {
  forget_in(readers_, ring, ticket);
  forget_in(writers_, ring, ticket);
}

void Socket::join(const std::shared_ptr<Socket>& a, const std::shared_ptr<Socket>& b) {
  a->other_ = b;
  b->other_ = a;
  a->connected_ = b->connected_ = true;
}

// ---- receiving

void Socket::receive(SimRing& ring, std::uint64_t ticket, bool multishot) {
  if (!connected_) return ring.finish(ticket, {.result = error_ != 0 ? -std::exchange(error_, 0) : -ENOTCONN});
  readers_.push_back({&ring, ring.number(), ticket, multishot});
  serve_readers();
}

void Socket::serve_readers() {
  while (!readers_.empty() && readable()) {
    const Waiter reader = readers_.front();
    if (reader.multishot) {
      if (reader.ring->deliver_stream(reader.ticket, *this) == SimRing::Deliver::no_buffer) return;
      continue;  // deliver_stream() took the reader away (forget) when that was its last completion
    }
    readers_.pop_front();
    const runtime::Operation& operation = reader.ring->operation(reader.ticket);
    reader.ring->finish(reader.ticket, {.result = take({operation.buffer, operation.size}, operation.flags & MSG_TRUNC)});
  }
}

std::int32_t Socket::take(MutableBytes into, bool whole_size) {
  if (inbox_.empty()) {
    if (error_ != 0) return -std::exchange(error_, 0);
    return fin_ || broken_ || shut_read_ ? 0 : -EAGAIN;
  }
  std::size_t count = 0;
  if (kind_ == runtime::SocketKind::seqpacket) {
    const std::vector<std::byte> message = std::move(inbox_.front().bytes);
    inbox_.pop_front();
    count = std::min(into.size(), message.size());
    copy_bytes(into, Bytes{message}.first(count));
    if (count < message.size()) ++network_.world().faults().point("seqpacket_truncated").hits;
    credit(message.size());
    return static_cast<std::int32_t>(whole_size ? message.size() : count);
  }
  while (count < into.size() && !inbox_.empty()) {
    Segment& segment = inbox_.front();
    const std::size_t part = std::min(into.size() - count, segment.bytes.size() - segment.taken);
    copy_bytes(into.subspan(count), Bytes{segment.bytes}.subspan(segment.taken, part));
    count += part;
    segment.taken += part;
    if (segment.taken == segment.bytes.size()) inbox_.pop_front();
  }
  credit(count);
  return static_cast<std::int32_t>(count);
}

void Socket::credit(std::size_t bytes) {
  if (auto other = other_.lock()) {
    other->outstanding_ -= std::min(bytes, other->outstanding_);
    network_.world().after(Duration{1000}, [weak = std::weak_ptr{other}] {
      if (auto sender = weak.lock()) sender->serve_writers();
    });
  }
}

void Socket::arrive(std::vector<std::byte> bytes) {
  if (broken_ || shut_read_) return;
  inbox_.push_back({std::move(bytes), 0});
  serve_readers();
}

// ---- sending

void Socket::send(SimRing& ring, std::uint64_t ticket) {
  writers_.push_back({&ring, ring.number(), ticket});
  serve_writers();
}

void Socket::serve_writers() {
  while (!writers_.empty()) {
    const Waiter writer = writers_.front();
    const std::int32_t result = try_send(writer.ring->operation(writer.ticket));
    if (result == -EAGAIN) return;
    forget_in(writers_, writer.ring_number, writer.ticket);  // by name: a reset may have served others meanwhile
    writer.ring->finish(writer.ticket, {.result = result});
  }
}

std::int32_t Socket::try_send(const runtime::Operation& operation) {
  if (error_ != 0) return -std::exchange(error_, 0);
  if (shut_write_ || broken_) return -EPIPE;
  if (!connected_) return is_unix_ ? -ENOTCONN : -EPIPE;
  if (is_unix_ && other_.expired()) return -EPIPE;
  Bytes bytes{operation.buffer, operation.size};
  Faults& faults = network_.world().faults();
  const std::size_t room = window_ - std::min(outstanding_, window_);
  if (kind_ == runtime::SocketKind::seqpacket) {
    if (bytes.size() > window_) return -EMSGSIZE;
    if (bytes.size() > room) return -EAGAIN;
  } else {
    if (room == 0 && !bytes.empty()) return -EAGAIN;
    bytes = bytes.first(std::min(bytes.size(), room));
    if (bytes.size() > 1 && faults.strike(Fault::net_short_send)) {
      bytes = bytes.first(1 + network_.world().prng().below(bytes.size() - 1));
    }
  }
  if (!is_unix_ && faults.strike(Fault::net_reset)) {
    reset();
    return -std::exchange(error_, 0);
  }
  transmit(bytes);
  return static_cast<std::int32_t>(bytes.size());
}

Instant Socket::next_arrival() {
  World& world = network_.world();
  Instant at = world.now() + world.draw(is_unix_ ? world.timing().unix_wire : world.timing().wire);
  if (!is_unix_ && world.faults().strike(Fault::net_stall)) at += seconds{1} + Duration{seconds{1}} * world.prng().below(119);
  return last_arrival_ = std::max(last_arrival_ + Duration{1}, at);
}

void Socket::transmit(Bytes bytes) {
  World& world = network_.world();
  outstanding_ += bytes.size();
  if (!is_unix_ && world.faults().strike(Fault::net_black_hole)) dead_end_ = true;
  if (dead_end_) return;
  const bool packet = kind_ == runtime::SocketKind::seqpacket;
  if (packet && world.faults().strike(Fault::net_packet_lost)) return reset();
  while (!bytes.empty()) {
    std::size_t part = bytes.size();
    if (!packet && part > 1 && world.faults().strike(Fault::net_split)) part = 1 + world.prng().below(part - 1);
    std::vector<std::byte> piece(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(part));
    bytes = bytes.subspan(part);
    world.after(next_arrival() - world.now(), [target = other_, sender = weak_from_this(), piece = std::move(piece)]() mutable {
      if (auto receiver = target.lock()) {
        receiver->arrive(std::move(piece));
      } else if (auto alive = sender.lock()) {
        alive->break_with(ECONNRESET);  // nobody is there any more: the answer is a reset
      }
    });
  }
}

void Socket::transmit_fin() {
  if (dead_end_ || other_.expired()) return;
  World& world = network_.world();
  world.after(next_arrival() - world.now(), [target = other_] {
    if (auto receiver = target.lock()) {
      receiver->fin_ = true;
      receiver->serve();
    }
  });
}

void Socket::transmit_reset() {
  if (dead_end_ || other_.expired()) return;
  World& world = network_.world();
  world.after(world.draw(is_unix_ ? world.timing().unix_wire : world.timing().wire), [target = other_] {
    if (auto receiver = target.lock()) receiver->break_with(ECONNRESET);
  });
}

int Socket::shutdown(int how) {
  if (!connected_) return -ENOTCONN;
  if ((how == SHUT_WR || how == SHUT_RDWR) && !shut_write_) {
    shut_write_ = true;
    transmit_fin();
  }
  if (how == SHUT_RD || how == SHUT_RDWR) shut_read_ = true;
  serve();
  return 0;
}

// ---- the end

void Socket::serve() {
  serve_readers();
  serve_writers();
}

void Socket::break_with(int error) {
  if (broken_) return;
  broken_ = true;
  fin_ = true;  // what had arrived can still be read; then comes the error, once, then the end
  error_ = error;
  connected_ = true;
  serve();
}

void Socket::reset() {
  auto self = shared_from_this();
  if (auto other = other_.lock()) {
    network_.world().after(network_.world().draw(network_.world().timing().wire), [weak = std::weak_ptr{other}] {
      if (auto receiver = weak.lock()) receiver->break_with(ECONNRESET);
    });
  }
  broken_ = fin_ = true;
  error_ = ECONNRESET;
  network_.world().after(Duration{1}, [weak = weak_from_this()] {
    if (auto alive = weak.lock()) alive->serve();
  });
}

void Socket::close() {
  if (!connected_ || broken_) return;
  if (!inbox_.empty()) {
    transmit_reset();  // RFC 1122 section 4.2.2.13: unread data is lost, and the peer hears of it
  } else if (!shut_write_) {
    transmit_fin();
  }
}

// ---- Listener

void Listener::forget(std::uint64_t ring, std::uint64_t ticket) { forget_in(waiters_, ring, ticket); }

void Listener::arrive(std::shared_ptr<Socket> socket) {
  backlog_.push_back(std::move(socket));
  serve();
}

void Listener::accept(SimRing& ring, std::uint64_t ticket) {
  waiters_.push_back({&ring, ring.number(), ticket, true});
  serve();
}

void Listener::serve() {
  Faults& faults = network_.world().faults();
  while (!waiters_.empty() && !backlog_.empty()) {
    const Waiter waiter = waiters_.front();
    std::int32_t result = -EMFILE;
    if (!faults.strike(Fault::net_no_descriptors)) result = waiter.ring->accept_into_process(backlog_.front());
    if (result >= 0) backlog_.pop_front();
    const bool more = result >= 0 && !faults.strike(Fault::ring_multishot_ends);
    if (!more) waiters_.pop_front();
    waiter.ring->finish(waiter.ticket, {.result = result, .more = more});
  }
}

}  // namespace ringpost::sim
