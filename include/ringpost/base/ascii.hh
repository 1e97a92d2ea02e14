// Text of protocols: ASCII letters are the only ones with two cases, whatever the locale.
#pragma once

#include <algorithm>
#include <compare>
#include <cstddef>
#include <string_view>

namespace ringpost {

constexpr char ascii_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

/// The order of two texts as if both were lower case, octet by octet.
constexpr std::strong_ordering compare_ignoring_case(std::string_view left, std::string_view right) {
  const std::size_t common = std::min(left.size(), right.size());
  for (std::size_t i = 0; i < common; ++i) {
    const auto a = static_cast<unsigned char>(ascii_lower(left[i])), b = static_cast<unsigned char>(ascii_lower(right[i]));
    if (a != b) return a <=> b;
  }
  return left.size() <=> right.size();
}

constexpr bool equal_ignoring_case(std::string_view left, std::string_view right) {
  return left.size() == right.size() && compare_ignoring_case(left, right) == 0;
}

/// C0 and DEL: no line of text holds them.
constexpr bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

}  // namespace ringpost
