// Bytes to lines to commands: the cut does not matter, every line has a verdict, and what was accepted keeps its meaning.
#include "fuzz_support.hh"
#include "ringpost/smtp/client_attributes.hh"
#include "ringpost/smtp/command.hh"
#include "ringpost/smtp/line_reader.hh"
#include "ringpost/smtp/transaction.hh"

using namespace ringpost;
using namespace ringpost::smtp;

namespace {

struct Read {
  LineStatus status;
  std::string text;
  bool close;
  bool operator==(const Read&) const = default;
};

void read(LineReader& reader, Bytes input, std::vector<Read>& seen) {
  for (;;) {
    LineStep step = reader.next(input);
    FUZZ_CHECK(step.consumed <= input.size());
    input = input.subspan(step.consumed);
    if (step.status == LineStatus::need_more) break;
    seen.push_back({step.status, std::string(as_text(step.text)), step.close});
  }
  FUZZ_CHECK(input.empty());
}

bool within(std::string_view part, std::string_view whole) {
  return part.empty() || (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

void check_attributes(Verb verb, std::string_view argument) {
  const auto attributes = parse_client_attributes(verb, argument);
  if (!attributes) {
    FUZZ_CHECK(attributes.error().code == 501);
    return;
  }
  FUZZ_CHECK(attributes->addressed || !attributes->address);
  FUZZ_CHECK(attributes->port != 0);
  ClientAttributes twice = *attributes;
  twice.add(*attributes);
  FUZZ_CHECK(twice == *attributes);
}

void check_command(std::string_view line, const CommandRules& rules) {
  Command command = parse_command(as_bytes(line), rules);
  FUZZ_CHECK(within(command.argument, line));
  FUZZ_CHECK(!command.close || command.refusal);
  if (command.refusal) {
    std::byte out[kReplyBytesMax];
    FUZZ_CHECK(command.refusal.code >= 500 && command.refusal.enhanced.klass == 5 && write_reply(command.refusal, out) != 0);
    return;
  }
  (void)TransactionState{}.decide(command.verb);
  if (command.verb == Verb::xclient || command.verb == Verb::xforward) check_attributes(command.verb, command.argument);
  if (command.verb != Verb::mail && command.verb != Verb::rcpt) return;
  std::string kept;
  if (command.verb == Verb::mail) append_parameters(command.mail.notification, kept);
  else append_parameters(command.rcpt.notification, kept);
  FUZZ_CHECK(kept.size() < kNotificationLineBytesMax && (command.verb == Verb::mail || kept.empty() || kept.size() <= 540));
  for (char c : kept) FUZZ_CHECK(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
  const RecipientNotification read = read_recipient_parameters(kept);
  FUZZ_CHECK(read.notify == command.rcpt.notification.notify && read.original == command.rcpt.notification.original);
  FUZZ_CHECK(read_mail_parameters(kept).envelope_id == command.mail.notification.envelope_id);
  if (command.verb == Verb::mail) {
    const std::string relayed = kept;
    append_parameters(command.mail.terms, kept);
    FUZZ_CHECK(notification_part(kept) == relayed);
    FUZZ_CHECK(read_delivery_terms(kept).release.has_value() == command.mail.terms.release.has_value());
  }
  for (char c : ascii_parameters(kept)) FUZZ_CHECK(static_cast<unsigned char>(c) >= 0x20 && static_cast<unsigned char>(c) < 0x7f);
  std::string_view address = command.path.address();
  FUZZ_CHECK(within(address, line) && address.size() + 2 <= kPathBytesMax);
  for (char c : address) FUZZ_CHECK(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
  if (command.path.kind != Path::Kind::mailbox) return;
  FUZZ_CHECK(command.path.mailbox.local.size() <= kLocalPartBytesMax && command.path.mailbox.domain.size() <= kDomainBytesMax);
  Path again = parse_mailbox(address, Utf8::allowed);
  FUZZ_CHECK(again.ok() && again.address() == address && again.mailbox.domain == command.path.mailbox.domain);
  if (!command.path.mailbox.utf8) FUZZ_CHECK(parse_mailbox(address, Utf8::refused).ok());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  Prng random = fuzz::take_seed(text);
  std::size_t limit = 2 + random.below(random.one_in(2) ? 30 : kExtendedLineBytesMax - 2);
  LineReader whole_reader(limit), cut_reader(limit);
  std::vector<Read> whole, cut;
  read(whole_reader, as_bytes(text), whole);
  for (const auto& piece : fuzz::cut(text, random)) read(cut_reader, piece, cut);
  FUZZ_CHECK(whole == cut);
  FUZZ_CHECK(whole_reader.in_line() == cut_reader.in_line());

  CommandRules rules{.extended = !random.one_in(4), .smtputf8 = random.one_in(2), .require_tls = random.one_in(2), .future_release = true, .priority = true, .deliver_by = true, .message_bytes_max = 1 << 20};
  for (const Read& line : whole) check_command(line.text, rules);
  check_command(text, rules);
  check_attributes(random.one_in(2) ? Verb::xclient : Verb::xforward, text);
  return 0;
}
