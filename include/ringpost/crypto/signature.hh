// Signatures of others, checked with public keys as standards write them. All false for keys and signatures that are none.
#pragma once

#include <cstddef>

#include "ringpost/base/bytes.hh"

namespace ringpost::crypto {

inline constexpr std::size_t kRsaModulusBytesMax = 512;

/// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017 section 8.2). `modulus` and `exponent` are big-endian without leading zeros; up to
/// kRsaModulusBytesMax and 8 bytes.
bool verify_rsa_sha256(Bytes modulus, Bytes exponent, Bytes message, Bytes signature);

/// ECDSA on P-256 with SHA-256; `x` and `y` 32 bytes each, `signature` r and s, 32 bytes each (RFC 7518 section 3.4).
bool verify_p256_sha256(Bytes x, Bytes y, Bytes message, Bytes signature);

/// Ed25519 (RFC 8032); `key` 32 bytes, `signature` 64.
bool verify_ed25519(Bytes key, Bytes message, Bytes signature);

}  // namespace ringpost::crypto
