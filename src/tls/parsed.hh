// One X.509 certificate, read by wolfSSL: what of it decides anything here.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ringpost/base/bytes.hh"
#include "ringpost/base/units.hh"
#include "ringpost/tls/certificate.hh"

namespace ringpost::tls {

using NameHash = std::array<std::byte, 20>;

struct Parsed {
  NameHash subject, issuer;                        ///< of the names
  bool self_signed = false;                        ///< both names are the same
  bool may_issue = false;                          ///< it is an authority's, and its key may sign certificates
  std::optional<std::uint32_t> authorities_below;  ///< how many there may be between it and a server's certificate
  bool may_serve = false;                          ///< nothing says that it is for something else than a server
  bool may_ask = false;                            ///< nothing says that it is for something else than a client
  std::optional<KeyKind> kind;                     ///< nothing: another one
  WallTime not_before, not_after;
  /// DNS names and rfc822Names of subjectAltName, as they stand there; none with a NUL in it.
  std::vector<std::string> hosts, mailboxes;
};

/// Nothing: it cannot be read. Nothing is verified.
std::optional<Parsed> parse_der(Bytes der);

/// A UTCTime or GeneralizedTime as X.509 allows them, with tag and length (RFC 5280 section 4.1.2.5).
std::optional<WallTime> parse_time(Bytes der);

}  // namespace ringpost::tls
