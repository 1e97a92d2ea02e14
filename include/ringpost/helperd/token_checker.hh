// Whose a bearer token is, by what the configuration demands of one.
#pragma once

#include <expected>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "ringpost/base/log.hh"
#include "ringpost/config/settings.hh"
#include "ringpost/helperd/token_cache.hh"
#include "ringpost/helperd/token_introspector.hh"
#include "ringpost/helperd/watched_file.hh"
#include "ringpost/tokens/jwt.hh"

namespace ringpost::helperd {

enum class TokenDoubt : std::uint8_t {
  refused,      ///< it is not good, and the log says why
  unknown,      ///< the issuer must be asked: no key of ours is its
  unavailable,  ///< nobody can say now: there never were keys, or the issuer cannot be asked
};
/// The owner's login.
using TokenVerdict = std::expected<std::string, TokenDoubt>;

/// Blocks, and is meant for the workers' threads.
class TokenChecker {
 public:
  /// `demands` outlives it. `cache_key`: see TokenCache. `fetch`: asks the issuer's server.
  TokenChecker(Log& log, const config::Settings::Auth::Oauth& demands, Key256 cache_key, TokenIntrospector::Fetch fetch);

  /// By what is at hand: the issuer's keys, and what it said lately. What one of the keys has signed is not asked about,
  /// good or not.
  TokenVerdict owner_of(std::string_view token, std::chrono::sys_seconds now);
  /// For a token that is `unknown`. Blocks for as long as kIssuerPatience. `addresses`: of introspection_url's host.
  TokenVerdict ask_issuer(std::string_view token, std::vector<IpAddress> addresses, std::chrono::sys_seconds now);

 private:
  using Keys = std::vector<tokens::Key>;
  tokens::Demands demands_at(std::chrono::sys_seconds now) const;
  std::shared_ptr<const Keys> keys();
  TokenVerdict refuse(tokens::TokenFault fault);

  Log& log_;
  const config::Settings::Auth::Oauth& demands_;
  TokenCache cache_;
  TokenIntrospector introspector_;
  std::mutex mutex_;  // of what follows
  WatchedFile file_;
  std::shared_ptr<const Keys> keys_;
  LogLimit refused_lines_{5, std::chrono::seconds{1}};
};

}  // namespace ringpost::helperd
