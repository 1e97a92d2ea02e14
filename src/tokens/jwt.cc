// The compact form of a signed token: HEADER.PAYLOAD.SIGNATURE (RFC 7515 section 7.1).
#include "ringpost/tokens/jwt.hh"

#include "ringpost/base/ascii.hh"
#include "ringpost/base/assert.hh"
#include "ringpost/crypto/signature.hh"
#include "tokens/claims.hh"

namespace ringpost::tokens {

namespace {

using nlohmann::json;

std::optional<Algorithm> algorithm_named(std::string_view name) {
  if (name == "RS256") return Algorithm::rs256;
  if (name == "ES256") return Algorithm::es256;
  if (name == "EdDSA" || name == "Ed25519") return Algorithm::eddsa;
  return std::nullopt;
}

bool is_token_type(std::string_view type) {
  constexpr std::string_view kApplication = "application/";
  if (equal_ignoring_case(type.substr(0, kApplication.size()), kApplication)) type.remove_prefix(kApplication.size());
  return equal_ignoring_case(type, "JWT") || equal_ignoring_case(type, "at+jwt");
}

bool is_signed_by(const Key& key, Bytes message, Bytes signature) {
  switch (key.algorithm) {
    case Algorithm::rs256: return crypto::verify_rsa_sha256(key.first, key.second, message, signature);
    case Algorithm::es256: return crypto::verify_p256_sha256(key.first, key.second, message, signature);
    case Algorithm::eddsa: return crypto::verify_ed25519(key.first, message, signature);
  }
  RP_ASSERT(false);
}

/// What fails the signature; nothing: it is good.
std::optional<TokenFault> check_signature(const json& header, std::span<const Key> keys, Bytes message, Bytes signature) {
  if (header.contains("crit")) return TokenFault::malformed;  // whatever it is, we do not know it
  if (header.contains("typ")) {
    const std::string* type = string_member(header, "typ");
    if (!type || !is_token_type(*type)) return TokenFault::malformed;
  }
  const std::string* name = string_member(header, "alg");
  const std::optional<Algorithm> algorithm = name ? algorithm_named(*name) : std::nullopt;
  if (!algorithm) return TokenFault::algorithm;
  const std::string* id = string_member(header, "kid");
  if (!id && header.contains("kid")) return TokenFault::malformed;
  bool known = false;
  for (const Key& key : keys) {
    if (key.algorithm != *algorithm || (id && key.id != *id)) continue;
    known = true;
    if (is_signed_by(key, message, signature)) return std::nullopt;
  }
  return known ? TokenFault::signature : TokenFault::unknown_key;
}

}  // namespace

std::expected<Owner, TokenFault> check_jwt(std::string_view token, std::span<const Key> keys, const Demands& demands) {
  constexpr auto kMalformed = std::unexpected(TokenFault::malformed);
  if (token.size() > kTokenBytesMax) return kMalformed;
  const std::size_t first = token.find('.'), last = token.rfind('.');
  if (first == token.npos || first == last || token.find('.', first + 1) != last) return kMalformed;
  const auto header_bytes = decode_url(token.substr(0, first)),
             payload_bytes = decode_url(token.substr(first + 1, last - first - 1)),
             signature = decode_url(token.substr(last + 1));
  if (!header_bytes || !payload_bytes || !signature) return kMalformed;
  const std::optional<json> header = parse_object(as_text(*header_bytes));
  if (!header) return kMalformed;
  if (const auto fault = check_signature(*header, keys, as_bytes(token.substr(0, last)), *signature))
    return std::unexpected(*fault);
  const std::optional<json> claims = parse_object(as_text(*payload_bytes));
  if (!claims) return kMalformed;
  return owner_of(*claims, demands, Source::jwt);
}

}  // namespace ringpost::tokens
