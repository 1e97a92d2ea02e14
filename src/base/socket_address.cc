#include "ringpost/base/socket_address.hh"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstring>

namespace ringpost {
namespace {

constexpr std::size_t kMappedPrefix = 12;  // octets before the IPv4 address in ::ffff:a.b.c.d

std::uint64_t mix(std::uint64_t value) {  // the finalizer of splitmix64
  value ^= value >> 30;
  value *= 0xbf58476d1ce4e5b9u;
  value ^= value >> 27;
  value *= 0x94d049bb133111ebu;
  return value ^ (value >> 31);
}

template <typename Integer>
std::optional<Integer> decimal(std::string_view text, Integer max) {
  if (text.empty() || text[0] < '0' || text[0] > '9' || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  Integer value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value > max) return std::nullopt;
  return value;
}

/// Appends to a caller's buffer; the callers size it so that everything fits.
struct Writer {
  std::span<char> buffer;
  std::size_t size = 0;

  void add(std::string_view text) {
    RP_ASSERT(size + text.size() <= buffer.size());
    std::copy(text.begin(), text.end(), buffer.begin() + static_cast<std::ptrdiff_t>(size));
    size += text.size();
  }
  void add(std::uint32_t number) {
    char digits[10];
    auto [end, error] = std::to_chars(digits, digits + sizeof digits, number);
    add({digits, end});
  }
  std::string_view view() const { return {buffer.data(), size}; }
};

}  // namespace

IpAddress IpAddress::from_ipv4(std::uint32_t host_order) {
  IpAddress address;
  address.bytes[10] = address.bytes[11] = std::byte{0xff};
  std::uint32_t network_order = htonl(host_order);
  std::memcpy(address.bytes.data() + kMappedPrefix, &network_order, sizeof network_order);
  return address;
}

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  char terminated[INET6_ADDRSTRLEN];
  if (text.empty() || text.size() >= sizeof terminated || text.find('\0') != text.npos) return std::nullopt;
  std::memcpy(terminated, text.data(), text.size());
  terminated[text.size()] = '\0';
  if (in_addr ipv4{}; inet_pton(AF_INET, terminated, &ipv4) == 1) return from_ipv4(ntohl(ipv4.s_addr));
  IpAddress address;
  if (inet_pton(AF_INET6, terminated, address.bytes.data()) != 1) return std::nullopt;
  return address;
}

bool IpAddress::is_ipv4() const {
  static constexpr std::array<std::byte, kMappedPrefix> kMapped = [] {
    std::array<std::byte, kMappedPrefix> prefix{};
    prefix[10] = prefix[11] = std::byte{0xff};
    return prefix;
  }();
  return std::memcmp(bytes.data(), kMapped.data(), kMapped.size()) == 0;
}

bool IpAddress::is_loopback() const {
  if (is_ipv4()) return bytes[kMappedPrefix] == std::byte{127};
  IpAddress one;
  one.bytes[15] = std::byte{1};
  return *this == one;
}

bool IpAddress::is_unspecified() const { return is_ipv4() ? ipv4_host_order() == 0 : *this == IpAddress{}; }

std::uint32_t IpAddress::ipv4_host_order() const {
  std::uint32_t network_order;
  std::memcpy(&network_order, bytes.data() + kMappedPrefix, sizeof network_order);
  return ntohl(network_order);
}

IpAddress IpAddress::masked(int prefix_bits) const {
  RP_ASSERT(prefix_bits >= 0 && prefix_bits <= bits());
  int kept = prefix_bits + (is_ipv4() ? static_cast<int>(kMappedPrefix) * 8 : 0);
  IpAddress result;
  for (int octet = 0; octet < 16; ++octet) {
    int here = std::clamp(kept - octet * 8, 0, 8);
    result.bytes[static_cast<std::size_t>(octet)] =
        bytes[static_cast<std::size_t>(octet)] & static_cast<std::byte>(0xff00 >> here);
  }
  return result;
}

std::uint64_t IpAddress::hash(std::uint64_t seed) const {
  auto high = load_le<std::uint64_t>(bytes.data()), low = load_le<std::uint64_t>(bytes.data() + 8);
  return mix(mix(high ^ seed ^ 0x9e3779b97f4a7c15u) + low);
}

std::string_view IpAddress::text(std::span<char> buffer) const {
  Writer writer{buffer};
  if (is_ipv4()) {  // by ourselves, as each message shows one, and inet_ntop prints it with a format
    for (std::size_t at = kMappedPrefix; at < bytes.size(); ++at) {
      if (at > kMappedPrefix) writer.add(".");
      writer.add(std::to_integer<unsigned>(bytes[at]));
    }
    return writer.view();
  }
  char terminated[INET6_ADDRSTRLEN];
  inet_ntop(AF_INET6, bytes.data(), terminated, sizeof terminated);
  writer.add(terminated);
  return writer.view();
}

std::string IpAddress::text() const {
  char buffer[kTextMax];
  return std::string{text(buffer)};
}

std::optional<Network> Network::parse(std::string_view text) {
  std::size_t slash = text.find('/');
  std::optional<IpAddress> address = IpAddress::parse(text.substr(0, slash));
  if (!address) return std::nullopt;
  if (slash == text.npos) return Network{*address, address->bits()};
  std::optional<int> bits = decimal(text.substr(slash + 1), address->bits());
  if (!bits || address->masked(*bits) != *address) return std::nullopt;
  return Network{*address, *bits};
}

bool Network::contains(const IpAddress& other) const {
  return other.is_ipv4() == address.is_ipv4() && other.masked(prefix_bits) == address;
}

