#include "notice_words.hh"

#include <algorithm>
#include <span>
#include <string>

namespace ringpost::mime {

namespace {

constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_word(char c) { return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'z'); }

constexpr std::string_view kBlocked[] = {
    "spam", "blacklist", "black list", "blocklist", "block list", "blocked", "block-list", "reputation", "dnsbl", "rbl", "spamhaus",
    "barracuda", "spamcop", "dmarc", "spf fail", "spf record", "(spf)", "dkim", "reverse dns", "rdns", "ptr record", "policy",
    "prohibited", "content reject", "rejected for content", "virus", "malware", "phish", "not authorized", "not allowed", "access denied",
    "relay denied", "relaying denied", "relay not permitted", "relay access denied", "unauthenticated", "authentication", "banned",
    "unsolicited", "bulk mail", "suspicious", "rejected due to", "filter", "sender denied", "sender rejected", "helo", "refused to talk",
    "listed in", "listed at", "poor domain", "bad ip", "your ip", "not accepted from", "unacceptable", "security", "throttl"};
constexpr std::string_view kFull[] = {
    "mailbox full", "mailbox is full", "full mailbox", "over quota", "overquota", "over the quota", "quota exceed", "exceeded storage",
    "exceeds storage", "exceeded quota", "exceeding quota", "exceed the quota", "quota has been", "disk quota", "storage allocation",
    "out of storage", "storage limit", "mailbox size", "mailbox has exceeded", "exceeded its", "disk full", "disk is full", "no space",
    "insufficient system storage", "inbox is full", "inbox full", "mail box full", "maildir over", "too full", "is full", "not enough storage",
    "not enough disk", "quotum", "would exceed", "account full", "user is overquota", "over size limit", "over its quota", "over the maximum",
    "over disk", "quota violation", "quota limit", "sufficient space", "mailfolder is full"};
constexpr std::string_view kUnknown[] = {
    "user unknown", "unknown user", "unknown recipient", "recipient unknown", "no such user", "no such recipient", "no such mailbox",
    "no such address", "no such person", "not exist", "doesn't exist", "no mailbox", "invalid recipient", "invalid mailbox",
    "invalid address", "invalid user", "mailbox unavailable", "mailbox not found", "user not found", "recipient not found", "not found",
    "not known", "unknown address", "address unknown", "unknown or illegal", "unknown local", "disabled", "inactive", "no longer",
    "not our customer", "not a valid", "not listed", "isn't a known", "bad destination", "address rejected", "recipient rejected",
    "no account", "unrouteable", "unroutable", "host unknown", "unknown host", "domain name not", "no mx", "undeliverable address",
    "name or service not", "no users here", "account is not", "not in our", "can't find", "cannot find", "couldn't find any host",
    "could not be found", "deactivated", "suspended", "terminated", "expired account", "unknown mailbox", "is unknown", "unknown to"};
constexpr std::string_view kTemporary[] = {
    "try again later", "temporar", "timed out", "timeout", "time out", "connection refused", "could not connect", "deferred",
    "too many connections", "greylist", "service unavailable", "retry time not reached", "too long", "too large", "too big",
    "message size exceeds", "exceeds maximum message size", "exceeds fixed maximum", "size limit", "delivery time expired",
    "could not be delivered for", "loop", "too many hops", "system error", "resources", "network error", "no route to host",
    "connection dropped", "lost connection", "connection reset", "connection closed", "queue too long", "exceeded maximum time"};
constexpr std::string_view kDelayed[] = {
    "delayed", "will be retried", "will continue to", "will keep trying", "do not need to resend", "warning message only",
    "this is a warning", "delivery attempts will", "will try again", "not yet been delivered", "still trying", "yet to be delivered",
    "temporarily deferred", "has not been delivered after", "will be resent", "need not resend", "not been able to deliver your message yet"};
constexpr std::string_view kSubjects[] = {
    "undeliver", "returned mail", "failure notice", "delivery status notification", "delivery failure", "delivery failed", "mail delivery",
    "delivery notification", "mail system error", "message status", "delivery report", "nondeliverable", "non-deliver", "not delivered",
    "could not be delivered", "delivery error", "returned to sender", "delivery has failed", "mail error", "failed mail", "bounce",
    "mail could not", "message delivery", "unable to deliver", "unzustellbar", "error sending", "user unknown", "warning: could not send",
    "warning: message", "delayed mail", "delivery delayed", "delivery problem", "mail failure", "unknown user", "message you sent blocked",
    "delivery unsuccessful", "no recibido", "mail not delivered", "undelivered", "host unknown", "delay notice", "failure delivering",
    "email delivery", "rejected:", "mailbox full", "returned message", "notification d'\xc3\xa9tat", "cannot send message", "non recapit",
    "delivery incomplete"};
constexpr std::string_view kSenders[] = {
    "mailer-daemon", "mailer_daemon", "mailerdaemon", "mail delivery", "postmaster@", "postmaster", "mail-daemon", "mailadmin@",
    "maildaemon", "mmdf@", "bounce@", "mrelay", "delivery subsystem", "mail system", "smtpgateway", "microsoftexchange", "mailsystem",
    "mail.daemon", "system administrator", "administrateur", "symantec_antivirus"};

bool has_any(std::string_view text, std::span<const std::string_view> words) {
  std::string lowered(text);
  std::ranges::transform(lowered, lowered.begin(), lower);
  return std::ranges::any_of(words, [&](std::string_view word) { return lowered.contains(word); });
}

/// A number of 1..3 digits, cut off `text`; nothing: -1.
int take_number(std::string_view& text) noexcept {
  std::size_t digits = 0;
  int value = 0;
  while (digits < text.size() && digits < 4 && is_digit(text[digits])) value = value * 10 + (text[digits++] - '0');
  if (digits == 0 || digits > 3) return -1;
  text.remove_prefix(digits);
  return value;
}

}  // namespace

