#include "ringpost/mime/survey.hh"

#include <algorithm>

#include "scan.hh"

namespace ringpost::mime {

void Survey::feed(Bytes bytes) noexcept {
  const std::string_view text = as_text(bytes);
  const Marks marks = marks_in(text);
  eight_bit_ |= marks.eight_bit;
  nul_ |= marks.nul;

  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t newline = find_newline(text, at);
    if (newline == kNowhere) {
      line_ += text.size() - at;
      after_cr_ = text.back() == '\r';
      return;
    }
    line_ += newline - at;
    const bool cr = newline > at ? text[newline - 1] == '\r' : after_cr_;
    longest_ = std::max(longest_, line_ - (cr ? 1 : 0));
    line_ = 0;
    after_cr_ = false;
    at = newline + 1;
  }
}

}  // namespace ringpost::mime
