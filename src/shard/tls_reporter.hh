// Reports to domains about TLS on the way to them (RFC 8460): each shard counts, one of them sends.
#pragma once

#include <memory>
#include <string>

#include "ringpost/base/log.hh"
#include "ringpost/config/settings.hh"
#include "ringpost/deliver/policies.hh"
#include "ringpost/dns/mail_hosts.hh"
#include "ringpost/dns/resolver.hh"
#include "ringpost/helper/web.hh"
#include "ringpost/metrics/shard_metrics.hh"
#include "ringpost/runtime/ring.hh"
#include "ringpost/runtime/scope.hh"
#include "ringpost/runtime/signal.hh"
#include "ringpost/transport/tls_counts.hh"

namespace ringpost::shard {

/// What it works with. Everything outlives it.
struct ReportParts {
  runtime::Ring& ring;
  dns::Resolver& resolver;
  dns::MailHosts& hosts;
  helper::Web& web;
  transport::TlsCounts& counts;  ///< of all shards
  metrics::ShardMetrics& metrics;
  Log& log;
};

/// A day's report goes out up to four hours after its end, and is tried for some hours more. Who wants it is asked of DNS then.
///
/// Lifetime: await stop() before it dies, when the resolver and the web have been stopped.
class TlsReporter final : public deliver::SessionListener {
 public:
  TlsReporter(const ReportParts& parts, std::shared_ptr<const config::Settings> settings);

  /// For one shard.
  void start_sending() { scope_.spawn(send_when_due()); }
  bool listens() const override { return !settings_->tls_report.contact.empty(); }
  void on_session(transport::TlsSession session) override;
  void reconfigure(std::shared_ptr<const config::Settings> settings) { settings_ = std::move(settings); }
  runtime::Task<void> stop();

 private:
  runtime::Task<void> send_when_due();
  runtime::Task<void> report(transport::DomainDay day);
  runtime::Task<bool> post(const transport::ReportTarget& target, const transport::DomainDay& day);
  std::vector<std::byte> encoded(const transport::DomainDay& day) const;
  std::chrono::seconds delay();
  void settle(const transport::DomainDay& day, bool done);
  std::chrono::sys_seconds now() const { return std::chrono::floor<std::chrono::seconds>(parts_.ring.wall_now()); }

  ReportParts parts_;
  std::shared_ptr<const config::Settings> settings_;
  runtime::Scope scope_;
  runtime::Signal changed_;
  bool stopping_ = false;
  LogLimit failure_log_{3, std::chrono::minutes{10}};
};

}  // namespace ringpost::shard
