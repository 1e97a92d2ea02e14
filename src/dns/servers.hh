// The resolvers we may ask: which one next, and which to leave alone for a while. No I/O.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "ringpost/base/prng.hh"
#include "ringpost/base/socket_address.hh"
#include "ringpost/base/units.hh"

namespace ringpost::dns {

/// A server that answers nothing three times in a row is left alone: 1 s, then twice as long each time up to 30 s, with jitter.
/// After that, one question tries it; whether it answers decides for all. So a dead server costs one datagram in half a minute,
/// and is not overrun when it comes back.
class Servers {
 public:
  struct Server {
    SocketAddress address;
    bool plain = false;       ///< it does not understand EDNS
    bool folds_case = false;  ///< it changes the letters of a question (seen over TCP, where nobody forges)
    // ---- health
    unsigned silences = 0;  ///< in a row
    bool dead = false, probed = false;
    Duration rest{};
    Instant rest_until{};
  };
  /// A server as it was handed out; stale once the list was replaced.
  struct Pick {
    std::size_t index;
    std::uint64_t generation;
  };

  Servers(std::span<const SocketAddress> addresses, Prng& prng) : prng_(prng) { replace(addresses); }

  /// Keeps what is known of the servers that stay.
  void replace(std::span<const SocketAddress> addresses);
  std::size_t count() const { return servers_.size(); }

  /// For the `attempt`-th try (from 0) of a question: the live ones in their order, one after the other; before them, a dead one
  /// whose rest is over. Nothing when all rest or are being tried.
  std::optional<Pick> pick(std::size_t attempt, Instant now);
  /// When a rest ends, if pick() gave nothing; kNever when a trial is under way, which ends in answered() or silent().
  Instant next_trial() const;

  /// nullptr when the list was replaced meanwhile.
  Server* at(const Pick& pick);
  void answered(const Pick& pick);
  /// `refused`: the machine says that nobody listens there; no need to count to three.
  void silent(const Pick& pick, Instant now, bool refused);
  /// It was neither: the question ended on our side.
  void abandoned(const Pick& pick);

 private:
  Prng& prng_;
  std::uint64_t generation_ = 0;
  std::vector<Server> servers_;
};

}  // namespace ringpost::dns
