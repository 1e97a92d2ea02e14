#include "ringpost/mime/notice.hh"

#include <algorithm>
#include <vector>

#include "notice_words.hh"
#include "ringpost/mime/decode.hh"
#include "ringpost/mime/index.hh"

namespace ringpost::mime {

namespace {

constexpr Limits kLimits{.parts_max = 64, .depth_max = 8, .fields_max = 512, .header_bytes_max = 65'536};
constexpr std::size_t kTextBytesMax = 16 * 1024;  ///< of a text for people
constexpr std::size_t kRecipientBytesMax = 320;

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

/// The first line of `text`, cut off.
std::string_view take_line(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

/// What one recipient's group of a delivery status says, or a text about one.
struct Said {
  std::string_view action, status, recipient;
  std::string diagnostic;
  bool any = false;
};

Notice judge_words(std::string_view text, StatusCode code, std::uint16_t reply) {
  if (says_full(text)) return Notice::soft;
  const bool permanent = code.klass == 5 || (code.klass == 0 && reply >= 500);
  const bool unknown = says_unknown(text);
  if (says_blocked(text) && !(unknown && code.subject == 1)) return Notice::block;
  if (unknown) return Notice::hard;
  if (says_temporary(text)) return Notice::soft;
  if (permanent) return Notice::hard;
  return code.klass == 4 || reply != 0 ? Notice::soft : Notice::hard;
}

/// RFC 3463 section 3: what a code that says something means.
Notice judge_code(StatusCode code, std::string_view text, std::uint16_t reply) {
  if (code.klass == 2) return Notice::other;
  if (code.subject == 2 && code.detail == 2) return Notice::soft;
  if (code.klass == 4) return code.subject == 7 && code.detail != 0 && reply >= 500 ? Notice::block : Notice::soft;
  switch (code.subject) {
    case 1:
      if (code.detail == 8 || code.detail == 7) return Notice::block;  // about the sender's address
      return code.detail == 0 ? judge_words(text, code, reply) : Notice::hard;
    case 2:
      if (code.detail == 1) return Notice::hard;
      return code.detail == 3 ? Notice::soft : judge_words(text, code, reply);
    case 3: return code.detail == 0 ? judge_words(text, code, reply) : code.detail == 5 ? Notice::hard : Notice::soft;
    case 4:
      if (code.detail == 7) return Notice::soft;
      return code.detail == 0 || code.detail == 1 ? judge_words(text, code, reply) : Notice::hard;
    case 6: return says_blocked(text) || !says_unknown(text) ? Notice::block : Notice::hard;
    case 7: return says_full(text) ? Notice::soft : says_unknown(text) && !says_blocked(text) ? Notice::hard : Notice::block;
    default: return judge_words(text, code, reply);
  }
}

/// Keeps the worst of what was said.
class Verdict {
 public:
  void add(Notice notice, StatusCode code, std::string_view recipient) {
    if (notice >= facts_.notice) return;
    facts_.notice = notice;
    facts_.status_class = code.klass;
    facts_.status_subject = code.subject;
    facts_.status_detail = code.detail;
    facts_.recipient = recipient.substr(0, kRecipientBytesMax);
  }
  void add(const Said& said) {
    const std::uint16_t reply = find_reply_code(said.diagnostic);
    StatusCode code = find_status(said.status);
    // Many write 5.0.0 where the next hop's own code, which stands in its words, says more.
    if (code.is_generic() || (code.subject == 3 && code.detail == 0) || (code.subject == 5 && code.detail == 0)) {
      const StatusCode better = find_status(said.diagnostic);
      if (!better.is_generic() && (code.klass == 0 || better.klass == code.klass)) code = better;
    }
    const std::string_view action = said.action;
    if (contains_word(action, "delay")) return add(Notice::delayed, code, said.recipient);
    if (contains_word(action, "deliver") || contains_word(action, "relay") || contains_word(action, "expand"))
      return add(Notice::other, code, said.recipient);
    if (code.klass == 0) code.klass = reply >= 500 ? 5 : reply >= 400 ? 4 : 0;
    if (code.klass == 0 && !contains_word(action, "fail")) return add(Notice::other, code, said.recipient);
    add(judge_code(code, said.diagnostic, reply), code, said.recipient);
  }
  NoticeFacts take(bool machine_readable) {
    facts_.machine_readable = machine_readable;
    return std::move(facts_);
  }
  bool empty() const { return facts_.notice == Notice::none; }

 private:
  NoticeFacts facts_;
};

/// Behind the address type.
std::string_view address_of(std::string_view value) {
  const std::size_t colon = value.find(';');
  std::string_view address = trimmed(colon == std::string_view::npos ? value : value.substr(colon + 1));
  if (address.starts_with('<') && address.ends_with('>')) address = address.substr(1, address.size() - 2);
  return address;
}

/// RFC 3464 section 2.1: groups of fields with blank lines between them; leniently read.
void read_delivery_status(std::string_view text, Verdict& verdict) {
  Said said;
  bool in_diagnostic = false;
  const auto close = [&] {
    if (said.any) verdict.add(said);
    said = {};
  };
  while (!text.empty()) {
    const std::string_view line = take_line(text);
    if (trimmed(line).empty()) {
      close();
      in_diagnostic = false;
      continue;
    }
    if (line.starts_with(' ') || line.starts_with('\t')) {
      if (in_diagnostic) said.diagnostic.append(" ").append(trimmed(line));
      continue;
    }
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const std::string_view name = trimmed(line.substr(0, colon)), value = trimmed(line.substr(colon + 1));
    // Some leave out the blank line between recipients.
    if (equal_ignoring_case(name, "Final-Recipient") && said.any && !said.action.empty() && !said.recipient.empty()) close();
    in_diagnostic = equal_ignoring_case(name, "Diagnostic-Code");
    if (equal_ignoring_case(name, "Final-Recipient")) said.recipient = address_of(value);
    if (equal_ignoring_case(name, "Original-Recipient") && said.recipient.empty()) said.recipient = address_of(value);
    if (equal_ignoring_case(name, "Action")) said.action = value, said.any = true;
    if (equal_ignoring_case(name, "Status")) said.status = value, said.any = true;
    if (in_diagnostic) said.diagnostic = value;
  }
  close();
}

/// Where a text for people begins to give back the message: nothing there is said by the server.
std::string_view without_returned(std::string_view text) {
  constexpr std::string_view kMarks[] = {
      "\nreturn-path:", "below this line is a copy", "this is a copy of the message", "original message follows", "your original message",
      "message headers follow", "message header follows", "headers of the original", "unsent message", "undelivered message follows",
      "original message header", "\nreceived: from", "\nreceived: by", "message text follows", "--- original message", "original message ---",
      "the header of the original"};
  std::size_t end = text.size();
  for (std::string_view mark : kMarks) {
    const auto found = std::ranges::search(text, mark, [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a + 32 : a) == b; });
    if (!found.empty()) end = std::min<std::size_t>(end, static_cast<std::size_t>(found.begin() - text.begin()));
  }
  return text.substr(0, end);
}

class Reader {
 public:
  Reader(Bytes message, const Index& index) : source_{message}, index_(index) {}

  NoticeFacts read() {
    Verdict verdict;
    if (std::size_t part = 0; find_part("feedback-report", part) || is_report_of("feedback-report")) {
      verdict.add(Notice::feedback, {}, {});
      return verdict.take(true);
    }
    for (std::size_t i = 0; i < index_.parts().size(); ++i) {
      if (!is_message_part(i, "delivery-status") && !is_message_part(i, "global-delivery-status")) continue;
      read_delivery_status(body_of(i), verdict);
    }
    if (!verdict.empty()) return refined(verdict.take(true));
    if (std::size_t part = 0; find_part("disposition-notification", part)) {
      verdict.add(Notice::other, {}, {});
      return verdict.take(true);
    }
    return read_text(verdict);
  }

 private:
  bool is_message_part(std::size_t i, std::string_view subtype) const {
    const Part& part = index_.parts()[i];
    return (part.type == MediaType::message || part.type == MediaType::text) &&
           equal_ignoring_case(source_.text(part.subtype), subtype);
  }
  bool find_part(std::string_view subtype, std::size_t& found) const {
    for (found = 0; found < index_.parts().size(); ++found)
      if (is_message_part(found, subtype)) return true;
    return false;
  }
  std::string_view field(HeaderId id) const {
    const Field* found = index_.find(id);
    return found ? trimmed(source_.text(found->value())) : std::string_view{};
  }
  std::string_view field(std::string_view name) const {
    const Field* found = index_.header_field(name, source_);
    return found ? trimmed(source_.text(found->value())) : std::string_view{};
  }
  bool is_report_of(std::string_view type) const {
    return contains_word(field(HeaderId::content_type), "multipart/report") && contains_word(field(HeaderId::content_type), type);
  }

  /// Decoded where it is encoded. Lifetime: until the next call.
  std::string_view body_of(std::size_t i) {
    const Part& part = index_.parts()[i];
    const std::size_t size = std::min<std::uint64_t>(part.body_end - part.body_begin, kNoticeBytesMax);
    const std::string_view raw = source_.text({part.body_begin, static_cast<std::uint32_t>(size)});
    if (part.encoding != Encoding::base64 && part.encoding != Encoding::quoted_printable) return raw;
    decoded_.resize(raw.size() + 64);
    const Decoded done = part.encoding == Encoding::base64 ? decode_base64(raw, decoded_) : decode_quoted_printable(raw, decoded_);
    return std::string_view{decoded_.data(), done.written};
  }

  // A text for people often says why where the machine's part says no more than "failed".
  NoticeFacts refined(NoticeFacts facts) {
    const bool says_nothing = facts.status_subject == 0 && facts.status_detail == 0;
    if (facts.notice != Notice::hard || !says_nothing) return facts;
    for (std::size_t i = 0; i < index_.parts().size(); ++i) {
      const Part& part = index_.parts()[i];
      if (part.type != MediaType::text || part.body != Body::leaf) continue;
      const std::string_view text = without_returned(body_of(i).substr(0, kTextBytesMax));
      if (says_full(text)) facts.notice = Notice::soft;
      break;
    }
    return facts;
  }

  NoticeFacts read_text(Verdict& verdict) {
    const std::string_view subject = field(HeaderId::subject), from = field(HeaderId::from);
    const bool failed_field = !field("X-Failed-Recipients").empty();
    const bool by_subject = is_report_subject(subject), by_sender = is_report_sender(from) || field(HeaderId::return_path) == "<>";
    const bool is_report = failed_field || is_report_of("delivery-status") || (by_subject && by_sender);
    const bool is_automatic = contains_word(field(HeaderId::auto_submitted), "auto-");
    for (std::size_t i = 0; i < index_.parts().size() && verdict.empty(); ++i) {
      const Part& part = index_.parts()[i];
      if (part.type != MediaType::text || part.body != Body::leaf) continue;
      const std::string_view text = without_returned(body_of(i).substr(0, kTextBytesMax));
      const StatusCode code = find_status(text);
      const std::uint16_t reply = find_reply_code(text);
      const bool tells_failure = code.klass >= 4 || reply != 0 || says_unknown(text) || says_full(text);
      if (!is_report && !((by_subject || by_sender) && tells_failure && !is_automatic)) continue;
      if (says_delayed(text) || says_delayed(subject) || contains_word(subject, "warning")) {
        verdict.add(Notice::delayed, code, {});
      } else if (tells_failure || says_blocked(text) || says_temporary(text) || is_report) {
        const bool clear = code.klass >= 4 && !code.is_generic();
        verdict.add(clear ? judge_code(code, text, reply) : judge_words(text, code, reply), code, field("X-Failed-Recipients"));
      }
    }
    if (verdict.empty() && (is_report || is_automatic)) verdict.add(Notice::other, {}, {});
    return verdict.take(false);
  }

  Source source_;
  const Index& index_;
  std::vector<char> decoded_;
};

}  // namespace

std::string_view name_of(Notice notice) noexcept {
  constexpr std::string_view kNames[] = {"hard", "block", "soft", "delayed", "feedback", "other", "none"};
  return kNames[static_cast<std::size_t>(notice)];
}

NoticeFacts classify_notice(Bytes message) {
  message = message.first(std::min(message.size(), kNoticeBytesMax));
  std::vector<std::byte> mended;
  if (std::ranges::find(message, std::byte{'\n'}) == message.end()) {  // lines of an old Macintosh
    mended.assign(message.begin(), message.end());
    std::ranges::replace(mended, std::byte{'\r'}, std::byte{'\n'});
    message = mended;
  }
  Indexer indexer(kLimits);
  indexer.feed(message);
  return Reader(message, indexer.finish()).read();
}

}  // namespace ringpost::mime
