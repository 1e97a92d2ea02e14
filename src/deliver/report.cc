#include "ringpost/deliver/report.hh"

#include <algorithm>
#include <utility>

#include "deliver/report_text.hh"
#include "ringpost/smtp/delivery_terms.hh"

namespace ringpost::deliver {

namespace {

using event::Reason;

/// Subject and detail by reason, where no reply says it (RFC 3463, RFC 7505).
smtp::EnhancedCode code_of(Reason reason) {
  switch (reason) {
    case Reason::too_large: return {0, 3, 4};
    case Reason::policy:
    case Reason::operator_bounced: return {0, 7, 1};
    case Reason::too_many_hops:
    case Reason::mail_loop: return {0, 4, 6};
    case Reason::timed_out:
    case Reason::connection_refused:
    case Reason::unreachable: return {0, 4, 1};
    case Reason::connection_lost: return {0, 4, 2};
    case Reason::next_hop_protocol: return {0, 5, 0};
    case Reason::incompatible: return {0, 6, 1};
    case Reason::requiretls_unmet: return {0, 7, 30};
    case Reason::expired:
    case Reason::deliver_by_expired: return {0, 4, 7};
    case Reason::dns_temporary: return {0, 4, 3};
    case Reason::dns_no_such_domain: return {0, 1, 2};
    case Reason::null_mx: return {0, 1, 10};
    case Reason::no_mail_host:
    case Reason::private_address: return {0, 4, 4};
    case Reason::damaged:
    case Reason::poison:
    case Reason::storage_failed:
    case Reason::no_space:
    case Reason::overloaded: return {0, 3, 0};
    default: return {};
  }
}

std::string_view name_of(Action action) {
  constexpr std::string_view kNames[] = {"failed", "delayed", "delivered", "relayed", "expanded"};
  return kNames[static_cast<std::size_t>(action)];
}

bool is_good(Action action) { return action != Action::failed && action != Action::delayed; }

std::string text_of(const smtp::EnhancedCode& code) {
  return std::to_string(code.klass) + "." + std::to_string(code.subject) + "." + std::to_string(code.detail);
}

std::string host_name(const event::Host& host) {
  const std::string address = host.ip.text();
  return host.ip.is_ipv4() ? "[" + address + "]" : "[IPv6:" + address + "]";
}

/// What the next hop said, in words.
std::string words_of(const Reported& reported, bool utf8) {
  std::string out = std::to_string(reported.reply.code);
  if (reported.reply.enhanced_class != 0)
    out += " " + text_of({static_cast<std::uint8_t>(reported.reply.enhanced_class), reported.reply.enhanced_subject,
                          reported.reply.enhanced_detail});
  if (const std::string text = printable(reported.text, utf8, 512); !text.empty()) out += " " + text;
  return out;
}

std::string_view explanation_of(Reason reason) {
  switch (reason) {
    case Reason::too_large: return "the message is too large for the next server";
    case Reason::too_many_hops:
    case Reason::mail_loop: return "the message would go round in circles";
    case Reason::timed_out: return "the next server did not answer in time";
    case Reason::connection_lost: return "the connection to the next server broke";
    case Reason::connection_refused:
    case Reason::unreachable: return "the next server could not be reached";
    case Reason::next_hop_deferred: return "the next server asked to try later";
    case Reason::next_hop_refused: return "the next server refused it";
    case Reason::next_hop_protocol: return "the next server did not keep to the protocol";
    case Reason::incompatible: return "the next server lacks what this message needs";
    case Reason::deliver_by_expired: return "it could not be delivered in the time that you set for that";
    case Reason::expired: return "it could not be delivered in the time that is set for that";
    case Reason::tlsa_unavailable:
    case Reason::dns_temporary: return "the domain's DNS gave no usable answer";
    case Reason::requiretls_unmet: return "no server on its way promises the protection that the message demands";
    case Reason::tls_not_offered:
    case Reason::tls_failed:
    case Reason::peer_not_verified:
    case Reason::tlsa_missing:
    case Reason::tlsa_mismatch:
    case Reason::sts_missing:
    case Reason::sts_mx_mismatch:
    case Reason::resolver_not_validating: return "the next server could not be reached in the secure way that is set for it";
    case Reason::hop_login_refused:
    case Reason::hop_login_impossible:
    case Reason::hop_login_demanded: return "the next server does not take mail from this one";
    case Reason::dns_no_such_domain: return "the domain does not exist";
    case Reason::null_mx: return "the domain takes no mail";
    case Reason::no_mail_host:
    case Reason::private_address: return "the domain has no mail server that can be reached";
    case Reason::policy: return "it is not allowed here";
    case Reason::operator_bounced: return "the administrator of this server returned it";
    default: return "";
  }
}

/// RFC 6533 section 3: `\x{HEX}` for what is not ASCII, and for `\` itself.
std::string embedded(std::string_view address) {
  std::string parameters = "ORCPT=utf-8;";
  for (char c : address) {
    if (c == '\\') parameters.append("\\x{5C}");
    else if (c == '+') parameters.append("\\x{2B}");
    else if (c == '=') parameters.append("\\x{3D}");
    else if (c == ' ') parameters.append("\\x{20}");
    else parameters.push_back(c);
  }
  const std::string ascii = smtp::ascii_parameters(parameters);
  return ascii.empty() ? printable(address, false) : ascii.substr(std::string_view{"ORCPT=utf-8;"}.size());
}

/// One report being written.
class Writer {
 public:
  explicit Writer(const ReportDraft& draft)
      : draft_(draft), boundary_("=_" + hex_text(draft.boundary)), utf8_(!is_seven_bit(draft.sender)) {
    for (const Reported& reported : draft.recipients) worst_ = std::min(worst_, reported.action);
  }

