// Body decoders: base64, quoted-printable, uuencode.
#include "ringpost/mime/decode.hh"

#include <array>
#include <cstdint>

#include "digits.hh"
#include "scan.hh"

namespace ringpost::mime {

Decoded decode_base64(std::string_view in, std::span<char> out) noexcept {
  Decoded result;
  std::uint32_t bits = 0;
  std::size_t have = 0;  // characters of the quantum under way
  // At the end of a quantum or at padding: the bytes it makes, unless they do not fit.
  const auto flush = [&](std::size_t at) {
    const std::size_t bytes = have * 6 / 8;
    if (out.size() - result.written < bytes) return false;
    bits <<= (4 - have) * 6;
    for (std::size_t i = 0; i < bytes; ++i) out[result.written++] = static_cast<char>(bits >> (16 - 8 * i));
    if (have == 1) result.malformed = true;  // six bits make no byte
    bits = 0;
    have = 0;
    result.consumed = at;
    return true;
  };

  for (std::size_t at = 0; at < in.size(); ++at) {
    const std::uint8_t digit = kBase64Digit[static_cast<unsigned char>(in[at])];
    if (digit < 64) {
      bits = bits << 6 | digit;
      if (++have < 4) continue;
      if (!flush(at + 1)) {
        result.truncated = true;
        return result;
      }
    } else if (in[at] == '=') {
      if (have == 0) continue;  // the second of two
      if (!flush(at + 1)) {
        result.truncated = true;
        return result;
      }
    } else if (!is_space(in[at])) {
      result.malformed = true;
    }
  }
  if (have != 0) {
    result.malformed = true;
    if (!flush(in.size())) {
      result.truncated = true;
      return result;
    }
  }
  result.consumed = in.size();
  return result;
}

Decoded decode_quoted_printable(std::string_view in, std::span<char> out) noexcept {
  Decoded result;
  std::size_t at = 0;
  const auto copy = [&](std::size_t from, std::size_t to) {
    if (to - from > out.size() - result.written) return false;
    for (; from < to; ++from) out[result.written++] = in[from];
    return true;
  };
  while (at < in.size()) {
    result.consumed = at;
    const char c = in[at];
    if (is_blank(c)) {
      // Blanks before a line end were added in transport (rule 3); others are data.
      std::size_t end = at;
      while (end < in.size() && is_blank(in[end])) ++end;
      const bool at_line_end =
          end == in.size() || in[end] == '\n' || (in[end] == '\r' && end + 1 < in.size() && in[end + 1] == '\n');
      if (!at_line_end && !copy(at, end)) {
        // A run longer than all of `out` would never fit: give as much of it as does.
        end = at + (out.size() - result.written);
        copy(at, end);
        result.consumed = end;
        result.truncated = true;
        return result;
      }
      at = end;
      continue;
    }
    std::size_t end = at + 1;
    char byte = c;
    if (c == '=') {
      while (end < in.size() && is_blank(in[end])) ++end;
      if (end == in.size() || in[end] == '\n' || (in[end] == '\r' && end + 1 < in.size() && in[end + 1] == '\n')) {
        // A soft line break; at the very end of the input nothing is left to join.
        at = end == in.size() ? end : end + (in[end] == '\r' ? 2 : 1);
        continue;
      }
      end = at + 1;
      const int high = end < in.size() ? hex_digit(in[end]) : -1;
      const int low = end + 1 < in.size() ? hex_digit(in[end + 1]) : -1;
      if (high >= 0 && low >= 0) {
        byte = static_cast<char>(high * 16 + low);
        end += 2;
      } else {
        result.malformed = true;
      }
    }
    if (result.written == out.size()) {
      result.truncated = true;
      return result;
    }
    out[result.written++] = byte;
    at = end;
  }
  result.consumed = in.size();
  return result;
}

Decoded decode_uuencode(std::string_view in, std::span<char> out) noexcept {
  Decoded result;
  std::size_t at = 0;
  const auto value = [](char c) { return static_cast<std::uint32_t>(c - ' ') & 0x3fU; };
  while (at < in.size()) {
    result.consumed = at;
    const std::size_t newline = find_newline(in, at);
    const std::size_t next = newline == kNowhere ? in.size() : newline + 1;
    const std::string_view line = trim_right(in.substr(at, next - at));
    at = next;
    if (line.empty() || line.starts_with("begin ")) continue;
    if (line == "end") break;  // what follows is not part of the file
    const std::uint32_t bytes = value(line[0]);
    const std::size_t digits = (bytes * 8 + 5) / 6;
    if (line[0] < ' ' || line[0] > '`') {
      result.malformed = true;
      continue;
    }
    if (out.size() - result.written < bytes) {
      result.truncated = true;
      return result;
    }
    // Blanks at the line end may have been lost in transport: they count as zero.
    std::uint32_t bits = 0;
    std::size_t have = 0;
    std::uint32_t made = 0;
    for (std::size_t i = 0; i < digits && made < bytes; ++i) {
      const char c = 1 + i < line.size() ? line[1 + i] : ' ';
      if (c < ' ' || c > '`') result.malformed = true;
      bits = (bits << 6 | value(c)) & 0xffffU;
      have += 6;
      if (have < 8) continue;
      have -= 8;
      out[result.written++] = static_cast<char>(bits >> have);
      ++made;
    }
  }
  result.consumed = in.size();
  return result;
}

}  // namespace ringpost::mime
