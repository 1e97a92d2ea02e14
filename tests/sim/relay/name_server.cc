#include "name_server.hh"

#include "ledger.hh"

namespace ringpost::sim::relay {

namespace {

using std::chrono::milliseconds;

constexpr std::pair<std::string_view, dns::Habit> kHabits[] = {{kDnsMoods[0], dns::Habit::servfail}, {kDnsMoods[1], dns::Habit::refuse},
                                                              {kDnsMoods[2], dns::Habit::silent},   {kDnsMoods[3], dns::Habit::truncate},
                                                              {kDnsMoods[4], dns::Habit::malformed}};
// Mail is sorted by domain for as long as an answer lives: so it is asked for again in the middle of a run.
constexpr std::uint32_t kTtl = 20;

}  // namespace

NameServer::NameServer(World& world, const SocketAddress& address, const IpAddress& hop, const IpAddress& second_hop)
    : world_(world),
      address_(address),
      ring_(world.make_ring("name server", {.address = address.ip()})),
      scope_(ring_),
      server_(ring_, address, zone_) {
  const std::string other = "b." + std::string{kRecipientDomain};
  zone_.a("hop.example", hop.text(), kTtl).a("second.example", second_hop.text(), kTtl);
  zone_.mx(kSenderDomain, 10, "hop.example", kTtl);
  zone_.mx(kRecipientDomain, 10, "hop.example", kTtl).mx(kRecipientDomain, 20, "second.example", kTtl);
  zone_.mx(other, 10, "second.example", kTtl);
  server_.spy = [this](const SocketAddress&, Bytes) { draw_mood(); };
}

NameServer::~NameServer() { world_.network().answer_datagrams(address_, {}); }

// Anew for each question; who comes back over TCP meets the same mood.
void NameServer::draw_mood() {
  zone_.everywhere = dns::Habit::normal;
  for (const auto& [name, habit] : kHabits)
    if (world_.faults().strike(name)) zone_.everywhere = habit;
  server_.delay = world_.faults().strike(kDnsMoods[5]) ? milliseconds{100 + world_.prng().below(25'000)} : Duration{};
}

}  // namespace ringpost::sim::relay
