#include "ringpost/smtp/dot_stuffer.hh"

#include <algorithm>

namespace ringpost::smtp {

DotStuffer::Step DotStuffer::fail(bool& fault) {
  fault = true;
  return {};
}

DotStuffer::Step DotStuffer::next(Bytes content) {
  RP_ASSERT(!content.empty());
  if (failed()) return {};
  auto first = static_cast<char>(content[0]);
  if (held_cr_) {
    if (first != '\n') return fail(faults_.bare_cr);
    held_cr_ = false;
    text_.end_line(true);
    return {as_bytes("\r\n"), 1};
  }
  if (text_.line_start && first == '.') {  // the added dot first, then this one as ordinary text
    text_.line_start = false;
    return {as_bytes("."), 0};
  }
  if (std::size_t passed = scan_text(content, text_, Dots::stop)) return {content.first(passed), passed};
  if (first == '\r' && content.size() == 1) {
    held_cr_ = true;
    return {{}, 1};
  }
  return fail(first == '\r' ? faults_.bare_cr : first == '\n' ? faults_.bare_lf : faults_.nul);
}

Bytes DotStuffer::finish() {
  if (held_cr_) faults_.bare_cr = true;
  if (failed()) return {};
  return as_bytes(text_.line_start ? ".\r\n" : "\r\n.\r\n");
}

std::size_t DotStuffer::copy(Bytes& content, MutableBytes out) {
  std::size_t written = 0;
  // One step gives at most two bytes that are not content, and at most as many as it is shown.
  while (!content.empty() && !failed() && out.size() - written >= 2) {
    Step step = next(content.first(std::min(content.size(), out.size() - written)));
    copy_bytes(out.subspan(written), step.output);
    written += step.output.size();
    content = content.subspan(step.consumed);
  }
  return written;
}

}  // namespace ringpost::smtp
