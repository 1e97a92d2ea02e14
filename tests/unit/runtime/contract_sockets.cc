// Contract: listening, connecting, streams and their ends.
#include <sys/socket.h>

#include "contract_support.hh"

namespace ringpost::runtime::contract {

namespace {

Task<void> echo_once(Ring& ring, Fd listener) {
  Acceptor acceptor(ring, listener);
  auto socket = co_await acceptor.next();
  co_await acceptor.stop();
  CO_ASSERT(socket);
  {
    Receiver receiver(ring, *socket);
    auto chunk = co_await receiver.next(ring.now() + kPatience);
    while (chunk) {
      auto sent = co_await send_all(ring, *socket, chunk->bytes());
      EXPECT_TRUE(sent);
      chunk->release();
      chunk = co_await receiver.next(ring.now() + kPatience);
    }
    EXPECT_EQ(chunk.error().code, Errc::closed);
    co_await receiver.stop();
  }
  auto closed = co_await ring.close(*socket);
  EXPECT_TRUE(closed);
}

Task<void> converse(Ring& ring, Ring& server_ring, SocketAddress address) {
  auto listener = server_ring.listen(address, SocketKind::stream, {});
  CO_ASSERT(listener);
  auto bound = server_ring.local_address(*listener);
  CO_ASSERT(bound);
  Scope scope(server_ring);
  scope.spawn(echo_once(server_ring, *listener));

  auto socket = ring.open_socket(*bound, SocketKind::stream);
  CO_ASSERT(socket);
  auto connected = co_await ring.connect(*socket, *bound, ring.now() + kPatience);
  EXPECT_TRUE(connected);
  auto peer = ring.peer_address(*socket);
  EXPECT_TRUE(peer && *peer == *bound);
  auto local = ring.local_address(*socket);
  EXPECT_TRUE(local && local->port() != 0 && local->port() != bound->port());

  for (std::size_t size : {1u, 100u, 5000u}) {
    auto question = pattern(size, size), answer = pattern(size);
    auto sent = co_await send_all(ring, *socket, question);
    EXPECT_TRUE(sent);
    auto received = co_await receive_all(ring, *socket, answer);
    EXPECT_TRUE(received);
    EXPECT_EQ(answer, question);
  }
  auto closed = co_await ring.close(*socket);
  EXPECT_TRUE(closed);
  co_await scope.join();
  auto listener_closed = co_await server_ring.close(*listener);
  EXPECT_TRUE(listener_closed);
}

Task<void> send_much(Ring& ring, Fd socket, std::size_t size) {
  auto bytes = pattern(size);
  auto sent = co_await send_all(ring, socket, bytes);
  EXPECT_TRUE(sent);
  auto ended = co_await ring.shutdown(socket, SHUT_WR);
  EXPECT_TRUE(ended);
}

Task<void> transfer(Ring& ring, SocketAddress address, std::size_t size) {
  auto pair = co_await connect_pair(ring, address);
  CO_ASSERT(pair);
  Scope scope(ring);
  scope.spawn(send_much(ring, pair->client, size));
  auto expected = pattern(size);
  std::size_t place = 0;
  {
    Receiver receiver(ring, pair->server);
    auto chunk = co_await receiver.next(ring.now() + kPatience);
    while (chunk) {
      Bytes bytes = chunk->bytes();
      bool fits = place + bytes.size() <= size;
      EXPECT_TRUE(fits && std::equal(bytes.begin(), bytes.end(), expected.begin() + static_cast<std::ptrdiff_t>(place)));
      place += bytes.size();
      chunk->release();
      chunk = co_await receiver.next(ring.now() + kPatience);
    }
    EXPECT_EQ(chunk.error().code, Errc::closed);
    // The end stays: asking again does not wait.
    EXPECT_TRUE(receiver.ready());
    auto again = co_await receiver.next();
    EXPECT_FALSE(again);
    co_await receiver.stop();
  }
  EXPECT_EQ(place, size);
  // The other direction is open still.
  auto farewell = pattern(10), heard = pattern(10, 5);
  auto sent = co_await send_all(ring, pair->server, farewell);
  EXPECT_TRUE(sent);
  auto received = co_await receive_all(ring, pair->client, heard);
  EXPECT_TRUE(received);
  EXPECT_EQ(heard, farewell);
  co_await scope.join();
  (void)co_await ring.close(pair->client);
  (void)co_await ring.close(pair->server);
}

Task<void> send_into_a_closed_connection(Ring& ring, SocketAddress address) {
  auto pair = co_await connect_pair(ring, address);
  CO_ASSERT(pair);
  auto closed = co_await ring.close(pair->server);
  EXPECT_TRUE(closed);
  auto bytes = pattern(1000);
  Result<std::uint32_t> sent = 0;
  for (int i = 0; sent && i < 100'000; ++i) sent = co_await ring.send(pair->client, bytes, ring.now() + kPatience);
  CO_ASSERT(!sent);
  EXPECT_EQ(sent.error().code, Errc::reset);
  (void)co_await ring.close(pair->client);
}

Task<void> connect_to_nobody(Ring& ring, SocketAddress address) {
  auto listener = ring.listen(address, SocketKind::stream, {});
  CO_ASSERT(listener);
  auto bound = ring.local_address(*listener);
  (void)co_await ring.close(*listener);
  CO_ASSERT(bound);
  auto socket = ring.open_socket(*bound, SocketKind::stream);
  CO_ASSERT(socket);
  auto connected = co_await ring.connect(*socket, *bound, ring.now() + kPatience);
  EXPECT_FALSE(connected);
  if (!connected) EXPECT_EQ(connected.error().code, Errc::refused);
  (void)co_await ring.close(*socket);
}

Task<void> wait_for_a_silent_peer(Ring& ring, SocketAddress address) {
  auto pair = co_await connect_pair(ring, address);
  CO_ASSERT(pair);
  std::byte byte{};
  Instant deadline = ring.now() + kSoon;
  auto received = co_await ring.receive(pair->server, {&byte, 1}, deadline);
  CO_ASSERT(!received);
  EXPECT_EQ(received.error().code, Errc::timed_out);
  EXPECT_GE(ring.now(), deadline);
  {
    Receiver receiver(ring, pair->server);
    deadline = ring.now() + kSoon;
    auto chunk = co_await receiver.next(deadline);
    EXPECT_TRUE(!chunk && chunk.error().code == Errc::timed_out);
    EXPECT_GE(ring.now(), deadline);
    // A deadline ends the waiting, not the stream.
    auto sent = co_await send_all(ring, pair->client, pattern(3));
    EXPECT_TRUE(sent);
    chunk = co_await receiver.next(ring.now() + kPatience);
    EXPECT_TRUE(chunk && chunk->bytes().size() == 3);
    if (chunk) chunk->release();
    co_await receiver.stop();
  }
  (void)co_await ring.close(pair->client);
  (void)co_await ring.close(pair->server);
}

/// The deadline of a wait that ended well passes during the next one.
Task<void> wait_past_an_old_deadline(Ring& ring, SocketAddress address) {
  auto pair = co_await connect_pair(ring, address);
  CO_ASSERT(pair);
  {
    Receiver receiver(ring, pair->server);
    auto sent = co_await send_all(ring, pair->client, pattern(3));
    EXPECT_TRUE(sent);
    const Instant old = ring.now() + kSoon;
    auto chunk = co_await receiver.next(old);
    EXPECT_TRUE(chunk);
    if (chunk) chunk->release();
    for (const Duration patience : {3 * kSoon, kSoon}) {  // later than the one that stands, then earlier
      const Instant deadline = ring.now() + patience;
      chunk = co_await receiver.next(deadline);
      EXPECT_TRUE(!chunk && chunk.error().code == Errc::timed_out);
      EXPECT_GE(ring.now(), deadline);
    }
    co_await receiver.stop();
  }
  (void)co_await ring.close(pair->client);
  (void)co_await ring.close(pair->server);
}

Task<void> datagrams_keep_their_bounds(Ring& ring, SocketAddress address) {
  auto listener = ring.listen(address, SocketKind::seqpacket, {});
  CO_ASSERT(listener);
  auto client = ring.open_socket(address, SocketKind::seqpacket);
  CO_ASSERT(client);
  auto connected = co_await ring.connect(*client, address, ring.now() + kPatience);
  CO_ASSERT(connected);
  Acceptor acceptor(ring, *listener);
  auto server = co_await acceptor.next();
  co_await acceptor.stop();
  CO_ASSERT(server);
  for (std::size_t size : {5u, 1u, 900u}) {
    auto message = pattern(size);
    auto sent = co_await ring.send(*client, message);
    EXPECT_TRUE(sent && *sent == size);
  }
  {
    Receiver receiver(ring, *server);
    for (std::size_t size : {5u, 1u, 900u}) {
      auto chunk = co_await receiver.next(ring.now() + kPatience);
      EXPECT_TRUE(chunk && chunk->bytes().size() == size);
    }
    (void)co_await ring.close(*client);
    auto end = co_await receiver.next(ring.now() + kPatience);
    EXPECT_TRUE(!end && (end.error().code == Errc::closed || end.error().code == Errc::reset));
    co_await receiver.stop();
  }
  (void)co_await ring.close(*server);
  (void)co_await ring.close(*listener);
}

struct Datagrams {
  Fd client, server;
  SocketAddress client_address;
};

/// Two UDP sockets, each connected to the other.
Task<Result<Datagrams>> connect_datagrams(Ring& ring, SocketAddress address) {
  auto server = ring.listen(address, SocketKind::datagram, {});
  if (!server) co_return std::unexpected(server.error());
  auto bound = ring.local_address(*server);
  if (!bound) co_return std::unexpected(bound.error());
  auto client = ring.open_socket(*bound, SocketKind::datagram);
  if (!client) co_return std::unexpected(client.error());
  auto connected = co_await ring.connect(*client, *bound);
  if (!connected) co_return std::unexpected(connected.error());
  auto local = ring.local_address(*client);
  if (!local) co_return std::unexpected(local.error());
  EXPECT_NE(local->port(), 0);
  auto back = co_await ring.connect(*server, *local);
  if (!back) co_return std::unexpected(back.error());
  co_return Datagrams{*client, *server, *local};
}

Task<void> exchange_datagrams(Ring& ring, SocketAddress address) {
  auto pair = co_await connect_datagrams(ring, address);
  CO_ASSERT(pair);
  auto into = pattern(2000);
  for (std::size_t size : {5u, 1u, 1400u}) {
    auto sent = co_await ring.send(pair->client, pattern(size, size));
    EXPECT_TRUE(sent && *sent == size);
    auto received = co_await ring.receive(pair->server, into, ring.now() + kPatience);
    EXPECT_TRUE(received && *received == size && std::equal(into.begin(), into.begin() + size, pattern(size, size).begin()));
    auto answered = co_await ring.send(pair->server, pattern(size + 1));
    EXPECT_TRUE(answered && *answered == size + 1);
    received = co_await ring.receive(pair->client, into, ring.now() + kPatience);
    EXPECT_TRUE(received && *received == size + 1);
  }
  // One that is too long for the buffer loses its end, and the next one begins at its own beginning.
  for (std::size_t size : {900u, 50u}) {
    auto sent = co_await ring.send(pair->server, pattern(size));
    EXPECT_TRUE(sent);
    auto received = co_await ring.receive(pair->client, MutableBytes{into}.first(100), ring.now() + kPatience);
    EXPECT_TRUE(received && *received == std::min<std::size_t>(size, 100));
  }
  auto silence = co_await ring.receive(pair->client, into, ring.now() + kSoon);
  EXPECT_TRUE(!silence && silence.error().code == Errc::timed_out);
  auto vast = co_await ring.send(pair->client, std::vector<std::byte>(70'000));
  EXPECT_FALSE(vast);
  (void)co_await ring.close(pair->client);
  (void)co_await ring.close(pair->server);
}

Task<void> send_datagrams_as_a_stranger(Ring& ring, SocketAddress address) {
  auto pair = co_await connect_datagrams(ring, address);
  CO_ASSERT(pair);
  auto stranger = ring.open_socket(pair->client_address, SocketKind::datagram);
  CO_ASSERT(stranger);
  auto connected = co_await ring.connect(*stranger, pair->client_address);
  CO_ASSERT(connected);
  auto stray = co_await ring.send(*stranger, pattern(3));
  EXPECT_TRUE(stray);
  auto sent = co_await ring.send(pair->server, pattern(7));
  EXPECT_TRUE(sent);
  auto into = pattern(100);
  auto received = co_await ring.receive(pair->client, into, ring.now() + kPatience);
  EXPECT_TRUE(received && *received == 7u);
  auto more = co_await ring.receive(pair->client, into, ring.now() + kSoon);
  EXPECT_TRUE(!more && more.error().code == Errc::timed_out);
  for (Fd fd : {pair->client, pair->server, *stranger}) (void)co_await ring.close(fd);
}

Task<void> send_datagrams_to_nobody(Ring& ring, SocketAddress address) {
  auto gone = ring.listen(address, SocketKind::datagram, {});
  CO_ASSERT(gone);
  auto bound = ring.local_address(*gone);
  (void)co_await ring.close(*gone);
  CO_ASSERT(bound);
  auto socket = ring.open_socket(*bound, SocketKind::datagram);
  CO_ASSERT(socket);
  auto connected = co_await ring.connect(*socket, *bound);
  EXPECT_TRUE(connected);
  auto sent = co_await ring.send(*socket, pattern(10));
  EXPECT_TRUE(sent);
  auto into = pattern(10);
  auto received = co_await ring.receive(*socket, into, ring.now() + kPatience);
  EXPECT_TRUE(!received && received.error().code == Errc::refused);
  (void)co_await ring.close(*socket);
}

}  // namespace

TEST_P(RingContract, an_echo_comes_back) { drive(converse(ring(), ring(), world().stream_address())); }
TEST_P(RingContract, two_rings_converse) { drive(converse(ring(0), ring(1), world().stream_address())); }
TEST_P(RingContract, a_large_transfer_arrives_in_order_and_ends) { drive(transfer(ring(), world().stream_address(), 3'000'000)); }
TEST_P(RingContract, a_large_transfer_passes_through_two_small_buffers) {
  make_world({.receive_buffers = 2, .receive_buffer_bytes = 512});
  drive(transfer(ring(), world().stream_address(), 200'000));
}
TEST_P(RingContract, sending_to_a_closed_peer_says_reset) {
  drive(send_into_a_closed_connection(ring(), world().stream_address()));
}
TEST_P(RingContract, connecting_to_nobody_is_refused) { drive(connect_to_nobody(ring(), world().stream_address())); }
TEST_P(RingContract, a_deadline_that_nobody_waits_for_ends_nothing) { drive(wait_past_an_old_deadline(ring(), world().stream_address())); }
TEST_P(RingContract, a_deadline_ends_a_receive_only) { drive(wait_for_a_silent_peer(ring(), world().stream_address())); }
TEST_P(RingContract, udp_goes_both_ways_one_datagram_at_a_time) { drive(exchange_datagrams(ring(), world().stream_address())); }
TEST_P(RingContract, a_connected_udp_socket_hears_its_peer_alone) {
  drive(send_datagrams_as_a_stranger(ring(), world().stream_address()));
}
TEST_P(RingContract, udp_to_nobody_is_refused) { drive(send_datagrams_to_nobody(ring(), world().stream_address())); }
TEST_P(RingContract, datagrams_keep_their_bounds) {
  drive(datagrams_keep_their_bounds(ring(), *SocketAddress::from_path(world().directory() + "/socket")));
}

}  // namespace ringpost::runtime::contract
