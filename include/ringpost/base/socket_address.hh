// Internet addresses, networks and the ends of sockets, as plain values without a heap.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "ringpost/base/bytes.hh"
#include "ringpost/base/error.hh"

struct sockaddr;
struct sockaddr_storage;

namespace ringpost {

/// An IPv4 or IPv6 address. IPv4 is kept in its mapped form (::ffff:a.b.c.d), so what a dual-stack socket reports and
/// what an operator writes compare equal.
struct IpAddress {
  /// Characters that `text` may need.
  static constexpr std::size_t kTextMax = 46;

  std::array<std::byte, 16> bytes{};  ///< network byte order

  static IpAddress from_ipv4(std::uint32_t host_order);
  /// "192.0.2.1" or "2001:db8::1"; no brackets, no scope, no leading zeros in IPv4. Empty for anything else.
  static std::optional<IpAddress> parse(std::string_view text);

  bool is_ipv4() const;
  bool is_loopback() const;
  /// 0.0.0.0 or ::
  bool is_unspecified() const;
  /// 32 or 128.
  int bits() const { return is_ipv4() ? 32 : 128; }
  /// Only valid when `is_ipv4()`.
  std::uint32_t ipv4_host_order() const;
  /// This address with everything behind its first `prefix_bits` (0..bits()) zeroed; an IPv4 address stays one.
  IpAddress masked(int prefix_bits) const;
  /// The block one customer usually has: /24 of IPv4, /64 of IPv6. The unit of per-prefix limits.
  IpAddress prefix() const { return masked(is_ipv4() ? 24 : 64); }

  /// Well mixed; give a random `seed` where a peer who picks addresses must not pick collisions.
  std::uint64_t hash(std::uint64_t seed = 0) const;
  /// Written into `buffer` (at least kTextMax); the view points there.
  std::string_view text(std::span<char> buffer) const;
  std::string text() const;

  friend bool operator==(const IpAddress&, const IpAddress&) = default;
  friend auto operator<=>(const IpAddress&, const IpAddress&) = default;
};

/// A CIDR block such as 192.0.2.0/24 or 2001:db8::/32.
struct Network {
  IpAddress address;    ///< bits behind the prefix are zero
  int prefix_bits = 0;  ///< counted in the address's own family: 0..32 or 0..128

  /// "ADDRESS/BITS", or a bare address (all bits). Refuses set bits behind the prefix: they are nearly always a slip.
  static std::optional<Network> parse(std::string_view text);
  /// IPv4 networks hold IPv4 addresses only, and ::/0 holds IPv6 addresses only, as operators expect.
  bool contains(const IpAddress& address) const;
  std::string text() const;

  friend bool operator==(const Network&, const Network&) = default;
};

/// One end of a socket: IP and port, or the path of a Unix socket. A default one is nothing (`!address`).
class SocketAddress {
 public:
  enum class Family : std::uint8_t { none, ipv4, ipv6, unix_path };
  /// `sun_path` holds 108 octets, one of them the final NUL.
  static constexpr std::size_t kPathMax = 107;
  /// Characters that `text` may need.
  static constexpr std::size_t kTextMax = 128;

  SocketAddress() = default;
  SocketAddress(const IpAddress& ip, std::uint16_t port, std::uint32_t scope = 0)
      : family_(ip.is_ipv4() ? Family::ipv4 : Family::ipv6), port_(port), scope_(scope), ip_(ip) {}

  /// "192.0.2.1:25", "[2001:db8::1]:25", or "[fe80::1%2]:25" with the interface's number. The port is required.
  static std::optional<SocketAddress> parse(std::string_view text);
  /// A Unix socket's path: 1..kPathMax octets without NUL.
  static std::optional<SocketAddress> from_path(std::string_view path);
  /// What the kernel wrote. Unnamed and abstract Unix sockets come out with an empty path. Errors: invalid.
  static Result<SocketAddress> from_native(const sockaddr* native, std::size_t size);

  explicit operator bool() const { return family_ != Family::none; }
  Family family() const { return family_; }
  bool is_ip() const { return family_ == Family::ipv4 || family_ == Family::ipv6; }
  /// Only meaningful when `is_ip()`.
  const IpAddress& ip() const { return ip_; }
  std::uint16_t port() const { return port_; }
  std::uint32_t scope() const { return scope_; }
  std::string_view path() const { return {path_.data(), path_size_}; }
  SocketAddress with_port(std::uint16_t port) const {
    SocketAddress other = *this;
    other.port_ = port;
    return other;
  }

  /// Fills `out` and returns how many of its bytes count (a socklen_t).
  std::uint32_t to_native(sockaddr_storage& out) const;

  std::uint64_t hash(std::uint64_t seed = 0) const;
  /// The form `parse` reads; a Unix path as it is. Written into `buffer` (at least kTextMax); the view points there.
  std::string_view text(std::span<char> buffer) const;
  std::string text() const;

  friend bool operator==(const SocketAddress&, const SocketAddress&) = default;
  friend auto operator<=>(const SocketAddress&, const SocketAddress&) = default;

 private:
  Family family_ = Family::none;
  std::uint8_t path_size_ = 0;
  std::uint16_t port_ = 0;
  std::uint32_t scope_ = 0;  ///< interface of a link-local IPv6 address, else 0
  IpAddress ip_;
  std::array<char, kPathMax + 1> path_{};
};

}  // namespace ringpost

template <>
struct std::hash<ringpost::IpAddress> {
  std::size_t operator()(const ringpost::IpAddress& address) const noexcept { return address.hash(); }
};
template <>
struct std::hash<ringpost::SocketAddress> {
  std::size_t operator()(const ringpost::SocketAddress& address) const noexcept { return address.hash(); }
};
