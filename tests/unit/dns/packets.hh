// DNS packets written by hand, right or wrong.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ringpost/base/bytes.hh"
#include "ringpost/dns/packet.hh"

namespace ringpost::dns {

using Octets = std::vector<std::byte>;

/// Appends in network byte order. Counts of the header are set as sections are written.
class PacketWriter {
 public:
  static constexpr unsigned kResponse = 0x8000, kAuthoritative = 0x0400, kTruncated = 0x0200, kRecursion = 0x0180,
                            kAuthentic = 0x0020;

  explicit PacketWriter(std::uint16_t id = 0x1234, unsigned flags = kResponse | kRecursion) {
    u16(id);
    u16(flags);
    bytes_.resize(kHeaderBytes);
  }

  PacketWriter& u8(unsigned value) {
    bytes_.push_back(static_cast<std::byte>(value));
    return *this;
  }
  PacketWriter& u16(unsigned value) { return u8(value >> 8).u8(value); }
  PacketWriter& u32(std::uint32_t value) { return u16(value >> 16).u16(value & 0xffff); }
  PacketWriter& raw(Bytes bytes) {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return *this;
  }
  /// Labels between dots; no escapes. The root is empty.
  PacketWriter& name(std::string_view text) {
    while (!text.empty()) {
      const std::size_t dot = std::min(text.find('.'), text.size());
      u8(static_cast<unsigned>(dot)).raw(as_bytes(text.substr(0, dot)));
      text.remove_prefix(std::min(dot + 1, text.size()));
    }
    return u8(0);
  }
  PacketWriter& pointer(std::size_t to) { return u16(0xc000u | static_cast<unsigned>(to)); }

  PacketWriter& question(std::string_view text, Type type) {
    count(4);
    return name(text).u16(static_cast<unsigned>(type)).u16(1);
  }
  /// A record in the section that begins with count `section` (6: answers, 8: authorities, 10: additional).
  PacketWriter& record(std::string_view owner, Type type, std::uint32_t ttl, Bytes data, std::size_t section = 6) {
    count(section);
    return name(owner).u16(static_cast<unsigned>(type)).u16(1).u32(ttl).u16(static_cast<unsigned>(data.size())).raw(data);
  }
  PacketWriter& count(std::size_t place, unsigned add = 1) {
    const unsigned sum = (static_cast<unsigned>(bytes_[place]) << 8 | static_cast<unsigned>(bytes_[place + 1])) + add;
    bytes_[place] = static_cast<std::byte>(sum >> 8);
    bytes_[place + 1] = static_cast<std::byte>(sum);
    return *this;
  }
  std::size_t size() const { return bytes_.size(); }
  const Octets& bytes() const { return bytes_; }

 private:
  Octets bytes_;
};

/// The data of records, without compression.
inline Octets data_of(const PacketWriter& writer) { return {writer.bytes().begin() + kHeaderBytes, writer.bytes().end()}; }
inline Octets a_data(std::string_view ip) {
  const IpAddress address = *IpAddress::parse(ip);
  const Bytes bytes{address.bytes};
  const Bytes part = address.is_ipv4() ? bytes.subspan(12) : bytes;
  return {part.begin(), part.end()};
}
inline Octets name_data(std::string_view name) { return data_of(PacketWriter{}.name(name)); }
inline Octets mx_data(unsigned preference, std::string_view host) { return data_of(PacketWriter{}.u16(preference).name(host)); }
inline Octets soa_data(std::uint32_t minimum) {
  return data_of(PacketWriter{}.name("ns.example").name("hostmaster.example").u32(1).u32(2).u32(3).u32(4).u32(minimum));
}

}  // namespace ringpost::dns
