// A certificate's signature, verified with a bare key.
#pragma once

#include "ringpost/base/bytes.hh"

namespace ringpost::tls {

/// Did `key` (SubjectPublicKeyInfo: RSA or ECDSA) sign `certificate` (DER), with PKCS #1 1.5 or ECDSA over SHA-256, 384 or 512?
bool signed_by(Bytes key, Bytes certificate);

}  // namespace ringpost::tls
