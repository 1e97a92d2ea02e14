// The decoder of DATA against a slow oracle that sees the whole message at once; what it accepts survives being sent on.
#include <algorithm>

#include "fuzz_support.hh"
#include "ringpost/smtp/data_decoder.hh"
#include "ringpost/smtp/dot_stuffer.hh"
#include "ringpost/smtp/received.hh"
#include "ringpost/smtp/require_tls.hh"

using namespace ringpost;
using namespace ringpost::smtp;

namespace {

struct Outcome {
  bool ended = false;
  std::size_t consumed = 0;
  bool stray = false;  ///< a bare CR or LF
  bool nul = false;
  std::string content;
};

Outcome oracle(std::string_view wire, BareNewline policy) {
  Outcome outcome;
  std::size_t end = wire.find("\r\n.\r\n");
  if (end != std::string_view::npos) end += 2;
  if (wire.starts_with(".\r\n")) end = 0;
  outcome.ended = end != std::string_view::npos;
  outcome.consumed = outcome.ended ? end + 3 : wire.size();
  std::string_view body = wire.substr(0, end);
  outcome.nul = body.find('\0') != std::string_view::npos;
  while (!body.empty()) {
    std::size_t newline = body.find("\r\n");
    bool whole = newline != std::string_view::npos;
    std::string_view line = body.substr(0, newline);
    body.remove_prefix(whole ? newline + 2 : body.size());
    if (!whole && (line == "." || line == ".\r")) break;  // perhaps the end: nothing is known yet
    bool stuffed = line.starts_with('.');
    if (stuffed && line.size() > 1 && (line[1] == '\n' || line[1] == '\r')) stuffed = false;
    if (stuffed) line.remove_prefix(1);
    for (std::size_t i = 0; i < line.size(); ++i) {
      if (line[i] != '\r' && line[i] != '\n') {
        outcome.content += line[i];
      } else if (!whole && i + 1 == line.size() && line[i] == '\r') {
        outcome.content += '\r';  // its LF may still come
      } else {
        outcome.stray = true;
        outcome.content += policy == BareNewline::repair ? "\r\n" : std::string(1, line[i]);
      }
    }
    if (whole) outcome.content += "\r\n";
  }
  return outcome;
}

void check_decoder(std::string_view wire, BareNewline policy, Prng& random) {
  Outcome expected = oracle(wire, policy);
  DataDecoder decoder(policy);
  std::string content;
  std::size_t consumed = 0;
  auto pieces = fuzz::cut(wire, random);
  for (auto& piece : pieces) {
    for (MutableBytes input = piece; !input.empty() && !decoder.ended();) {
      DataDecoder::Step step = decoder.next(input);
      FUZZ_CHECK(step.consumed != 0 || !step.content.empty());
      content += as_text(step.content);
      consumed += step.consumed;
      input = input.subspan(step.consumed);
    }
  }
  FUZZ_CHECK(decoder.ended() == expected.ended);
  FUZZ_CHECK(consumed == expected.consumed);
  FUZZ_CHECK(decoder.faults().any() == (expected.stray || expected.nul));
  bool refused = expected.nul || (expected.stray && policy == BareNewline::refuse);
  FUZZ_CHECK(bool(decoder.refusal()) == refused);
  if (refused) return;
  FUZZ_CHECK(content == expected.content);
  FUZZ_CHECK(decoder.size() == content.size());
  FUZZ_CHECK(decoder.eight_bit() == std::ranges::any_of(content, [](char c) { return c < 0; }));
  if (!expected.ended) return;

  std::size_t longest = 0;
  for (std::size_t at = 0, newline; at < content.size(); at = newline + 2) {
    newline = content.find("\r\n", at);
    longest = std::max(longest, newline - at);
  }
  FUZZ_CHECK(decoder.longest_line() == longest);
  DotStuffer stuffer;
  std::string sent;
  for (const auto& piece : fuzz::cut(content, random)) {
    for (Bytes rest = piece; !rest.empty();) {
      DotStuffer::Step step = stuffer.next(rest);
      FUZZ_CHECK(!stuffer.failed());
      sent += as_text(step.output);
      rest = rest.subspan(step.consumed);
    }
  }
  sent += as_text(stuffer.finish());
  Outcome received = oracle(sent, BareNewline::refuse);
  FUZZ_CHECK(received.ended && received.consumed == sent.size() && !received.stray && !received.nul &&
             received.content == content);
}

// Content framed by its length: the checker and the stuffer agree with a plain look at it, whatever the pieces.
void check_content(std::string_view content, Prng& random) {
  bool stray = content.find('\0') != std::string_view::npos;
  for (std::size_t i = 0; i < content.size(); ++i) {
    stray |= content[i] == '\n' && (i == 0 || content[i - 1] != '\r');
    stray |= content[i] == '\r' && (i + 1 == content.size() || content[i + 1] != '\n');
  }
  ChunkChecker checker;
  for (const auto& piece : fuzz::cut(content, random)) checker.feed(piece);
  checker.finish();
  FUZZ_CHECK(checker.faults().any() == stray);
  FUZZ_CHECK(checker.size() == content.size());

  DotStuffer stuffer;
  std::string sent;
  std::byte room[97];
  for (const auto& piece : fuzz::cut(content, random)) {
    for (Bytes rest = piece; !rest.empty() && !stuffer.failed();) {
      std::size_t written = stuffer.copy(rest, room);
      sent += as_text(Bytes{room}.first(written));
    }
  }
  sent += as_text(stuffer.finish());
  FUZZ_CHECK(stuffer.failed() == stray);
  FUZZ_CHECK(!stray || (sent.find("\r\n.\r\n") == std::string::npos && !sent.starts_with(".\r\n")));

  ReceivedCounter whole, cut;
  whole.feed(as_bytes(content));
  for (const auto& piece : fuzz::cut(content, random)) cut.feed(piece);
  FUZZ_CHECK(whole.count() == cut.count() && whole.header_ended() == cut.header_ended());

  TlsRequiredField field, field_cut;
  field.feed(as_bytes(content));
  for (const auto& piece : fuzz::cut(content, random)) field_cut.feed(piece);
  FUZZ_CHECK(field.says_no() == field_cut.says_no());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  Prng random = fuzz::take_seed(text);
  check_decoder(text, BareNewline::refuse, random);
  check_decoder(text, BareNewline::repair, random);
  check_content(text, random);
  return 0;
}
