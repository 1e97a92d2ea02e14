#include "text_sink.hh"

#include <array>

#include "ringpost/mime/header.hh"

namespace ringpost::mime {
namespace {

constexpr char32_t kReplacement = 0xfffd;

// Windows-1252, 0x80 to 0x9f; unassigned places become U+FFFD.
constexpr std::array<char16_t, 32> kCp1252 = {0x20ac, 0xfffd, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021,
                                              0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0xfffd, 0x017d, 0xfffd,
                                              0xfffd, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
                                              0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0xfffd, 0x017e, 0x0178};

struct Label {
  std::string_view text;
  Charset charset;
};
constexpr Label kLabels[] = {
    {"utf-8", Charset::utf8},    {"utf8", Charset::utf8},           {"us-ascii", Charset::utf8},
    {"ascii", Charset::utf8},    {"iso-8859-1", Charset::latin1},   {"iso8859-1", Charset::latin1},
    {"latin1", Charset::latin1}, {"windows-1252", Charset::cp1252}, {"cp1252", Charset::cp1252},
};

}  // namespace

Charset charset_named(std::string_view label) noexcept {
  label = label.substr(0, label.find('*'));
  if (label.empty()) return Charset::utf8;
  for (const Label& known : kLabels) {
    if (equal_ignoring_case(known.text, label)) return known.charset;
  }
  return Charset::unknown;
}

void TextSink::set_charset(Charset charset) noexcept {
  if (charset == charset_) return;
  drop_pending();
  charset_ = charset;
}

void TextSink::drop_pending() noexcept {
  if (to_come_ == 0) return;
  to_come_ = 0;
  text_.lossy = true;
  put_character(kReplacement);
}

void TextSink::put_character(char32_t character) noexcept {
  char bytes[4];
  std::size_t length = 0;
  const auto add = [&](char32_t byte) { bytes[length++] = static_cast<char>(byte); };
  if (character < 0x80) {
    add(character);
  } else if (character < 0x800) {
    add(0xc0 | (character >> 6));
    add(0x80 | (character & 0x3f));
  } else if (character < 0x10000) {
    add(0xe0 | (character >> 12));
    add(0x80 | ((character >> 6) & 0x3f));
    add(0x80 | (character & 0x3f));
  } else {
    add(0xf0 | (character >> 18));
    add(0x80 | ((character >> 12) & 0x3f));
    add(0x80 | ((character >> 6) & 0x3f));
    add(0x80 | (character & 0x3f));
  }
  if (text_.truncated || out_.size() - written_ < length) {
    text_.truncated = true;
    return;
  }
  for (std::size_t i = 0; i < length; ++i) out_[written_++] = bytes[i];
}

void TextSink::put_utf8(unsigned char byte) noexcept {
  if (to_come_ != 0) {
    if ((byte & 0xc0) == 0x80) {
      pending_ = (pending_ << 6) | (byte & 0x3fU);
      if (--to_come_ != 0) return;
      const bool valid = pending_ >= least_ && pending_ <= 0x10ffff && (pending_ < 0xd800 || pending_ > 0xdfff);
      if (!valid) text_.lossy = true;
      put_character(valid ? pending_ : kReplacement);
      return;
    }
    drop_pending();
  }
  const auto begin = [this](char32_t bits, std::uint8_t to_come, char32_t least) {
    pending_ = bits;
    to_come_ = to_come;
    least_ = least;
  };
  if (byte < 0x80) {
    put_character(byte);
  } else if ((byte & 0xe0) == 0xc0) {
    begin(byte & 0x1fU, 1, 0x80);
  } else if ((byte & 0xf0) == 0xe0) {
    begin(byte & 0x0fU, 2, 0x800);
  } else if ((byte & 0xf8) == 0xf0) {
    begin(byte & 0x07U, 3, 0x10000);
  } else {
    text_.lossy = true;
    put_character(kReplacement);
  }
}

void TextSink::put(char byte) noexcept {
  const auto value = static_cast<unsigned char>(byte);
  switch (charset_) {
    case Charset::utf8: put_utf8(value); return;
    case Charset::latin1: put_character(value); return;
    case Charset::cp1252:
    case Charset::unknown: {
      char32_t character = value;
      if (charset_ == Charset::cp1252 && value >= 0x80 && value < 0xa0) character = kCp1252[value - 0x80U];
      if (charset_ == Charset::unknown && value >= 0x80) character = kReplacement;
      if (character == kReplacement) text_.lossy = true;
      put_character(character);
      return;
    }
  }
}

Text TextSink::finish() noexcept {
  drop_pending();
  text_.text = {out_.data(), written_};
  return text_;
}

}  // namespace ringpost::mime
