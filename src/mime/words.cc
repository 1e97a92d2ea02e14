// RFC 2047 encoded words and RFC 2231 parameters.
#include <algorithm>
#include <array>
#include <optional>

#include "assemble.hh"
#include "digits.hh"
#include "ringpost/mime/decode.hh"
#include "ringpost/mime/header.hh"
#include "scan.hh"
#include "text_sink.hh"

namespace ringpost::mime {
namespace {

struct EncodedWord {
  std::string_view charset;
  char encoding;  ///< 'B' or 'Q'
  std::string_view text;
  std::size_t length;  ///< from "=?" to "?="
};

/// The encoded word at the start of `in`. Every search ends at the next '?', so that a value full of "=?" stays linear.
std::optional<EncodedWord> encoded_word(std::string_view in) {
  if (!in.starts_with("=?")) return std::nullopt;
  const std::size_t charset_end = in.find('?', 2);
  if (charset_end == kNowhere || charset_end == 2 || in.size() < charset_end + 3 || in[charset_end + 2] != '?')
    return std::nullopt;
  const char encoding = static_cast<char>(in[charset_end + 1] & ~0x20);
  if (encoding != 'B' && encoding != 'Q') return std::nullopt;
  const std::size_t text_begin = charset_end + 3;
  const std::size_t text_end = in.find('?', text_begin);
  if (text_end == kNowhere || text_end + 1 >= in.size() || in[text_end + 1] != '=') return std::nullopt;
  const std::string_view charset = in.substr(2, charset_end - 2);
  if (std::ranges::any_of(charset, is_space)) return std::nullopt;
  return EncodedWord{charset, encoding, in.substr(text_begin, text_end - text_begin), text_end + 2};
}

void put_q(std::string_view text, TextSink& sink) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '_') {
      sink.put(' ');
    } else if (text[i] == '=' && i + 2 < text.size() && hex_digit(text[i + 1]) >= 0 && hex_digit(text[i + 2]) >= 0) {
      sink.put(static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2])));
      i += 2;
    } else {
      if (text[i] == '=') sink.set_malformed();
      sink.put(text[i]);
    }
  }
}

void put_b(std::string_view text, TextSink& sink) {
  std::array<char, 192> buffer;
  while (!text.empty()) {
    const Decoded piece = decode_base64(text, buffer);
    if (piece.malformed) sink.set_malformed();
    sink.put({buffer.data(), piece.written});
    if (!piece.truncated) return;
    text.remove_prefix(piece.consumed);
  }
}

void put_words(std::string_view value, TextSink& sink) {
  std::string_view gap;  // blanks after an encoded word: dropped if another one follows (RFC 2047 section 6.2)
  bool after_word = false;
  const auto put_blank = [&sink](std::string_view blank) {
    for (const char c : blank) {
      if (c != '\r' && c != '\n') sink.put(c);
    }
  };
  const auto end_words = [&] {
    if (!after_word) return;
    sink.set_charset(Charset::utf8);
    put_blank(gap);
    gap = {};
    after_word = false;
  };
  std::size_t at = 0;
  while (at < value.size() && !sink.full()) {
    if (const auto word = encoded_word(value.substr(at))) {
      gap = {};
      after_word = true;
      sink.set_charset(charset_named(word->charset));
      word->encoding == 'B' ? put_b(word->text, sink) : put_q(word->text, sink);
      at += word->length;
      continue;
    }
    std::size_t end = at;
    while (end < value.size() && is_space(value[end])) ++end;
    if (end > at) {
      const std::string_view blank = value.substr(at, end - at);
      after_word ? void(gap = blank) : put_blank(blank);
      at = end;
      continue;
    }
    end_words();
    sink.put(value[at++]);
  }
  end_words();
}

/// Bytes with percent signs; those that do not hold two digits stand for themselves.
void put_percent(std::string_view value, TextSink& sink) {
  for (std::size_t i = 0; i < value.size(); ++i) {
    if (value[i] == '%' && i + 2 < value.size() && hex_digit(value[i + 1]) >= 0 && hex_digit(value[i + 2]) >= 0) {
      sink.put(static_cast<char>(hex_digit(value[i + 1]) * 16 + hex_digit(value[i + 2])));
      i += 2;
    } else if (value[i] == '%') {
      sink.set_malformed();
      sink.put('%');
    } else if (value[i] != '\r' && value[i] != '\n') {
      sink.put(value[i]);
    }
  }
}

}  // namespace

Text decode_words(std::string_view value, std::span<char> out) noexcept {
  TextSink sink(out);
  while (!value.empty() && is_space(value.front())) value.remove_prefix(1);
  put_words(trim_right(value), sink);
  return sink.finish();
}

Text decode_parameter(std::string_view value, std::string_view name, std::span<char> out) noexcept {
  TextSink sink(out);
  const Pieces pieces = collect_pieces(value, name);
  if (pieces.incomplete) sink.set_malformed();
  if (pieces.plain) {
    // A word may hide behind the escapes of a quoted string; what is longer than any sensible name is cut.
    std::array<char, 4096> buffer;
    std::size_t length = 0;
    const bool whole = put_unescaped(*pieces.plain, pieces.plain->value, [&](char c) {
      if (length == buffer.size()) return false;
      buffer[length++] = c;
      return true;
    });
    put_words({buffer.data(), length}, sink);
    Text text = sink.finish();
    text.truncated |= !whole;
    return text;
  }
  bool first = true;
  for (const Parameter& piece : pieces.in_order()) {
    std::string_view bytes = piece.value;
    if (piece.extended && first) {
      // charset'language'bytes (RFC 2231 section 4)
      const std::size_t charset_end = bytes.find('\'');
      const std::size_t language_end = charset_end == kNowhere ? kNowhere : bytes.find('\'', charset_end + 1);
      if (language_end == kNowhere) {
        sink.set_malformed();
      } else {
        sink.set_charset(charset_named(bytes.substr(0, charset_end)));
        bytes.remove_prefix(language_end + 1);
      }
    }
    first = false;
    if (piece.extended) {
      put_percent(bytes, sink);
    } else {
      put_unescaped(piece, bytes, [&sink](char c) { return sink.put(c), true; });
    }
  }
  return sink.finish();
}

}  // namespace ringpost::mime
