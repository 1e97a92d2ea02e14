// As much of DER as finds a certificate's public key, whatever else the certificate is. Pure, bounds checked, no library.
#pragma once

#include <optional>

#include "ringpost/base/bytes.hh"

namespace ringpost::tls {

/// True when `der` is one SEQUENCE and nothing behind it.
bool is_sequence(Bytes der);

/// True when `der` has a certificate's frame and nothing else: a body, an algorithm whose parts fill it, and a signature of whole octets
/// (RFC 5280 section 4.1; X.690 section 8.6.2). wolfSSL looks at these less closely, so that a certificate would be read in several ways.
bool is_certificate(Bytes der);

/// The SubjectPublicKeyInfo of a certificate, with its own tag and length (RFC 5280 section 4.1). Nothing: it has none.
std::optional<Bytes> public_key_info(Bytes certificate);

}  // namespace ringpost::tls
