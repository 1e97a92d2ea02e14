#include "ringpost/smtp/reply_parser.hh"

#include <algorithm>

#include "ascii.hh"
#include "buffer_writer.hh"
#include "ringpost/smtp/scanner.hh"

namespace ringpost::smtp {

std::string_view reply_fault_name(ReplyFault fault) {
  switch (fault) {
    case ReplyFault::none: return "none";
    case ReplyFault::line_too_long: return "line_too_long";
    case ReplyFault::too_many_lines: return "too_many_lines";
    case ReplyFault::too_many_bytes: return "too_many_bytes";
    case ReplyFault::bad_code: return "bad_code";
    case ReplyFault::bad_separator: return "bad_separator";
    case ReplyFault::mixed_codes: return "mixed_codes";
    case ReplyFault::empty_line: return "empty_line";
    case ReplyFault::nul: return "nul";
    case ReplyFault::bare_cr: return "bare_cr";
    case ReplyFault::bare_lf: return "bare_lf";
  }
  return "unknown";
}

EnhancedCode parse_enhanced_code(std::string_view text, std::size_t* size) {
  std::size_t at = 0;
  auto number = [&](std::size_t digits_max, std::uint16_t& value) {
    std::size_t begin = at;
    while (at < text.size() && is_digit(text[at]) && at - begin <= digits_max) {
      value = static_cast<std::uint16_t>(value * 10 + (text[at++] - '0'));
    }
    return at != begin && at - begin <= digits_max;
  };
  auto dot = [&] { return at < text.size() && text[at++] == '.'; };
  std::uint16_t klass = 0, subject = 0, detail = 0;
  if (!number(1, klass) || !dot() || !number(3, subject) || !dot() || !number(3, detail)) return {};
  if ((klass != 2 && klass != 4 && klass != 5) || (at < text.size() && text[at] != ' ')) return {};
  if (size) *size = at;
  return {static_cast<std::uint8_t>(klass), subject, detail};
}

void ReplyParser::reset() {
  code_ = 0;
  enhanced_ = {};
  fault_ = ReplyFault::none;
  begun_ = false;
  lines_ = bytes_ = carried_ = text_size_ = 0;
}

ReplyParser::Step ReplyParser::fail(ReplyFault fault, std::size_t consumed) {
  fault_ = fault;
  return {Status::error, consumed, {}};
}

void ReplyParser::keep_text(std::string_view text) {
  auto put = [&](char c) {
    if (text_size_ < text_.size()) text_[text_size_++] = is_printable_ascii(c) ? c : '?';
  };
  if (text_size_ != 0 && !text.empty()) put(' ');
  for (char c : text.substr(0, text_.size())) put(c);
}

ReplyParser::Step ReplyParser::next(Bytes input) {
  if (fault_ != ReplyFault::none) return {Status::error, 0, {}};
  if (input.empty()) return {};
  if (!begun_) {
    reset();
    begun_ = true;
  }
  bool pending_cr = carried_ != 0 && carry_[carried_ - 1] == std::byte{'\r'};
  if (pending_cr && input[0] != std::byte{'\n'}) return fail(ReplyFault::bare_cr, 0);
  Bytes window = input.first(std::min(input.size(), carry_.size() - carried_));
  std::size_t end = pending_cr ? 0 : find_line_end(window).offset;
  auto carry = [&](std::size_t size) {
    copy_bytes(MutableBytes{carry_}.subspan(carried_), window.first(size));
    carried_ += size;
  };
  if (end + 1 >= window.size() && (end == window.size() || window[end] == std::byte{'\r'})) {  // no line end in sight
    if (carried_ + window.size() == carry_.size()) return fail(ReplyFault::line_too_long, window.size());
    carry(window.size());
    return {Status::need_more, window.size(), {}};
  }
  if (window[end] == std::byte{0}) return fail(ReplyFault::nul, end + 1);
  if (window[end] == std::byte{'\n'} && !pending_cr) return fail(ReplyFault::bare_lf, end + 1);
  if (window[end] == std::byte{'\r'} && window[++end] != std::byte{'\n'}) return fail(ReplyFault::bare_cr, end);
  std::size_t consumed = end + 1;
  if (carried_ == 0) return take_line(as_text(window.first(end - 1)), consumed);
  carry(consumed);
  std::size_t size = carried_ - 2;
  carried_ = 0;
  return take_line(as_text(Bytes{carry_}.first(size)), consumed);
}

ReplyParser::Step ReplyParser::take_line(std::string_view line, std::size_t consumed) {
  bytes_ += line.size() + 2;
  if (++lines_ > kPeerReplyLinesMax) return fail(ReplyFault::too_many_lines, consumed);
  if (bytes_ > kPeerReplyBytesMax) return fail(ReplyFault::too_many_bytes, consumed);
  if (line.empty()) return fail(ReplyFault::empty_line, consumed);
  // Reply-code = %x32-35 %x30-35 %x30-39 (RFC 5321 section 4.2)
  if (line.size() < 3 || line[0] < '2' || line[0] > '5' || line[1] < '0' || line[1] > '5' || !is_digit(line[2])) {
    return fail(ReplyFault::bad_code, consumed);
  }
  auto code = static_cast<std::uint16_t>((line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0'));
  if (lines_ > 1 && code != code_) return fail(ReplyFault::mixed_codes, consumed);
  code_ = code;
  bool last = line.size() == 3 || line[3] == ' ';
  if (!last && line[3] != '-') return fail(ReplyFault::bad_separator, consumed);
  std::string_view text = line.substr(std::min<std::size_t>(line.size(), 4));
  std::string_view words = text;
  std::size_t code_size = 0;
  EnhancedCode enhanced = parse_enhanced_code(text, &code_size);
  if (enhanced.klass == code / 100) {
    if (lines_ == 1) enhanced_ = enhanced;
    words.remove_prefix(std::min(code_size + 1, words.size()));
  }
  keep_text(words);
  if (last) begun_ = false;
  return {last ? Status::done : Status::line, consumed, text};
}

}  // namespace ringpost::smtp
