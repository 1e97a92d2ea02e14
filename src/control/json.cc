#include "ringpost/control/json.hh"

#include <cstdint>

namespace ringpost::control {

namespace {

/// Octets of the well-formed UTF-8 sequence at the start of `text`, 0 when there is none (Unicode table 3-7).
std::size_t sequence_bytes(std::string_view text) {
  auto octet = [&](std::size_t i) { return i < text.size() ? static_cast<std::uint8_t>(text[i]) : std::uint8_t{0}; };
  auto continues = [&](std::size_t i, std::uint8_t low = 0x80, std::uint8_t high = 0xbf) { return octet(i) >= low && octet(i) <= high; };
  std::uint8_t lead = octet(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return continues(1) ? 2 : 0;
  if (lead >= 0xe0 && lead <= 0xef) {
    std::uint8_t low = lead == 0xe0 ? 0xa0 : 0x80, high = lead == 0xed ? 0x9f : 0xbf;
    return continues(1, low, high) && continues(2) ? 3 : 0;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    std::uint8_t low = lead == 0xf0 ? 0x90 : 0x80, high = lead == 0xf4 ? 0x8f : 0xbf;
    return continues(1, low, high) && continues(2) && continues(3) ? 4 : 0;
  }
  return 0;
}

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
  static constexpr char kDigits[] = "0123456789abcdef";
  out += '"';
  while (!text.empty()) {
    auto octet = static_cast<std::uint8_t>(text.front());
    std::size_t taken = 1;
    if (octet == '"' || octet == '\\') {
      out += '\\';
      out += text.front();
    } else if (octet < 0x20 || octet == 0x7f) {
      out += "\\u00";
      out += kDigits[octet >> 4];
      out += kDigits[octet & 15];
    } else if (std::size_t bytes = sequence_bytes(text)) {
      out += text.substr(0, bytes);
      taken = bytes;
    } else {
      out += "\xef\xbf\xbd";
    }
    text.remove_prefix(taken);
  }
  out += '"';
}

}  // namespace ringpost::control
