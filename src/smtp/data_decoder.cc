#include "ringpost/smtp/data_decoder.hh"

#include <cstring>

namespace ringpost::smtp {
namespace {

// Where the decoder gives out bytes that are not in its input.
Bytes literal(std::string_view text) { return as_bytes(text); }

}  // namespace

Reply fault_refusal(const TextFaults& faults) {
  if (faults.nul) return replies::kNulInMessage;
  return faults.any() ? replies::kBadNewlineInMessage : Reply{};
}

Reply DataDecoder::refusal() const { return refused() ? fault_refusal(faults_) : Reply{}; }

DataDecoder::Step DataDecoder::give(Bytes content, std::size_t consumed) {
  size_ += content.size();
  return {refused() ? Bytes{} : content, consumed, false};
}

// A CR or LF stands alone. The next line is not behind a true CRLF, so a dot at its start is a dot.
DataDecoder::Step DataDecoder::newline_fault(bool& fault, Bytes repaired, std::size_t consumed) {
  fault = true;
  state_ = State::text;
  text_.end_line(false);
  if (policy_ == BareNewline::repair) return give(repaired, consumed);
  return {{}, consumed, false};
}

// A dot is alone on a line that ends badly: nobody stuffed it, so it stays.
DataDecoder::Step DataDecoder::dot_line_fault(bool& fault, std::size_t consumed) {
  text_.add_byte();
  return newline_fault(fault, literal(".\r\n"), consumed);
}

DataDecoder::Step DataDecoder::next(MutableBytes input) {
  RP_ASSERT(!input.empty() && state_ != State::ended);
  if (refused()) return discard(input);
  Step step = decode(input);
  return step.consumed == 0 && step.content.empty() ? next(input) : step;  // always some progress
}

// Text, and what can be told of the dots in it without a look at the next piece: those that were added, and the end.
DataDecoder::Step DataDecoder::decode_text(MutableBytes input) {
  std::size_t from = 0, to = 0;
  for (;;) {
    const Bytes rest = input.subspan(from);
    const std::size_t passed = scan_text(rest, text_, Dots::stop);
    if (to != from) std::memmove(input.data() + to, rest.data(), passed);
    from += passed;
    to += passed;
    const Bytes behind = input.subspan(from);
    if (behind.size() < 2 || behind[0] != std::byte{'.'} || behind[1] == std::byte{'\n'}) break;
    if (behind[1] == std::byte{'\r'}) {
      if (behind.size() < 3 || behind[2] != std::byte{'\n'}) break;
      state_ = State::ended;
      from += 3;
      break;
    }
    text_.line_start = false;
    ++from;
  }
  Step step = give(input.first(to), from);
  step.end = state_ == State::ended;
  return step;
}

DataDecoder::Step DataDecoder::decode(MutableBytes input) {
  auto first = static_cast<char>(input[0]);
  switch (state_) {
    case State::text:
      if (const Step step = decode_text(input); step.consumed != 0) return step;
      if (first == '\r') {
        state_ = State::cr;
        return give(input.first(1), 1);
      }
      if (first == '.') {
        state_ = State::dot;
        text_.line_start = false;
        return {{}, 1, false};
      }
      if (first == '\n') return newline_fault(faults_.bare_lf, literal("\r\n"), 1);
      faults_.nul = true;
      text_.line_start = false;
      return give(input.first(1), 1);
    case State::cr:
      if (first != '\n') return newline_fault(faults_.bare_cr, literal("\n"), 0);
      state_ = State::text;
      text_.end_line(true);
      return give(input.first(1), 1);
    case State::dot:
      if (first == '\r') {
        state_ = State::dot_cr;
        return {{}, 1, false};
      }
      if (first == '\n') return dot_line_fault(faults_.bare_lf, 1);
      state_ = State::text;
      return {};
    case State::dot_cr:
      if (first != '\n') return dot_line_fault(faults_.bare_cr, 0);
      state_ = State::ended;
      return {{}, 1, true};
    case State::ended: break;
  }
  return {};
}

// The message will be refused: only its true end is of interest, and a flood of faults must not cost a scan each.
DataDecoder::Step DataDecoder::discard(Bytes input) {
  std::size_t at = 0;
  while (at < input.size() && state_ != State::ended) {
    auto c = static_cast<char>(input[at++]);
    bool line_start = text_.line_start;
    text_.line_start = false;
    ++size_;
    faults_.nul |= c == '\0';
    if (c == '\n') {
      if (state_ == State::cr) text_.line_start = true;
      state_ = state_ == State::dot_cr ? State::ended : State::text;
    } else if (c == '\r') {
      state_ = state_ == State::dot ? State::dot_cr : State::cr;
    } else {
      state_ = c == '.' && line_start ? State::dot : State::text;
    }
  }
  return {{}, at, state_ == State::ended};
}

void ChunkChecker::feed(Bytes content) {
  size_ += content.size();
  if (faults_.any() || content.empty()) return;  // refused already
  if (after_cr_) {
    after_cr_ = false;
    if (content[0] != std::byte{'\n'}) {
      faults_.bare_cr = true;
      return;
    }
    text_.end_line(true);
    content = content.subspan(1);
  }
  Bytes rest = content.subspan(scan_text(content, text_, Dots::pass));
  if (rest.empty()) return;
  switch (static_cast<char>(rest[0])) {
    case '\r':
      after_cr_ = rest.size() == 1;
      faults_.bare_cr = !after_cr_;
      break;
    case '\n': faults_.bare_lf = true; break;
    default: faults_.nul = true; break;
  }
}

void ChunkChecker::finish() {
  if (after_cr_) faults_.bare_cr = true;
  after_cr_ = false;
}

}  // namespace ringpost::smtp