  MadeReport write() {
    write_header();
    write_words();
    write_status();
    write_returned();
    out_.append("--").append(boundary_).append("--\r\n");
    const bool eight_bit = !is_seven_bit(out_);
    return {.content = std::move(out_), .smtputf8 = utf8_, .eight_bit = eight_bit};
  }

 private:
  std::string clean(std::string_view text) const { return printable(text, utf8_); }

  std::string_view subject() const {
    switch (worst_) {
      case Action::failed: return "Your message could not be delivered";
      case Action::delayed: return "Your message is delayed";
      case Action::delivered:
      case Action::expanded: return "Your message was delivered";
      case Action::relayed: break;
    }
    return "Your message was passed on";
  }

  void write_header() {
    append_field(out_, "From", "Mail Delivery System <MAILER-DAEMON@" + clean(draft_.hostname) + ">");
    append_field(out_, "To", "<" + clean(draft_.sender) + ">");
    append_field(out_, "Subject", subject());
    append_field(out_, "Date", mail_date(draft_.now));
    append_field(out_, "Message-ID", "<" + hex_text(draft_.id.bytes) + "@" + clean(draft_.hostname) + ">");
    append_field(out_, "Auto-Submitted", "auto-replied");
    append_field(out_, "MIME-Version", "1.0");
    out_.append("Content-Type: multipart/report; report-type=delivery-status;\r\n boundary=\"").append(boundary_).append("\"\r\n");
    out_.append("\r\nThis is a MIME-encapsulated message.\r\n\r\n");
  }

  void begin_part(std::string_view type, std::string_view encoding) {
    out_.append("--").append(boundary_).append("\r\nContent-Type: ").append(type).append("\r\n");
    if (!encoding.empty()) out_.append("Content-Transfer-Encoding: ").append(encoding).append("\r\n");
    out_.append("\r\n");
  }

  // For people. Addresses are as they were written, so this part may need UTF-8 where the others do without.
  void write_words() {
    std::string text = "This is the mail server at " + clean(draft_.hostname) + ".\r\n\r\n";
    for (Action action : {Action::failed, Action::delayed, Action::delivered, Action::relayed, Action::expanded}) {
      bool first = true;
      for (const Reported& reported : draft_.recipients) {
        if (reported.action != action) continue;
        if (std::exchange(first, false)) text.append(introduction(action)).append("\r\n\r\n");
        text.append("<").append(printable(reported.address, true)).append(">\r\n");
        if (const std::string_view why = explanation_of(reported.reason); !why.empty()) text.append("    ").append(why).append("\r\n");
        if (reported.reply.code != 0 && !is_good(action))
          text.append("    ").append(reported.host.port != 0 ? host_name(reported.host) + " said: " : "last answer: ")
              .append(words_of(reported, true)).append("\r\n");
        text.append("\r\n");
      }
    }
    const bool ascii = is_seven_bit(text);
    begin_part(ascii ? "text/plain; charset=us-ascii" : "text/plain; charset=utf-8", ascii ? "" : "quoted-printable");
    if (ascii) out_.append(text);
    else append_quoted_printable(out_, text);
  }

