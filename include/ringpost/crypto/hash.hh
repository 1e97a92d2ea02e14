// SHA-256, SHA-512, HMAC-SHA-256 and HKDF (RFC 2104, RFC 5869).
#pragma once

#include <array>
#include <initializer_list>
#include <string_view>

#include "ringpost/base/bytes.hh"
#include "ringpost/base/secret.hh"

namespace ringpost::crypto {

using Digest256 = std::array<std::byte, 32>;
using Digest512 = std::array<std::byte, 64>;

/// Digest of the parts, one behind the other.
Digest256 sha256(std::initializer_list<Bytes> parts);
Digest512 sha512(Bytes bytes);

/// HMAC-SHA-256 over bytes that come in pieces. Its state is wiped when it dies.
class HmacSha256 {
 public:
  /// `key` of any length.
  explicit HmacSha256(Bytes key);
  HmacSha256(const HmacSha256&) = delete;
  ~HmacSha256();
  void update(Bytes part);
  /// Once, at the end.
  Digest256 finish();

 private:
  static constexpr std::size_t kStateBytes = 1280, kStateAlignment = 64;  // checked against the library's type in hash.cc
  alignas(kStateAlignment) std::byte state_[kStateBytes];
};

/// MAC of the parts, one behind the other. `key` of any length.
Digest256 hmac_sha256(Bytes key, std::initializer_list<Bytes> parts);

/// Compares without telling where the first difference is. Different sizes are unequal.
bool equal_constant_time(Bytes a, Bytes b);

/// RFC 5869 with SHA-256: extract and expand. `info` is the parts, one behind the other; `out` 1..8160 bytes.
void hkdf_sha256(Bytes key, Bytes salt, std::initializer_list<Bytes> info, MutableBytes out);

/// One key out of another: hkdf_sha256 whose `info` is the parts of `context` behind `label` and a zero byte.
Key256 derive_key(Bytes key, Bytes salt, std::string_view label, std::initializer_list<Bytes> context);

/// Keyed hash of an address or host for logs and audit: HMAC-SHA-256 cut to 16 bytes, over the lower-cased (ASCII) text.
std::array<std::byte, 16> keyed_hash(Bytes key, std::string_view text);

}  // namespace ringpost::crypto
