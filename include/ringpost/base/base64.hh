// Base64 in its one strict form (RFC 4648 section 4).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "ringpost/base/bytes.hh"

namespace ringpost {

/// Alphabet and padding: `standard` is section 4 with its padding; `bare` the same without any (PHC strings); `url` section 5
/// without any (JOSE).
enum class Base64 : std::uint8_t { standard, bare, url };

/// Bytes that `size` characters decode to at most.
constexpr std::size_t base64_bytes_max(std::size_t size) { return size / 4 * 3 + (size % 4) * 3 / 4; }

/// Decodes all of `text` to the start of `target` (at least base64_bytes_max of its size) and returns the bytes written. Nothing:
/// a character outside the alphabet, blanks and line ends among them; padding missing, superfluous or in the middle; unused bits
/// that are not zero (section 3.5), so that every byte string has one text only.
std::optional<std::size_t> decode_base64(std::string_view text, MutableBytes target, Base64 form = Base64::standard);

std::string encode_base64(Bytes bytes, Base64 form = Base64::standard);

}  // namespace ringpost
