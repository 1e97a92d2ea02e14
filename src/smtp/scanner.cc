#include "ringpost/smtp/scanner.hh"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace ringpost::smtp {
namespace plain {

// Written to be obviously right: the other implementations are compared with these two.

LineScan find_line_end(Bytes text) {
  LineScan scan;
  for (std::byte b : text) {
    if (b == std::byte{'\r'} || b == std::byte{'\n'} || b == std::byte{0}) break;
    scan.eight_bit |= (b & std::byte{0x80}) != std::byte{0};
    ++scan.offset;
  }
  return scan;
}

std::size_t scan_text(Bytes text, TextState& state, Dots dots) {
  std::size_t at = 0;
  while (at < text.size()) {
    char c = static_cast<char>(text[at]);
    if (c == '\n' || c == '\0') break;
    if (c == '.' && state.line_start && dots == Dots::stop) break;
    if (c == '\r') {
      if (at + 1 == text.size() || text[at + 1] != std::byte{'\n'}) break;
      state.end_line(true);
      at += 2;
      continue;
    }
    state.eight_bit |= (static_cast<unsigned char>(c) & 0x80) != 0;
    state.line_start = false;
    state.add_byte();
    ++at;
  }
  return at;
}

}  // namespace plain

#if defined(__x86_64__)

namespace {
struct Masks {
  std::uint64_t cr, lf, nul, dot, high;
};
}  // namespace

namespace sse2 {

inline Masks classify(const std::byte* from) {
  Masks masks{};
  for (int part = 0; part < 4; ++part) {
    __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from) + part);
    auto equal = [&](char c) {
      auto bits = static_cast<std::uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(c))));
      return std::uint64_t{bits} << (16 * part);
    };
    masks.cr |= equal('\r');
    masks.lf |= equal('\n');
    masks.nul |= equal('\0');
    masks.dot |= equal('.');
    masks.high |= std::uint64_t{static_cast<std::uint32_t>(_mm_movemask_epi8(bytes))} << (16 * part);
  }
  return masks;
}

#include "scanner_kernel.inc"

}  // namespace sse2

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,bmi,bmi2,lzcnt"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,bmi,bmi2,lzcnt")
#endif

namespace avx2 {

inline std::uint64_t equal(__m256i low, __m256i high, char c) {
  __m256i wanted = _mm256_set1_epi8(c);
  auto low_bits = static_cast<std::uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(low, wanted)));
  auto high_bits = static_cast<std::uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(high, wanted)));
  return std::uint64_t{high_bits} << 32 | low_bits;
}

inline Masks classify(const std::byte* from) {
  __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from) + 1);
  auto top_low = static_cast<std::uint32_t>(_mm256_movemask_epi8(low));
  auto top_high = static_cast<std::uint32_t>(_mm256_movemask_epi8(high));
  return {equal(low, high, '\r'), equal(low, high, '\n'), equal(low, high, '\0'), equal(low, high, '.'),
          std::uint64_t{top_high} << 32 | top_low};
}

#include "scanner_kernel.inc"

}  // namespace avx2

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif  // __x86_64__

namespace {

constexpr std::array kScanners = {
    Scanner{"plain", plain::find_line_end, plain::scan_text},
#if defined(__x86_64__)
    Scanner{"sse2", sse2::find_line_end, sse2::scan_text},
    Scanner{"avx2", avx2::find_line_end, avx2::scan_text},
#endif
};

std::size_t usable_scanners() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") ? 3 : 2;
#else
  return 1;
#endif
}

const Scanner& best() {
  static const Scanner& chosen = scanners().back();
  return chosen;
}

}  // namespace

std::span<const Scanner> scanners() { return std::span(kScanners).first(usable_scanners()); }

LineScan find_line_end(Bytes text) { return best().find_line_end(text); }
std::size_t scan_text(Bytes text, TextState& state, Dots dots) { return best().scan_text(text, state, dots); }

}  // namespace ringpost::smtp
