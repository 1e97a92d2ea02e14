// Asking the issuer about a token (RFC 7662): what is sent, and what an answer means.
#pragma once

#include <cstddef>
#include <expected>
#include <string_view>

#include "ringpost/base/secret.hh"
#include "ringpost/tokens/owner.hh"

namespace ringpost::tokens {

inline constexpr std::size_t kAnswerBytesMax = 64 * 1024;

/// The request's body, application/x-www-form-urlencoded.
SecretBytes introspection_form(std::string_view token);

/// Who asks, for HTTP Basic: ID:SECRET, each encoded like the form (RFC 6749 section 2.3.1), and a zero octet behind them.
SecretBytes introspection_credentials(std::string_view id, std::string_view secret);

/// The body of an answer with status 200. `iss` and `exp` need not be there, but count if they are; `aud`, if one is demanded,
/// must be.
std::expected<Owner, TokenFault> read_introspection(std::string_view body, const Demands& demands);

}  // namespace ringpost::tokens