std::string Network::text() const { return address.text() + "/" + std::to_string(prefix_bits); }

std::optional<SocketAddress> SocketAddress::parse(std::string_view text) {
  std::size_t colon = text.rfind(':');
  if (colon == text.npos) return std::nullopt;
  std::optional<std::uint16_t> port = decimal<std::uint16_t>(text.substr(colon + 1), 65535);
  std::string_view host = text.substr(0, colon);
  if (!port) return std::nullopt;

  bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  std::uint32_t scope = 0;
  if (bracketed) {
    host = host.substr(1, host.size() - 2);
    if (std::size_t percent = host.find('%'); percent != host.npos) {
      std::optional<std::uint32_t> number = decimal<std::uint32_t>(host.substr(percent + 1), UINT32_MAX);
      if (!number) return std::nullopt;
      scope = *number;
      host = host.substr(0, percent);
    }
  }
  std::optional<IpAddress> ip = IpAddress::parse(host);
  // Brackets belong to IPv6's colons and to nothing else.
  if (!ip || bracketed != (host.find(':') != host.npos)) return std::nullopt;
  return SocketAddress{*ip, *port, scope};
}

std::optional<SocketAddress> SocketAddress::from_path(std::string_view path) {
  if (path.empty() || path.size() > kPathMax || path.find('\0') != path.npos) return std::nullopt;
  SocketAddress address;
  address.family_ = Family::unix_path;
  address.path_size_ = static_cast<std::uint8_t>(path.size());
  std::copy(path.begin(), path.end(), address.path_.begin());
  return address;
}

Result<SocketAddress> SocketAddress::from_native(const sockaddr* native, std::size_t size) {
  constexpr std::size_t kFamilyEnd = offsetof(sockaddr, sa_family) + sizeof(sa_family_t);
  if (native == nullptr || size < kFamilyEnd) return std::unexpected{Error{Errc::invalid}};
  if (native->sa_family == AF_INET && size >= sizeof(sockaddr_in)) {
    sockaddr_in in;
    std::memcpy(&in, native, sizeof in);
    return SocketAddress{IpAddress::from_ipv4(ntohl(in.sin_addr.s_addr)), ntohs(in.sin_port)};
  }
  if (native->sa_family == AF_INET6 && size >= sizeof(sockaddr_in6)) {
    sockaddr_in6 in;
    std::memcpy(&in, native, sizeof in);
    IpAddress ip;
    std::memcpy(ip.bytes.data(), &in.sin6_addr, ip.bytes.size());
    return SocketAddress{ip, ntohs(in.sin6_port), in.sin6_scope_id};
  }
  if (native->sa_family == AF_UNIX) {
    const char* path = reinterpret_cast<const char*>(native) + offsetof(sockaddr_un, sun_path);
    std::size_t length = ::strnlen(path, std::min(size - offsetof(sockaddr_un, sun_path), kPathMax));
    if (length > 0) return *from_path({path, length});
    SocketAddress unnamed;
    unnamed.family_ = Family::unix_path;
    return unnamed;
  }
  return std::unexpected{Error{Errc::invalid, native->sa_family}};
}

std::uint32_t SocketAddress::to_native(sockaddr_storage& out) const {
  std::memset(&out, 0, sizeof out);
  switch (family_) {
    case Family::none: out.ss_family = AF_UNSPEC; return sizeof(sa_family_t);
    case Family::ipv4: {
      sockaddr_in in{};
      in.sin_family = AF_INET;
      in.sin_port = htons(port_);
      in.sin_addr.s_addr = htonl(ip_.ipv4_host_order());
      std::memcpy(&out, &in, sizeof in);
      return sizeof in;
    }
    case Family::ipv6: {
      sockaddr_in6 in{};
      in.sin6_family = AF_INET6;
      in.sin6_port = htons(port_);
      in.sin6_scope_id = scope_;
      std::memcpy(&in.sin6_addr, ip_.bytes.data(), ip_.bytes.size());
      std::memcpy(&out, &in, sizeof in);
      return sizeof in;
    }
    case Family::unix_path: {
      sockaddr_un un{};
      un.sun_family = AF_UNIX;
      std::copy(path_.begin(), path_.end(), un.sun_path);
      std::memcpy(&out, &un, sizeof un);
      return static_cast<std::uint32_t>(offsetof(sockaddr_un, sun_path) + path_size_ + (path_size_ > 0 ? 1u : 0u));
    }
  }
  return 0;
}

std::uint64_t SocketAddress::hash(std::uint64_t seed) const {
  std::uint64_t value = mix(ip_.hash(seed) + (std::uint64_t{port_} << 32 | scope_) + static_cast<std::uint64_t>(family_));
  for (char octet : path()) value = mix(value + static_cast<unsigned char>(octet));
  return value;
}

std::string_view SocketAddress::text(std::span<char> buffer) const {
  Writer writer{buffer};
  char ip_buffer[IpAddress::kTextMax];
  switch (family_) {
    case Family::none: writer.add("none"); break;
    case Family::ipv4:
      writer.add(ip_.text(ip_buffer));
      writer.add(":");
      writer.add(std::uint32_t{port_});
      break;
    case Family::ipv6:
      writer.add("[");
      writer.add(ip_.text(ip_buffer));
      if (scope_ != 0) {
        writer.add("%");
        writer.add(scope_);
      }
      writer.add("]:");
      writer.add(std::uint32_t{port_});
      break;
    case Family::unix_path: writer.add(path()); break;
  }
  return writer.view();
}

std::string SocketAddress::text() const {
  char buffer[kTextMax];
  return std::string{text(buffer)};
}

}  // namespace ringpost
