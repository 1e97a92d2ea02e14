// Decoders for bodies and words. Pure functions: bytes in, at most `out.size()` bytes out, a verdict for every input.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace ringpost::mime {

/// How far a body decoder came. With `truncated`, calling again with the input from `consumed` on continues, as long as `out`
/// has room for the smallest step: 3 bytes for base64, 63 for uuencode. Without it, `consumed` is all of the input.
struct Decoded {
  std::size_t consumed = 0;  ///< bytes of input used
  std::size_t written = 0;   ///< bytes of output made
  bool truncated = false;    ///< the output was full before the input was used up
  bool malformed = false;    ///< something had to be skipped or guessed
  friend bool operator==(const Decoded&, const Decoded&) = default;
};

/// RFC 2045 section 6.8. Bytes outside the alphabet are skipped; data after padding is decoded on (concatenated texts).
Decoded decode_base64(std::string_view in, std::span<char> out) noexcept;

/// RFC 2045 section 6.7. A malformed "=" stands for itself; blanks at line ends are dropped; line ends are kept as they are.
Decoded decode_quoted_printable(std::string_view in, std::span<char> out) noexcept;

/// The historical "begin ... end" text, with or without those two lines; what follows "end" is ignored.
Decoded decode_uuencode(std::string_view in, std::span<char> out) noexcept;

/// Decoded text, UTF-8. Lifetime: `text` points into the `out` given.
struct Text {
  std::string_view text;
  bool truncated = false;  ///< cut at `out.size()`, on a character
  bool malformed = false;  ///< pieces missing, bad percent or base64 encoding
  bool lossy = false;      ///< a charset we do not convert, or bytes invalid in theirs: U+FFFD stands for them
};

/// An unstructured value: unfolds it and decodes RFC 2047 words. Charsets converted: US-ASCII, UTF-8, ISO-8859-1,
/// Windows-1252; of others the ASCII half is kept.
Text decode_words(std::string_view value, std::span<char> out) noexcept;

/// Continuations taken together at most; pieces with a higher number are left out.
inline constexpr std::size_t kSectionsMax = 128;

/// The parameter called `name` in a Content-Type or Content-Disposition value: RFC 2231 pieces in any order, charset and
/// percent encoding, quotes, and the forbidden but common RFC 2047 word. Empty text if there is none.
Text decode_parameter(std::string_view value, std::string_view name, std::span<char> out) noexcept;

}  // namespace ringpost::mime
