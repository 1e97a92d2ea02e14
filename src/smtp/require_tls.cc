#include "ringpost/smtp/require_tls.hh"

#include <cstring>
#include <string_view>

#include "ascii.hh"

namespace ringpost::smtp {

// RFC 8689 section 3: tls-required-header = "TLS-Required:" *WSP "No"; blanks before the colon are RFC 5322 section 4.5.8's.
void TlsRequiredField::feed(Bytes content) {
  constexpr std::string_view kPattern = "TLS-REQUIRED:NO\n";
  constexpr std::size_t kColon = 12, kValue = 13, kEnd = 15;
  for (std::size_t at = 0; at < content.size() && !ended_;) {
    if (!line_empty_ && matched_ == kOtherField) {  // on to the next line
      const auto* newline = static_cast<const std::byte*>(std::memchr(content.data() + at, '\n', content.size() - at));
      if (!newline) return;
      at = static_cast<std::size_t>(newline - content.data());
    }
    const auto c = static_cast<char>(content[at++]);
    if (c == '\n') {
      ended_ = line_empty_;
      says_no_ |= matched_ == kEnd;
      line_empty_ = true;
      matched_ = 0;
      continue;
    }
    const bool blank = c == ' ' || c == '\t';
    const bool may_skip = ((matched_ == kColon || matched_ == kValue || matched_ == kEnd) && blank) || (matched_ == kEnd && c == '\r');
    if (may_skip || (c == '\r' && line_empty_)) continue;
    line_empty_ = false;
    if (matched_ != kOtherField) matched_ = to_upper(c) == kPattern[matched_] ? static_cast<std::uint8_t>(matched_ + 1) : kOtherField;
  }
}

}  // namespace ringpost::smtp
