// The SASL mechanisms a server speaks, and the lines they travel in (RFC 4954 section 4).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "ringpost/base/secret.hh"

namespace ringpost::sasl {

enum class Mechanism : std::uint8_t {
  plain,               ///< RFC 4616
  login,               ///< draft-murchison-sasl-login-00: obsolete, and what many devices have
  scram_sha_256,       ///< RFC 5802, RFC 7677
  scram_sha_256_plus,  ///< the same, bound to the TLS channel (tls-exporter, RFC 9266)
  external,            ///< RFC 4422 appendix A: the client certificate says who it is
  oauthbearer,         ///< RFC 7628
  xoauth2,             ///< what came before it, at Google and Microsoft
};
inline constexpr Mechanism kMechanisms[] = {
    Mechanism::plain,    Mechanism::login,       Mechanism::scram_sha_256, Mechanism::scram_sha_256_plus,
    Mechanism::external, Mechanism::oauthbearer, Mechanism::xoauth2};

/// In any case (RFC 4422 section 3.1 has upper case; clients do not all keep to it).
std::optional<Mechanism> mechanism_named(std::string_view name);
/// The registered name, "SCRAM-SHA-256".
std::string_view name_of(Mechanism mechanism);
/// What the client sends is enough to be the client: never without TLS.
bool reveals_secret(Mechanism mechanism);
/// It can only be offered over TLS, for want of a channel or a certificate to speak of.
bool needs_tls(Mechanism mechanism);

/// A line of a client's, after AUTH's mechanism or in answer to 334.
struct Response {
  enum class Kind : std::uint8_t {
    absent,     ///< AUTH without an initial response
    data,       ///< `bytes`, perhaps none
    cancelled,  ///< "*": answer 501
    malformed,  ///< not base64: answer 501 5.5.2
  };
  Kind kind = Kind::absent;
  SecretBytes bytes;
};

/// The initial response as it stands behind the mechanism's name; empty text: there is none; "=": an empty one. No line end.
Response parse_initial_response(std::string_view text);
/// A line in answer to a challenge, without its line end. An empty line is an empty response.
Response parse_response(std::string_view line);

}  // namespace ringpost::sasl
