// Where decoded words end up: bytes of some charset in, capped and valid UTF-8 out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "ringpost/mime/decode.hh"

namespace ringpost::mime {

enum class Charset : std::uint8_t {
  utf8,  ///< also US-ASCII, and raw bytes without any label
  latin1,
  cp1252,
  unknown,  ///< its ASCII half is kept
};

/// The charset of a label such as "UTF-8" or "iso-8859-1"; an RFC 2231 language suffix ("utf-8*en") is ignored.
Charset charset_named(std::string_view label) noexcept;

class TextSink {
 public:
  explicit TextSink(std::span<char> out) noexcept : out_(out) {}

  /// Bytes put from now on are in `charset`. A character may be continued in the next word if its charset is the same.
  void set_charset(Charset charset) noexcept;
  void put(char byte) noexcept;
  void put(std::string_view bytes) noexcept {
    for (const char byte : bytes) put(byte);
  }
  void set_malformed() noexcept { text_.malformed = true; }
  /// Nothing further can be written: the caller may stop.
  bool full() const noexcept { return text_.truncated; }
  Text finish() noexcept;

 private:
  void put_character(char32_t character) noexcept;
  void put_utf8(unsigned char byte) noexcept;
  void drop_pending() noexcept;

  std::span<char> out_;
  std::size_t written_ = 0;
  Charset charset_ = Charset::utf8;
  // A UTF-8 sequence under way: bits so far, bytes to come, and the least value its length may encode.
  char32_t pending_ = 0;
  std::uint8_t to_come_ = 0;
  char32_t least_ = 0;
  Text text_;
};

}  // namespace ringpost::mime
