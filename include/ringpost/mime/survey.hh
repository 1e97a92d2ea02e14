// Facts about all bytes of a message that decide how it may travel on: line lengths, NUL, 8-bit.
#pragma once

#include <cstdint>

#include "ringpost/base/bytes.hh"

namespace ringpost::mime {

/// RFC 5321 section 4.5.3.1.6: 1,000 bytes with CRLF.
inline constexpr std::uint64_t kLineBytesMax = 998;

/// Fed the message in any split. Costs one pass over the bytes, so it is apart from the indexer, which skips bodies.
class Survey {
 public:
  void feed(Bytes bytes) noexcept;
  /// The longest line, without its CRLF or LF, in bytes. The last line counts although no line end came.
  std::uint64_t longest_line() const noexcept { return longest_ > line_ ? longest_ : line_; }
  bool eight_bit() const noexcept { return eight_bit_; }
  bool nul() const noexcept { return nul_; }
  void reset() noexcept { *this = Survey{}; }

 private:
  std::uint64_t longest_ = 0;
  std::uint64_t line_ = 0;
  bool after_cr_ = false;
  bool eight_bit_ = false;
  bool nul_ = false;
};

}  // namespace ringpost::mime
