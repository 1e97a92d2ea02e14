// wolfSSL's reading of a certificate. Its header is not to be seen further than it must.
#pragma once

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/asn.h>
#include <wolfssl/wolfcrypt/asn_public.h>

#include <memory>

#include "ringpost/base/bytes.hh"
#include "tls/der.hh"

namespace ringpost::tls {

struct FreeDecoded {
  void operator()(DecodedCert* certificate) const {
    wc_FreeDecodedCert(certificate);
    delete certificate;
  }
};
using DecodedPtr = std::unique_ptr<DecodedCert, FreeDecoded>;

/// Points into `der`. Null: it cannot be read. Nothing is verified.
inline DecodedPtr decode(Bytes der) {
  if (!is_certificate(der)) return nullptr;
  DecodedPtr decoded{new DecodedCert};
  wc_InitDecodedCert(decoded.get(), reinterpret_cast<const byte*>(der.data()), static_cast<word32>(der.size()), nullptr);
  if (wc_ParseCert(decoded.get(), CERT_TYPE, NO_VERIFY, nullptr) != 0) decoded.reset();
  return decoded;
}

}  // namespace ringpost::tls
