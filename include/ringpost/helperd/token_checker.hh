// Whose a bearer token is, by what the configuration demands of one.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ringpost/base/error.hh"
#include "ringpost/base/log.hh"
#include "ringpost/config/settings.hh"
#include "ringpost/helperd/watched_file.hh"
#include "ringpost/tokens/jwt.hh"

namespace ringpost::helperd {

/// Blocks, and is meant for the workers' threads.
class TokenChecker {
 public:
  /// `demands` outlives it.
  TokenChecker(Log& log, const config::Settings::Auth::Oauth& demands);

  /// The token's owner; nothing: it is not good, and the log says why. Errors: unavailable: there never were keys to check it with.
  Result<std::optional<std::string>> owner_of(std::string_view token, std::chrono::sys_seconds now);

 private:
  using Keys = std::vector<tokens::Key>;
  std::shared_ptr<const Keys> keys();
  void tell(tokens::TokenFault fault);

  Log& log_;
  const config::Settings::Auth::Oauth& demands_;
  std::mutex mutex_;  // of what follows
  WatchedFile file_;
  std::shared_ptr<const Keys> keys_;
  LogLimit refused_lines_{5, std::chrono::seconds{1}};
};

}  // namespace ringpost::helperd
