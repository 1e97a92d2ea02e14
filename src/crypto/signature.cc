#include "ringpost/crypto/signature.hh"

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/ed25519.h>
#include <wolfssl/wolfcrypt/rsa.h>

#include <array>

#include "ringpost/crypto/hash.hh"

namespace ringpost::crypto {

namespace {

const byte* in(Bytes bytes) { return reinterpret_cast<const byte*>(bytes.data()); }
word32 size_of(Bytes bytes) { return static_cast<word32>(bytes.size()); }

/// A key of the library's, freed when it dies.
template <typename Key, int (*kInit)(Key*, void*, int), auto kFree>
struct Owned {
  Key key;
  bool good = kInit(&key, nullptr, INVALID_DEVID) == 0;
  Owned() = default;
  Owned(const Owned&) = delete;
  ~Owned() {
    if (good) kFree(&key);
  }
};
using RsaPublic = Owned<RsaKey, wc_InitRsaKey_ex, wc_FreeRsaKey>;
using EccPublic = Owned<ecc_key, wc_ecc_init_ex, wc_ecc_free>;
using EdPublic = Owned<ed25519_key, wc_ed25519_init_ex, wc_ed25519_free>;

/// DigestInfo of a SHA-256 digest, up to the digest (RFC 8017 section 9.2).
constexpr byte kDigestInfo[] = {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
                                0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20};

}  // namespace

bool verify_rsa_sha256(Bytes modulus, Bytes exponent, Bytes message, Bytes signature) {
  if (modulus.empty() || modulus.size() > kRsaModulusBytesMax || modulus[0] == std::byte{} || exponent.empty() ||
      exponent.size() > 8 || signature.size() != modulus.size())
    return false;
  RsaPublic rsa;
  if (!rsa.good || wc_RsaPublicKeyDecodeRaw(in(modulus), size_of(modulus), in(exponent), size_of(exponent), &rsa.key) != 0)
    return false;
  std::array<byte, kRsaModulusBytesMax> recovered;
  const int size = wc_RsaSSL_Verify(in(signature), size_of(signature), recovered.data(), recovered.size(), &rsa.key);
  const Digest256 digest = sha256({message});
  if (size != static_cast<int>(sizeof kDigestInfo + digest.size())) return false;
  const Bytes found = std::as_bytes(std::span{recovered}).first(static_cast<std::size_t>(size));
  return equal_constant_time(found.first(sizeof kDigestInfo), std::as_bytes(std::span{kDigestInfo})) &&
         equal_constant_time(found.subspan(sizeof kDigestInfo), digest);
}

bool verify_p256_sha256(Bytes x, Bytes y, Bytes message, Bytes signature) {
  if (x.size() != 32 || y.size() != 32 || signature.size() != 64) return false;
  EccPublic ecc;
  // The library takes coordinates it could change, and does not.
  if (!ecc.good ||
      wc_ecc_import_unsigned(&ecc.key, const_cast<byte*>(in(x)), const_cast<byte*>(in(y)), nullptr, ECC_SECP256R1) != 0 ||
      wc_ecc_check_key(&ecc.key) != 0)
    return false;
  std::array<byte, 80> der;
  auto der_size = static_cast<word32>(der.size());
  if (wc_ecc_rs_raw_to_sig(in(signature.first(32)), 32, in(signature.last(32)), 32, der.data(), &der_size) != 0) return false;
  const Digest256 digest = sha256({message});
  int good = 0;
  return wc_ecc_verify_hash(der.data(), der_size, in(digest), sizeof digest, &good, &ecc.key) == 0 && good == 1;
}

bool verify_ed25519(Bytes key, Bytes message, Bytes signature) {
  if (key.size() != ED25519_PUB_KEY_SIZE || signature.size() != ED25519_SIG_SIZE) return false;
  EdPublic ed;
  if (!ed.good || wc_ed25519_import_public(in(key), size_of(key), &ed.key) != 0) return false;
  int good = 0;
  return wc_ed25519_verify_msg(in(signature), size_of(signature), in(message), size_of(message), &good, &ed.key) == 0 &&
         good == 1;
}

}  // namespace ringpost::crypto
