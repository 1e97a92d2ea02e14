// Who somebody is who wants to send mail: what a session asks, wherever the answer comes from.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ringpost/base/error.hh"
#include "ringpost/base/socket_address.hh"
#include "ringpost/runtime/task.hh"
#include "ringpost/sasl/scram.hh"

namespace ringpost::helper {

/// Where a login is tried: what an account may be limited to.
struct Visit {
  std::string_view scope;  ///< "submission"
  IpAddress client;
};

/// Somebody who was let in.
struct Login {
  std::string name;                  ///< as the account is written
  std::vector<std::string> senders;  ///< addresses, and "@domain" for all of one, that it may send as
};

/// Keys to check a SCRAM proof against. Those of an unknown login are made up, and no proof fits them.
struct ScramAnswer {
  sasl::ScramKeys keys;
  Login login;
};

/// Errors of all: unavailable: nobody can say now (454). Lifetime: the views last until completion.
class Authenticator {
 public:
  virtual ~Authenticator() = default;
  /// Nothing: not to be let in, for whatever reason.
  virtual runtime::Task<Result<std::optional<Login>>> check_password(Visit visit, std::string_view login, std::string_view password) = 0;
  virtual runtime::Task<Result<ScramAnswer>> scram_keys(Visit visit, std::string_view login) = 0;
  /// The owner of a bearer token. Nothing: it is not good, or its owner is not to be let in.
  virtual runtime::Task<Result<std::optional<Login>>> check_token(Visit visit, std::string_view token) = 0;
  /// `login` has been proven already, by a certificate. Nothing: there is no such account, or it is disabled.
  virtual runtime::Task<Result<std::optional<Login>>> admit(Visit visit, std::string_view login) = 0;
};

}  // namespace ringpost::helper
