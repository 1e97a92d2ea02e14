// Character classes and comparisons of ASCII, independent of any locale.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace ringpost::smtp {

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr char to_upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }
constexpr bool is_alpha(char c) { return to_upper(c) >= 'A' && to_upper(c) <= 'Z'; }
constexpr bool is_let_dig(char c) { return is_alpha(c) || is_digit(c); }
constexpr bool is_hex(char c) { return is_digit(c) || (to_upper(c) >= 'A' && to_upper(c) <= 'F'); }
constexpr bool is_eight_bit(char c) { return (static_cast<unsigned char>(c) & 0x80) != 0; }
constexpr bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

/// `upper` is in upper case already.
constexpr bool equals_upper(std::string_view text, std::string_view upper) {
  return std::ranges::equal(text, upper, {}, to_upper);
}
constexpr bool starts_upper(std::string_view text, std::string_view upper) {
  return text.size() >= upper.size() && equals_upper(text.substr(0, upper.size()), upper);
}

/// 1 to 20 decimal digits and nothing else (RFC 1870 section 5, RFC 3030 section 2); saturates at 2^64-1.
constexpr std::optional<std::uint64_t> parse_decimal(std::string_view text) {
  if (text.empty() || text.size() > 20) return std::nullopt;
  unsigned __int128 value = 0;
  for (char c : text) {
    if (!is_digit(c)) return std::nullopt;
    value = value * 10 + static_cast<unsigned>(c - '0');
  }
  return static_cast<std::uint64_t>(std::min<unsigned __int128>(value, UINT64_MAX));
}

/// Cuts `text` at its first blank and returns what stood before it.
constexpr std::string_view take_word(std::string_view& text) {
  std::size_t end = std::min(text.find(' '), text.size());
  std::string_view word = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return word;
}

}  // namespace ringpost::smtp
