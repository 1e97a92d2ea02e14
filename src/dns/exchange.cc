#include "exchange.hh"

#include <algorithm>
#include <array>

namespace ringpost::dns {
namespace {

using runtime::SocketKind;
using runtime::Task;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kUdpBuffer = 4096;            // more than we announce; what fills it was cut
constexpr int kIgnoredMax = 32;                     // strays and forgeries before the question goes where nobody can forge
constexpr Duration kCaseGrace = milliseconds{200};  // for the answer with the right letters, after one with other letters
constexpr Duration kTcpTime = seconds{5};

/// What UDP came to.
enum class Udp : std::uint8_t { done, over_tcp };

Heard heard_of(const Error& error) {
  switch (error.code) {
    case Errc::timed_out: return Heard::silence;
    case Errc::cancelled: return Heard::stopped;
    case Errc::no_descriptors:
    case Errc::no_memory: return Heard::no_means;
    default: return Heard::nobody;
  }
}

void read(Bytes packet, HeardBack& back) {
  auto response = parse_response(packet);
  back.heard = response ? Heard::answer : Heard::nonsense;
  if (response) back.response = *std::move(response);
}

/// The first datagram that answers `query`.
Task<Udp> listen(Exchanges& all, Wire& wire, Bytes query, Instant deadline, HeardBack& back) {
  std::vector<std::byte> buffer(kUdpBuffer);
  bool other_letters = false;
  for (int ignored = 0; ignored < kIgnoredMax; ++ignored) {
    const auto received = co_await wire.receive(buffer, deadline);
    if (!received) {
      back.heard = heard_of(received.error());
      const bool ask_again = other_letters && back.heard == Heard::silence;
      co_return ask_again ? Udp::over_tcp : Udp::done;
    }
    const Bytes packet = Bytes{buffer}.first(*received);
    switch (match(query, packet)) {
      case Match::no: break;
      case Match::case_differs:
        if (!other_letters) deadline = std::min(deadline, all.ring.now() + kCaseGrace);
        other_letters = true;
        break;
      case Match::bare_error:
        back.heard = Heard::answer;
        back.response.rcode = header_rcode(packet);
        co_return Udp::done;
      case Match::yes:
        if (is_truncated(packet) || packet.size() == buffer.size()) co_return Udp::over_tcp;
        read(packet, back);
        co_return Udp::done;
    }
    ++all.counters.ignored;
  }
  co_return Udp::over_tcp;
}

Task<Udp> ask_over_udp(Exchanges& all, const Asked& asked, Bytes query, HeardBack& back) {
  Wire wire(all);
  Udp outcome = Udp::done;
  auto opened = co_await wire.open(asked.server, SocketKind::datagram, asked.deadline);
  if (opened) {
    ++all.counters.sent_udp;
    const auto sent = co_await wire.send(query, asked.deadline);
    if (!sent) {
      opened = std::unexpected(sent.error());
    } else {
      outcome = co_await listen(all, wire, query, asked.deadline, back);
    }
  }
  if (!opened) back.heard = heard_of(opened.error());
  co_await wire.close();
  co_return outcome;
}

Task<Result<>> send_all(Wire& wire, Bytes bytes, Instant deadline) {
  while (!bytes.empty()) {
    const auto sent = co_await wire.send(bytes, deadline);
    if (!sent) co_return std::unexpected(sent.error());
    bytes = bytes.subspan(*sent);
  }
  co_return Result<>{};
}

Task<Result<>> receive_all(Wire& wire, MutableBytes into, Instant deadline) {
  while (!into.empty()) {
    const auto received = co_await wire.receive(into, deadline);
    if (!received) co_return std::unexpected(received.error());
    if (*received == 0) co_return std::unexpected(Error{Errc::closed});
    into = into.subspan(*received);
  }
  co_return Result<>{};
}

Task<Result<std::vector<std::byte>>> converse(Wire& wire, SocketAddress server, Bytes query, Instant deadline) {
  auto opened = co_await wire.open(server, SocketKind::stream, deadline);
  if (!opened) co_return std::unexpected(opened.error());
  std::vector<std::byte> framed{static_cast<std::byte>(query.size() >> 8), static_cast<std::byte>(query.size())};
  framed.insert(framed.end(), query.begin(), query.end());
  auto sent = co_await send_all(wire, framed, deadline);
  if (!sent) co_return std::unexpected(sent.error());
  std::array<std::byte, 2> length{};
  auto received = co_await receive_all(wire, length, deadline);
  if (!received) co_return std::unexpected(received.error());
  std::vector<std::byte> packet(static_cast<std::size_t>(length[0]) << 8 | static_cast<std::size_t>(length[1]));
  received = co_await receive_all(wire, packet, deadline);
  if (!received) co_return std::unexpected(received.error());
  co_return packet;
}

Task<void> ask_over_tcp(Exchanges& all, const Asked& asked, Bytes query, HeardBack& back) {
  Wire wire(all);
  ++all.counters.sent_tcp;
  const auto packet = co_await converse(wire, asked.server, query, asked.deadline);
  co_await wire.close();
  if (!packet) {
    const Heard heard = heard_of(packet.error());
    const bool ours = heard == Heard::stopped || heard == Heard::no_means;
    back.heard = ours ? heard : Heard::nonsense;  // it is there: it has answered over UDP
    co_return;
  }
  const Match matched = match(query, *packet);
  back.heard = Heard::nonsense;
  if (matched != Match::yes && matched != Match::case_differs) co_return;
  back.folds_case = matched == Match::case_differs;
  if (!is_truncated(*packet)) read(*packet, back);
}

}  // namespace

void Exchanges::stop() {
  stopped = true;
  for (Wire* wire : wires) wire->cancel();
}

// ---- Wire

Task<Result<>> Wire::open(SocketAddress server, SocketKind kind, Instant deadline) {
  const auto socket = all_.ring.open_socket(server, kind);
  if (!socket) co_return std::unexpected(socket.error());
  socket_ = *socket;
  auto connecting = all_.ring.connect(socket_, server, deadline);
  const auto connected = co_await finish(connecting);
  if (!connected) co_return std::unexpected(connected.error());
  co_return Result<>{};
}

Task<Result<std::uint32_t>> Wire::send(Bytes bytes, Instant deadline) {
  auto sending = all_.ring.send(socket_, bytes, deadline);
  co_return co_await finish(sending);
}

Task<Result<std::uint32_t>> Wire::receive(MutableBytes into, Instant deadline) {
  auto receiving = all_.ring.receive(socket_, into, deadline);
  co_return co_await finish(receiving);
}

Task<Result<std::uint32_t>> Wire::finish(runtime::OpAwait& operation) {
  if (all_.stopped) co_return std::unexpected(Error{Errc::cancelled});
  pending_ = &operation;
  const auto result = co_await operation;
  pending_ = nullptr;
  if (all_.stopped) co_return std::unexpected(Error{Errc::cancelled});
  co_return result;
}

Task<void> Wire::close() {
  if (!socket_) co_return;
  (void)co_await all_.ring.close(std::exchange(socket_, Fd{}));
}

Task<HeardBack> exchange(Exchanges& all, Asked asked) {
  HeardBack back;
  std::array<std::byte, 10> drawn{};
  all.ring.random(drawn);
  Prng letters(load_le<std::uint64_t>(drawn.data() + 2));
  const auto query = make_query(asked.name, asked.type, load_le<std::uint16_t>(drawn.data()),
                                {.edns = asked.edns, .letters = asked.mix_letters ? &letters : nullptr});
  if (!query) {
    back.heard = Heard::answer;  // c-ares answers for the names that are never in DNS; others were refused before
    back.response.rcode = query.error().code == Errc::not_found ? Rcode::no_such_name : Rcode::server_failure;
    co_return back;
  }
  const Udp udp = co_await ask_over_udp(all, asked, *query, back);
  if (udp == Udp::done) co_return back;
  asked.deadline = std::max(asked.deadline, all.ring.now() + kTcpTime);
  co_await ask_over_tcp(all, asked, *query, back);
  co_return back;
}

}  // namespace ringpost::dns
