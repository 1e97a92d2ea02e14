// Puts the pieces of a continued parameter in order (RFC 2231 section 3).
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

#include "ringpost/mime/decode.hh"
#include "ringpost/mime/header.hh"
#include "ringpost/mime/parameters.hh"

namespace ringpost::mime {

/// What a value says about one parameter: either the plain form or pieces, never both. Pieces win, as RFC 2231 and
/// RFC 6266 advise, since the plain form is then only there for old readers.
struct Pieces {
  std::optional<Parameter> plain;
  std::array<Parameter, kSectionsMax> pieces;
  std::size_t count = 0;    ///< pieces without a gap, from 0 on
  bool incomplete = false;  ///< there are pieces after a gap or above kSectionsMax
  bool duplicate = false;   ///< the same thing given twice: the first counts
  std::span<const Parameter> in_order() const { return std::span(pieces).first(count); }
  explicit operator bool() const { return plain.has_value() || count != 0; }
};

/// One pass over the value, whatever order and numbers the pieces have.
Pieces collect_pieces(std::string_view value, std::string_view name) noexcept;

/// Gives the bytes of `text`, taken from `parameter`, one by one without folds and, if it was quoted, without escapes.
/// Stops when `put` returns false; returns whether it got to the end.
template <typename Put>
bool put_unescaped(const Parameter& parameter, std::string_view text, Put put) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r' || text[i] == '\n') continue;
    if (parameter.quoted && text[i] == '\\' && i + 1 < text.size()) ++i;
    if (!put(text[i])) return false;
  }
  return true;
}

}  // namespace ringpost::mime
