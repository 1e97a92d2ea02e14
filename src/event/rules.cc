// Which fields each kind of event requires and allows, and the range of each field.
#include <algorithm>
#include <array>

#include "fields.hh"

namespace ringpost::event {
namespace {

template <typename... Fields>
constexpr std::uint32_t mask(Fields... fields) {
  return (std::uint32_t{0} | ... | bit(fields));
}

using enum Field;
constexpr std::uint32_t kOutcome = mask(partition, message, recipient, attempt);

constexpr std::array<Rule, kKindCount> kRules{{
    {Kind::message_accepted, "message_accepted", Class::mandatory, mask(partition, message, size, recipients, client, reply),
     mask(sender, login, authentication)},
    {Kind::message_refused, "message_refused", Class::observational, mask(client, reply, reason),
     mask(partition, message, size, recipients, sender, recipient)},
    {Kind::recipient_delivered, "recipient_delivered", Class::mandatory, kOutcome | mask(next_hop, reply), mask(size, sender, tls)},
    {Kind::recipient_deferred, "recipient_deferred", Class::mandatory, kOutcome | mask(reason),
     mask(next_hop, reply, size, sender, tls)},
    {Kind::recipient_failed, "recipient_failed", Class::mandatory, kOutcome | mask(reason),
     mask(next_hop, reply, size, sender, tls)},
    {Kind::key_created, "key_created", Class::mandatory, mask(key), mask(user)},
    {Kind::key_leased, "key_leased", Class::mandatory, mask(key), mask(partition)},
    {Kind::kek_created, "kek_created", Class::mandatory, mask(key), mask(user)},
    {Kind::process_started, "process_started", Class::mandatory, mask(), mask(partition, user)},
    {Kind::process_stopped, "process_stopped", Class::mandatory, mask(), mask(partition, user)},
    {Kind::config_changed, "config_changed", Class::mandatory, mask(setting), mask(user, instance, before, after)},
    {Kind::separation_none, "separation_none", Class::mandatory, mask(user), mask()},
    {Kind::audit_gap, "audit_gap", Class::mandatory, mask(source, first, count), mask()},
    {Kind::refusals_suppressed, "refusals_suppressed", Class::mandatory, mask(count), mask(client)},
    {Kind::key_budget_exceeded, "key_budget_exceeded", Class::mandatory, mask(), mask(user)},
    {Kind::report_sent, "report_sent", Class::mandatory, mask(partition, message, recipients, report), mask(size)},
    {Kind::message_held, "message_held", Class::mandatory, mask(partition, message, user), mask()},
    {Kind::message_released, "message_released", Class::mandatory, mask(partition, message, user), mask()},
    {Kind::message_retried, "message_retried", Class::mandatory, mask(partition, message, user), mask()},
    {Kind::message_bounced, "message_bounced", Class::mandatory, mask(partition, message, recipients, user), mask()},
    {Kind::message_deleted, "message_deleted", Class::mandatory, mask(partition, message, recipients, user), mask()},
    {Kind::message_redirected, "message_redirected", Class::mandatory, mask(partition, message, recipients, user, successor),
     mask(recipient)},
    {Kind::message_over_budget, "message_over_budget", Class::mandatory, mask(partition, message, recipients, client, login),
     mask(sender, authentication)},
    {Kind::login_refused, "login_refused", Class::observational, mask(client), mask(login, authentication)},
}};

constexpr std::array<std::string_view, kReasonCount> kReasonNames{"none",
                                                                  "policy",
                                                                  "syntax",
                                                                  "too_large",
                                                                  "too_many_hops",
                                                                  "too_many_recipients",
                                                                  "no_space",
                                                                  "storage_failed",
                                                                  "keys_unavailable",
                                                                  "audit_unavailable",
                                                                  "overloaded",
                                                                  "timed_out",
                                                                  "connection_lost",
                                                                  "connection_refused",
                                                                  "unreachable",
                                                                  "next_hop_deferred",
                                                                  "next_hop_refused",
                                                                  "next_hop_protocol",
                                                                  "incompatible",
                                                                  "expired",
                                                                  "damaged",
                                                                  "poison",
                                                                  "dns_temporary",
                                                                  "dns_no_such_domain",
                                                                  "null_mx",
                                                                  "no_mail_host",
                                                                  "mail_loop",
                                                                  "private_address",
                                                                  "destination_suspended",
                                                                  "route_holds",
                                                                  "operator_bounced",
                                                                  "operator_deleted",
                                                                  "operator_redirected",
                                                                  "tls_not_offered",
                                                                  "tls_failed",
                                                                  "peer_not_verified",
                                                                  "tlsa_missing",
                                                                  "tlsa_unavailable",
                                                                  "tlsa_mismatch",
                                                                  "resolver_not_validating",
                                                                  "sts_missing",
                                                                  "sts_mx_mismatch",
                                                                  "hop_login_refused",
                                                                  "hop_login_impossible",
                                                                  "hop_login_demanded",
                                                                  "requiretls_unmet",
                                                                  "future_release",
                                                                  "deliver_by_expired"};

// Each says whether a value that is there is one that may be there.
template <typename Tag>
bool in_range(Field, const Id<Tag>& id) {
  return !id.is_zero();
}
bool in_range(Field, const IpAddress&) { return true; }
bool in_range(Field, const SettingText& text) { return text.size > 0 && text.size <= SettingText::kBytesMax; }
bool in_range(Field, const Host& host) { return host.port != 0; }
bool in_range(Field, Reason reason) { return reason != Reason::none && !name_of(reason).empty(); }
bool in_range(Field, Authentication authentication) { return !name_of(authentication).empty(); }
bool in_range(Field, const TlsResult& tls) {
  const bool secured = tls.version != 0;
  return (!secured || tls.version == 0x0303 || tls.version == 0x0304) && secured == (tls.suite != 0) && (secured || !tls.verified) &&
         !name_of(tls.policy).empty() && !name_of(tls.shortfall).empty();
}
bool in_range(Field, const ReplyCode& reply) {
  if (reply.code < 200 || reply.code > 599 || reply.enhanced_subject > 999 || reply.enhanced_detail > 999) return false;
  if (reply.enhanced_class == 0) return reply.enhanced_subject == 0 && reply.enhanced_detail == 0;
  return reply.enhanced_class == reply.code / 100 && reply.enhanced_class != 3;  // RFC 3463 section 2: 2, 4 or 5
}
template <std::unsigned_integral Number>
bool in_range(Field field, Number number) {
  bool counts_from_one = field == attempt || field == first || field == count || field == recipients;
  return number != 0 || !counts_from_one;
}

}  // namespace

SettingText::SettingText(std::string_view words) {
  constexpr std::string_view kCut = "...";
  const bool fits = words.size() <= kBytesMax;
  const std::string_view shown = fits ? words : words.substr(0, kBytesMax - kCut.size());
  char* end = std::ranges::copy(shown, octets.begin()).out;
  if (!fits) end = std::ranges::copy(kCut, end).out;
  size = static_cast<std::uint8_t>(end - octets.begin());
}

const Rule* rule_of(Kind kind) {
  auto index = static_cast<std::size_t>(kind) - 1;  // wraps for 0, which is no kind
  return index < kRules.size() ? &kRules[index] : nullptr;
}

std::optional<ReplyCode> reply_code(unsigned code, unsigned enhanced_class, unsigned subject, unsigned detail) {
  if (code < 200 || code > 599) return std::nullopt;
  auto small = [](unsigned number) { return static_cast<std::uint16_t>(std::min(number, 1000u)); };  // 1000 is out of range
  ReplyCode whole{small(code), small(enhanced_class), small(subject), small(detail)};
  return in_range(reply, whole) ? whole : ReplyCode{.code = whole.code};
}

Class class_of(Kind kind) {
  const Rule* rule = rule_of(kind);
  RP_ASSERT(rule != nullptr);
  return rule->weight;
}

std::string_view name_of(Kind kind) {
  const Rule* rule = rule_of(kind);
  return rule ? rule->name : std::string_view{};
}

std::string_view name_of(Class value) { return value == Class::mandatory ? "mandatory" : "observational"; }

std::string_view name_of(Process process) {
  switch (process) {
    case Process::ringpostd: return "ringpostd";
    case Process::keyd: return "ringpost-keyd";
    case Process::auditd: return "ringpost-auditd";
    case Process::helperd: return "ringpost-helperd";
  }
  return {};
}

std::string_view name_of(Reason reason) {
  auto index = static_cast<std::size_t>(reason);
  return index < kReasonNames.size() ? kReasonNames[index] : std::string_view{};
}

std::string_view name_of(Authentication authentication) {
  constexpr std::string_view kNames[] = {"",         "plain",       "login",   "scram-sha-256",     "scram-sha-256-plus",
                                         "external", "oauthbearer", "xoauth2", "client-certificate"};
  const auto index = static_cast<std::size_t>(authentication);
  return index < std::size(kNames) ? kNames[index] : std::string_view{};
}

std::string_view name_of(TlsResult::Policy policy) {
  constexpr std::string_view kNames[] = {"", "none", "opportunistic", "encrypt", "verify", "dane", "mta_sts"};
  const auto index = static_cast<std::size_t>(policy);
  return index < std::size(kNames) ? kNames[index] : std::string_view{};
}

std::string_view name_of(TlsResult::Shortfall shortfall) {
  constexpr std::string_view kNames[] = {"none",         "not_asked", "not_offered",   "failed",           "certificate",
                                         "dns_insecure", "no_tlsa",   "tlsa_unusable", "tlsa_unavailable", "resolver_not_validating",
                                         "sts_missing",  "sts_mx",    "sts_testing"};
  const auto index = static_cast<std::size_t>(shortfall);
  return index < std::size(kNames) ? kNames[index] : std::string_view{};
}

Verdict check(const Event& event) {
  const Rule* rule = rule_of(event.kind);
  if (rule == nullptr) return Verdict::bad_kind;
  std::uint32_t present = 0;
  bool values_good = !event.stamp.incarnation.is_zero() && event.stamp.sequence != 0 && event.stamp.time >= WallTime{} &&
                     !name_of(event.stamp.process).empty();
  for_each_field(event, [&](Field field, std::string_view, const auto& value) {
    if (!value) return;
    present |= bit(field);
    values_good = values_good && in_range(field, *value);
  });
  if ((present & rule->required) != rule->required || (present & ~(rule->required | rule->allowed)) != 0)
    return Verdict::bad_fields;
  return values_good ? Verdict::valid : Verdict::bad_value;
}

bool is_valid(const Event& event) { return check(event) == Verdict::valid; }

}  // namespace ringpost::event
