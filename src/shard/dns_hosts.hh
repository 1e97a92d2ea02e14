// What delivery asks DNS: the mail hosts of a domain, the addresses of a next hop.
#pragma once

#include <memory>

#include "ringpost/config/settings.hh"
#include "ringpost/deliver/hosts.hh"
#include "ringpost/dns/mail_hosts.hh"
#include "ringpost/dns/resolver.hh"

namespace ringpost::shard {

/// Lifetime: await stop() before it dies; every question has its answer then.
class DnsHosts final : public deliver::HostFinder {
 public:
  DnsHosts(runtime::Ring& ring, const config::Settings& settings);

  void reconfigure(const config::Settings& settings);
  runtime::Task<std::expected<deliver::Hosts, deliver::NoHosts>> mail_hosts(std::string domain) override;
  runtime::Task<std::expected<deliver::Hosts, deliver::NoHosts>> host(std::string name, std::uint16_t port) override;
  runtime::Task<void> stop() { return resolver_.stop(); }

 private:
  Instant expiry(Duration ttl) const;

  runtime::Ring& ring_;
  dns::Resolver resolver_;
  dns::MailHosts mail_hosts_;
};

}  // namespace ringpost::shard
