#include "tokens/claims.hh"

#include <algorithm>

#include "ringpost/base/ascii.hh"
#include "ringpost/base/assert.hh"
#include "ringpost/base/base64.hh"

namespace ringpost::tokens {

namespace {

using nlohmann::json;

constexpr std::size_t kLoginBytesMax = 255;
constexpr double kLastSecond = 253402300799;  // of the year 9999

const json* member(const json& object, std::string_view name) {
  const auto at = object.find(name);
  return at == object.end() ? nullptr : &*at;
}

/// NumericDate (RFC 7519 section 2), which may have a fraction; beyond the year 9999 is its end.
std::optional<std::chrono::sys_seconds> time_of(const json& value) {
  if (!value.is_number()) return std::nullopt;
  const double seconds = std::clamp(value.get<double>(), 0.0, kLastSecond);
  return std::chrono::sys_seconds{std::chrono::seconds{static_cast<std::int64_t>(seconds)}};
}

/// A string or an array of strings that holds `wanted`.
bool holds(const json& value, std::string_view wanted) {
  if (value.is_string()) return value.get_ref<const std::string&>() == wanted;
  return value.is_array() && std::ranges::any_of(value, [&](const json& one) {
           return one.is_string() && one.get_ref<const std::string&>() == wanted;
         });
}

bool holds_word(std::string_view words, std::string_view wanted) {
  while (!words.empty()) {
    const std::size_t end = std::min(words.find(' '), words.size());
    if (words.substr(0, end) == wanted) return true;
    words.remove_prefix(std::min(end + 1, words.size()));
  }
  return false;
}

bool has_scope(const json& claims, std::string_view wanted) {
  for (std::string_view name : {"scope", "scp"}) {
    const json* scope = member(claims, name);
    if (!scope) continue;
    if (scope->is_string() ? holds_word(scope->get_ref<const std::string&>(), wanted) : holds(*scope, wanted)) return true;
  }
  return false;
}

bool is_unverified(const json& claims) {
  const json* verified = member(claims, "email_verified");
  return verified && *verified != true && *verified != "true";
}

}  // namespace

Literal log_name(TokenFault fault) {
  switch (fault) {
    case TokenFault::malformed: return "malformed";
    case TokenFault::algorithm: return "algorithm";
    case TokenFault::unknown_key: return "unknown_key";
    case TokenFault::signature: return "signature";
    case TokenFault::inactive: return "inactive";
    case TokenFault::expired: return "expired";
    case TokenFault::not_yet_valid: return "not_yet_valid";
    case TokenFault::issuer: return "issuer";
    case TokenFault::audience: return "audience";
    case TokenFault::scope: return "scope";
    case TokenFault::login: return "login";
  }
  RP_ASSERT(false);
}

std::optional<json> parse_object(std::string_view text) {
  json value = json::parse(text, nullptr, false);
  if (!value.is_object()) return std::nullopt;
  return value;
}

const std::string* string_member(const json& object, std::string_view name) {
  const json* value = member(object, name);
  return value ? value->get_ptr<const std::string*>() : nullptr;
}

std::optional<std::vector<std::byte>> decode_url(std::string_view text) {
  std::vector<std::byte> bytes(base64_bytes_max(text.size()));
  const std::optional<std::size_t> size = decode_base64(text, bytes, Base64::url);
  if (!size) return std::nullopt;
  bytes.resize(*size);
  return bytes;
}

std::expected<Owner, TokenFault> owner_of(const json& claims, const Demands& demands, Source source) {
  Owner owner;
  if (const json* expires = member(claims, "exp")) {
    owner.expires = time_of(*expires);
    if (!owner.expires) return std::unexpected(TokenFault::malformed);
    if (*owner.expires + demands.leeway <= demands.now) return std::unexpected(TokenFault::expired);
  } else if (source == Source::jwt) {
    return std::unexpected(TokenFault::malformed);
  }
  if (const json* from = member(claims, "nbf")) {
    const std::optional<std::chrono::sys_seconds> time = time_of(*from);
    if (!time) return std::unexpected(TokenFault::malformed);
    if (*time - demands.leeway > demands.now) return std::unexpected(TokenFault::not_yet_valid);
  }
  const std::string* issuer = string_member(claims, "iss");
  const bool may_be_silent = source == Source::introspection && !member(claims, "iss");
  if (!may_be_silent && (!issuer || *issuer != demands.issuer)) return std::unexpected(TokenFault::issuer);
  const json* audience = member(claims, "aud");
  if (!demands.audience.empty() && (!audience || !holds(*audience, demands.audience)))
    return std::unexpected(TokenFault::audience);
  if (!demands.scope.empty() && !has_scope(claims, demands.scope)) return std::unexpected(TokenFault::scope);

  const std::string* login = string_member(claims, demands.login_claim);
  if (!login || login->empty() || login->size() > kLoginBytesMax || std::ranges::any_of(*login, is_control))
    return std::unexpected(TokenFault::login);
  if (demands.login_claim == "email" && is_unverified(claims)) return std::unexpected(TokenFault::login);
  owner.login = *login;
  return owner;
}

}  // namespace ringpost::tokens
