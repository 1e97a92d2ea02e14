#include "ringpost/smtp/line_reader.hh"

#include <algorithm>
#include <array>

#include "ascii.hh"
#include "ringpost/base/secret.hh"
#include "ringpost/smtp/scanner.hh"

namespace ringpost::smtp {

Reply line_refusal(LineStatus status) {
  switch (status) {
    case LineStatus::need_more:
    case LineStatus::line: return {};
    case LineStatus::too_long:
    case LineStatus::endless: return replies::kLineTooLong;
    case LineStatus::bare_cr:
    case LineStatus::bare_lf: return replies::kBareNewline;
    case LineStatus::nul: return replies::kControlCharacter;
  }
  return replies::kUnknownCommand;
}

LineReader::LineReader(std::size_t line_bytes_max) : line_bytes_max_(line_bytes_max) {
  RP_ASSERT(line_bytes_max >= 2 && line_bytes_max <= kExtendedLineBytesMax);
}

void LineReader::set_line_bytes_max(std::size_t bytes) {
  RP_ASSERT(bytes >= 2 && bytes <= kExtendedLineBytesMax && carried_ == 0);
  if (bytes != line_bytes_max_) {
    wipe_carry(line_bytes_max_);
    carry_.reset();
  }
  line_bytes_max_ = bytes;
}

void LineReader::wipe_carry(std::size_t size) {
  if (carry_) wipe({carry_.get(), size});
}

void LineReader::reset() {
  wipe_carry(carried_);
  carried_ = 0;
  skipped_ = 0;
  skipping_ = false;
  skipped_cr_ = false;
}

LineStep LineReader::next(Bytes input) {
  if (skipping_) return skip(input);
  if (input.empty()) return {};
  bool pending_cr = carried_ != 0 && carry_[carried_ - 1] == std::byte{'\r'};
  if (pending_cr && input[0] != std::byte{'\n'}) return refuse(LineStatus::bare_cr, {});

  // No verdict depends on bytes past the limit, so none depends on how the input was cut.
  Bytes window = input.first(std::min(input.size(), line_bytes_max_ - carried_));
  std::size_t end = pending_cr ? 0 : find_line_end(window).offset;
  auto carry = [&](std::size_t size) {
    if (!carry_) carry_ = std::make_unique_for_overwrite<std::byte[]>(line_bytes_max_);
    copy_bytes({carry_.get() + carried_, line_bytes_max_ - carried_}, window.first(size));
    carried_ += size;
  };
  auto need_more = [&]() -> LineStep {
    if (carried_ + window.size() == line_bytes_max_) return refuse(LineStatus::too_long, window);
    carry(window.size());
    return {LineStatus::need_more, {}, window.size()};
  };
  if (end == window.size()) return need_more();
  if (window[end] == std::byte{0}) return refuse(LineStatus::nul, window.first(end + 1));
  if (window[end] == std::byte{'\n'} && !pending_cr) return refuse(LineStatus::bare_lf, window.first(end + 1));
  if (window[end] == std::byte{'\r'}) {
    if (end + 1 == window.size()) return need_more();
    if (window[end + 1] != std::byte{'\n'}) return refuse(LineStatus::bare_cr, window.first(end + 1));
    ++end;
  }
  // `end` is the LF of a true CRLF; its CR is in the window or the last byte carried.
  std::size_t consumed = end + 1;
  if (carried_ == 0) return {LineStatus::line, window.first(end - 1), consumed};
  carry(consumed);
  std::size_t size = carried_ - 2;
  carried_ = 0;
  return {LineStatus::line, {carry_.get(), size}, consumed};
}

LineStep LineReader::refuse(LineStatus status, Bytes consumed) {
  // The limit may fall between the CR and the LF that end the line.
  skipped_cr_ = !consumed.empty() && consumed.back() == std::byte{'\r'};
  // A client that sent BDAT sends its chunk without waiting for us (RFC 3030 section 2).
  std::array<std::byte, 4> verb{};
  std::size_t from_carry = std::min(carried_, verb.size());
  copy_bytes(verb, {carry_.get(), from_carry});
  copy_bytes(MutableBytes{verb}.subspan(from_carry), consumed.first(std::min(consumed.size(), verb.size() - from_carry)));
  wipe_carry(carried_);
  carried_ = 0;
  skipped_ = 0;
  skipping_ = true;
  return {status, {}, consumed.size(), equals_upper(as_text(verb), "BDAT")};
}

LineStep LineReader::skip(Bytes input) {
  std::size_t at = 0;
  while (at < input.size()) {
    bool was_cr = skipped_cr_;
    std::byte b = input[at++];
    skipped_cr_ = b == std::byte{'\r'};
    if (was_cr && b == std::byte{'\n'}) {
      skipping_ = false;
      skipped_cr_ = false;
      LineStep step = next(input.subspan(at));
      step.consumed += at;
      return step;
    }
    if (++skipped_ == kSkippedBytesMax) return {LineStatus::endless, {}, at, true};
  }
  return {LineStatus::need_more, {}, at};
}

}  // namespace ringpost::smtp
