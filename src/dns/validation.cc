// Whether the configured servers prove anything: each is asked for a record that is signed for certain, the root's SOA.
#include "exchange.hh"
#include "ringpost/dns/resolver.hh"

namespace ringpost::dns {

namespace {

constexpr Duration kPatience = std::chrono::seconds{5};

Validation::State state_of(const HeardBack& back, bool believed) {
  using enum Validation::State;
  if (back.heard != Heard::answer) return unknown;
  const Response& response = back.response;
  const bool no_edns = response.rcode == Rcode::format_error || response.rcode == Rcode::not_implemented || response.rcode == Rcode::bad_version;
  if (no_edns) return no;
  if (response.rcode != Rcode::no_error) return unknown;
  if (!response.authenticated || !response.signatures) return no;
  return believed ? yes : untrusted;
}

}  // namespace

runtime::Task<Validation> Resolver::examine() {
  Validation worst;
  const std::vector<SocketAddress> servers = settings_.servers;
  for (const SocketAddress& server : servers) {
    if (stopping_) break;
    const HeardBack back = co_await exchange(*exchanges_, {.server = server,
                                                           .name = {},
                                                           .type = Type::soa,
                                                           .deadline = ring_.now() + std::min(settings_.timeout, kPatience)});
    const Validation::State state = state_of(back, believes(server));
    if (state > worst.state) worst = {state, server};
  }
  co_return worst;
}

}  // namespace ringpost::dns
