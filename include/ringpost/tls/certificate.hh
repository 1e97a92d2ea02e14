// Our own certificates: PEM files in, a chain with its key out, or what is wrong with them.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "ringpost/base/secret.hh"
#include "ringpost/base/units.hh"
#include "ringpost/crypto/library.hh"

namespace ringpost::tls {

enum class KeyKind : std::uint8_t { rsa, ecdsa };

/// A certificate chain and the private key of its first certificate. They match, and are valid at the time they were read at.
struct Certificate {
  std::string name;                ///< of the configuration
  std::vector<std::string> hosts;  ///< DNS names of the certificate in lower case; "*.example.org" stands for one label
  KeyKind kind = KeyKind::rsa;
  WallTime not_before, not_after;  ///< of the first certificate
  std::string chain;               ///< PEM, the server's own certificate first
  SecretBytes key;                 ///< PEM
};

enum class CertificateFile : std::uint8_t { chain, key };

/// What is wrong, and in which of the two files.
struct CertificateProblem {
  CertificateFile file;
  std::string reason;
};

/// Reads a chain and its key. Other PEM blocks in either are passed over, so that one file may hold both.
///
/// `world`: its time decides whether the chain is valid now.
/// Errors: text for the operator, which quotes nothing of the key.
std::expected<Certificate, CertificateProblem> read_certificate(std::string_view name, Bytes chain, Bytes key,
                                                                crypto::LibraryWorld& world);

/// Does the name `pattern` of a certificate stand for `host`? Letters' case does not count; "*" stands for the whole first label,
/// and only for that (RFC 6125 section 6.4.3).
bool stands_for(std::string_view pattern, std::string_view host);

}  // namespace ringpost::tls
