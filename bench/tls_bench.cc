// What handshakes cost, both ends in one process over loopback: full ones (ECDSA P-256, RSA 2048) and resumed ones, under TLS 1.3 and 1.2.
// Each benchmark makes 10,000 of them; CPU is that of both ends and of the connection's own round trips (see bench-runtime).
#include <benchmark/benchmark.h>

#include <array>

#include "../tests/unit/tls/certificates.hh"
#include "ringpost/runtime/scope.hh"
#include "ringpost/runtime/uring_ring.hh"
#include "ringpost/tls/channel.hh"

namespace {

using namespace ringpost;
using runtime::Task;

constexpr std::int64_t kHandshakes = 10'000;
constexpr std::array<std::byte, 32> kTicketSecret{};
constexpr Duration kPatience = std::chrono::seconds(30);

enum class Kind { ecdsa, rsa, resumed };

Task<void> serve(runtime::Ring& ring, tls::ServerContext& context, Fd socket) {
  {
    tls::Channel channel{ring, socket};
    Result<> shaken = co_await channel.accept_tls(context, ring.now() + kPatience);
    RP_ASSERT(shaken);
    auto sent = co_await channel.send(as_bytes("220 ready\r\n"), ring.now() + kPatience);
    RP_ASSERT(sent);
    co_await channel.drain(ring.now() + kPatience, 16);
    co_await channel.stop();
  }
  (void)co_await ring.close(socket);
}

/// One connection up to the server's first words, which bring the ticket under TLS 1.3. Returns what the next one may go on with.
Task<tls::ClientSession> connect(runtime::Ring& ring, tls::ClientContext& context, const SocketAddress& address, const tls::ClientSession* earlier) {
  auto socket = ring.open_socket(address, runtime::SocketKind::stream);
  RP_ASSERT(socket);
  auto connected = co_await ring.connect(*socket, address);
  RP_ASSERT(connected);
  tls::ClientSession session;
  {
    tls::Channel channel{ring, *socket};
    Result<> shaken = co_await channel.connect_tls(context, {.server_name = "mx.test", .session = earlier}, ring.now() + kPatience);
    RP_ASSERT(shaken && channel.handshake().resumed == (earlier != nullptr));
    {
      auto words = co_await channel.next(ring.now() + kPatience);
      RP_ASSERT(words);
    }
    session = channel.session();
    co_await channel.shutdown(ring.now() + kPatience);
    co_await channel.stop();
  }
  (void)co_await ring.close(*socket);
  co_return session;
}

Task<void> shake(runtime::UringRing& ring, benchmark::State& state, Kind kind, tls::Version version) {
  const tls::testing::TestFiles& files = tls::testing::files();
  const bool rsa = kind == Kind::rsa;
  const tls::Certificate certificate = tls::testing::made_of("mx", rsa ? files.mx_rsa_chain : files.mx_chain, rsa ? files.mx_rsa_key : files.mx_key);
  tls::Engine engine{ring};
  tls::ServerContext server{engine, {.hostname = "mx.test", .tickets = {kTicketSecret, ring.now()}}};
  auto used = server.use(std::array{&certificate});
  RP_ASSERT(used);
  tls::ClientContext client{engine, version, nullptr, version};
  auto listener = ring.listen(*SocketAddress::parse("127.0.0.1:0"), runtime::SocketKind::stream, {});
  RP_ASSERT(listener);
  const auto address = ring.local_address(*listener);
  RP_ASSERT(address);
  runtime::Acceptor acceptor{ring, *listener};
  runtime::Scope scope{ring};
  auto one = [](runtime::Ring& on, runtime::Acceptor& from, runtime::Scope& within, tls::ServerContext& context) -> Task<void> {
    auto accepted = co_await from.next();
    RP_ASSERT(accepted);
    within.spawn(serve(on, context, *accepted));
  };
  tls::ClientSession session;
  if (kind == Kind::resumed) {
    scope.spawn(one(ring, acceptor, scope, server));
    session = co_await connect(ring, client, *address, nullptr);
  }
  for (auto _ : state) {
    scope.spawn(one(ring, acceptor, scope, server));
    tls::ClientSession next = co_await connect(ring, client, *address, kind == Kind::resumed ? &session : nullptr);
    if (kind == Kind::resumed) session = std::move(next);
  }
  co_await scope.join();
  co_await acceptor.stop();
  (void)co_await ring.close(*listener);
  ring.stop();
}

void handshake(benchmark::State& state, Kind kind, tls::Version version) {
  runtime::Missing missing;
  auto ring = runtime::UringRing::create({}, &missing);
  RP_ASSERT(ring && (*ring)->start());
  runtime::Scope scope{**ring};
  scope.spawn(shake(**ring, state, kind, version));
  (*ring)->run();
}

BENCHMARK_CAPTURE(handshake, full_ecdsa_13, Kind::ecdsa, tls::Version::tls13)->Iterations(kHandshakes)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(handshake, full_rsa_13, Kind::rsa, tls::Version::tls13)->Iterations(kHandshakes)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(handshake, resumed_13, Kind::resumed, tls::Version::tls13)->Iterations(kHandshakes)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(handshake, full_ecdsa_12, Kind::ecdsa, tls::Version::tls12)->Iterations(kHandshakes)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(handshake, resumed_12, Kind::resumed, tls::Version::tls12)->Iterations(kHandshakes)->Unit(benchmark::kMicrosecond);

}  // namespace

BENCHMARK_MAIN();
