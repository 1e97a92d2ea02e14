// Channels against each other, over the simulated network.
#include "ringpost/tls/channel.hh"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <functional>

#include "../drive.hh"
#include "certificates.hh"
#include "ringpost/sim/network.hh"

namespace ringpost::tls {
namespace {

using namespace testing;
using runtime::Task;
using sim::Fault;
using std::chrono::days;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;
using namespace std::string_literals;

const SocketAddress kServer = *SocketAddress::parse("192.0.2.1:25");
constexpr std::array<std::byte, 32> kSecret{std::byte{1}};

/// A server and a client, each with a ring; what a test changes, it changes before connect().
class World {
 public:
  explicit World(std::uint64_t seed = 1)
      : world(seed), server_ring(world.make_ring("server")), client_ring(world.make_ring("client", {.process = "client"})) {
    world.jump_wall(today() + std::chrono::minutes{1} - world.wall_now());
    options.hostname = "mx.test";
    options.tickets = {kSecret, server_ring.now()};
    auto store = TrustStore::read(as_bytes(files().root), server_engine);
    trust = std::move(*store);
  }
  ~World() {
    EXPECT_EQ(server_engine.buffers().lent(), 0u);
    EXPECT_EQ(client_engine.buffers().lent(), 0u);
    for (sim::SimRing* ring : {&server_ring, &client_ring}) {
      EXPECT_EQ(ring->operations_in(), ring->operations_out());
      EXPECT_EQ(ring->buffers_out(), 0u);
      EXPECT_TRUE(ring->quiet());
    }
  }

  void start(std::vector<const Certificate*> certificates = {&mx_ecdsa()}) {
    if (!server) server = std::make_unique<ServerContext>(server_engine, options);
    EXPECT_TRUE(server->use(certificates, server_minimum));
    if (!client) client = std::make_unique<ClientContext>(client_engine, client_minimum, &trust, client_maximum);
  }

  using Side = std::function<Task<void>(Channel&)>;
  /// One connection: both sides run to their ends.
  void talk(Side at_server, Side at_client) {
    runtime::Scope servers(server_ring), clients(client_ring);
    servers.spawn(serve(std::move(at_server)));
    clients.spawn(visit(std::move(at_client)));
    EXPECT_EQ(world.run_until([&] { return servers.running() == 0 && clients.running() == 0; }, hours{4}), sim::Stop::reached);
  }

  static const Certificate& mx_ecdsa() {
    static const Certificate made = made_of("mx", files().mx_chain, files().mx_key);
    return made;
  }
  static const Certificate& mx_rsa() {
    static const Certificate made = made_of("mx-rsa", files().mx_rsa_chain, files().mx_rsa_key);
    return made;
  }
  static const Certificate& other() {
    static const Certificate made = made_of("other", files().other_chain, files().other_key);
    return made;
  }
  static const Certificate& alone() {
    static const Certificate made = made_of("alone", files().alone, files().alone_key);
    return made;
  }

  sim::World world;
  sim::SimRing &server_ring, &client_ring;
  Engine server_engine{server_ring}, client_engine{client_ring};
  ServerOptions options;
  Version server_minimum = Version::tls12, client_minimum = Version::tls12, client_maximum = Version::tls13;
  TrustStore trust;
  std::unique_ptr<ServerContext> server;
  std::unique_ptr<ClientContext> client;