StatusCode find_status(std::string_view text) noexcept {
  for (std::size_t at = 0; at + 5 <= text.size(); ++at) {
    const char c = text[at];
    if ((c != '2' && c != '4' && c != '5') || text[at + 1] != '.') continue;
    if (at > 0 && (is_word(text[at - 1]) || text[at - 1] == '.')) continue;
    std::string_view rest = text.substr(at + 2);
    const int subject = take_number(rest);
    if (subject < 0 || subject > 7 || !rest.starts_with('.')) continue;  // RFC 3463: subjects end at 7
    rest.remove_prefix(1);
    const int detail = take_number(rest);
    const bool goes_on = !rest.empty() && (is_word(rest[0]) || (rest[0] == '.' && rest.size() > 1 && is_digit(rest[1])));
    if (detail < 0 || goes_on) continue;
    return {static_cast<std::uint16_t>(c - '0'), static_cast<std::uint16_t>(subject), static_cast<std::uint16_t>(detail)};
  }
  return {};
}

std::uint16_t find_reply_code(std::string_view text) noexcept {
  for (std::size_t at = 0; at + 3 <= text.size(); ++at) {
    if ((text[at] != '4' && text[at] != '5') || !is_digit(text[at + 1]) || !is_digit(text[at + 2]) || text[at + 1] > '5') continue;
    if (at > 0 && (is_word(text[at - 1]) || text[at - 1] == '.' || text[at - 1] == '-')) continue;
    if (at + 3 < text.size() && text[at + 3] != ' ' && text[at + 3] != '-' && text[at + 3] != '\r' && text[at + 3] != '\n') continue;
    return static_cast<std::uint16_t>((text[at] - '0') * 100 + (text[at + 1] - '0') * 10 + (text[at + 2] - '0'));
  }
  return 0;
}

bool contains_word(std::string_view text, std::string_view wanted) noexcept {
  return !std::ranges::search(text, wanted, [](char a, char b) { return lower(a) == b; }).empty();
}
bool says_blocked(std::string_view text) { return has_any(text, kBlocked); }
bool says_full(std::string_view text) { return has_any(text, kFull); }
bool says_unknown(std::string_view text) { return has_any(text, kUnknown); }
bool says_temporary(std::string_view text) { return has_any(text, kTemporary); }
bool says_delayed(std::string_view text) { return has_any(text, kDelayed); }
bool is_report_subject(std::string_view subject) { return has_any(subject, kSubjects); }
bool is_report_sender(std::string_view from) { return has_any(from, kSenders); }

}  // namespace ringpost::mime
