// The two inner loops over bytes: find a line that begins with "--", and look for NUL and 8-bit.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace ringpost::mime {

inline constexpr std::size_t kNowhere = std::string_view::npos;

/// Offset of the first "\n--" that lies wholly inside `text`, or kNowhere.
inline std::size_t find_dash_line(std::string_view text) noexcept {
  const char* const begin = text.data();
  const std::size_t size = text.size();
  std::size_t at = 0;
#if defined(__SSE2__)
  // Candidates are the places where '\n' is followed by '-': rare enough in any text to check the third byte one by one.
  const __m128i newline = _mm_set1_epi8('\n');
  const __m128i dash = _mm_set1_epi8('-');
  const auto pairs_at = [&](std::size_t offset) {
    const auto load = [&](std::size_t o) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(begin + o)); };
    return _mm_and_si128(_mm_cmpeq_epi8(load(offset), newline), _mm_cmpeq_epi8(load(offset + 1), dash));
  };
  const auto first_in = [&](std::size_t offset, __m128i pairs) {
    for (auto mask = static_cast<unsigned>(_mm_movemask_epi8(pairs)); mask != 0; mask &= mask - 1) {
      const std::size_t candidate = offset + static_cast<std::size_t>(std::countr_zero(mask));
      if (begin[candidate + 2] == '-') return candidate;
    }
    return kNowhere;
  };
  for (; at + 66 <= size; at += 64) {
    const __m128i pairs[4] = {pairs_at(at), pairs_at(at + 16), pairs_at(at + 32), pairs_at(at + 48)};
    const __m128i any = _mm_or_si128(_mm_or_si128(pairs[0], pairs[1]), _mm_or_si128(pairs[2], pairs[3]));
    if (_mm_movemask_epi8(any) == 0) continue;
    for (std::size_t i = 0; i < 4; ++i) {
      const std::size_t found = first_in(at + 16 * i, pairs[i]);
      if (found != kNowhere) return found;
    }
  }
#endif
  for (; at + 3 <= size; ++at) {
    const void* newline_at = std::memchr(begin + at, '\n', size - 2 - at);
    if (newline_at == nullptr) return kNowhere;
    at = static_cast<std::size_t>(static_cast<const char*>(newline_at) - begin);
    if (begin[at + 1] == '-' && begin[at + 2] == '-') return at;
  }
  return kNowhere;
}

struct Marks {
  bool eight_bit = false;
  bool nul = false;
};

/// Written so that the compiler vectorises it.
inline Marks marks_in(std::string_view text) noexcept {
  unsigned char any = 0;
  unsigned char zero = 0;
  for (const char c : text) {
    any = static_cast<unsigned char>(any | static_cast<unsigned char>(c));
    zero = static_cast<unsigned char>(zero | static_cast<unsigned char>(c == 0 ? 1 : 0));
  }
  return {.eight_bit = any > 127, .nul = zero != 0};
}

inline std::size_t find_newline(std::string_view text, std::size_t from) noexcept {
  if (from >= text.size()) return kNowhere;
  const void* found = std::memchr(text.data() + from, '\n', text.size() - from);
  return found == nullptr ? kNowhere : static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
}

constexpr bool is_blank(char c) { return c == ' ' || c == '\t'; }
constexpr bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

constexpr std::string_view trim_right(std::string_view text) {
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

}  // namespace ringpost::mime
