#include "ringpost/transport/tls_counts.hh"

#include <algorithm>

#include "ringpost/base/utc_time.hh"
#include "transport/memory_reader.hh"
#include "transport/memory_writer.hh"

namespace ringpost::transport {

namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kTextBytesMax = 64 * 1024, kListMax = 10'000;

bool same(const PolicyReport& a, const PolicyReport& b) {
  return a.type == b.type && a.domain == b.domain && a.strings == b.strings && a.mx_hosts == b.mx_hosts;
}

bool same(const FailureDetail& a, const FailureDetail& b) {
  return a.type == b.type && a.sending_mta_ip == b.sending_mta_ip && a.receiving_mx_hostname == b.receiving_mx_hostname &&
         a.receiving_mx_helo == b.receiving_mx_helo && a.receiving_ip == b.receiving_ip &&
         a.additional_information == b.additional_information && a.reason_code == b.reason_code;
}

void write(MemoryWriter& out, const std::vector<std::string>& texts) {
  out.number(static_cast<std::uint32_t>(texts.size()));
  for (const std::string& text : texts) out.text(text);
}

std::vector<std::string> read_texts(MemoryReader& in) {
  std::vector<std::string> texts;
  const std::uint32_t count = in.number<std::uint32_t>();
  if (count > kListMax) in.fail();
  for (std::uint32_t i = 0; i < count && !in.failed(); ++i) texts.push_back(in.text(kTextBytesMax));
  return texts;
}

void write(MemoryWriter& out, const std::optional<IpAddress>& address) { out.text(address ? address->text() : std::string{}); }

std::optional<IpAddress> read_address(MemoryReader& in) {
  const std::string text = in.text(IpAddress::kTextMax);
  if (text.empty()) return std::nullopt;
  const auto address = IpAddress::parse(text);
  if (!address) in.fail();
  return address;
}

void write(MemoryWriter& out, const FailureDetail& detail) {
  out.number(static_cast<std::uint8_t>(detail.type));
  write(out, detail.sending_mta_ip);
  out.text(detail.receiving_mx_hostname);
  out.text(detail.receiving_mx_helo);
  write(out, detail.receiving_ip);
  out.number(detail.sessions);
  out.text(detail.additional_information);
  out.text(detail.reason_code);
}

FailureDetail read_detail(MemoryReader& in) {
  FailureDetail detail;
  const auto type = in.number<std::uint8_t>();
  if (type > static_cast<std::uint8_t>(ResultType::sts_webpki_invalid)) in.fail();
  else detail.type = static_cast<ResultType>(type);
  detail.sending_mta_ip = read_address(in);
  detail.receiving_mx_hostname = in.text(kTextBytesMax);
  detail.receiving_mx_helo = in.text(kTextBytesMax);
  detail.receiving_ip = read_address(in);
  detail.sessions = in.number<std::uint64_t>();
  detail.additional_information = in.text(kTextBytesMax);
  detail.reason_code = in.text(kTextBytesMax);
  return detail;
}

void write(MemoryWriter& out, const PolicyReport& policy) {
  out.number(static_cast<std::uint8_t>(policy.type));
  out.text(policy.domain);
  write(out, policy.strings);
  write(out, policy.mx_hosts);
  out.number(policy.successful_sessions);
  out.number(policy.failed_sessions);
  out.number(static_cast<std::uint32_t>(policy.failures.size()));
  for (const FailureDetail& detail : policy.failures) write(out, detail);
}

PolicyReport read_policy(MemoryReader& in) {
  PolicyReport policy;
  const auto type = in.number<std::uint8_t>();
  if (type > static_cast<std::uint8_t>(PolicyType::no_policy_found)) in.fail();
  else policy.type = static_cast<PolicyType>(type);
  policy.domain = in.text(kTextBytesMax);
  policy.strings = read_texts(in);
  policy.mx_hosts = read_texts(in);
  policy.successful_sessions = in.number<std::uint64_t>();
  policy.failed_sessions = in.number<std::uint64_t>();
  const std::uint32_t failures = in.number<std::uint32_t>();
  if (failures > TlsCounts::kDetailsMax) in.fail();
  for (std::uint32_t i = 0; i < failures && !in.failed(); ++i) policy.failures.push_back(read_detail(in));
  return policy;
}

}  // namespace

