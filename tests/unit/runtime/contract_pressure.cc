// Contract: slow readers, empty pools, cancellation, stopping.
#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <deque>

#include "contract_support.hh"

namespace ringpost::runtime::contract {

namespace {

/// Sends until the peer takes no more. Returns the bytes sent.
Task<std::size_t> send_until_stuck(Ring& ring, Fd socket) {
  auto bytes = pattern(64'000);
  std::size_t total = 0;
  for (;;) {
    auto sent = co_await ring.send(socket, bytes, ring.now() + std::chrono::milliseconds(200));
    if (!sent) {
      EXPECT_EQ(sent.error().code, Errc::timed_out);
      co_return total;
    }
    total += *sent;
    if (total > 256'000'000) {
      ADD_FAILURE() << "nothing holds the sender back";
      co_return total;
    }
  }
}

Task<void> a_slow_reader(Ring& ring, SocketAddress address) {
  auto pair = co_await connect_pair(ring, address);
  CO_ASSERT(pair);
  std::size_t taken = 0;
  {
    Receiver receiver(ring, pair->server);
    auto greeting = co_await send_all(ring, pair->client, pattern(1));
    EXPECT_TRUE(greeting);
    auto first = co_await receiver.next(ring.now() + kPatience);
    EXPECT_TRUE(first && first->bytes().size() == 1);
    if (first) first->release();
    // From here nobody reads: the receiver holds a few chunks, the rest waits in the sockets.
    std::size_t sent = co_await send_until_stuck(ring, pair->client);
    (void)co_await ring.close(pair->client);
    auto chunk = co_await receiver.next(ring.now() + kPatience);
    while (chunk) {
      taken += chunk->bytes().size();
      chunk->release();
      chunk = co_await receiver.next(ring.now() + kPatience);
    }
    EXPECT_EQ(chunk.error().code, Errc::closed);
    EXPECT_EQ(taken, sent);
    co_await receiver.stop();
  }
  (void)co_await ring.close(pair->server);
}

/// Two buffers, three connections: the third one waits until somebody gives a buffer back.
Task<void> three_share_two_buffers(Ring& ring, SocketAddress address, bool stop_while_waiting) {
  std::vector<Pair> pairs;
  for (int i = 0; i < 3; ++i) {
    auto pair = co_await connect_pair(ring, address);
    CO_ASSERT(pair);
    pairs.push_back(*pair);
  }
  {
    std::deque<Receiver> receivers;
    for (const Pair& pair : pairs) receivers.emplace_back(ring, pair.server);
    std::vector<Chunk> held;
    for (std::size_t i = 0; i < 2; ++i) {
      auto sent = co_await send_all(ring, pairs[i].client, pattern(7, i));
      EXPECT_TRUE(sent);
      auto chunk = co_await receivers[i].next(ring.now() + kPatience);
      if (chunk) held.push_back(std::move(*chunk));
    }
    EXPECT_EQ(held.size(), 2u);
    auto sent = co_await send_all(ring, pairs[2].client, pattern(7, 2));
    EXPECT_TRUE(sent);
    auto starved = co_await receivers[2].next(ring.now() + kSoon);
    EXPECT_TRUE(!starved && starved.error().code == Errc::timed_out);
    if (!stop_while_waiting) {
      held.pop_back();
      auto fed = co_await receivers[2].next(ring.now() + kPatience);
      EXPECT_TRUE(fed && std::ranges::equal(fed->bytes(), pattern(7, 2)));
    }
    for (Receiver& receiver : receivers) co_await receiver.stop();
  }
  for (const Pair& pair : pairs) {
    (void)co_await ring.close(pair.client);
    (void)co_await ring.close(pair.server);
  }
}

Task<void> stop_an_acceptor(Ring& ring, SocketAddress address) {
  auto listener = ring.listen(address, SocketKind::stream, {});
  CO_ASSERT(listener);
  auto bound = ring.local_address(*listener);
  CO_ASSERT(bound);
  Acceptor acceptor(ring, *listener);
  std::vector<Fd> clients;
  for (int i = 0; i < 3; ++i) {
    auto client = ring.open_socket(*bound, SocketKind::stream);
    CO_ASSERT(client);
    auto connected = co_await ring.connect(*client, *bound, ring.now() + kPatience);
    EXPECT_TRUE(connected);
    clients.push_back(*client);
  }
  auto taken = co_await acceptor.next();
  EXPECT_TRUE(taken);
  co_await ring.sleep_for(kSoon);  // the other two arrive meanwhile
  co_await acceptor.stop();
  auto after = co_await acceptor.next();
  EXPECT_TRUE(!after && after.error().code == Errc::cancelled);
  (void)co_await ring.close(*listener);
  // The two that nobody took are closed; the one that was taken is not.
  int closed = 0;
  for (Fd client : clients) {
    std::byte byte{};
    auto received = co_await ring.receive(client, {&byte, 1}, ring.now() + kSoon);
    if (received ? *received == 0 : received.error().code == Errc::reset) ++closed;
    (void)co_await ring.close(client);
  }
  EXPECT_EQ(closed, 2);
  if (taken) (void)co_await ring.close(*taken);
}

Task<void> expect_cancelled(Acceptor& acceptor) {
  auto next = co_await acceptor.next();
  EXPECT_TRUE(!next && next.error().code == Errc::cancelled);
}
Task<void> expect_cancelled(Receiver& receiver) {
  auto next = co_await receiver.next();
  EXPECT_TRUE(!next && next.error().code == Errc::cancelled);
}

Task<void> stop_under_waiters(Ring& ring, SocketAddress address) {
  auto pair = co_await connect_pair(ring, address);
  CO_ASSERT(pair);
  auto listener = ring.listen(address, SocketKind::stream, {});
  CO_ASSERT(listener);
  Scope scope(ring);
  {
    Acceptor acceptor(ring, *listener);
    scope.spawn(expect_cancelled(acceptor));
    co_await ring.sleep_for(kSoon);
    co_await acceptor.stop();
    EXPECT_EQ(scope.running(), 0u);
    Receiver receiver(ring, pair->server);
    scope.spawn(expect_cancelled(receiver));
    co_await ring.sleep_for(kSoon);
    co_await receiver.stop();
    EXPECT_EQ(scope.running(), 0u);
    co_await receiver.stop();  // once more does no harm
  }
  co_await scope.join();
  (void)co_await ring.close(*listener);
  (void)co_await ring.close(pair->client);
  (void)co_await ring.close(pair->server);
}

Task<void> cancel_each_waiting_kind(Ring& ring, SocketAddress address) {
  auto pair = co_await connect_pair(ring, address);
  CO_ASSERT(pair);
  auto listener = ring.listen(address, SocketKind::stream, {});
  CO_ASSERT(listener);
  std::byte byte{};
  Operation receive{.code = OpCode::receive, .fd = pair->server, .size = 1, .buffer = &byte};
  Operation stream{.code = OpCode::receive_stream, .fd = pair->client};
  Operation accept{.code = OpCode::accept, .fd = *listener};
  for (const Operation& arguments : {receive, stream, accept}) {
    for (bool let_it_start : {false, true}) {
      RawOperation operation(ring, arguments);
      operation.start();
      if (let_it_start) co_await ring.sleep_for(kSoon);
      EXPECT_FALSE(operation.ended());
      operation.cancel();
      operation.cancel();
      EXPECT_FALSE(operation.ended()) << "a completion ran inside cancel()";
      std::int32_t result = co_await operation;
      EXPECT_EQ(result, -ECANCELED) << static_cast<int>(arguments.code);
      operation.cancel();  // harmless when finished
    }
  }
  // The connection is as good as before.
  auto bytes = pattern(9), heard = pattern(9, 1);
  auto sent = co_await send_all(ring, pair->client, bytes);
  EXPECT_TRUE(sent);
  auto received = co_await receive_all(ring, pair->server, heard);
  EXPECT_TRUE(received);
  EXPECT_EQ(heard, bytes);
  (void)co_await ring.close(*listener);
  (void)co_await ring.close(pair->client);
  (void)co_await ring.close(pair->server);
}

Task<void> cancel_a_stuck_send(Ring& ring, SocketAddress address) {
  auto pair = co_await connect_pair(ring, address);
  CO_ASSERT(pair);
  (void)co_await send_until_stuck(ring, pair->client);
  auto bytes = pattern(64'000);
  bool stuck = false;
  for (int i = 0; i < 1000 && !stuck; ++i) {  // a little room may appear late
    RawOperation send(ring, Operation{.code = OpCode::send, .fd = pair->client, .size = 64'000, .buffer = bytes.data()});
    send.start();
    co_await ring.sleep_for(kSoon);
    stuck = !send.ended();
    send.cancel();
    std::int32_t result = co_await send;
    EXPECT_TRUE(stuck ? result == -ECANCELED : result > 0) << result;
  }
  EXPECT_TRUE(stuck);
  (void)co_await ring.close(pair->client);
  (void)co_await ring.close(pair->server);
}

/// A receive that is cancelled in the same breath: either it took the bytes and says so, or they wait for the next one.
Task<void> cancel_beside_data(Ring& ring, SocketAddress address) {
  auto pair = co_await connect_pair(ring, address);
  CO_ASSERT(pair);
  const auto bytes = pattern(64);
  std::vector<std::byte> heard;
  for (int turn = 0; turn < 64; ++turn) {
    auto sent = co_await send_all(ring, pair->client, std::vector<std::byte>{bytes[static_cast<std::size_t>(turn)]});
    CO_ASSERT(sent);
    if (turn % 2 == 1) co_await ring.sleep_for(kSoon);  // so that the byte is there before the receive
    std::array<std::byte, 8> piece{};
    RawOperation receive(ring, Operation{.code = OpCode::receive, .fd = pair->server, .size = 8, .buffer = piece.data()});
    receive.start();
    if (turn % 4 >= 2) co_await ring.sleep_for(Duration{1});
    receive.cancel();
    std::int32_t result = co_await receive;
    EXPECT_TRUE(result > 0 || result == -ECANCELED) << result;
    EXPECT_EQ(receive.completions(), 1);
    if (result > 0) heard.insert(heard.end(), piece.begin(), piece.begin() + result);
  }
  if (heard.size() < bytes.size()) {
    std::vector<std::byte> rest(bytes.size() - heard.size());
    auto received = co_await receive_all(ring, pair->server, rest);
    EXPECT_TRUE(received);
    heard.insert(heard.end(), rest.begin(), rest.end());
  }
  EXPECT_EQ(heard, bytes);
  (void)co_await ring.close(pair->client);
  (void)co_await ring.close(pair->server);
}

/// Many operations at once, far more than either queue holds.
Task<void> burst(Ring& ring, std::string path, std::size_t count) {
  auto file = co_await open_file(ring, path, O_CREAT | O_RDWR);
  CO_ASSERT(file);
  auto bytes = pattern(count);
  auto written = co_await ring.write(*file, sealed(bytes), 0);
  EXPECT_TRUE(written && *written == count);
  std::vector<std::byte> found(count);
  std::deque<RawOperation> reads;
  for (std::size_t i = 0; i < count; ++i) {
    reads.emplace_back(ring, Operation{.code = OpCode::read, .fd = *file, .size = 1, .buffer = &found[i], .offset = i});
    reads.back().start();
    EXPECT_FALSE(reads.back().ended()) << "a completion ran inside submit()";
  }
  std::size_t right = 0;
  for (RawOperation& read : reads) {
    std::int32_t result = co_await read;
    right += result == 1 && read.completions() == 1;
  }
  EXPECT_EQ(right, count);
  EXPECT_EQ(found, bytes);
  (void)co_await ring.close(*file);
}

}  // namespace

TEST_P(RingContract, a_slow_reader_holds_the_sender_back) { drive(a_slow_reader(ring(), world().stream_address())); }
TEST_P(RingContract, an_empty_pool_makes_a_receive_wait_for_a_buffer) {
  make_world({.receive_buffers = 2});
  drive(three_share_two_buffers(ring(), world().stream_address(), false));
}
TEST_P(RingContract, a_receive_that_waits_for_a_buffer_can_be_stopped) {
  make_world({.receive_buffers = 2});
  drive(three_share_two_buffers(ring(), world().stream_address(), true));
}
TEST_P(RingContract, a_stopped_acceptor_closes_what_nobody_took) { drive(stop_an_acceptor(ring(), world().stream_address())); }
TEST_P(RingContract, stopping_ends_a_waiting_next) { drive(stop_under_waiters(ring(), world().stream_address())); }
TEST_P(RingContract, H13_what_waits_can_be_cancelled) { drive(cancel_each_waiting_kind(ring(), world().stream_address())); }
TEST_P(RingContract, H13_a_cancelled_receive_loses_no_byte_it_moved) { drive(cancel_beside_data(ring(), world().stream_address())); }
TEST_P(RingContract, H13_a_stuck_send_can_be_cancelled) { drive(cancel_a_stuck_send(ring(), world().stream_address())); }
TEST_P(RingContract, H13_a_burst_beyond_both_queues_loses_nothing) {
  make_world({.entries = 8, .completions = 16});
  drive(burst(ring(), world().directory() + "/burst", 3000));
}

}  // namespace ringpost::runtime::contract
