// From spans to lines.
#include <algorithm>

#include "machine.hh"
#include "scan.hh"

namespace ringpost::mime {

void Indexer::Machine::feed(Bytes bytes) {
  RP_ASSERT(!finished_);
  if (bytes.empty()) return;
  span_ = as_text(bytes);
  span_begin_ = index_.size_;
  index_.size_ += bytes.size();
  std::uint64_t cursor = span_begin_;
  while (cursor < index_.size_ && scan_ != Scan::rest) {
    switch (scan_) {
      case Scan::line: cursor = take_line(cursor); break;
      case Scan::dash: cursor = take_dash(cursor); break;
      case Scan::skip: cursor = take_skip(cursor); break;
      case Scan::rest: break;
    }
  }
  hold_tail();
  byte_before_span_ = span_.back();
  span_ = {};
  span_begin_ = index_.size_;
}

void Indexer::Machine::finish() {
  RP_ASSERT(!finished_);
  if (scan_ == Scan::line && line_begin_ < index_.size_) on_line(line_from_held(index_.size_, index_.size_));
  end_message();
  finished_ = true;
}

std::uint64_t Indexer::Machine::take_line(std::uint64_t cursor) {
  const std::size_t found = find_newline(span_, static_cast<std::size_t>(cursor - span_begin_));
  const std::uint64_t newline = found == kNowhere ? index_.size_ : span_begin_ + found;
  if (in_header_) {
    const Marks marks = marks_in(view(cursor, newline));
    if (marks.eight_bit) line_flags_.set(Flag::eight_bit);
    if (marks.nul) line_flags_.set(Flag::nul);
  }
  if (found == kNowhere) {
    // A line that is already too long need not end to be judged.
    if (in_header_ && header_too_long(index_.size_)) {
      stop(part_, Flag::header_too_long, line_begin_);
      scan_ = Scan::rest;
    }
    return index_.size_;
  }
  const std::uint32_t line_break = line_break_at(newline);
  const std::uint64_t end = newline + 1;
  on_line(line_from_held(end - line_break, end));
  begin_line(end, line_break, scan_for_next_line());
  return end;
}

std::uint64_t Indexer::Machine::take_dash(std::uint64_t cursor) {
  if (view(cursor, cursor + 1) != "-") {
    scan_ = Scan::skip;  // and look at this byte again: it may be a line end
    return cursor;
  }
  ++cursor;
  if (cursor - line_begin_ == 2) scan_ = Scan::line;
  return cursor;
}

std::uint64_t Indexer::Machine::take_skip(std::uint64_t cursor) {
  const std::string_view text = view(cursor, index_.size_);
  const std::size_t found = find_dash_line(text);
  if (found != kNowhere) {
    const std::uint64_t newline = cursor + found;
    begin_line(newline + 1, line_break_at(newline), Scan::line);
    return newline + 3;
  }
  if (text.ends_with('\n')) {
    begin_line(index_.size_, line_break_at(index_.size_ - 1), Scan::dash);
  } else if (text.ends_with("\n-")) {
    begin_line(index_.size_ - 1, line_break_at(index_.size_ - 2), Scan::dash);
  }
  return index_.size_;
}

void Indexer::Machine::begin_line(std::uint64_t begin, std::uint32_t line_break, Scan scan) {
  line_begin_ = begin;
  line_break_ = line_break;
  line_flags_ = {};
  held_.clear();
  scan_ = scan;
}

Indexer::Machine::Scan Indexer::Machine::scan_for_next_line() const {
  if (stopped_) return Scan::rest;
  if (in_header_) return Scan::line;
  return boundaries_.any_open() ? Scan::dash : Scan::rest;
}

/// The line that began at line_begin_: straight from the span if it is all there, else joined with what was held.
Indexer::Machine::Line Indexer::Machine::line_from_held(std::uint64_t text_end, std::uint64_t end) {
  const std::uint64_t length = std::min<std::uint64_t>(text_end - line_begin_, limits_.field_bytes_max);
  Line line{.text = {}, .begin = line_begin_, .text_end = text_end, .end = end};
  if (line_begin_ >= span_begin_ && !span_.empty()) {
    line.text = view(line_begin_, line_begin_ + length);
    return line;
  }
  if (held_.size() < length) {
    const std::string_view more = view(span_begin_, line_begin_ + length);
    held_.insert(held_.end(), more.begin(), more.end());
  }
  line.text = {held_.data(), static_cast<std::size_t>(length)};
  return line;
}

/// How long the line end is whose LF stands at `newline`: 2 with a CR, else 1.
std::uint32_t Indexer::Machine::line_break_at(std::uint64_t newline) const {
  const char before = newline > span_begin_ ? span_[static_cast<std::size_t>(newline - 1 - span_begin_)] : byte_before_span_;
  return before == '\r' ? 2 : 1;
}

void Indexer::Machine::hold_tail() {
  if (scan_ != Scan::line && scan_ != Scan::dash) return;
  const std::uint64_t from = std::max(line_begin_, span_begin_);
  const std::uint64_t room = limits_.field_bytes_max - held_.size();
  const std::string_view tail = view(from, std::min(index_.size_, from + room));
  held_.insert(held_.end(), tail.begin(), tail.end());
}

}  // namespace ringpost::mime
