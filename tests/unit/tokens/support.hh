// An issuer: signs what it is given with the Ed25519 key of RFC 8037 appendix A.1.
#pragma once

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/ed25519.h>

#include <string>
#include <string_view>
#include <vector>

#include "ringpost/base/base64.hh"
#include "ringpost/tokens/jwt.hh"

namespace ringpost::tokens {

inline constexpr std::string_view kIssuerKey =
    R"({"kty":"OKP","crv":"Ed25519","kid":"ed","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})";

inline std::string set_of(std::string_view keys) { return R"({"keys":[)" + std::string{keys} + "]}"; }
inline std::chrono::sys_seconds second(std::int64_t since_1970) {
  return std::chrono::sys_seconds{std::chrono::seconds{since_1970}};
}
inline Demands demands() { return {.issuer = "https://id.example", .audience = "mail", .now = second(1'799'999'000)}; }

inline std::string encoded(std::string_view text) { return encode_base64(as_bytes(text), Base64::url); }

/// HEADER.PAYLOAD.SIGNATURE of whatever these are.
inline std::string signed_by_issuer(std::string_view header, std::string_view payload) {
  std::byte secret[32], open[32];
  RP_ASSERT(decode_base64("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A", secret, Base64::url) == 32U);
  RP_ASSERT(decode_base64("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", open, Base64::url) == 32U);
  ed25519_key key;
  RP_ASSERT(wc_ed25519_init(&key) == 0);
  RP_ASSERT(wc_ed25519_import_private_key(reinterpret_cast<byte*>(secret), 32, reinterpret_cast<byte*>(open), 32, &key) == 0);
  std::string token = encoded(header) + '.' + encoded(payload);
  std::byte signature[64];
  word32 size = sizeof signature;
  RP_ASSERT(wc_ed25519_sign_msg(reinterpret_cast<const byte*>(token.data()), static_cast<word32>(token.size()),
                                reinterpret_cast<byte*>(signature), &size, &key) == 0);
  wc_ed25519_free(&key);
  return token + '.' + encode_base64(signature, Base64::url);
}

/// "alice until 1800000000" or "fault expired".
inline std::string told(const std::expected<Owner, TokenFault>& owner) {
  if (!owner) return "fault " + std::string{name_of(owner.error())};
  return owner->login + (owner->expires ? " until " + std::to_string(owner->expires->time_since_epoch().count()) : "");
}

}  // namespace ringpost::tokens
