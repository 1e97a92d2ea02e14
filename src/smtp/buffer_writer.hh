// Appends text to a caller's buffer and remembers when it did not fit.
#pragma once

#include <charconv>
#include <cstring>
#include <string_view>

#include "ringpost/base/bytes.hh"

namespace ringpost::smtp {

inline bool is_printable_ascii(char c) { return c >= 0x20 && c <= 0x7e; }

class BufferWriter {
 public:
  explicit BufferWriter(MutableBytes out) : out_(reinterpret_cast<char*>(out.data())), left_(out.size()) {}

  BufferWriter& text(std::string_view text) {
    if (!reserve(text.size())) return *this;
    std::memcpy(out_, text.data(), text.size());
    return advance(text.size());
  }
  /// As `text`, with everything outside printable ASCII as `?`.
  BufferWriter& safe(std::string_view text) {
    if (!reserve(text.size())) return *this;
    for (std::size_t i = 0; i < text.size(); ++i) out_[i] = is_printable_ascii(text[i]) ? text[i] : '?';
    return advance(text.size());
  }
  BufferWriter& number(std::uint64_t value) {
    char digits[20];
    auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
    return text({digits, static_cast<std::size_t>(end - digits)});
  }
  /// Bytes written, or 0 when something did not fit.
  std::size_t size() const { return overflow_ ? 0 : size_; }

 private:
  bool reserve(std::size_t size) {
    if (size > left_) overflow_ = true;
    return !overflow_ && size != 0;
  }
  BufferWriter& advance(std::size_t size) {
    out_ += size;
    left_ -= size;
    size_ += size;
    return *this;
  }

  char* out_;
  std::size_t left_;
  std::size_t size_ = 0;
  bool overflow_ = false;
};

}  // namespace ringpost::smtp
