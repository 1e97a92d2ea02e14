#include "zone_server.hh"

#include <algorithm>

namespace ringpost::dns {

using runtime::Task;

/// The question of a query made by make_query: its name as text, and where it ends.
struct Zone::Asked {
  std::string name;
  Type type;
  std::size_t end;
  bool edns;
};

Zone::Asked Zone::read_question(Bytes query) {
  Asked asked{};
  std::size_t at = kHeaderBytes;
  while (query[at] != std::byte{0}) {
    const auto length = static_cast<std::size_t>(query[at]);
    if (!asked.name.empty()) asked.name += '.';
    asked.name += as_text(query.subspan(at + 1, length));
    at += length + 1;
  }
  asked.name = canonical(asked.name);
  asked.type = static_cast<Type>(static_cast<unsigned>(query[at + 1]) << 8 | static_cast<unsigned>(query[at + 2]));
  asked.end = at + 5;
  asked.edns = query[11] != std::byte{0};
  return asked;
}

// DNSSEC proves an answer when all names on the way to it are in signed zones.
std::optional<Octets> Zone::answer(Bytes query, bool tcp) {
  constexpr std::byte kAuthentic{0x20};
  std::optional<Octets> packet = reply(query, tcp);
  if (packet && authentic && !proves(*packet, read_question(query))) (*packet)[3] &= ~kAuthentic;
  return packet;
}

bool Zone::proves(const Octets& packet, const Asked& question) const {
  auto is_in = [](std::string_view below, const std::string& zone) { return below == zone || below.ends_with("." + zone); };
  auto is_unproven = [&](std::string_view below) { return std::ranges::any_of(unproven, [&](const std::string& zone) { return is_in(below, zone); }); };
  const auto response = parse_response(packet);
  if (is_unproven(question.name)) return false;
  return response && std::ranges::none_of(response->answers, [&](const Record& record) {
    const auto* target = record.type != question.type ? std::get_if<std::string>(&record.data) : nullptr;
    return is_unproven(record.owner) || (target && is_unproven(*target));
  });
}

std::optional<Octets> Zone::reply(Bytes query, bool tcp) {
  using W = PacketWriter;
  const Asked question = read_question(query);
  ++asked[question.name + "/" + std::to_string(static_cast<unsigned>(question.type)) + (tcp ? "/tcp" : "")];
  const auto own = habits_.find(question.name);
  const Habit habit = own == habits_.end() ? everywhere : own->second;
  if (habit == Habit::silent || silent_types.contains(question.type)) return std::nullopt;

  const auto id = static_cast<std::uint16_t>(static_cast<unsigned>(query[0]) << 8 | static_cast<unsigned>(query[1]));
  unsigned flags = W::kResponse | W::kRecursion | (authentic ? W::kAuthentic : 0);
  const auto begin = [&](unsigned more) {
    W packet(id, flags | more);
    packet.raw(query.subspan(kHeaderBytes, question.end - kHeaderBytes)).count(4);
    return packet;
  };
  if (habit == Habit::servfail) return begin(2).bytes();
  if (habit == Habit::bogus)
    return begin(2).count(10).u8(0).u16(static_cast<unsigned>(Type::opt)).u16(1232).u32(0x8000).u16(6).u16(15).u16(2).u16(6).bytes();
  if (habit == Habit::refuse) return begin(5).bytes();
  if (habit == Habit::no_edns && question.edns) return W(id, W::kResponse | 1).bytes();
  if (habit == Habit::truncate && !tcp) return begin(W::kTruncated).bytes();
  if (habit == Habit::malformed) {
    return begin(0).count(6).name(question.name).u16(15).u16(1).u32(60).u16(1).u8(7).bytes();  // an MX record of one octet
  }
  if (habit == Habit::lame) {
    flags = W::kResponse;
    return begin(0).record("example", Type::ns, 60, name_data("ns.elsewhere.example"), 8).bytes();
  }

  const auto negative = [&](W& packet) {
    if (habit != Habit::no_soa) packet.record("example", Type::soa, negative_ttl, soa_data(negative_ttl), 8);
    return packet.bytes();
  };
  W packet = begin(0);
  std::string name = question.name;
  for (int hop = 0; hop < 20; ++hop) {
    const auto alias = records_.find({name, Type::cname});
    if (alias == records_.end() || question.type == Type::cname) break;
    packet.record(name, Type::cname, alias->second.front().ttl, alias->second.front().data);
    const std::string target{parse_response(packet.bytes())->answers.empty()
                                 ? std::string{}
                                 : std::get<std::string>(parse_response(packet.bytes())->answers.back().data)};
    name = target;
    if (!chase) return packet.bytes();
  }
  const auto found = records_.find({name, question.type});
  if (found == records_.end()) {
    if (names_.contains(name)) return negative(packet);
    Octets bytes = negative(packet);
    bytes[3] = (bytes[3] & std::byte{0xf0}) | std::byte{3};
    return bytes;
  }
  for (const Data& data : found->second) packet.record(name, question.type, data.ttl, data.data);
  if (authentic && !strips) packet.record(name, Type::rrsig, 300, Octets(24));
  Octets bytes = packet.bytes();
  if (!tcp && bytes.size() > udp_bytes_max) return begin(W::kTruncated).bytes();
  if (habit == Habit::lower_case) {
    for (std::size_t at = kHeaderBytes; at < question.end - 4; ++at) {
      const auto octet = static_cast<unsigned char>(bytes[at]);
      if (octet >= 'A' && octet <= 'Z') bytes[at] |= std::byte{0x20};
    }
  }
  return bytes;
}

void SimZoneServer::start(bool with_tcp) {
  network_.answer_datagrams(address_, [this](const SocketAddress& from, Bytes query) {
    if (spy) spy(from, query);
    if (const auto packet = zone_.answer(query, false)) send(from, *packet, delay);
  });
  if (with_tcp) tcp_.start(address_);
}

Task<void> SimZoneServer::stop() {
  network_.answer_datagrams(address_, {});
  co_await tcp_.stop();
}

SocketAddress TcpZoneServer::start(const SocketAddress& address) {
  auto listener = ring_.listen(address, runtime::SocketKind::stream, {});
  RP_ASSERT(listener);
  listener_ = *listener;
  acceptor_.emplace(ring_, listener_);
  scope_.spawn(accept());
  return ring_.local_address(listener_).value();
}

Task<void> TcpZoneServer::stop() {
  if (acceptor_) co_await acceptor_->stop();
  co_await scope_.join();
  acceptor_.reset();
  if (listener_) (void)co_await ring_.close(std::exchange(listener_, Fd{}));
}

Task<void> TcpZoneServer::accept() {
  for (;;) {
    auto socket = co_await acceptor_->next();
    if (!socket && socket.error().code == Errc::cancelled) break;
    if (socket) scope_.spawn(serve(*socket));
  }
}

Task<void> TcpZoneServer::serve(Fd socket) {
  const Instant deadline = ring_.now() + std::chrono::seconds{30};
  Octets in(2);
  std::size_t have = 0;
  bool sound = true;
  while (sound && have < in.size()) {
    auto received = co_await ring_.receive(socket, MutableBytes{in}.subspan(have), deadline);
    sound = received && *received > 0;
    if (sound) have += *received;
    if (sound && have == 2) in.resize(2 + (static_cast<std::size_t>(in[0]) << 8 | static_cast<std::size_t>(in[1])));
  }
  const auto packet = sound ? zone_.answer(Bytes{in}.subspan(2), true) : std::nullopt;
  if (packet) {
    Octets out{static_cast<std::byte>(packet->size() >> 8), static_cast<std::byte>(packet->size())};
    out.insert(out.end(), packet->begin(), packet->end());
    Bytes rest{out};
    while (!rest.empty()) {
      auto sent = co_await ring_.send(socket, rest, deadline);
      if (!sent) break;
      rest = rest.subspan(*sent);
    }
  }
  (void)co_await ring_.close(socket);
}

}  // namespace ringpost::dns
