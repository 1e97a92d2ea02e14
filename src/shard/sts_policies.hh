// MTA-STS for one shard: asks DNS and the web what a domain says, and keeps it for all.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

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
#include "ringpost/transport/sts_cache.hh"

namespace ringpost::shard {

/// What it works with. Everything outlives it.
struct StsParts {
  runtime::Ring& ring;
  dns::Resolver& resolver;
  dns::MailHosts& hosts;
  helper::Web& web;
  transport::StsCache& cache;  ///< of all shards
  metrics::ShardMetrics& metrics;
  Log& log;
};

/// A policy that holds goes on holding whatever DNS and the web say now; only a document that was fetched takes its place. What could
/// not be fetched is left alone for five minutes, while the record's id stays (RFC 8461 section 3.3).
///
/// Lifetime: await stop() before it dies, when the resolver and the web have been stopped.
class StsPolicies final : public deliver::PolicyFinder {
 public:
  StsPolicies(const StsParts& parts, const config::Settings& settings) : parts_(parts), scope_(parts.ring), changed_(parts.ring) { reconfigure(settings); }

  /// From now on policies are renewed before they end, also while no mail asks for them. For one shard.
  void keep_fresh() { scope_.spawn(renew()); }
  runtime::Task<deliver::StsPolicy> sts_policy(std::string domain) override;
  deliver::StsPolicy known_policy(const std::string& domain) override;
  void reconfigure(const config::Settings& settings) { wanted_ = settings.tls.mta_sts; }
  runtime::Task<void> stop();

 private:
  struct Flight;
  struct Failure {
    std::string id;
    deliver::StsTrouble trouble;
    Instant until{};
  };
  runtime::Task<void> fly(std::shared_ptr<Flight> flight);
  runtime::Task<void> renew();
  runtime::Task<std::optional<std::string>> ask_for_record(const std::string& domain);
  runtime::Task<std::expected<transport::Policy, deliver::StsTrouble>> fetch(const std::string& domain);
  const Failure* failed_lately(const std::string& domain, const std::string& id) const;
  void note_failure(const std::string& domain, std::string id, deliver::StsTrouble trouble);
  std::chrono::sys_seconds now() const { return std::chrono::floor<std::chrono::seconds>(parts_.ring.wall_now()); }

  StsParts parts_;
  runtime::Scope scope_;
  runtime::Signal changed_;
  bool wanted_ = true, stopping_ = false;
  std::map<std::string, std::shared_ptr<Flight>> flights_;  // domains that are being asked about
  std::unordered_map<std::string, Failure> failures_;
  LogLimit failure_log_{3, std::chrono::minutes{1}};
};

}  // namespace ringpost::shard
