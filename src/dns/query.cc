// Queries. c-ares writes them; the DO bit and the mixed letters are ours.
#define CARES_NO_DEPRECATED  // its newer interface is not in Debian 12
#include <ares.h>

#include <algorithm>
#include <memory>

#include "ringpost/dns/packet.hh"

namespace ringpost::dns {
namespace {

constexpr std::size_t kOptBytes = 11;  // of an OPT record without options: it ends the packet
constexpr int kClassIn = 1;

bool is_letter(std::byte octet) {
  const auto value = static_cast<unsigned char>(octet) | 0x20u;
  return value >= 'a' && value <= 'z';
}

void mix_letters(std::vector<std::byte>& packet, Prng& prng) {
  std::uint64_t bits = 0;
  int left = 0;
  for (std::size_t at = kHeaderBytes; packet[at] != std::byte{0};) {
    const std::size_t end = at + 1 + static_cast<std::size_t>(packet[at]);
    for (++at; at < end; ++at) {
      if (!is_letter(packet[at])) continue;
      if (left-- == 0) {
        bits = prng.next();
        left = 63;
      }
      if (bits & 1) packet[at] ^= std::byte{0x20};
      bits >>= 1;
    }
  }
}

/// Sets the DO bit (RFC 3225) in the OPT record at the end. False when there is none.
bool ask_for_dnssec(std::vector<std::byte>& packet) {
  if (packet.size() < kHeaderBytes + kOptBytes) return false;
  std::byte* opt = packet.data() + packet.size() - kOptBytes;
  if (opt[0] != std::byte{0} || opt[1] != std::byte{0} || opt[2] != std::byte{static_cast<unsigned char>(Type::opt)})
    return false;
  opt[7] |= std::byte{0x80};
  return true;
}

}  // namespace

bool is_askable(std::string_view name) {
  if (name.empty() || name.size() > 253) return false;
  for (std::size_t at = 0; at <= name.size();) {
    const std::size_t end = std::min(name.find('.', at), name.size());
    const std::string_view label = name.substr(at, end - at);
    const auto allowed = [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    };
    if (label.empty() || label.size() > 63 || !std::ranges::all_of(label, allowed)) return false;
    at = end + 1;
  }
  return true;
}

std::string canonical(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  std::string lower{name};
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return lower;
}

Result<std::vector<std::byte>> make_query(std::string_view name, Type type, std::uint16_t id, const QueryOptions& options) {
  if (!name.empty() && !is_askable(name)) return std::unexpected(Error{Errc::invalid});
  unsigned char* made = nullptr;
  int size = 0;
  const int status = ::ares_create_query(std::string{name}.c_str(), kClassIn, static_cast<int>(type), id, 1, &made, &size,
                                         options.edns ? kUdpBytes : 0);
  const std::unique_ptr<unsigned char, void (*)(void*)> owned(made, &::ares_free_string);
  if (status == ARES_ENOTFOUND) return std::unexpected(Error{Errc::not_found});
  if (status == ARES_ENOMEM) return std::unexpected(Error{Errc::no_memory});
  if (status != ARES_SUCCESS || size < static_cast<int>(kHeaderBytes)) return std::unexpected(Error{Errc::invalid, status});
  const auto* begin = reinterpret_cast<const std::byte*>(made);
  std::vector<std::byte> packet(begin, begin + size);
  if (options.edns && !ask_for_dnssec(packet)) return std::unexpected(Error{Errc::unsupported});
  if (options.letters) mix_letters(packet, *options.letters);
  return packet;
}

}  // namespace ringpost::dns