 private:
  Task<void> serve(Side side) {
    auto listener = server_ring.listen(kServer, runtime::SocketKind::stream, {});
    EXPECT_TRUE(listener);
    runtime::Acceptor acceptor(server_ring, *listener);
    auto socket = co_await acceptor.next();
    co_await acceptor.stop();
    (void)co_await server_ring.close(*listener);
    if (!socket) co_return;
    {
      Channel channel(server_ring, *socket);
      co_await side(channel);
      co_await channel.stop();
    }
    (void)co_await server_ring.close(*socket);
  }
  Task<void> visit(Side side) {
    auto socket = client_ring.open_socket(kServer, runtime::SocketKind::stream);
    auto connected = co_await client_ring.connect(*socket, kServer, client_ring.now() + hours{1});
    while (!connected) {  // the listener is not there yet
      (void)co_await client_ring.close(*socket);
      co_await client_ring.sleep_for(milliseconds{1});
      socket = client_ring.open_socket(kServer, runtime::SocketKind::stream);
      connected = co_await client_ring.connect(*socket, kServer, client_ring.now() + hours{1});
    }
    {
      Channel channel(client_ring, *socket);
      co_await side(channel);
      co_await channel.stop();
    }
    (void)co_await client_ring.close(*socket);
  }
};

Task<Result<>> say(Channel& channel, std::string text) {
  for (Bytes rest = as_bytes(text); !rest.empty();) {
    auto sent = co_await channel.send(rest, kNever);
    if (!sent) co_return std::unexpected(sent.error());
    rest = rest.subspan(*sent);
  }
  co_return Result<>{};
}

/// So many bytes, or fewer when the stream ends before.
Task<std::string> hear(Channel& channel, std::size_t bytes) {
  std::string heard;
  while (heard.size() < bytes) {
    auto chunk = co_await channel.next();
    if (!chunk) break;
    heard += as_text(chunk->bytes());
  }
  co_return heard;
}

/// What the stream ends with; what comes before it is thrown away.
Task<Errc> end_of(Channel& channel) {
  for (;;) {
    auto chunk = co_await channel.next(kNever);
    if (!chunk) co_return chunk.error().code;
  }
}

/// A plain exchange of words behind a handshake, and what both sides know of it.
struct Exchange {
  std::optional<Result<>> accepted, connected;
  Handshake server, client;
  std::string heard_by_server, heard_by_client;
  Errc server_end{}, client_end{};
  ClientSession session;
};

Exchange exchange(World& world, ClientOptions options = {.server_name = "mx.test"}, std::string words = "EHLO client.test\r\n",
                  bool disturbed = false) {
  Exchange x;
  world.talk(
      [&](Channel& channel) -> Task<void> {
        x.accepted = co_await channel.accept_tls(*world.server, world.server_ring.now() + seconds{300});
        if (!*x.accepted) co_return;
        x.server = channel.handshake();
        x.heard_by_server = co_await hear(channel, words.size());
        (void)co_await say(channel, "250 " + words);
        x.server_end = co_await end_of(channel);
        co_await channel.shutdown(world.server_ring.now() + seconds{60});
      },
      [&](Channel& channel) -> Task<void> {
        x.connected = co_await channel.connect_tls(*world.client, options, world.client_ring.now() + seconds{300});
        x.client = channel.handshake();
        if (!*x.connected) co_return;
        (void)co_await say(channel, words);
        x.heard_by_client = co_await hear(channel, words.size() + 4);
        x.session = channel.session();
        co_await channel.shutdown(world.client_ring.now() + seconds{60});
        x.client_end = co_await end_of(channel);
      });
  if (!disturbed && x.accepted && *x.accepted && x.connected && *x.connected) {
    EXPECT_EQ(x.heard_by_server, words);
    EXPECT_EQ(x.heard_by_client, "250 " + words);
    EXPECT_EQ(x.server_end, Errc::closed);
    EXPECT_EQ(x.client_end, Errc::closed);
  }
  return x;
}

::testing::AssertionResult good(const Exchange& x) {
  auto text = [](const std::optional<Result<>>& result) {
    if (!result) return "nothing"s;
    return *result ? "fine"s : std::string{error_name(result->error().code)} + " " + std::to_string(result->error().detail);
  };
  if (x.accepted && *x.accepted && x.connected && *x.connected) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "accept: " << text(x.accepted) << ", connect: " << text(x.connected);
}

// ---- handshakes

TEST(Channel, speaks_tls13_by_itself) {
  World world;
  world.start();
  const Exchange x = exchange(world);
  ASSERT_TRUE(good(x));
  EXPECT_EQ(x.server.version, Version::tls13);
  EXPECT_EQ(x.client.version, Version::tls13);
  EXPECT_EQ(x.server.suite, "TLS_AES_128_GCM_SHA256");
  EXPECT_EQ(x.client.suite, x.server.suite);
  EXPECT_EQ(x.client.group, "X25519");
  EXPECT_EQ(x.server.group, "X25519");
  EXPECT_FALSE(x.client.resumed);
  EXPECT_EQ(x.client.peer, PeerVerdict::ok);
  EXPECT_FALSE(x.client.peer_certificate.empty());
  ASSERT_TRUE(x.client.channel_binding);
  EXPECT_EQ(x.client.channel_binding, x.server.channel_binding);
}

TEST(Channel, sessions_go_on_with_a_ticket) {
  World world;
  world.start();
  Exchange first = exchange(world);
  ASSERT_TRUE(good(first));
  ASSERT_TRUE(first.session);
  Exchange second = exchange(world, {.server_name = "mx.test", .session = &first.session});
  ASSERT_TRUE(good(second));
  EXPECT_TRUE(second.client.resumed);
  EXPECT_TRUE(second.server.resumed);
  EXPECT_EQ(second.client.peer, PeerVerdict::ok);
  EXPECT_EQ(second.client.peer_certificate, first.client.peer_certificate);
  EXPECT_NE(second.client.channel_binding, first.client.channel_binding);
}

TEST(Channel, the_certificate_follows_the_name) {
  World world;
  world.start({&World::mx_ecdsa(), &World::other()});
  std::vector<std::string_view> other{"other.test"}, mx{"mx.test"}, wild{"a.wild.test"};
  EXPECT_EQ(exchange(world, {.server_name = "other.test", .names = other}).client.peer, PeerVerdict::ok);
  EXPECT_EQ(exchange(world, {.server_name = "mx.test", .names = mx}).client.peer, PeerVerdict::ok);
  EXPECT_EQ(exchange(world, {.server_name = "a.wild.test", .names = wild}).client.peer, PeerVerdict::ok);
  EXPECT_EQ(exchange(world, {.names = mx}).client.peer, PeerVerdict::ok);
  EXPECT_EQ(exchange(world, {.server_name = "nobody.test", .names = mx}).client.peer, PeerVerdict::ok);
}

TEST(Channel, rsa_and_ecdsa_stand_side_by_side) {
  World world;
  world.start({&World::mx_rsa(), &World::mx_ecdsa()});
  Exchange x = exchange(world);
  ASSERT_TRUE(good(x));
  const std::vector<std::byte> ecdsa = x.client.peer_certificate;
  world.start({&World::mx_rsa()});
  x = exchange(world);
  ASSERT_TRUE(good(x));
  EXPECT_NE(x.client.peer_certificate, ecdsa);
  EXPECT_EQ(x.client.peer, PeerVerdict::ok);
}

TEST(Channel, tls12_goes_its_own_way) {
  World world;
  world.client_maximum = Version::tls12;
  for (const Certificate* certificate : {&World::mx_ecdsa(), &World::mx_rsa()}) {
    world.start({certificate});
    Exchange first = exchange(world);
    ASSERT_TRUE(good(first));
    EXPECT_EQ(first.server.version, Version::tls12);
    EXPECT_EQ(first.client.peer, PeerVerdict::ok);
    EXPECT_EQ(first.client.suite, certificate->kind == KeyKind::rsa ? "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
                                                                    : "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
    ASSERT_TRUE(first.session);
    Exchange second = exchange(world, {.server_name = "mx.test", .session = &first.session});
    ASSERT_TRUE(good(second));
    EXPECT_TRUE(second.client.resumed && second.server.resumed);
  }
}

TEST(Attacks, T1_less_than_the_minimum_is_refused) {
  World world;
  world.server_minimum = Version::tls13;
  world.client_maximum = Version::tls12;
  world.start();
  const Exchange x = exchange(world);
  EXPECT_FALSE(good(x));
  EXPECT_EQ(x.accepted->error().code, Errc::protocol);
  EXPECT_EQ(x.connected->error().code, Errc::protocol);
}

TEST(Channel, without_a_certificate_there_is_no_handshake) {
  World world;
  world.start({});
  const Exchange x = exchange(world);
  EXPECT_EQ(x.accepted->error().code, Errc::not_found);
  EXPECT_FALSE(*x.connected);
}

// ---- tickets

TEST(Attacks, T5_a_ticket_is_good_for_its_role_its_certificate_and_its_time) {
  World world;
  world.start();
  Exchange first = exchange(world);
  ASSERT_TRUE(first.session);
  auto resumed = [&] {
    Exchange x = exchange(world, {.server_name = "mx.test", .session = &first.session});
    EXPECT_TRUE(good(x));
    return x.server.resumed;
  };
  EXPECT_TRUE(resumed());
  world.options.role = "submission";
  world.server.reset();
  world.start();
  EXPECT_FALSE(resumed());
  world.options.role = "server";
  world.server.reset();
  world.start({&World::other()});
  EXPECT_FALSE(resumed());
  world.server.reset();
  world.start();
  EXPECT_TRUE(resumed());  // another shard, another start of the context: the same keys
  EXPECT_EQ(world.world.run_for(hours{7}), sim::Stop::time);
  EXPECT_TRUE(resumed());  // by the key before
  EXPECT_EQ(world.world.run_for(hours{6}), sim::Stop::time);
  EXPECT_FALSE(resumed());
}

TEST(Attacks, T5_an_unverified_session_does_not_stand_in_for_a_verified_one) {
  World world;
  world.start({&World::alone()});
  Exchange first = exchange(world);
  ASSERT_TRUE(good(first));
  EXPECT_EQ(first.client.peer, PeerVerdict::self_signed);
  ASSERT_TRUE(first.session);
  Exchange easy = exchange(world, {.server_name = "mx.test", .session = &first.session});
  EXPECT_TRUE(easy.client.resumed);
  EXPECT_EQ(easy.client.peer, PeerVerdict::self_signed);
  const Exchange strict = exchange(world, {.server_name = "mx.test", .must_be_ok = true, .session = &first.session});
  EXPECT_FALSE(good(strict));
  EXPECT_EQ(strict.connected->error().code, Errc::permission);
  EXPECT_EQ(strict.client.peer, PeerVerdict::self_signed);
}

// ---- whom the client believes

TEST(Attacks, T6_an_opportunistic_client_goes_on_and_knows_what_is_wrong) {
  World world;
  const std::vector<std::string_view> mx{"mx.test"};
  world.start({&World::other()});
  EXPECT_EQ(exchange(world, {.names = mx}).client.peer, PeerVerdict::wrong_name);
  world.start();
  EXPECT_EQ(exchange(world, {.names = mx}).client.peer, PeerVerdict::ok);
  world.world.jump_wall(days{100});
  Exchange x = exchange(world, {.names = mx});
  EXPECT_TRUE(good(x));
  EXPECT_EQ(x.client.peer, PeerVerdict::expired);
  world.world.jump_wall(days{-200});
  EXPECT_EQ(exchange(world, {.names = mx}).client.peer, PeerVerdict::not_yet_valid);
}

TEST(Attacks, T6_a_strict_client_says_nothing_to_whom_it_does_not_know) {
  World world;
  const std::vector<std::string_view> mx{"mx.test"};
  const ClientOptions strict{.names = mx, .must_be_ok = true};
  auto refused = [&](PeerVerdict verdict) {
    const Exchange x = exchange(world, strict);
    EXPECT_FALSE(good(x));
    EXPECT_EQ(x.connected->error().code, Errc::permission);
    EXPECT_EQ(x.client.peer, verdict);
    EXPECT_EQ(x.heard_by_server, "");
  };
  world.start({&World::other()});
  refused(PeerVerdict::wrong_name);
  world.start({&World::alone()});
  refused(PeerVerdict::self_signed);
  world.start();
  EXPECT_TRUE(good(exchange(world, strict)));
  world.world.jump_wall(days{100});
  refused(PeerVerdict::expired);
}

TEST(Channel, a_judge_has_the_last_word) {
  struct Judge final : PeerJudge {
    PeerVerdict judge(PeerChain chain, PeerVerdict by_trust) override {
      certificates = chain.size();
      was = by_trust;
      return says;
    }
    std::size_t certificates = 0;
    PeerVerdict was{}, says = PeerVerdict::ok;
  } judge;
  World world;
  world.start({&World::alone()});
  EXPECT_TRUE(good(exchange(world, {.must_be_ok = true, .judge = &judge})));
  EXPECT_EQ(judge.certificates, 1u);
  EXPECT_EQ(judge.was, PeerVerdict::self_signed);
  world.start();
  judge.says = PeerVerdict::bad_chain;
  EXPECT_FALSE(good(exchange(world, {.must_be_ok = true, .judge = &judge})));
  EXPECT_EQ(judge.certificates, 2u);
  EXPECT_EQ(judge.was, PeerVerdict::ok);
}

// ---- the stream

TEST(Channel, in_clear_it_hands_out_what_came) {
  World world;
  world.start();
  std::string heard;
  Errc end{};
  world.talk(
      [&](Channel& channel) -> Task<void> {
        EXPECT_FALSE(channel.secured());
        heard = co_await hear(channel, 5);
        end = co_await end_of(channel);
        EXPECT_TRUE(channel.ready());
        co_await channel.shutdown(kNever);
      },
      [&](Channel& channel) -> Task<void> {
        (void)co_await say(channel, "hello");
        co_await channel.shutdown(kNever);
        (void)co_await end_of(channel);
      });
  EXPECT_EQ(heard, "hello");
  EXPECT_EQ(end, Errc::closed);
}

std::string pattern(std::size_t bytes) {
  std::string text(bytes, '\0');
  std::uint32_t value = 1;
  for (char& c : text) c = static_cast<char>((value = value * 1664525 + 1013904223) >> 24);
  return text;
}

TEST(Channel, large_transfers_in_both_directions_at_once) {
  for (std::uint64_t seed : {1, 2, 3}) {
    World world{seed};
    for (Fault fault : {Fault::net_split, Fault::net_short_send, Fault::ring_no_buffers, Fault::ring_multishot_ends})
      world.world.faults().set(fault, 5);
    world.start();
    const std::string there = pattern(700'001), back = pattern(300'007);
    std::string heard_there, heard_back;
    auto both = [&](Channel& channel, sim::SimRing& ring, const std::string& out, std::string& in,
                    std::size_t bytes) -> Task<void> {
      runtime::Scope writing(ring);
      struct Writer {
        static Task<void> run(Channel& channel, const std::string& text) { EXPECT_TRUE(co_await say(channel, text)); }
      };
      writing.spawn(Writer::run(channel, out));
      in = co_await hear(channel, bytes);
      co_await writing.join();
      co_await channel.shutdown(kNever);
      EXPECT_EQ(co_await end_of(channel), Errc::closed);
    };
    world.talk(
        [&](Channel& channel) -> Task<void> {
          EXPECT_TRUE(co_await channel.accept_tls(*world.server, kNever));
          co_await both(channel, world.server_ring, back, heard_there, there.size());
        },
        [&](Channel& channel) -> Task<void> {
          EXPECT_TRUE(co_await channel.connect_tls(*world.client, {}, kNever));
          co_await both(channel, world.client_ring, there, heard_back, back.size());
        });
    EXPECT_TRUE(heard_there == there);
    EXPECT_TRUE(heard_back == back);
  }
}

TEST(Channel, an_end_that_nobody_announced_is_no_end) {
  World world;
  world.start();
  Errc end{};
  std::string heard;
  world.talk(
      [&](Channel& channel) -> Task<void> {
        EXPECT_TRUE(co_await channel.accept_tls(*world.server, kNever));
        heard = co_await hear(channel, 4);
        end = co_await end_of(channel);
        EXPECT_EQ(co_await end_of(channel), end);
      },
      [&](Channel& channel) -> Task<void> {
        EXPECT_TRUE(co_await channel.connect_tls(*world.client, {}, kNever));
        (void)co_await say(channel, "half");
        // A FIN from the path: the TCP stream ends, TLS has not said so.
        co_await world.client_ring.sleep_for(seconds{1});
      });
  EXPECT_EQ(heard, "half");
  EXPECT_EQ(end, Errc::reset);
}

TEST(Channel, an_idle_connection_holds_no_buffer) {
  World world;
  world.start();
  world.talk(
      [&](Channel& channel) -> Task<void> {
        EXPECT_TRUE(co_await channel.accept_tls(*world.server, kNever));
        {
          auto chunk = co_await channel.next();
          EXPECT_TRUE(chunk);
          EXPECT_EQ(world.server_engine.buffers().lent(), 1u);
        }
        EXPECT_EQ(world.server_engine.buffers().lent(), 0u);
        EXPECT_FALSE(channel.ready());
        EXPECT_EQ(world.server_engine.buffers().lent(), 0u);
        (void)co_await say(channel, "ok");
        EXPECT_EQ(world.server_engine.buffers().lent(), 0u);
        EXPECT_EQ(world.server_ring.buffers_out(), 0u);
        (void)co_await end_of(channel);
      },
      [&](Channel& channel) -> Task<void> {
        EXPECT_TRUE(co_await channel.connect_tls(*world.client, {}, kNever));
        (void)co_await say(channel, "words");
        (void)co_await hear(channel, 2);
        co_await channel.shutdown(kNever);
      });
}

TEST(Channel, deadlines_end_each_wait) {
  World world;
  world.start();
  world.talk(
      [&](Channel& channel) -> Task<void> {
        const Instant begun = world.server_ring.now();
        Result<> accepted = co_await channel.accept_tls(*world.server, begun + seconds{10});
        EXPECT_EQ(accepted.error().code, Errc::timed_out);
        EXPECT_LT(world.server_ring.now() - begun, seconds{11});
        EXPECT_FALSE(channel.secured());
        auto after = co_await channel.next();
        EXPECT_FALSE(after);
        auto sent = co_await channel.send(as_bytes("x"));
        EXPECT_FALSE(sent);
      },
      [&](Channel& channel) -> Task<void> { (void)co_await end_of(channel); });
  world.talk(
      [&](Channel& channel) -> Task<void> {
        EXPECT_TRUE(co_await channel.accept_tls(*world.server, kNever));
        auto late = co_await channel.next(world.server_ring.now() + seconds{5});
        EXPECT_EQ(late.error().code, Errc::timed_out);
        EXPECT_EQ(co_await hear(channel, 5), "later");  // a deadline is not the end of the stream
        // Who reads nothing is waited for so long.
        const std::string much = pattern(400'000);
        auto sent = co_await channel.send(as_bytes(much), world.server_ring.now() + seconds{5});
        EXPECT_EQ(sent.error().code, Errc::timed_out);
      },
      [&](Channel& channel) -> Task<void> {
        EXPECT_TRUE(co_await channel.connect_tls(*world.client, {}, kNever));
        co_await world.client_ring.sleep_for(seconds{30});
        (void)co_await say(channel, "later");
        co_await world.client_ring.sleep_for(seconds{60});
      });
  world.talk([&](Channel& channel) -> Task<void> { (void)co_await end_of(channel); },
             [&](Channel& channel) -> Task<void> {
               Result<> connected = co_await channel.connect_tls(*world.client, {}, world.client_ring.now() + seconds{10});
               EXPECT_EQ(connected.error().code, Errc::timed_out);
             });
}

// ---- bytes glued to a handshake

TEST(Attacks, C1_what_was_glued_behind_starttls_is_dropped) {
  World world;
  world.start();
  std::size_t dropped = 0;
  std::string heard;
  world.talk(
      [&](Channel& channel) -> Task<void> {
        {
          auto chunk = co_await channel.next();
          EXPECT_TRUE(chunk);  // what came with STARTTLS itself is the session's to drop
        }
        co_await world.server_ring.sleep_for(seconds{1});
        dropped = channel.discard_input();
        (void)co_await say(channel, "220 go\r\n");
        EXPECT_TRUE(co_await channel.accept_tls(*world.server, kNever));
        heard = co_await hear(channel, 4);
      },
      [&](Channel& channel) -> Task<void> {
        (void)co_await say(channel, "STARTTLS\r\nEHLO evil\r\n");
        co_await world.client_ring.sleep_for(milliseconds{100});
        (void)co_await say(channel, "MAIL FROM:<evil@evil>\r\n");
        EXPECT_EQ(co_await hear(channel, 8), "220 go\r\n");
        EXPECT_TRUE(co_await channel.connect_tls(*world.client, {}, kNever));
        (void)co_await say(channel, "QUIT");
        co_await channel.shutdown(kNever);
        EXPECT_EQ(co_await end_of(channel), Errc::reset);
      });
  EXPECT_EQ(dropped, "MAIL FROM:<evil@evil>\r\n"s.size());
  EXPECT_EQ(heard, "QUIT");
}

TEST(Attacks, C1_what_comes_between_220_and_the_handshake_is_no_tls) {
  World world;
  world.start();
  for (const char* text : {"EHLO evil\r\n", "RCPT TO:<a@b>\r\n", "\x16 evil", ""}) {
    Result<> accepted;
    world.talk([&](Channel& channel) -> Task<void> { accepted = co_await channel.accept_tls(*world.server, kNever); },
               [&](Channel& channel) -> Task<void> {
                 if (*text) {
                   (void)co_await say(channel, text);
                   Result<> connected = co_await channel.connect_tls(*world.client, {}, kNever);
                   EXPECT_FALSE(connected);
                 }
               });
    EXPECT_EQ(accepted.error().code, *text ? Errc::protocol : Errc::closed);
  }
}

TEST(Attacks, C2_who_speaks_before_the_handshake_is_not_believed) {
  World world;
  world.start();
  Result<> connected;
  world.talk(
      [&](Channel& channel) -> Task<void> {
        (void)co_await say(channel, "220 go\r\n");
        co_await world.server_ring.sleep_for(milliseconds{100});
        (void)co_await say(channel, "250 spoofed\r\n");
        (void)co_await channel.accept_tls(*world.server, kNever);
      },
      [&](Channel& channel) -> Task<void> {
        EXPECT_EQ(co_await hear(channel, 8), "220 go\r\n");
        co_await world.client_ring.sleep_for(seconds{1});
        connected = co_await channel.connect_tls(*world.client, {}, kNever);
      });
  EXPECT_EQ(connected.error().code, Errc::protocol);
}

// ---- a world that is against them

TEST(Channel, every_break_of_the_network_ends_both_sides) {
  for (std::uint64_t nth = 1; nth < 14; ++nth) {
    World world{nth};
    world.start();
    world.world.faults().fail_nth(Fault::net_reset, nth);
    const Exchange x = exchange(world, {}, "words", true);
    EXPECT_TRUE(x.accepted);
    EXPECT_TRUE(x.connected);
  }
}

TEST(Channel, bytes_may_come_one_by_one_and_late) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    World world{seed};
    if (seed % 2) world.client_maximum = Version::tls12;
    for (Fault fault : {Fault::net_split, Fault::net_short_send}) world.world.faults().set(fault, 2);
    world.world.faults().set(Fault::ring_multishot_ends, 4);
    world.world.faults().set(Fault::ring_no_buffers, 6);
    world.world.faults().set(Fault::ring_stall, 20);
    world.start();
    Exchange first = exchange(world, {.server_name = "mx.test"}, pattern(5000));
    ASSERT_TRUE(good(first)) << seed;
    Exchange second = exchange(world, {.server_name = "mx.test", .session = &first.session});
    ASSERT_TRUE(good(second)) << seed;
    EXPECT_TRUE(second.server.resumed) << seed;
  }
}

TEST(Channel, the_same_seed_gives_the_same_run) {
  auto run = [](std::uint64_t seed) {
    World world{seed};
    world.world.faults().set(Fault::net_split, 3);
    world.start();
    EXPECT_TRUE(good(exchange(world)));
    return world.world.trace_hash();
  };
  EXPECT_EQ(run(5), run(5));
}

TEST(Attacks, T2_handshakes_take_turns) {
  World world;
  world.start();
  HandshakeGate& gate = world.server_engine.gate();
  std::vector<int> order;
  std::vector<Instant> at;
  struct Step {
    static Task<void> run(HandshakeGate& gate, sim::SimRing& ring, std::vector<int>& order, std::vector<Instant>& at,
                          int number) {
      co_await gate.pass();
      order.push_back(number);
      at.push_back(ring.now());
    }
  };
  constexpr int kMany = 50;
  runtime::Scope scope(world.server_ring);
  for (int i = 0; i < kMany; ++i) scope.spawn(Step::run(gate, world.server_ring, order, at, i));
  EXPECT_EQ(order.size(), HandshakeGate::kStepsPerTurn);
  EXPECT_EQ(world.world.run_until([&] { return scope.running() == 0; }, hours{1}), sim::Stop::reached);
  ASSERT_EQ(order.size(), std::size_t{kMany});
  EXPECT_TRUE(std::ranges::is_sorted(order));
  for (std::size_t i = 0; i + HandshakeGate::kStepsPerTurn < at.size(); ++i)
    EXPECT_LT(at[i], at[i + HandshakeGate::kStepsPerTurn]);
}

}  // namespace
}  // namespace ringpost::tls
