#include "shard/tls_reporter.hh"

#include <algorithm>

#include "ringpost/dns/idna.hh"

namespace ringpost::shard {

using runtime::Task;
using transport::DomainDay;
using transport::ReportTarget;

namespace {

// Receivers hear from everybody at midnight of UTC (RFC 8460 section 4.1): each report waits for a time of its own.
constexpr std::chrono::seconds kDelayMax = std::chrono::hours(4);
constexpr Duration kLookEvery = std::chrono::minutes(1);
constexpr std::size_t kAtOnce = 32;
// Then twice as long each time: about eight hours in all.
constexpr std::chrono::seconds kRetryFirst = std::chrono::minutes(15);
constexpr std::uint32_t kAttemptsMax = 6;

}  // namespace

TlsReporter::TlsReporter(const ReportParts& parts, std::shared_ptr<const config::Settings> settings)
    : parts_(parts), settings_(std::move(settings)), scope_(parts.ring), changed_(parts.ring) {}

// Domains of other scripts are asked for, and told of, as DNS has them.
void TlsReporter::on_session(transport::TlsSession session) {
  const std::optional<std::string> ascii = dns::to_ascii(session.domain);
  if (!ascii || !dns::is_askable(*ascii)) return;
  if (session.policy.domain == session.domain) session.policy.domain = *ascii;
  session.domain = *ascii;
  parts_.counts.add(std::move(session), now());
}

Task<void> TlsReporter::send_when_due() {
  while (!stopping_) {
    if (listens()) {
      std::vector<DomainDay> due = parts_.counts.due(now(), kAtOnce, [this](const std::string&) { return delay(); });
      for (DomainDay& day : due)
        if (!stopping_) co_await report(std::move(day));
    }
    if (!stopping_) (void)co_await changed_.wait(parts_.ring.now() + kLookEvery);
  }
}

std::chrono::seconds TlsReporter::delay() {
  std::uint32_t number;
  parts_.ring.random({reinterpret_cast<std::byte*>(&number), sizeof number});
  return std::chrono::seconds{number % static_cast<std::uint32_t>(kDelayMax.count())};
}

Task<void> TlsReporter::report(DomainDay day) {
  const dns::Answer answer = co_await parts_.resolver.ask("_smtp._tls." + day.domain, dns::Type::txt);
  if (stopping_) co_return;
  if (answer.outcome == dns::Outcome::failed) co_return settle(day, false);
  std::vector<std::string> texts;
  for (const dns::Record& record : answer.records)
    if (const auto* text = std::get_if<dns::Text>(&record.data)) texts.push_back(text->octets);
  const std::vector<ReportTarget> targets = transport::parse_tlsrpt_records(texts);
  bool done = true, by_mail = false, by_web = false;
  for (const ReportTarget& target : targets) {
    if (target.kind == ReportTarget::Kind::mailto) {
      by_mail = true;
      continue;
    }
    by_web = true;
    if (std::ranges::find(day.reported_to, target.text) != day.reported_to.end()) continue;
    const bool posted = co_await post(target, day);
    if (stopping_) co_return;
    if (posted) day.reported_to.push_back(target.text);
    done &= posted;
  }
  if (by_mail && !by_web) parts_.metrics.tls_reports_by_mail.add();
  settle(day, done);
}

void TlsReporter::settle(const DomainDay& day, bool done) {
  if (done) return parts_.counts.tried(day, std::nullopt);
  if (day.attempts + 1 < kAttemptsMax) return parts_.counts.tried(day, now() + kRetryFirst * (1 << day.attempts));
  parts_.metrics.tls_reports_failed.add();
  parts_.counts.tried(day, std::nullopt);
}

Task<bool> TlsReporter::post(const ReportTarget& target, const DomainDay& day) {
  const std::vector<std::byte> body = encoded(day);
  std::vector<IpAddress> addresses = co_await parts_.hosts.addresses(std::string{transport::host_of(target)});
  auto answer = co_await parts_.web.post_report(target.text, std::move(addresses), body);
  const bool taken = answer && answer->fault == helper::WebFault::none;
  if (taken) {
    parts_.metrics.tls_reports_sent.add();
    co_return true;
  }
  if (auto suppressed = failure_log_.admit(parts_.ring.now()))
    parts_.log.warning("a report about TLS could not be sent",
                       {{"why", OperatorText{answer ? helper::name_of(answer->fault) : "unavailable"}}, {"suppressed", *suppressed}});
  co_return false;
}

/// Without its details when it is too large with them.
std::vector<std::byte> TlsReporter::encoded(const DomainDay& day) const {
  const auto& own = settings_->tls_report;
  transport::TlsReport report =
      transport::report_of(day, own.organization.empty() ? settings_->hostname : own.organization, own.contact, settings_->hostname);
  std::vector<std::byte> bytes = transport::gzip(transport::format_report(report));
  if (bytes.size() <= helper::kWebReportBytesMax) return bytes;
  for (transport::PolicyReport& policy : report.policies) {
    policy.failures.clear();
    policy.strings.clear();
  }
  return transport::gzip(transport::format_report(report));
}

Task<void> TlsReporter::stop() {
  stopping_ = true;
  changed_.notify_all();
  co_await scope_.join();
}

}  // namespace ringpost::shard
