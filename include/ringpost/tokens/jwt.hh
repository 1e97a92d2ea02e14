// JSON Web Tokens (RFC 7519) signed by an issuer whose keys we know.
#pragma once

#include <array>
#include <cstddef>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ringpost/tokens/owner.hh"

namespace ringpost::tokens {

inline constexpr std::size_t kTokenBytesMax = 16 * 1024, kKeySetBytesMax = 256 * 1024, kKeysMax = 64;

enum class Algorithm : std::uint8_t { rs256, es256, eddsa };

/// A public key (RFC 7517).
struct Key {
  std::string id;  ///< `kid`; may be empty
  Algorithm algorithm = Algorithm::rs256;
  std::vector<std::byte> first;   ///< RSA: modulus, 2048 to 4096 bits; P-256: x; Ed25519: the key
  std::vector<std::byte> second;  ///< RSA: exponent; P-256: y
};

/// The keys of a JWK set that check signatures of our algorithms; others are passed over, and so are those beyond kKeysMax.
/// Nothing: not a set.
std::optional<std::vector<Key>> parse_key_set(std::string_view json);

/// The token's owner, when its signature is of one of `keys` (of the one it names, if it names one) and it is as demanded. `exp`
/// must be there. Keys that the token itself brings or points to are not looked at.
std::expected<Owner, TokenFault> check_jwt(std::string_view token, std::span<const Key> keys, const Demands& demands);

}  // namespace ringpost::tokens
