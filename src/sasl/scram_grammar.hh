// Grammar that both sides of SCRAM share (RFC 5802 section 7).
#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace ringpost::sasl {

inline constexpr std::size_t kNonceBytesMin = 18, kNonceBytesMax = 256;
inline constexpr std::string_view kBinding = "tls-exporter";  // RFC 9266

inline bool is_nonce(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= 0x21 && c <= 0x7e && c != ','; });
}

/// What stands before the next comma, or all that is left; it and the comma are taken off `text`.
inline std::string_view next_field(std::string_view& text) {
  const std::size_t comma = text.find(',');
  const std::string_view field = text.substr(0, comma);
  text.remove_prefix(comma == text.npos ? text.size() : comma + 1);
  return field;
}

/// All of `text` is attributes we do not know and may pass over: ",x=value" each, or nothing.
inline bool are_extensions(std::string_view text) {
  while (!text.empty()) {
    if (text[0] != ',') return false;
    text.remove_prefix(1);
    const std::string_view field = text.substr(0, text.find(','));
    const bool letter = !field.empty() && ((field[0] >= 'a' && field[0] <= 'z') || (field[0] >= 'A' && field[0] <= 'Z'));
    if (!letter || field.size() < 3 || field[1] != '=' || field.find('\0') != field.npos) return false;
    text.remove_prefix(field.size());
  }
  return true;
}

}  // namespace ringpost::sasl
