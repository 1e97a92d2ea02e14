// What delivery asks DNS: the mail hosts of a domain, the addresses of a next hop, and what is proven of them.
#pragma once

#include <memory>
#include <optional>

#include "ringpost/base/log.hh"
#include "ringpost/config/settings.hh"
#include "ringpost/deliver/hosts.hh"
#include "ringpost/dns/mail_hosts.hh"
#include "ringpost/dns/resolver.hh"
#include "ringpost/metrics/shard_metrics.hh"
#include "ringpost/runtime/scope.hh"
#include "ringpost/runtime/signal.hh"

namespace ringpost::shard {

/// Lifetime: await stop() before it dies; every question has its answer then.
class DnsHosts final : public deliver::HostFinder {
 public:
  DnsHosts(runtime::Ring& ring, const config::Settings& settings);

  /// Watches from now on whether the resolvers validate, while some route asks DNS at all. `log`: where changes are told; may be null.
  void start(metrics::ShardMetrics& metrics, Log* log);
  void reconfigure(const config::Settings& settings);
  runtime::Task<std::expected<deliver::Hosts, deliver::NoHosts>> mail_hosts(std::string domain) override;
  runtime::Task<std::expected<deliver::Hosts, deliver::NoHosts>> host(std::string name, std::uint16_t port) override;
  runtime::Task<void> stop();
  dns::Resolver& resolver() { return resolver_; }
  dns::MailHosts& finder() { return mail_hosts_; }

 private:
  Instant expiry(Duration ttl) const;
  runtime::Task<void> watch();
  void take(const dns::Validation& seen);
  void apply();
  bool proves() const { return validation_ == dns::Validation::State::yes || validation_ == dns::Validation::State::unknown; }
  deliver::HostProof proof_of(std::string_view host, const dns::HostKeys& keys) const;

  runtime::Ring& ring_;
  dns::Resolver resolver_;
  dns::MailHosts mail_hosts_;
  dns::MailHostsSettings host_settings_;
  metrics::ShardMetrics* metrics_ = nullptr;
  Log* log_ = nullptr;
  bool wanted_ = false, stopping_ = false;
  dns::Validation::State validation_ = dns::Validation::State::unknown;  ///< unknown: as far as the AD bit goes
  runtime::Signal changed_;
  runtime::Scope scope_;
};

}  // namespace ringpost::shard
