// The first message of a handshake, looked at before wolfSSL sees it: it decides which certificate answers.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "ringpost/base/bytes.hh"

namespace ringpost::tls {

/// What a ClientHello says that the choice hangs on.
struct ClientHello {
  std::string server_name;  ///< of the server_name extension, in lower case; empty: none, or none that can be a host's
  bool ecdsa = false;       ///< it can verify an ECDSA signature over P-256 or P-384
  bool rsa = false;         ///< it can verify an RSA signature
};

/// Reads the body of a ClientHello message. A body that is no such thing says nothing: wolfSSL will refuse it.
ClientHello parse_client_hello(Bytes body);

/// Records until the first handshake message is whole, however it is cut up.
///
/// Bounds: 16 KiB of message and of records (RFC 8446 section 5.1 allows a record for each byte).
class HelloCollector {
 public:
  enum class Status { need_more, whole, refused };
  /// Takes the next bytes of the wire. After `whole` what follows the message is still the caller's.
  Status feed(Bytes wire);
  /// The message's body. Only when whole.
  Bytes body() const { return Bytes{message_}.subspan(kMessageHeaderBytes); }

 private:
  static constexpr std::size_t kRecordHeaderBytes = 5, kMessageHeaderBytes = 4, kBytesMax = 16 * 1024;
  std::vector<std::byte> message_;
  std::byte header_[kRecordHeaderBytes];
  std::size_t header_bytes_ = 0, record_rest_ = 0, wire_bytes_ = 0;
};

}  // namespace ringpost::tls
