#include "ringpost/dns/idna.hh"

#include <idn2.h>

#include <algorithm>
#include <memory>

namespace ringpost::dns {

std::optional<std::string> to_ascii(std::string_view domain) {
  const auto is_ascii = [](char c) { return static_cast<unsigned char>(c) < 0x80; };
  if (std::ranges::all_of(domain, is_ascii)) return std::string{domain};
  if (domain.find('\0') != domain.npos || domain.size() > 4 * 255) return std::nullopt;
  char* converted = nullptr;
  const int status = ::idn2_to_ascii_8z(std::string{domain}.c_str(), &converted, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
  const std::unique_ptr<char, void (*)(void*)> owned(converted, &::idn2_free);
  if (status != IDN2_OK) return std::nullopt;
  return std::string{converted};
}

}  // namespace ringpost::dns