  static std::string_view introduction(Action action) {
    switch (action) {
      case Action::failed: return "Your message could not be delivered to these recipients, and will not be tried again:";
      case Action::delayed: return "Your message has not been delivered to these recipients yet. You need not do anything:\r\n"
                                   "it will be tried again.";
      case Action::delivered: return "Your message was delivered to these recipients:";
      case Action::relayed: return "Your message was passed on for these recipients to a server that does not report further:";
      case Action::expanded: return "Your message was passed on to several addresses behind these:";
    }
    return {};
  }

  // RFC 3464 section 2; RFC 6533 section 4 when the report itself travels with SMTPUTF8.
  void write_status() {
    begin_part(utf8_ ? "message/global-delivery-status" : "message/delivery-status", utf8_ ? "8bit" : "");
    if (const std::string_view id = smtp::read_mail_parameters(draft_.parameters).envelope_id; !id.empty())
      append_field(out_, "Original-Envelope-Id", smtp::decode_xtext(id).value_or(""));
    append_field(out_, "Reporting-MTA", "dns; " + clean(draft_.hostname));
    append_field(out_, "Arrival-Date", mail_date(draft_.arrived));
    if (draft_.deliver_by) append_field(out_, "Deliver-By-Date", mail_date(*draft_.deliver_by));  // RFC 2852 section 5
    // RFC 4865 section 5.
    if (const auto release = smtp::read_delivery_terms(draft_.parameters).release)
      append_field(out_, "Future-Release-Request", (release->hold_s != 0 ? "for;" : "until;") + std::string{release->value});
    for (const Reported& reported : draft_.recipients) {
      out_.append("\r\n");
      write_recipient(reported);
    }
    out_.append("\r\n");
  }

  void write_recipient(const Reported& reported) {
    // Addresses are never folded: readers take lines.
    const auto line = [&](std::string_view name, std::string_view type, std::string_view value) {
      out_.append(name).append(": ").append(type).append("; ").append(value).append("\r\n");
    };
    write_original(reported.parameters, line);
    const bool plain = is_seven_bit(reported.address);
    line("Final-Recipient", plain ? "rfc822" : "utf-8", plain || utf8_ ? clean(reported.address) : embedded(reported.address));
    append_field(out_, "Action", name_of(reported.action));
    append_field(out_, "Status", text_of(status_of(reported)));
    if (reported.host.port != 0) append_field(out_, "Remote-MTA", "dns; " + host_name(reported.host));
    if (reported.reply.code != 0) append_field(out_, "Diagnostic-Code", "smtp; " + words_of(reported, utf8_));
    if (reported.last_attempt) append_field(out_, "Last-Attempt-Date", mail_date(*reported.last_attempt));
    if (reported.will_retry_until && reported.action == Action::delayed)
      append_field(out_, "Will-Retry-Until", mail_date(*reported.will_retry_until));
  }

  template <typename Line>
  void write_original(std::string_view parameters, Line line) {
    const std::string ascii = utf8_ ? std::string{parameters} : smtp::ascii_parameters(parameters);
    const std::string_view original = smtp::read_recipient_parameters(ascii).original;
    const std::size_t colon = original.find(';');
    if (colon == std::string_view::npos) return;
    const std::string_view type = original.substr(0, colon), address = original.substr(colon + 1);
    const bool is_utf8_type = type.size() == 5 && (type[0] | 0x20) == 'u';
    line("Original-Recipient", type, is_utf8_type ? clean(address) : smtp::decode_xtext(address).value_or(""));
  }

  // RFC 6522 section 4, RFC 6533 section 5.
  void write_returned() {
    if (!draft_.returned) return;
    const std::string_view text = draft_.returned->text();
    const bool plain = is_seven_bit(text);
    if (draft_.returned->whole()) {
      begin_part(utf8_ && !plain ? "message/global" : "message/rfc822", plain ? "" : "8bit");
      out_.append(text);
      if (!text.ends_with("\r\n")) out_.append("\r\n");  // SMTP ends every text with one
    } else if (plain) {
      begin_part("text/rfc822-headers", "");
      out_.append(text);
    } else if (utf8_ && is_utf8(text)) {
      begin_part("message/global-headers", "8bit");
      out_.append(text);
    } else {
      begin_part("text/rfc822-headers", "quoted-printable");
      append_quoted_printable(out_, text);
    }
    out_.append("\r\n");  // the line end before a delimiter belongs to it
  }

