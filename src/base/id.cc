#include "ringpost/base/id.hh"

namespace ringpost {

void append_hex(std::string& out, Bytes bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::size_t at = out.size();
  out.resize(at + bytes.size() * 2);
  for (std::byte b : bytes) {
    out[at++] = kDigits[std::to_integer<unsigned>(b) >> 4];
    out[at++] = kDigits[std::to_integer<unsigned>(b) & 15];
  }
}

std::string hex(Bytes bytes) {
  std::string text;
  append_hex(text, bytes);
  return text;
}

namespace {
int digit_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}
}  // namespace

bool unhex(std::string_view text, MutableBytes target) {
  if (text.size() != target.size() * 2) return false;
  for (std::size_t i = 0; i < target.size(); ++i) {
    int high = digit_value(text[2 * i]), low = digit_value(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    target[i] = static_cast<std::byte>(high << 4 | low);
  }
  return true;
}

}  // namespace ringpost
