// A certificate's signature: verified with a bare key, and whether it is worth anything.
#pragma once

#include "ringpost/base/bytes.hh"

namespace ringpost::tls {

/// Did `key` (SubjectPublicKeyInfo: RSA or ECDSA) sign `certificate` (DER), with PKCS #1 1.5 or ECDSA over SHA-256, 384 or 512?
bool signed_by(Bytes key, Bytes certificate);

/// Is it signed over SHA-1 or MD5, or its key of fewer than 2048 bits (RSA) or 256 (ECDSA) (RFC 9325 section 4.5)? One that cannot be read is
/// not weak, but worth nothing to whoever verifies it.
bool is_weak(Bytes certificate);

}  // namespace ringpost::tls
