// Who may log in, at a cost that does not say who exists.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ringpost/accounts/accounts.hh"

namespace ringpost::accounts {

/// The outcome of a log-in. The client hears of `ok` or not, never more: the rest is for the log and the operator.
enum class Outcome : std::uint8_t {
  ok,
  unknown,   ///< no such login, no such app password, or no password at all
  wrong,     ///< another password
  disabled,  ///< right, but the account is disabled
  expired,   ///< right, but the app password is over
  network,   ///< right, but not from there
  scope,     ///< right, but for another service
};
/// "ok", for logs and metrics.
std::string_view name_of(Outcome outcome);

struct Verdict {
  Outcome outcome = Outcome::unknown;
  std::string login;                 ///< the account's own spelling; empty unless ok
  std::string app_password;          ///< its name, if it was one
  std::vector<std::string> send_as;  ///< senders_of the account; empty unless ok
};

/// From where and for what.
struct Visit {
  std::string_view scope;  ///< the service asked: "submission"
  IpAddress client;
  Second now;
};

/// Exactly one Argon2id computation, whatever comes of it: for an unknown login that of an account chosen by `decoy_key` and the
/// login, the same one each time, so that no cost gives away who exists; with no accounts at all, Cost{}. 20 ms or more: never on
/// a shard. `decoy_key`: random, kept as long as the process lives. Errors: no_memory.
Result<Verdict> verify(const Accounts& accounts, std::string_view login, std::string_view password, const Visit& visit,
                       const Key256& decoy_key);

/// As verify, for somebody who proved by other means who they are (SCRAM, certificate, token): unknown, disabled or ok.
Verdict admit(const Accounts& accounts, std::string_view login);

/// Keys for a SCRAM log-in, and the login's own spelling.
struct ScramAnswer {
  sasl::ScramKeys keys;
  std::string login;
  bool real = false;  ///< for the log; the client must not hear of it
};
/// The account's own keys; or, where there are none (unknown, disabled, no SCRAM keys), made-up ones that no password fits: the
/// same for a login each time as long as `decoy_key` is the same (a key that changes at a restart tells who is made up), with the
/// iterations and the size of salt of an account chosen as in verify().
ScramAnswer scram_keys(const Accounts& accounts, std::string_view login, const Key256& decoy_key);

}  // namespace ringpost::accounts
