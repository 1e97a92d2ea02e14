// Whose a bearer token is, as far as the one who issued it says.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "ringpost/base/log.hh"

namespace ringpost::tokens {

/// What we want of a token.
struct Demands {
  std::string_view issuer;    ///< exactly its `iss`
  std::string_view audience;  ///< one of its `aud`; empty: any, only for an issuer that makes tokens for nobody else
  std::string_view login_claim =
      "email";             ///< what of it is the login: "email", "sub", "preferred_username"; "username" of introspection
  std::string_view scope;  ///< one of its scopes; empty: any
  std::chrono::sys_seconds now;
  std::chrono::seconds leeway{60};  ///< by which clocks may differ
};

struct Owner {
  std::string login;                                ///< 1..255 octets without controls, as the issuer writes it
  std::optional<std::chrono::sys_seconds> expires;  ///< a token is good until then
};

enum class TokenFault : std::uint8_t {
  malformed,    ///< not a JWT, or an answer that is none
  algorithm,    ///< none, symmetric, or another we do not have
  unknown_key,  ///< no key of the set fits: perhaps the set is old
  signature,
  inactive,  ///< the issuer says so, without a word about why
  expired,
  not_yet_valid,
  issuer,
  audience,
  scope,
  login,  ///< the claim is missing, or no login, or an address that the issuer has not verified
};
/// "unknown_key", for logs and metrics.
Literal log_name(TokenFault fault);
inline std::string_view name_of(TokenFault fault) { return log_name(fault).text(); }

}  // namespace ringpost::tokens
