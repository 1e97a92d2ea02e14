#include "ringpost/smtp/command.hh"

#include <algorithm>
#include <array>

#include "ascii.hh"

namespace ringpost::smtp {
namespace {

// A verb that is not offered stands here so that it gets 502 and not 500. ends_group: RFC 2920 section 3.1.
// clang-format off
constexpr std::array kTable = {
    //            verb            name        offered ends   junk   trans  arg    clear  source
    CommandTraits{Verb::unknown,  "",         false,  false, true,  false, true,  true,  "RFC 5321 section 4.2.4"},
    CommandTraits{Verb::alien,    "",         false,  true,  true,  false, true,  true,  "RFC 5321 section 4.2.4"},
    CommandTraits{Verb::ehlo,     "EHLO",     true,   true,  true,  false, true,  true,  "RFC 5321 section 4.1.1.1"},
    CommandTraits{Verb::helo,     "HELO",     true,   true,  true,  false, true,  false, "RFC 5321 section 4.1.1.1"},
    CommandTraits{Verb::lhlo,     "LHLO",     false,  true,  true,  false, true,  false, "RFC 2033 section 4.1"},
    CommandTraits{Verb::mail,     "MAIL",     true,   false, false, false, true,  false, "RFC 5321 section 4.1.1.2"},
    CommandTraits{Verb::rcpt,     "RCPT",     true,   false, false, true,  true,  false, "RFC 5321 section 4.1.1.3"},
    CommandTraits{Verb::data,     "DATA",     true,   true,  false, true,  false, false, "RFC 5321 section 4.1.1.4"},
    CommandTraits{Verb::bdat,     "BDAT",     true,   false, false, true,  true,  false, "RFC 3030 section 2"},
    CommandTraits{Verb::rset,     "RSET",     true,   false, true,  false, false, false, "RFC 5321 section 4.1.1.5"},
    CommandTraits{Verb::noop,     "NOOP",     true,   true,  true,  false, true,  true,  "RFC 5321 section 4.1.1.9"},
    CommandTraits{Verb::vrfy,     "VRFY",     true,   true,  true,  false, true,  false, "RFC 5321 section 4.1.1.6"},
    CommandTraits{Verb::expn,     "EXPN",     true,   true,  true,  false, true,  false, "RFC 5321 section 4.1.1.7"},
    CommandTraits{Verb::help,     "HELP",     true,   true,  true,  false, true,  false, "RFC 5321 section 4.1.1.8"},
    CommandTraits{Verb::quit,     "QUIT",     true,   true,  false, false, false, true,  "RFC 5321 section 4.1.1.10"},
    CommandTraits{Verb::starttls, "STARTTLS", true,   true,  true,  false, false, true,  "RFC 3207 section 4"},
    CommandTraits{Verb::auth,     "AUTH",     true,   true,  true,  false, true,  false, "RFC 4954 section 4"},
    CommandTraits{Verb::xclient,  "XCLIENT",  true,   true,  true,  false, true,  false, "Postfix XCLIENT_README"},
    CommandTraits{Verb::xforward, "XFORWARD", true,   false, true,  false, true,  false, "Postfix XFORWARD_README"},
    CommandTraits{Verb::etrn,     "ETRN",     false,  true,  true,  false, true,  false, "RFC 1985 section 5"},
    CommandTraits{Verb::turn,     "TURN",     false,  true,  true,  false, false, false, "RFC 5321 appendix F.1"},
};
// clang-format on

constexpr bool table_is_in_order() {
  for (std::size_t i = 0; i < kTable.size(); ++i) {
    if (static_cast<std::size_t>(kTable[i].verb) != i) return false;
  }
  return kTable.back().verb == Verb::turn;
}
static_assert(table_is_in_order());

Verb find_verb(std::string_view word) {
  for (const CommandTraits& row : kTable) {
    if (!row.name.empty() && equals_upper(word, row.name)) return row.verb;
  }
  return Verb::unknown;
}

// Who speaks first words like these will never speak SMTP (and may be a browser that was lured here). A PROXY header where none is
// asked for is somebody who wants to be taken for another (attack C19).
bool is_alien(std::string_view line, std::string_view word) {
  if (line.starts_with("\x16\x03") || line.starts_with("SSH-")) return true;
  constexpr std::string_view kWords[] = {"GET", "POST", "HEAD", "PUT", "CONNECT", "OPTIONS", "PROXY"};
  return std::ranges::any_of(kWords, [&](std::string_view alien) { return equals_upper(word, alien); });
}

std::string_view trim_end(std::string_view text) {  // RFC 5321 section 4.1.1: trailing white space is tolerated
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

Reply parse_size(std::string_view value, const CommandRules& rules, Command& command) {
  MailParameters& mail = command.mail;
  if (mail.size) return replies::kDuplicateParameter;
  mail.size = parse_decimal(value);
  if (!mail.size) return replies::kBadParameter;
  return *mail.size > rules.message_bytes_max ? replies::kMessageTooLarge : Reply{};
}

Reply parse_body(std::string_view value, const CommandRules&, Command& command) {
  MailParameters& mail = command.mail;
  if (mail.body) return replies::kDuplicateParameter;
  if (equals_upper(value, "7BIT")) {
    mail.body = BodyType::seven_bit;
  } else if (equals_upper(value, "8BITMIME")) {
    mail.body = BodyType::eight_bit_mime;
  } else {
    return equals_upper(value, "BINARYMIME") ? replies::kUnknownParameter : replies::kBadParameter;
  }
  return {};
}

Reply parse_smtputf8(std::string_view, const CommandRules&, Command& command) {
  if (command.mail.smtputf8) return replies::kDuplicateParameter;
  command.mail.smtputf8 = true;
  return {};
}

Reply parse_ret(std::string_view value, const CommandRules&, Command& command) {
  MailNotification& notification = command.mail.notification;
  if (notification.ret) return replies::kDuplicateParameter;
  notification.ret = parse_return(value);
  return notification.ret ? Reply{} : replies::kBadParameter;
}

Reply parse_envid(std::string_view value, const CommandRules&, Command& command) {
  MailNotification& notification = command.mail.notification;
  if (!notification.envelope_id.empty()) return replies::kDuplicateParameter;
  if (!is_envelope_id(value)) return replies::kBadParameter;
  notification.envelope_id = value;
  return {};
}

Reply parse_notify_of(std::string_view value, const CommandRules&, Command& command) {
  RecipientNotification& notification = command.rcpt.notification;
  if (notification.notify) return replies::kDuplicateParameter;
  notification.notify = parse_notify(value);
  return notification.notify ? Reply{} : replies::kBadParameter;
}

Reply parse_orcpt(std::string_view value, const CommandRules& rules, Command& command) {
  RecipientNotification& notification = command.rcpt.notification;
  if (!notification.original.empty()) return replies::kDuplicateParameter;
  if (!is_original_recipient(value)) return replies::kBadParameter;
  // RFC 6533 section 3: 8-bit octets only in a transaction with SMTPUTF8.
  if (!rules.smtputf8 && std::ranges::any_of(value, is_eight_bit)) return replies::kBadParameter;
  notification.original = value;
  return {};
}

Reply parse_auth_of(std::string_view value, const CommandRules& rules, Command& command) {
  if (!rules.auth) return replies::kUnknownParameter;
  if (command.mail.auth) return replies::kDuplicateParameter;
  if (value != "<>" && !decode_xtext(value)) return replies::kBadParameter;
  command.mail.auth = true;
  return {};
}

Reply parse_require_tls(std::string_view, const CommandRules& rules, Command& command) {
  if (!rules.require_tls) return replies::kUnknownParameter;
  if (command.mail.require_tls) return replies::kDuplicateParameter;
  command.mail.require_tls = true;
  return {};
}

// Both at once are as wrong as one of them twice (RFC 4865 section 4.2).
Reply take_release(const std::optional<FutureRelease>& release, const CommandRules& rules, Command& command) {
  if (!rules.future_release) return replies::kUnknownParameter;
  if (command.mail.terms.release) return replies::kDuplicateParameter;
  command.mail.terms.release = release;
  return release ? Reply{} : replies::kBadParameter;
}

Reply parse_hold_for_of(std::string_view value, const CommandRules& rules, Command& command) {
  return take_release(parse_hold_for(value), rules, command);
}

Reply parse_hold_until_of(std::string_view value, const CommandRules& rules, Command& command) {
  return take_release(parse_hold_until(value), rules, command);
}

Reply parse_by(std::string_view value, const CommandRules& rules, Command& command) {
  if (!rules.deliver_by) return replies::kUnknownParameter;
  std::optional<DeliverBy>& deliver_by = command.mail.terms.deliver_by;
  if (deliver_by) return replies::kDuplicateParameter;
  deliver_by = parse_deliver_by(value);
  if (!deliver_by) return replies::kBadParameter;
  return deliver_by->give_back && static_cast<std::uint32_t>(deliver_by->seconds) < rules.deliver_by_min_s ? replies::kDeliverByTooSoon : Reply{};
}

Reply parse_priority_of(std::string_view value, const CommandRules& rules, Command& command) {
  if (!rules.priority) return replies::kUnknownParameter;
  std::optional<int>& priority = command.mail.terms.priority;
  if (priority) return replies::kDuplicateParameter;
  priority = parse_priority(value);
  return priority ? Reply{} : replies::kBadParameter;
}

enum class Value : bool { none, needed };

/// A parameter of MAIL or RCPT. One that is in no table is answered 555.
struct Parameter {
  std::string_view keyword;
  Value value;
  Reply (*parse)(std::string_view value, const CommandRules&, Command&);
  std::string_view rfc;
};
constexpr Parameter kMailParameters[] = {
    {"SIZE", Value::needed, parse_size, "RFC 1870 section 6"},
    {"BODY", Value::needed, parse_body, "RFC 6152 section 2"},
    {"SMTPUTF8", Value::none, parse_smtputf8, "RFC 6531 section 3.4"},
    {"RET", Value::needed, parse_ret, "RFC 3461 section 4.3"},
    {"ENVID", Value::needed, parse_envid, "RFC 3461 section 4.4"},
    {"AUTH", Value::needed, parse_auth_of, "RFC 4954 section 5"},
    {"REQUIRETLS", Value::none, parse_require_tls, "RFC 8689 section 3"},
    {"HOLDFOR", Value::needed, parse_hold_for_of, "RFC 4865 section 3"},
    {"HOLDUNTIL", Value::needed, parse_hold_until_of, "RFC 4865 section 3"},
    {"BY", Value::needed, parse_by, "RFC 2852 section 4"},
    {"MT-PRIORITY", Value::needed, parse_priority_of, "RFC 6710 section 4.1"},
};
constexpr Parameter kRecipientParameters[] = {
    {"NOTIFY", Value::needed, parse_notify_of, "RFC 3461 section 4.1"},
    {"ORCPT", Value::needed, parse_orcpt, "RFC 3461 section 4.2"},
};

bool is_keyword(std::string_view text) {  // esmtp-keyword
  return !text.empty() && is_let_dig(text.front()) && std::ranges::all_of(text, [](char c) { return is_let_dig(c) || c == '-'; });
}
bool is_value(std::string_view text) {  // esmtp-value: printable ASCII but "=" and the blank; RFC 6531 adds UTF-8
  return !text.empty() && std::ranges::none_of(text, [](char c) { return is_control(c) || c == '=' || c == ' '; });
}

/// *(SP esmtp-param), all of `text`.
Reply parse_parameters(std::string_view text, std::span<const Parameter> known, const CommandRules& rules, Command& command) {
  if (!rules.extended) known = {};
  while (!text.empty()) {
    if (text.front() != ' ') return replies::kSyntax;
    text.remove_prefix(1);
    std::string_view parameter = text.substr(0, text.find(' '));
    text.remove_prefix(parameter.size());
    std::size_t equals = parameter.find('=');
    std::string_view keyword = parameter.substr(0, equals);
    bool has_value = equals != std::string_view::npos;
    std::string_view value = has_value ? parameter.substr(equals + 1) : std::string_view{};
    if (!is_keyword(keyword) || (has_value && !is_value(value))) return replies::kBadParameter;
    auto row = std::ranges::find_if(known, [&](const Parameter& p) { return equals_upper(keyword, p.keyword); });
    if (row == known.end()) return replies::kUnknownParameter;
    if (has_value != (row->value == Value::needed)) return replies::kBadParameter;
    if (Reply refusal = row->parse(value, rules, command)) return refusal;
  }
  return {};
}

// "MAIL FROM:" Reverse-path [SP Mail-parameters]. Whether SMTPUTF8 allows the path is known only behind the path.
void parse_mail(Command& command, const CommandRules& rules) {
  std::string_view rest = command.argument;
  if (!starts_upper(rest, "FROM:")) {
    command.refusal = replies::kSyntax;
    return;
  }
  rest.remove_prefix(5);
  command.path = parse_reverse_path(rest, Utf8::allowed);
  if (!command.path.ok()) {
    command.refusal = sender_refusal(command.path.fault);
    return;
  }
  command.refusal = parse_parameters(rest.substr(command.path.size), kMailParameters, rules, command);
  if (command.ok() && command.path.mailbox.utf8 && !command.mail.smtputf8) command.refusal = replies::kUtf8NotAllowed;
}

// "RCPT TO:" Forward-path [SP Rcpt-parameters]
void parse_rcpt(Command& command, const CommandRules& rules) {
  std::string_view rest = command.argument;
  if (!starts_upper(rest, "TO:")) {
    command.refusal = replies::kSyntax;
    return;
  }
  rest.remove_prefix(3);
  command.path = parse_forward_path(rest, rules.smtputf8 ? Utf8::allowed : Utf8::refused);
  if (!command.path.ok()) {
    command.refusal = recipient_refusal(command.path.fault);
    return;
  }
  command.refusal = parse_parameters(rest.substr(command.path.size), kRecipientParameters, rules, command);
}

// "AUTH" SP sasl-mech [SP initial-response] (RFC 4954 section 4). What the response says is for the mechanism.
void parse_auth(Command& command) {
  std::string_view rest = command.argument;
  command.auth.mechanism = take_word(rest);
  if (!rest.empty()) command.auth.initial_response = rest;
  if (command.auth.mechanism.empty() || rest.contains(' ')) command.refusal = replies::kSyntax;
}

// A malformed BDAT leaves us not knowing how many of the next bytes are message text, so the session must end: read as
// commands they would be a smuggled session.
void parse_bdat(Command& command) {
  std::string_view rest = command.argument;
  std::size_t blank = rest.find(' ');
  auto size = parse_decimal(rest.substr(0, blank));
  bool last = blank != std::string_view::npos;
  if (!size || *size > kChunkBytesMax || (last && !equals_upper(rest.substr(blank + 1), "LAST"))) {
    command.refusal = replies::kBadChunkSize;
    command.close = true;
    return;
  }
  command.chunk = {*size, last};
}

}  // namespace

std::span<const CommandTraits> command_table() { return kTable; }
const CommandTraits& traits(Verb verb) { return kTable[static_cast<std::size_t>(verb)]; }

Command parse_command(Bytes line, const CommandRules& rules) {
  Command command;
  std::string_view text = trim_end(as_text(line));
  std::string_view rest = text;
  std::string_view word = take_word(rest);
  bool has_argument = word.size() < text.size();
  command.argument = rest;
  command.verb = find_verb(word);
  if (command.verb == Verb::unknown && is_alien(text, word)) {
    command.verb = Verb::alien;
    command.refusal = replies::kAlienProtocol;
    command.close = true;
    return command;
  }
  auto refuse = [&](const Reply& reply) {
    command.refusal = reply;
    command.close = command.verb == Verb::bdat;
    return command;
  };
  if (std::ranges::any_of(text, is_control)) return refuse(replies::kControlCharacter);
  if (command.verb == Verb::unknown) return refuse(replies::kUnknownCommand);
  const CommandTraits& row = traits(command.verb);
  if (has_argument && !row.takes_argument) return refuse(replies::kNoArgument);

  switch (command.verb) {
    case Verb::ehlo:
    case Verb::helo:
    case Verb::lhlo:
      if (parse_helo_name(command.argument) != AddressFault::none) command.refusal = replies::kBadHeloName;
      break;
    case Verb::mail: parse_mail(command, rules); break;
    case Verb::rcpt: parse_rcpt(command, rules); break;
    case Verb::bdat: parse_bdat(command); break;
    case Verb::auth: parse_auth(command); break;
    case Verb::vrfy:
    case Verb::expn:
    case Verb::xclient:
    case Verb::xforward:
    case Verb::etrn:
      if (command.argument.empty()) return refuse(replies::kSyntax);
      [[fallthrough]];
    default:
      if (std::ranges::any_of(command.argument, is_eight_bit)) return refuse(replies::kSyntax);
      break;
  }
  return command;
}

}  // namespace ringpost::smtp
