#include "ringpost/smtp/notification.hh"

#include <algorithm>

#include "ascii.hh"
#include "parameters.hh"
#include "utf8.hh"

namespace ringpost::smtp {

namespace {

constexpr int hex_value(char c) { return is_digit(c) ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; }

/// C1 controls and the separators of lines and paragraphs, as in addresses.
constexpr bool is_refused(char32_t c) { return (c >= 0x80 && c <= 0x9f) || c == 0x2028 || c == 0x2029; }

constexpr bool is_xchar(char c) { return c >= '!' && c <= '~' && c != '+' && c != '='; }

/// One unit of xtext, cut off `text`: the octet it stands for, or -1 (RFC 3461 section 4: hexchar has upper-case digits).
int take_xtext(std::string_view& text) {
  if (is_xchar(text.front())) {
    const char c = text.front();
    text.remove_prefix(1);
    return c;
  }
  if (text.front() != '+' || text.size() < 3 || hex_value(text[1]) < 0 || hex_value(text[2]) < 0) return -1;
  const int value = hex_value(text[1]) * 16 + hex_value(text[2]);
  text.remove_prefix(3);
  return value;
}

bool is_printable(int octet) { return octet >= 0x20 && octet < 0x7f; }

bool is_printable_xtext(std::string_view text) {
  while (!text.empty())
    if (!is_printable(take_xtext(text))) return false;
  return true;
}

/// "\x{HEX}" of RFC 6533 section 3, behind its backslash: 10FFFF at most, no surrogate, no ASCII but `\`, `+`, `=` and the blank.
bool take_embedded(std::string_view& text) {
  if (!text.starts_with("x{")) return false;
  const std::size_t end = text.find('}');
  if (end == std::string_view::npos || end < 4 || end > 8) return false;
  std::uint32_t point = 0;
  for (char c : text.substr(2, end - 2)) {
    if (hex_value(c) < 0) return false;
    point = point * 16 + static_cast<std::uint32_t>(hex_value(c));
  }
  text.remove_prefix(end + 1);
  if (point < 0x80) return point == '\\' || point == '+' || point == '=' || point == ' ';
  return !is_refused(point) && point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
}

/// utf-8-addr-xtext and utf-8-addr-unitext; whether 8-bit octets may stand in the command is not asked here.
bool is_utf8_address(std::string_view text) {
  while (!text.empty()) {
    const CodePoint c = decode_utf8(text);
    if (c.size == 0 || is_refused(c.value) || (c.value < 0x80 && !is_xchar(text.front()))) return false;
    text.remove_prefix(c.size);
    if (c.value == '\\' && !take_embedded(text)) return false;
  }
  return true;
}

/// atom of RFC 5322.
bool is_address_type(std::string_view type) {
  constexpr std::string_view kOthers = "!#$%&'*+-/=?^_`{|}~";
  return !type.empty() && std::ranges::all_of(type, [&](char c) { return is_let_dig(c) || kOthers.contains(c); });
}

}  // namespace

std::optional<Return> parse_return(std::string_view value) {
  if (equals_upper(value, "FULL")) return Return::full;
  if (equals_upper(value, "HDRS")) return Return::headers;
  return std::nullopt;
}

std::optional<Notify> parse_notify(std::string_view value) {
  Notify notify;
  if (equals_upper(value, "NEVER")) return notify;
  for (;;) {
    const std::size_t end = std::min(value.find(','), value.size());
    const std::string_view word = value.substr(0, end);
    bool* wish = equals_upper(word, "SUCCESS")   ? &notify.success
                 : equals_upper(word, "FAILURE") ? &notify.failure
                 : equals_upper(word, "DELAY")   ? &notify.delay
                                                 : nullptr;
    if (!wish || *wish) return std::nullopt;
    *wish = true;
    if (end == value.size()) return notify;
    value.remove_prefix(end + 1);
  }
}

bool is_envelope_id(std::string_view value) {
  return !value.empty() && value.size() <= kEnvelopeIdBytesMax && is_printable_xtext(value);
}

bool is_original_recipient(std::string_view value) {
  const std::size_t colon = value.find(';');
  if (colon == std::string_view::npos || value.size() > kOriginalRecipientBytesMax) return false;
  const std::string_view type = value.substr(0, colon), address = value.substr(colon + 1);
  if (!is_address_type(type) || address.empty()) return false;
  return equals_upper(type, "UTF-8") ? is_utf8_address(address) : is_printable_xtext(address);
}

std::optional<std::string> decode_xtext(std::string_view text) {
  std::string decoded;
  while (!text.empty()) {
    const int octet = take_xtext(text);
    if (!is_printable(octet)) return std::nullopt;
    decoded.push_back(static_cast<char>(octet));
  }
  return decoded;
}

void append_parameters(const MailNotification& mail, std::string& out) {
  if (mail.ret) append_parameter("RET=", *mail.ret == Return::full ? "FULL" : "HDRS", out);
  if (!mail.envelope_id.empty()) append_parameter("ENVID=", mail.envelope_id, out);
}

void append_parameters(const RecipientNotification& recipient, std::string& out) {
  if (recipient.notify) {
    append_parameter("NOTIFY=", recipient.notify->never() ? "NEVER," : "", out);
    if (recipient.notify->success) out.append("SUCCESS,");
    if (recipient.notify->failure) out.append("FAILURE,");
    if (recipient.notify->delay) out.append("DELAY,");
    out.pop_back();
  }
  if (!recipient.original.empty()) append_parameter("ORCPT=", recipient.original, out);
}

std::string ascii_parameters(std::string_view kept) {
  RecipientNotification recipient = read_recipient_parameters(kept);
  std::string original, out;
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  for (std::string_view rest = recipient.original; !rest.empty();) {
    const CodePoint c = decode_utf8(rest);
    if (c.value < 0x80) {
      original.push_back(rest.front());
    } else {
      original.append("\\x{");
      int shift = 20;
      while (shift > 4 && (c.value >> shift) == 0) shift -= 4;
      for (; shift >= 0; shift -= 4) original.push_back(kDigits[(c.value >> shift) & 15]);
      original.push_back('}');
    }
    rest.remove_prefix(c.size);
  }
  recipient.original = original.size() <= kOriginalRecipientBytesMax ? std::string_view{original} : std::string_view{};
  append_parameters(recipient, out);
  return out;
}

MailNotification read_mail_parameters(std::string_view kept) {
  MailNotification mail;
  each_parameter(kept, [&](std::string_view keyword, std::string_view value) {
    if (equals_upper(keyword, "RET")) mail.ret = parse_return(value);
    if (equals_upper(keyword, "ENVID") && is_envelope_id(value)) mail.envelope_id = value;
  });
  return mail;
}

std::string_view notification_part(std::string_view kept) {
  for (std::string_view rest = kept; !rest.empty();) {
    const std::size_t begin = kept.size() - rest.size();
    const std::string_view parameter = take_word(rest);
    if (!starts_upper(parameter, "RET=") && !starts_upper(parameter, "ENVID=")) return kept.substr(0, begin > 0 ? begin - 1 : 0);
  }
  return kept;
}

RecipientNotification read_recipient_parameters(std::string_view kept) {
  RecipientNotification recipient;
  each_parameter(kept, [&](std::string_view keyword, std::string_view value) {
    if (equals_upper(keyword, "NOTIFY")) recipient.notify = parse_notify(value);
    if (equals_upper(keyword, "ORCPT") && is_original_recipient(value)) recipient.original = value;
  });
  return recipient;
}

}  // namespace ringpost::smtp
