// TLS sessions with next hops that a later connection may go on with.
#pragma once

#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <unordered_map>

#include "ringpost/base/units.hh"
#include "ringpost/tls/context.hh"

namespace ringpost::deliver {

/// One for each key at most, and `sessions_max` in all: the one that was kept first goes first. A key says all that a session was made
/// under: where to, what was asked of the peer, and by which records.
class TlsSessions {
 public:
  explicit TlsSessions(std::size_t sessions_max) : sessions_max_(sessions_max) {}

  /// Out of here: a ticket is used once (RFC 8446 appendix C.4).
  std::optional<tls::ClientSession> take(const std::string& key, Instant now);
  void put(std::string key, tls::ClientSession session, Instant now);
  void clear();
  std::size_t size() const { return by_age_.size(); }

 private:
  struct Kept {
    std::string key;
    tls::ClientSession session;
    Instant until;
  };
  std::size_t sessions_max_;
  std::list<Kept> by_age_;  // the oldest first
  std::unordered_map<std::string, std::list<Kept>::iterator> by_key_;
};

}  // namespace ringpost::deliver
