// Tokens that were good a moment ago, by a keyed hash: neither they nor anything to find them by stays in memory.
#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "ringpost/base/secret.hh"
#include "ringpost/crypto/hash.hh"
#include "ringpost/tokens/owner.hh"

namespace ringpost::helperd {

/// For any thread.
class TokenCache {
 public:
  /// How long an issuer's word holds, at most: a token that it takes back is good here for so long.
  static constexpr std::chrono::seconds kHoldsFor{60};
  static constexpr std::size_t kTokensMax = 10'000;

  /// `key`: of the hash; random, and known to nobody else.
  explicit TokenCache(Key256 key) : key_(std::move(key)) {}

  /// The login; nothing: it is not known, or not any longer. A clock that was set back forgets, too.
  std::optional<std::string> find(std::string_view token, std::chrono::sys_seconds now);
  /// `asked`: when the issuer was. Not kept beyond the token's own end.
  void put(std::string_view token, const tokens::Owner& owner, std::chrono::sys_seconds asked);

 private:
  struct Entry {
    std::string login;
    std::chrono::sys_seconds from, until;
    bool holds(std::chrono::sys_seconds now) const { return from <= now && now < until; }
  };
  crypto::Digest256 hash_of(std::string_view token) const { return crypto::hmac_sha256(key_.view(), {as_bytes(token)}); }

  const Key256 key_;
  std::mutex mutex_;  // of what follows
  std::map<crypto::Digest256, Entry> entries_;
};

}  // namespace ringpost::helperd
