// Replies of hostile next hops: bounded, printable, the same for every cut; and EHLO lines.
#include "fuzz_support.hh"
#include "ringpost/smtp/extensions.hh"
#include "ringpost/smtp/reply_parser.hh"

using namespace ringpost;
using namespace ringpost::smtp;

namespace {

struct Event {
  ReplyParser::Status status;
  std::string line;
  int code;
  EnhancedCode enhanced;
  std::string text;
  bool operator==(const Event&) const = default;
};

void parse(ReplyParser& parser, Bytes input, std::vector<Event>& events) {
  while (!input.empty()) {
    ReplyParser::Step step = parser.next(input);
    FUZZ_CHECK(step.consumed <= input.size());
    input = input.subspan(step.consumed);
    if (step.status == ReplyParser::Status::error) {
      FUZZ_CHECK(parser.fault() != ReplyFault::none && !reply_fault_name(parser.fault()).empty());
      return;
    }
    if (step.status == ReplyParser::Status::need_more) continue;
    FUZZ_CHECK(parser.code() >= 200 && parser.code() < 560 && parser.lines() <= kPeerReplyLinesMax);
    FUZZ_CHECK(!parser.enhanced() || parser.enhanced().klass == parser.code() / 100);
    for (char c : parser.text()) FUZZ_CHECK(c >= 0x20 && c <= 0x7e);
    events.push_back({step.status, std::string(step.line), parser.code(), parser.enhanced(), std::string(parser.text())});
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  Prng random = fuzz::take_seed(text);
  ReplyParser whole_parser, cut_parser;
  std::vector<Event> whole, cut;
  parse(whole_parser, as_bytes(text), whole);
  for (const auto& piece : fuzz::cut(text, random)) parse(cut_parser, piece, cut);
  FUZZ_CHECK(whole == cut);
  FUZZ_CHECK(whole_parser.fault() == cut_parser.fault() && whole_parser.in_reply() == cut_parser.in_reply());

  Capabilities capabilities;
  for (const Event& event : whole) capabilities.add_line(event.line);
  FUZZ_CHECK(capabilities.rcpt_max <= 999'999 && capabilities.mail_max <= 999'999 && capabilities.rcpt_domain_max <= 999'999);
  capabilities.add_line(text);
  return 0;
}
