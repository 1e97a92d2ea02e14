#include "servers.hh"

#include <algorithm>
#include <utility>

namespace ringpost::dns {
namespace {

using std::chrono::seconds;

constexpr unsigned kSilencesMax = 3;
constexpr Duration kRestFirst = seconds{1}, kRestMax = seconds{30};

}  // namespace

void Servers::replace(std::span<const SocketAddress> addresses) {
  std::vector<Server> next;
  for (const SocketAddress& address : addresses) {
    const auto known = std::ranges::find(servers_, address, &Server::address);
    next.push_back(known != servers_.end() ? *known : Server{.address = address});
    next.back().probed = false;
  }
  servers_ = std::move(next);
  ++generation_;
}

std::optional<Servers::Pick> Servers::pick(std::size_t attempt, Instant now) {
  std::vector<std::size_t> live;
  for (std::size_t index = 0; index < servers_.size(); ++index) {
    Server& server = servers_[index];
    if (!server.dead) {
      live.push_back(index);
    } else if (attempt == 0 && !server.probed && server.rest_until <= now) {
      server.probed = true;
      return Pick{index, generation_};
    }
  }
  if (!live.empty()) return Pick{live[attempt % live.size()], generation_};
  for (std::size_t index = 0; index < servers_.size(); ++index) {
    Server& server = servers_[index];
    if (server.probed || server.rest_until > now) continue;
    server.probed = true;
    return Pick{index, generation_};
  }
  return std::nullopt;
}

Instant Servers::next_trial() const {
  Instant next = kNever;
  for (const Server& server : servers_)
    if (server.dead && !server.probed) next = std::min(next, server.rest_until);
  return next;
}

Servers::Server* Servers::at(const Pick& pick) { return pick.generation == generation_ ? &servers_[pick.index] : nullptr; }

void Servers::answered(const Pick& pick) {
  if (Server* server = at(pick)) {
    server->silences = 0;
    server->dead = server->probed = false;
    server->rest = {};
  }
}

void Servers::silent(const Pick& pick, Instant now, bool refused) {
  Server* server = at(pick);
  if (!server) return;
  const bool was_trial = std::exchange(server->probed, false);
  if (server->dead && !was_trial) return;  // asked before it was found dead
  server->silences += refused ? kSilencesMax : 1;
  if (server->silences < kSilencesMax) return;
  server->dead = true;
  server->rest = server->rest == Duration::zero() ? kRestFirst : std::min(2 * server->rest, kRestMax);
  const auto jitter = static_cast<Duration::rep>(prng_.below(static_cast<std::uint64_t>(server->rest.count() / 2)));
  server->rest_until = now + server->rest * 3 / 4 + Duration{jitter};
}

void Servers::abandoned(const Pick& pick) {
  if (Server* server = at(pick)) server->probed = false;
}

}  // namespace ringpost::dns
