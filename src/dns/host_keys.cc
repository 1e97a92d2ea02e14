#include "ringpost/dns/host_keys.hh"

#include <algorithm>

namespace ringpost::dns {

namespace {

HostKeys failed_by(const Answer& answer) { return {.status = HostKeys::Status::failed, .failure = answer.failure, .ttl_s = answer.ttl_s}; }

}  // namespace

std::vector<std::string> base_domains(const KeyedHost& host, Security cname) {
  const bool alias = host.expanded != host.name;
  if (host.addresses == Security::secure) return alias ? std::vector{host.expanded, host.name} : std::vector{host.name};
  if (alias && cname == Security::secure) return {host.name};
  return {};
}

runtime::Task<HostKeys> find_keys(Resolver& resolver, KeyedHost host, std::uint64_t party) {
  if (host.addresses == Security::failed) co_return HostKeys{.status = HostKeys::Status::failed, .ttl_s = 0};
  HostKeys keys;
  Security cname = Security::insecure;
  if (host.addresses == Security::insecure && host.expanded != host.name) {
    const Answer alias = co_await resolver.ask(host.name, Type::cname, party);
    cname = security_of(alias);
    if (cname == Security::failed) co_return failed_by(alias);
    keys.ttl_s = alias.ttl_s;
  }
  for (const std::string& base : base_domains(host, cname)) {
    const Answer answer = co_await resolver.ask("_" + std::to_string(host.port) + "._tcp." + base, Type::tlsa, party);
    if (answer.outcome == Outcome::failed) co_return failed_by(answer);
    keys.ttl_s = std::min(keys.ttl_s, answer.ttl_s);
    keys.status = HostKeys::Status::none;
    if (answer.outcome != Outcome::found || !answer.authenticated) continue;
    keys.status = HostKeys::Status::found;
    keys.base = base;
    for (const Record& record : answer.records)
      if (const auto* association = std::get_if<Association>(&record.data)) keys.records.push_back(*association);
    break;
  }
  co_return keys;
}

}  // namespace ringpost::dns
