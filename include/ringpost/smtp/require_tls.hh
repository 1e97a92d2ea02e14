// What a message's sender wants of TLS on its whole way (RFC 8689).
#pragma once

#include <cstdint>

#include "ringpost/base/bytes.hh"

namespace ringpost::smtp {

enum class TlsWish : std::uint8_t {
  none,
  required,  ///< MAIL had REQUIRETLS: verified TLS at every hop, or back it goes (section 4.2)
  waived,    ///< its header says "TLS-Required: No": arriving matters more than what recipients' domains publish (section 4.1)
};

/// Looks for the field "TLS-Required: No" in a message that is fed in pieces cut anywhere, up to the empty line that ends its header.
class TlsRequiredField {
 public:
  void feed(Bytes content);
  bool says_no() const { return says_no_; }

 private:
  static constexpr std::uint8_t kOtherField = 0xff;

  std::uint8_t matched_ = 0;  ///< of the pattern, from the line's start, or kOtherField
  bool line_empty_ = true, ended_ = false, says_no_ = false;
};

}  // namespace ringpost::smtp
