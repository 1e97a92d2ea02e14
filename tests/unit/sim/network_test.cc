// The simulated network: bounds, order, and every way to lose a connection.
#include <sys/socket.h>

#include <algorithm>

#include "support.hh"

namespace ringpost::sim {
namespace {

using runtime::SocketKind;

const SocketAddress kUnixServer = *SocketAddress::from_path("/run/key.sock");

class SimNetwork : public testing::Test {
 protected:
  World world_{11};
  SimRing& client_ = world_.make_ring("client", {.address = *IpAddress::parse("198.51.100.7")});
  SimRing& server_ = world_.make_ring("server");
};

Task<void> names_are_told(SimRing& client, SimRing& server) {
  const Pair pair = co_await connect_pair(client, server);
  auto server_sees = server.peer_address(pair.server), client_is = client.local_address(pair.client);
  EXPECT_TRUE(server_sees && client_is && *server_sees == *client_is);
  EXPECT_EQ(server_sees->ip().text(), "198.51.100.7");
  EXPECT_EQ(client.peer_address(pair.client).value(), kServer);
}

TEST_F(SimNetwork, both_ends_agree_on_their_names) { drive(client_, names_are_told(client_, server_)); }

Task<std::string> read_to_the_end(SimRing& ring, Fd fd) {
  std::string all;
  runtime::Receiver receiver(ring, fd);
  for (;;) {
    auto chunk = co_await receiver.next(ring.now() + std::chrono::hours{1});
    if (!chunk) {
      all += std::string{"|"} + std::string{error_name(chunk.error().code)};
      break;
    }
    all += as_text(chunk->bytes());
  }
  co_await receiver.stop();
  co_return all;
}

Task<void> half_close(SimRing& client, SimRing& server) {
  const Pair pair = co_await connect_pair(client, server);
  auto sent = co_await client.send(pair.client, as_bytes("request"));
  EXPECT_EQ(sent.value_or(0), 7u);
  (void)co_await client.shutdown(pair.client, SHUT_WR);
  auto late = co_await client.send(pair.client, as_bytes("more"));
  EXPECT_TRUE(!late && late.error().code == Errc::reset);
  const std::string request = co_await read_to_the_end(server, pair.server);
  EXPECT_EQ(request, "request|closed");
  auto answered = co_await server.send(pair.server, as_bytes("answer"));
  EXPECT_TRUE(answered);
  (void)co_await server.close(pair.server);
  const std::string answer = co_await read_to_the_end(client, pair.client);
  EXPECT_EQ(answer, "answer|closed");
  (void)co_await client.close(pair.client);
}

TEST_F(SimNetwork, a_half_closed_connection_still_answers) {
  drive(client_, half_close(client_, server_));
  EXPECT_EQ(world_.network().open_sockets(), 0u);
}

Task<void> send_all(SimRing& ring, Fd fd, Bytes bytes, Result<>& outcome) {
  while (!bytes.empty()) {
    auto sent = co_await ring.send(fd, bytes);
    if (!sent) {
      outcome = std::unexpected(sent.error());
      co_return;
    }
    bytes = bytes.subspan(*sent);
  }
  (void)co_await ring.close(fd);
}

Task<void> transfer(SimRing& client, SimRing& server, std::size_t count) {
  const Pair pair = co_await connect_pair(client, server);
  std::string text;
  while (text.size() < count) text += std::to_string(text.size()) + ",";
  Result<> outcome;
  runtime::Scope scope(client);
  scope.spawn(send_all(client, pair.client, as_bytes(text), outcome));
  const std::string arrived = co_await read_to_the_end(server, pair.server);
  co_await scope.join();
  EXPECT_TRUE(outcome);
  EXPECT_TRUE(arrived == text + "|closed");
  (void)co_await server.close(pair.server);
}

TEST_F(SimNetwork, H5_splits_short_sends_stalls_and_empty_pools_lose_and_reorder_nothing) {
  world_.network().set_window(10'000);
  world_.faults().set(Fault::net_split, 2);
  world_.faults().set(Fault::net_short_send, 2);
  world_.faults().set(Fault::net_stall, 50);
  world_.faults().set(Fault::ring_no_buffers, 5);
  world_.faults().set(Fault::ring_multishot_ends, 5);
  world_.faults().set(Fault::ring_stall, 50);
  drive(client_, transfer(client_, server_, 300'000));
  for (Fault fault : {Fault::net_split, Fault::net_short_send, Fault::net_stall, Fault::ring_no_buffers,
                      Fault::ring_multishot_ends, Fault::ring_stall}) {
    EXPECT_GT(world_.faults().hits(fault), 0u) << fault_name(fault);
  }
}

Task<void> meet_a_reset(SimRing& client, SimRing& server) {
  const Pair pair = co_await connect_pair(client, server);
  client.world().faults().fail_nth(Fault::net_reset, 1);
  auto sent = co_await client.send(pair.client, as_bytes("lost"));
  EXPECT_TRUE(!sent && sent.error().code == Errc::reset);
  const std::string arrived = co_await read_to_the_end(server, pair.server);
  EXPECT_EQ(arrived, "|reset");
}

TEST_F(SimNetwork, a_reset_is_told_to_both_ends) { drive(client_, meet_a_reset(client_, server_)); }

Task<void> close_with_unread_bytes(SimRing& client, SimRing& server) {
  const Pair pair = co_await connect_pair(client, server);
  (void)co_await client.send(pair.client, as_bytes("nobody reads this"));
  co_await server.sleep_for(seconds{1});
  (void)co_await server.close(pair.server);
  const std::string arrived = co_await read_to_the_end(client, pair.client);
  EXPECT_EQ(arrived, "|reset");
}

TEST_F(SimNetwork, closing_over_unread_bytes_resets) { drive(client_, close_with_unread_bytes(client_, server_)); }

Task<void> connect_to(SimRing& ring, SocketAddress target, Errc expected) {
  auto socket = ring.open_socket(target, SocketKind::stream);
  auto connected = co_await ring.connect(*socket, target, ring.now() + seconds{30});
  EXPECT_TRUE(!connected && connected.error().code == expected) << target.text();
  (void)co_await ring.close(*socket);
}

TEST_F(SimNetwork, every_way_not_to_connect) {
  auto listener = server_.listen(kServer, SocketKind::stream, {});
  ASSERT_TRUE(listener);
  world_.network().set_route(kServer, Route::lost);
  drive(client_, connect_to(client_, kServer, Errc::timed_out));
  world_.network().set_route(kServer, Route::refused);
  drive(client_, connect_to(client_, kServer, Errc::refused));
  world_.network().set_route(kServer, Route::unreachable);
  drive(client_, connect_to(client_, kServer, Errc::unreachable));
  drive(client_, connect_to(client_, kServer.with_port(26), Errc::refused));
  drive(client_, connect_to(client_, kUnixServer, Errc::not_found));
}

Task<void> black_hole(SimRing& client, SimRing& server) {
  const Pair pair = co_await connect_pair(client, server);
  client.world().faults().fail_nth(Fault::net_black_hole, 1);
  const auto bytes = filled(client.world().network().window(), 'x');
  auto first = co_await client.send(pair.client, bytes);
  EXPECT_EQ(first.value_or(0), bytes.size());
  auto second = co_await client.send(pair.client, bytes, client.now() + seconds{300});
  EXPECT_TRUE(!second && second.error().code == Errc::timed_out);
  std::byte byte{};
  auto nothing = co_await server.receive(pair.server, {&byte, 1}, server.now() + seconds{300});
  EXPECT_TRUE(!nothing && nothing.error().code == Errc::timed_out);
}

TEST_F(SimNetwork, a_black_hole_takes_one_window_and_gives_nothing) { drive(client_, black_hole(client_, server_)); }

Task<void> messages(SimRing& client, SimRing& server) {
  const Pair pair = co_await connect_pair(client, server, kUnixServer, SocketKind::seqpacket);
  for (const char* text : {"one", "twenty-two", "three"}) (void)co_await client.send(pair.client, as_bytes(text));
  std::array<std::byte, 6> small;
  auto first = co_await server.receive(pair.server, small);
  EXPECT_EQ(as_text(Bytes{small}.first(first.value_or(0))), "one");
  auto second = co_await server.receive(pair.server, small);
  EXPECT_EQ(as_text(Bytes{small}.first(second.value_or(0))), "twenty");
  auto third = co_await server.receive(pair.server, small);  // the rest of the second is gone
  EXPECT_EQ(as_text(Bytes{small}.first(third.value_or(0))), "three");
  auto huge = filled(client.world().network().window() + 1, 'x');
  auto refused = co_await client.send(pair.client, huge);
  EXPECT_TRUE(!refused && refused.error().detail == EMSGSIZE);
  client.world().faults().fail_nth(Fault::net_packet_lost, 1);
  (void)co_await client.send(pair.client, as_bytes("lost"));
  auto broken = co_await client.send(pair.client, as_bytes("too late"));
  EXPECT_TRUE(!broken && broken.error().detail == ECONNRESET);
  auto nothing = co_await server.receive(pair.server, small);
  EXPECT_TRUE(!nothing && nothing.error().detail == ECONNRESET);
}

TEST_F(SimNetwork, messages_keep_their_bounds_and_a_cut_one_is_counted) {
  drive(client_, messages(client_, server_));
  EXPECT_EQ(world_.faults().hits().at("seqpacket_truncated"), 1u);
}

Task<void> run_out_of_descriptors(SimRing& client, SimRing& server) {
  auto listener = server.listen(kServer, SocketKind::stream, {});
  runtime::Acceptor acceptor(server, *listener);
  client.world().faults().fail_nth(Fault::net_no_descriptors, 1);
  auto socket = client.open_socket(kServer, SocketKind::stream);
  auto connected = co_await client.connect(*socket, kServer);
  EXPECT_TRUE(connected);
  auto none = co_await acceptor.next();
  EXPECT_TRUE(!none && none.error().code == Errc::no_descriptors);
  auto accepted = co_await acceptor.next();  // it waited in the backlog
  EXPECT_TRUE(accepted);
  co_await acceptor.stop();
}

TEST_F(SimNetwork, a_connection_without_a_descriptor_waits) { drive(client_, run_out_of_descriptors(client_, server_)); }

Task<void> hold_a_connection(SimRing& client, SimRing& server, Fd& held) {
  const Pair pair = co_await connect_pair(client, server);
  held = pair.client;
}

Task<void> hear_of_death(SimRing& client, Fd fd, Death death) {
  std::byte byte{};
  auto received = co_await client.receive(fd, {&byte, 1}, client.now() + seconds{60});
  if (death == Death::crash) {
    EXPECT_EQ(received.value_or(1), 0u);
  } else {
    EXPECT_TRUE(!received && received.error().code == Errc::timed_out);
    (void)co_await client.send(fd, as_bytes("anybody there?"));
    auto reset = co_await client.receive(fd, {&byte, 1}, client.now() + seconds{60});
    EXPECT_TRUE(!reset && reset.error().code == Errc::reset);
  }
}

TEST_F(SimNetwork, a_killed_peer_closes_and_one_without_power_is_silent) {
  for (Death death : {Death::crash, Death::power_loss}) {
    SimRing& victim = world_.make_ring("victim");
    Fd held;
    drive(client_, hold_a_connection(client_, victim, held));
    world_.kill(victim, death);
    drive(client_, hear_of_death(client_, held, death));
  }
}

}  // namespace
}  // namespace ringpost::sim
