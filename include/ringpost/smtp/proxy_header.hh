// The PROXY protocol, versions 1 and 2: what a proxy says about a connection before its first byte (HAProxy's proxy-protocol.txt).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "ringpost/base/bytes.hh"
#include "ringpost/base/socket_address.hh"

namespace ringpost::smtp {

/// A version 1 header, CRLF included (section 2.1).
inline constexpr std::size_t kProxyLineBytesMax = 107;
/// Behind the fixed part of a version 2 header; the grammar would allow 65,535. Addresses take at most 216, certificates in TLVs more.
inline constexpr std::size_t kProxyBlockBytesMax = 16 * 1024;

/// Whom a connection comes from, as its proxy says.
struct ProxyHeader {
  enum class Origin : std::uint8_t {
    client,   ///< `source` to `destination`
    unknown,  ///< somebody's, but the proxy cannot say whose: UNKNOWN, or a family other than TCP over IPv4 or IPv6
    proxy,    ///< the proxy's own: LOCAL, a health check
  };
  Origin origin = Origin::unknown;
  SocketAddress source, destination;
};

/// Reads one header from the start of a connection, in constant memory. TLVs are skipped, but their lengths must add up.
///
/// Errors: `malformed`, once and for all, for whatever is no header: nothing that follows may be believed.
class ProxyHeaderReader {
 public:
  enum class Status : std::uint8_t { need_more, whole, malformed };
  struct Step {
    Status status = Status::need_more;
    std::size_t consumed = 0;  ///< bytes of the input that belong to the header; the rest is the connection's
  };

  /// Call until the status is no longer `need_more`.
  Step next(Bytes input);
  /// Only valid after `whole`.
  const ProxyHeader& header() const { return header_; }

 private:
  enum class Stage : std::uint8_t { first, line, fixed, addresses, skipped, tlv_head, tlv_value, whole, malformed };
  void take(std::byte octet);
  void begin(std::byte octet);
  void read_line();
  void read_fixed();
  void read_addresses();
  void enter_rest();

  Stage stage_ = Stage::first;
  std::array<std::byte, kProxyLineBytesMax> held_;  ///< of a line, the fixed part, addresses, the head of a TLV
  std::size_t size_ = 0, wanted_ = 0;               ///< held; and how many the stage waits for
  std::size_t rest_ = 0;                            ///< version 2: bytes of the block still to come
  std::size_t value_ = 0;                           ///< of those, the TLV's at hand
  std::uint8_t family_ = 0;
  ProxyHeader header_;
};

}  // namespace ringpost::smtp
