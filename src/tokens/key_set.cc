// JWK sets (RFC 7517), with the parameters of RFC 7518 section 6 and RFC 8037.
#include <algorithm>

#include "ringpost/tokens/jwt.hh"
#include "tokens/claims.hh"

namespace ringpost::tokens {

namespace {

using nlohmann::json;

constexpr std::size_t kRsaBytesMin = 256, kRsaBytesMax = 512;

/// A member that is base64url of as many bytes as `min` to `max`.
std::optional<std::vector<std::byte>> bytes_member(const json& object, std::string_view name, std::size_t min, std::size_t max) {
  const std::string* text = string_member(object, name);
  std::optional<std::vector<std::byte>> bytes = text ? decode_url(*text) : std::nullopt;
  if (!bytes || bytes->size() < min || bytes->size() > max) return std::nullopt;
  return bytes;
}

/// It says nothing against checking signatures with it by `algorithm`.
bool may_verify(const json& object, std::string_view algorithm) {
  const auto is = [](const json& value, std::string_view wanted) {
    const auto* text = value.get_ptr<const std::string*>();
    return text && *text == wanted;
  };
  if (const auto use = object.find("use"); use != object.end() && !is(*use, "sig")) return false;
  if (const auto name = object.find("alg"); name != object.end() && !is(*name, algorithm)) return false;
  const auto operations = object.find("key_ops");
  if (operations == object.end()) return true;
  return operations->is_array() && std::ranges::any_of(*operations, [&](const json& one) { return is(one, "verify"); });
}

std::optional<Key> parse_key(const json& object) {
  if (!object.is_object()) return std::nullopt;
  const std::string* type = string_member(object, "kty");
  const std::string* curve = string_member(object, "crv");
  const std::string* id = string_member(object, "kid");
  if (!type) return std::nullopt;
  Key key;
  if (id) key.id = *id;
  std::optional<std::vector<std::byte>> first, second = std::vector<std::byte>{};
  if (*type == "RSA" && may_verify(object, "RS256")) {
    key.algorithm = Algorithm::rs256;
    first = bytes_member(object, "n", kRsaBytesMin, kRsaBytesMax);
    second = bytes_member(object, "e", 1, 8);
    if (first && first->front() == std::byte{}) return std::nullopt;
  } else if (*type == "EC" && curve && *curve == "P-256" && may_verify(object, "ES256")) {
    key.algorithm = Algorithm::es256;
    first = bytes_member(object, "x", 32, 32);
    second = bytes_member(object, "y", 32, 32);
  } else if (*type == "OKP" && curve && *curve == "Ed25519" && (may_verify(object, "EdDSA") || may_verify(object, "Ed25519"))) {
    key.algorithm = Algorithm::eddsa;
    first = bytes_member(object, "x", 32, 32);
  }
  if (!first || !second) return std::nullopt;
  key.first = std::move(*first);
  key.second = std::move(*second);
  return key;
}

}  // namespace

std::optional<std::vector<Key>> parse_key_set(std::string_view text) {
  if (text.size() > kKeySetBytesMax) return std::nullopt;
  const std::optional<json> set = parse_object(text);
  if (!set) return std::nullopt;
  const auto members = set->find("keys");
  if (members == set->end() || !members->is_array()) return std::nullopt;
  std::vector<Key> keys;
  for (const json& object : *members) {
    std::optional<Key> key = parse_key(object);
    if (key && keys.size() < kKeysMax) keys.push_back(std::move(*key));
  }
  return keys;
}

}  // namespace ringpost::tokens
