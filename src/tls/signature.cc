#include "tls/signature.hh"

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/rsa.h>
#include <wolfssl/wolfcrypt/signature.h>

#include <optional>

#include "tls/decoded.hh"
#include "tls/der.hh"

namespace ringpost::tls {

namespace {

struct Algorithm {
  wc_HashType hash;
  bool ecdsa;
};

std::optional<Algorithm> algorithm_of(word32 oid) {
  switch (oid) {
    case CTC_SHA256wRSA: return Algorithm{WC_HASH_TYPE_SHA256, false};
    case CTC_SHA384wRSA: return Algorithm{WC_HASH_TYPE_SHA384, false};
    case CTC_SHA512wRSA: return Algorithm{WC_HASH_TYPE_SHA512, false};
    case CTC_SHA256wECDSA: return Algorithm{WC_HASH_TYPE_SHA256, true};
    case CTC_SHA384wECDSA: return Algorithm{WC_HASH_TYPE_SHA384, true};
    case CTC_SHA512wECDSA: return Algorithm{WC_HASH_TYPE_SHA512, true};
    default: return std::nullopt;
  }
}

const byte* raw(Bytes bytes) { return reinterpret_cast<const byte*>(bytes.data()); }

bool verify(wc_HashType hash, wc_SignatureType type, const DecodedCert& of, const void* key, std::size_t key_bytes) {
  return wc_SignatureVerify(hash, type, of.source + of.certBegin, of.sigIndex - of.certBegin, of.signature, of.sigLength, key,
                            static_cast<word32>(key_bytes)) == 0;
}

}  // namespace

bool is_weak(Bytes certificate) {
  constexpr int kRsaBitsMin = 2048, kEccBitsMin = 256;
  const DecodedPtr decoded = decode(certificate);
  const auto key = public_key_info(certificate);
  if (!decoded || !key) return false;
  for (const word32 old : {CTC_MD2wRSA, CTC_MD5wRSA, CTC_SHAwRSA, CTC_SHAwDSA, CTC_SHAwECDSA})
    if (decoded->signatureOID == old) return true;
  word32 at = 0;
  const auto key_bytes = static_cast<word32>(key->size());
  int bits = 0, least = 0;
  if (decoded->keyOID == RSAk) {
    RsaKey modulus;
    if (wc_InitRsaKey(&modulus, nullptr) != 0) return true;
    least = kRsaBitsMin;
    if (wc_RsaPublicKeyDecode(raw(*key), &at, &modulus, key_bytes) == 0) bits = wc_RsaEncryptSize(&modulus) * 8;
    wc_FreeRsaKey(&modulus);
  } else if (decoded->keyOID == ECDSAk) {
    ecc_key point;
    if (wc_ecc_init(&point) != 0) return true;
    least = kEccBitsMin;
    if (wc_EccPublicKeyDecode(raw(*key), &at, &point, key_bytes) == 0) bits = wc_ecc_size(&point) * 8;
    wc_ecc_free(&point);
  }
  return bits < least;
}

bool signed_by(Bytes key, Bytes certificate) {
  const DecodedPtr decoded = decode(certificate);
  const auto algorithm = decoded ? algorithm_of(decoded->signatureOID) : std::nullopt;
  if (!algorithm) return false;
  word32 at = 0;
  const auto key_bytes = static_cast<word32>(key.size());
  bool good = false;
  if (algorithm->ecdsa) {
    ecc_key point;
    if (wc_ecc_init(&point) != 0) return false;
    if (wc_EccPublicKeyDecode(raw(key), &at, &point, key_bytes) == 0)
      good = verify(algorithm->hash, WC_SIGNATURE_TYPE_ECC, *decoded, &point, sizeof point);
    wc_ecc_free(&point);
  } else {
    RsaKey modulus;
    if (wc_InitRsaKey(&modulus, nullptr) != 0) return false;
    if (wc_RsaPublicKeyDecode(raw(key), &at, &modulus, key_bytes) == 0)
      good = verify(algorithm->hash, WC_SIGNATURE_TYPE_RSA_W_ENC, *decoded, &modulus, sizeof modulus);
    wc_FreeRsaKey(&modulus);
  }
  return good;
}

}  // namespace ringpost::tls