  const ReportDraft& draft_;
  std::string boundary_;
  bool utf8_;  // the report travels with SMTPUTF8: only a sender with such an address can be sure to take that
  Action worst_ = Action::expanded;
  std::string out_;
};

/// No bare CR or LF, no NUL, no endless line.
bool is_fit(std::string_view text) {
  std::size_t line = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\0' || (c == '\n' && (i == 0 || text[i - 1] != '\r')) || (c == '\r' && (i + 1 == text.size() || text[i + 1] != '\n')))
      return false;
    line = c == '\n' ? 0 : line + (c != '\r');
    if (line > kLineBytesMax) return false;
  }
  return true;
}

/// The header of a message that is not fit for the wire: what is wrong in it becomes `?`, what is too long goes on behind a fold.
std::string mended(std::string_view text) {
  std::string out;
  std::size_t line = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.substr(i).starts_with("\r\n")) {
      out.append("\r\n");
      line = 0;
      ++i;
      continue;
    }
    if (line >= kLineBytesMax) {
      out.append("\r\n ");
      line = 1;
    }
    const bool is_bad = text[i] == '\0' || text[i] == '\r' || text[i] == '\n';
    out.push_back(is_bad ? '?' : text[i]);
    ++line;
  }
  return out;
}

}  // namespace

smtp::EnhancedCode status_of(const Reported& reported) {
  const std::uint8_t klass = is_good(reported.action)             ? 2
                             : reported.action == Action::delayed ? 4
                             : reported.reason == Reason::deliver_by_expired ? 5
                             : reported.reply.code / 100 == 4 || (reported.reply.code == 0 && reported.reason == Reason::expired) ? 4
                                                                                                                                   : 5;
  if (reported.reply.enhanced_class == klass && reported.reason != Reason::expired && reported.reason != Reason::deliver_by_expired)
    return {klass, reported.reply.enhanced_subject, reported.reply.enhanced_detail};
  smtp::EnhancedCode code = is_good(reported.action) ? smtp::EnhancedCode{} : code_of(reported.reason);
  code.klass = klass;
  return code;
}

bool is_wanted(Action action, std::string_view reverse_path, std::string_view rcpt_parameters, const spool::Terms& terms) {
  if (reverse_path.empty()) return false;
  const smtp::Notify notify = smtp::read_recipient_parameters(rcpt_parameters).notify.value_or(smtp::kNotifyDefault);
  const bool has_time = terms.when_late == spool::WhenLate::notify;
  switch (action) {
    case Action::failed: return notify.failure;
    case Action::delayed: return has_time && terms.by_s > 0 ? !notify.never() : notify.delay;
    default: return has_time || terms.trace ? !notify.never() : notify.success;
  }
}

bool Returned::feed(Bytes piece) {
  if (complete_) return false;
  text_.append(as_text(piece.first(std::min(piece.size(), bytes_max_ - text_.size()))));
  if (text_.size() == bytes_max_ || (!whole_ && (text_.starts_with("\r\n") || text_.contains("\r\n\r\n")))) complete_ = !whole_;
  return !complete_;
}

std::string_view Returned::text() {
  if (whole_ && is_fit(text_)) return text_;
  whole_ = false;
  complete_ = true;
  const std::size_t end = text_.starts_with("\r\n") ? 0 : text_.find("\r\n\r\n");
  if (end != std::string::npos) {
    text_.resize(end == 0 ? 0 : end + 2);
  } else if (const std::size_t last = text_.rfind("\r\n"); last != std::string::npos && !text_.ends_with("\r\n")) {
    text_.resize(last + 2);
  }
  if (!is_fit(text_)) text_ = mended(text_);
  if (!text_.empty() && !text_.ends_with("\r\n")) text_.append("\r\n");
  return text_;
}

MadeReport make_report(const ReportDraft& draft) { return Writer(draft).write(); }

}  // namespace ringpost::deliver