DomainDay* TlsCounts::place(const Key& key) {
  const auto found = days_.find(key);
  if (found != days_.end()) return &found->second;
  if (days_.size() >= kDomainsMax) return nullptr;
  DomainDay& fresh = days_[key];
  fresh.day = key.first;
  fresh.domain = key.second;
  return &fresh;
}

PolicyReport* TlsCounts::place(DomainDay& entry, const PolicyReport& policy) {
  const auto found = std::ranges::find_if(entry.policies, [&](const PolicyReport& other) { return same(policy, other); });
  if (found != entry.policies.end()) return &*found;
  if (entry.policies.size() >= kPoliciesMax) return nullptr;
  entry.policies.push_back({.type = policy.type, .strings = policy.strings, .domain = policy.domain, .mx_hosts = policy.mx_hosts});
  return &entry.policies.back();
}

FailureDetail* TlsCounts::place(PolicyReport& policy, const FailureDetail& failure) {
  const auto found = std::ranges::find_if(policy.failures, [&](const FailureDetail& other) { return same(failure, other); });
  if (found != policy.failures.end()) return &*found;
  if (policy.failures.size() >= kDetailsMax) return nullptr;
  policy.failures.push_back(failure);
  policy.failures.back().sessions = 0;
  return &policy.failures.back();
}

void TlsCounts::add(TlsSession session, Time now) {
  std::lock_guard lock{mutex_};
  DomainDay* entry = place({std::chrono::floor<std::chrono::days>(now), std::move(session.domain)});
  PolicyReport* policy = entry ? place(*entry, session.policy) : nullptr;
  if (!policy) return;
  ++revision_;
  if (!session.failure) {
    ++policy->successful_sessions;
    return;
  }
  ++policy->failed_sessions;
  if (FailureDetail* detail = place(*policy, *session.failure)) ++detail->sessions;
}

void TlsCounts::tried(const DomainDay& entry, std::optional<Time> again) {
  std::lock_guard lock{mutex_};
  const auto found = days_.find({entry.day, entry.domain});
  if (found == days_.end()) return;
  ++revision_;
  if (!again) {
    days_.erase(found);
    return;
  }
  found->second.due = *again;
  found->second.reported_to = entry.reported_to;
  ++found->second.attempts;
}

std::size_t TlsCounts::size() const {
  std::lock_guard lock{mutex_};
  return days_.size();
}

std::uint64_t TlsCounts::revision() const {
  std::lock_guard lock{mutex_};
  return revision_;
}

std::vector<std::byte> TlsCounts::encode() const {
  MemoryWriter out;
  out.number(kVersion);
  std::lock_guard lock{mutex_};
  out.number(static_cast<std::uint32_t>(days_.size()));
  for (const auto& [key, entry] : days_) {
    out.time(entry.day);
    out.text(entry.domain);
    out.time(entry.due);
    write(out, entry.reported_to);
    out.number(entry.attempts);
    out.number(static_cast<std::uint32_t>(entry.policies.size()));
    for (const PolicyReport& policy : entry.policies) write(out, policy);
  }
  return out.take();
}

bool TlsCounts::decode(Bytes encoded) {
  MemoryReader in{encoded};
  if (in.number<std::uint8_t>() != kVersion) return false;
  std::lock_guard lock{mutex_};
  for (std::uint32_t left = in.number<std::uint32_t>(); left > 0 && !in.failed(); --left) {
    const Time day = in.time();
    const std::string domain = in.text(255);
    DomainDay read{.day = std::chrono::floor<std::chrono::days>(day), .domain = domain};
    read.due = in.time();
    read.reported_to = read_texts(in);
    read.attempts = in.number<std::uint32_t>();
    const std::uint32_t policies = in.number<std::uint32_t>();
    if (in.failed() || domain.empty() || read.day != day || policies > kPoliciesMax) return false;
    for (std::uint32_t i = 0; i < policies && !in.failed(); ++i) read.policies.push_back(read_policy(in));
    if (in.failed()) return false;
    if (days_.size() < kDomainsMax) days_.try_emplace({read.day, domain}, std::move(read));
  }
  return in.done();
}

TlsReport report_of(const DomainDay& day, const std::string& organization, const std::string& contact, const std::string& host_name) {
  const std::string date = format_utc(day.day).substr(0, 10);
  return {.organization = organization, .day = day.day, .contact = contact, .id = date + "." + day.domain + "@" + host_name, .policies = day.policies};
}

}  // namespace ringpost::transport
