// Asks the issuer whose a token is (RFC 7662).
#pragma once

#include <chrono>
#include <expected>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <vector>

#include "ringpost/base/log.hh"
#include "ringpost/base/secret.hh"
#include "ringpost/config/settings.hh"
#include "ringpost/helperd/watched_file.hh"
#include "ringpost/helperd/web.hh"
#include "ringpost/tokens/owner.hh"

namespace ringpost::helperd {

/// For one question, and for the connection within that: less than ringpostd waits.
inline constexpr Duration kIssuerPatience = std::chrono::seconds{10}, kIssuerConnectPatience = std::chrono::seconds{5};

/// Blocks, and is meant for threads of its own; many may be in it at a time.
class TokenIntrospector {
 public:
  using Fetch = std::function<helper::WebAnswer(const HttpRequest&)>;

  /// `settings` outlives it.
  TokenIntrospector(Log& log, const config::Settings::Auth::Oauth& settings, Fetch fetch);

  /// What the issuer says of the token, by `demands`. Nothing: it could not be asked, or gave no answer that says anything, and the
  /// log says why. `addresses`: of its host.
  std::optional<std::expected<tokens::Owner, tokens::TokenFault>> ask(std::string_view token, std::vector<IpAddress> addresses,
                                                                      const tokens::Demands& demands);

 private:
  std::shared_ptr<const SecretBytes> credentials();
  void tell_trouble(std::string_view why, std::uint16_t status);

  Log& log_;
  const config::Settings::Auth::Oauth& settings_;
  const Fetch fetch_;
  std::mutex mutex_;  // of what follows
  WatchedFile secret_;
  std::shared_ptr<const SecretBytes> credentials_;  // as a C string
  LogLimit trouble_lines_{5, std::chrono::seconds{10}};
};

}  // namespace ringpost::helperd
