#include "shard/dns_hosts.hh"

#include <algorithm>
#include <utility>

namespace ringpost::shard {

namespace {

using Verdict = deliver::RecipientResult::Verdict;

constexpr std::uint16_t kSmtpPort = 25;
// However short-lived an answer is, mail that follows goes the same way for a moment; however long-lived, it is asked for again.
constexpr Duration kKeptMin = std::chrono::seconds(30), kKeptMax = std::chrono::hours(1);

// Resolvers are looked at again so often; soon when nobody could be asked.
constexpr Duration kLookAgain = std::chrono::minutes(30), kAskAgain = std::chrono::minutes(1);

// What an answer takes, rather too much; and room for one long list of mail hosts, however few answers are kept.
constexpr std::uint64_t kAnswerBytes = 512, kCacheBytesMin = 64_KiB;

dns::ResolverSettings resolver_settings(const config::Settings& settings) {
  return {.servers = settings.dns.servers,
          .trust_ad = settings.dns.trust_ad,
          .timeout = settings.dns.timeout,
          .cache_bytes_max = std::max(kCacheBytesMin, settings.dns.cache_entries * kAnswerBytes),
          .cache_entries_max = settings.dns.cache_entries};
}

dns::MailHostsSettings host_settings(const config::Settings& settings) {
  return {.own_names = {settings.hostname}, .own_addresses = settings.dns.own_addresses, .allow_private = settings.dns.allow_private};
}

bool asks_dns(const config::Settings& settings) {
  return settings.route.fallback.asks_dns() ||
         std::ranges::any_of(settings.route.domains, [](const config::DomainRoute& each) { return each.route.asks_dns(); });
}

deliver::HostProof::Status status_of(dns::HostKeys::Status status) {
  using To = deliver::HostProof::Status;
  switch (status) {
    case dns::HostKeys::Status::insecure: return To::insecure;
    case dns::HostKeys::Status::none: return To::none;
    case dns::HostKeys::Status::found: return To::found;
    case dns::HostKeys::Status::failed: return To::failed;
  }
  return To::failed;
}

}  // namespace

DnsHosts::DnsHosts(runtime::Ring& ring, const config::Settings& settings)
    : ring_(ring),
      resolver_(ring, resolver_settings(settings)),
      mail_hosts_(resolver_, host_settings(settings)),
      host_settings_(host_settings(settings)),
      wanted_(asks_dns(settings)),
      changed_(ring),
      scope_(ring) {}

void DnsHosts::start(metrics::ShardMetrics& metrics, Log* log) {
  metrics_ = &metrics;
  log_ = log;
  scope_.spawn(watch());
}

void DnsHosts::reconfigure(const config::Settings& settings) {
  resolver_.apply(resolver_settings(settings));
  host_settings_ = host_settings(settings);
  wanted_ = asks_dns(settings);
  apply();
  changed_.notify_all();
}

void DnsHosts::apply() {
  host_settings_.keys = proves();
  mail_hosts_.apply(host_settings_);
}

runtime::Task<void> DnsHosts::stop() {
  stopping_ = true;
  changed_.notify_all();
  co_await resolver_.stop();
  co_await scope_.join();
}

// ---- whether anything is proven

runtime::Task<void> DnsHosts::watch() {
  while (!stopping_) {
    Duration pause = kLookAgain;
    if (wanted_) {
      const dns::Validation seen = co_await resolver_.examine();
      if (stopping_) break;
      if (seen.state == dns::Validation::State::unknown) pause = kAskAgain;
      else take(seen);
    }
    (void)co_await changed_.wait(ring_.now() + pause);
  }
}

void DnsHosts::take(const dns::Validation& seen) {
  const bool good = seen.state == dns::Validation::State::yes;
  metrics_->dns_validating.set(good);
  if (std::exchange(validation_, seen.state) == seen.state) return;
  apply();
  if (!log_) return;
  if (good)
    log_->info("the resolvers validate: mail hosts with TLSA records are held to them", {{"server", seen.server}});
  else if (seen.state == dns::Validation::State::untrusted)
    log_->warning("DANE IS OFF: this resolver validates, but its word does not count (dns.trust_ad); one on this machine is best", {{"server", seen.server}});
  else
    log_->warning("DANE IS OFF: this resolver does not validate (no AD bit), or strips signatures; use one that does DNSSEC", {{"server", seen.server}});
}

deliver::HostProof DnsHosts::proof_of(std::string_view host, const dns::HostKeys& keys) const {
  deliver::HostProof proof{.status = proves() ? status_of(keys.status) : deliver::HostProof::Status::off, .host = std::string{host}, .base = keys.base};
  if (proof.status != deliver::HostProof::Status::found) return proof;
  proof.names = {keys.base};
  for (const dns::Association& each : keys.records) proof.records.push_back({each.usage, each.selector, each.matching, each.data});
  return proof;
}

// ---- questions

Instant DnsHosts::expiry(Duration ttl) const { return ring_.now() + std::clamp(ttl, kKeptMin, kKeptMax); }

runtime::Task<std::expected<deliver::Hosts, deliver::NoHosts>> DnsHosts::mail_hosts(std::string domain) {
  dns::MailHostsAnswer answer = co_await mail_hosts_.find(domain);
  if (answer.failure) {
    const dns::MailHostsFailure& failure = *answer.failure;
    co_return std::unexpected(deliver::NoHosts{{.verdict = failure.permanent ? Verdict::failed : Verdict::deferred,
                                                .reason = failure.reason,
                                                .reply = failure.reply,
                                                .text = failure.text},
                                               expiry(answer.ttl)});
  }
  deliver::Hosts hosts{.expires = expiry(answer.ttl)};
  for (const dns::MailHost& host : answer.hosts) {
    hosts.names.push_back(host.name);
    deliver::HostProof& proof = hosts.proofs.emplace_back(proof_of(host.name, host.keys));
    // Beside the host's own: whose mail it is, as it was asked for and where its CNAMEs led (RFC 7672 section 3.2.2).
    if (proof.status == deliver::HostProof::Status::found) proof.names.insert(proof.names.end(), {answer.name, domain});
    for (const IpAddress& address : host.addresses) proof.addresses.emplace_back(address, kSmtpPort);
    hosts.addresses.insert(hosts.addresses.end(), proof.addresses.begin(), proof.addresses.end());
  }
  co_return hosts;
}

// A next hop was named by the operator: whatever DNS says of it, its mail waits until that is mended.
runtime::Task<std::expected<deliver::Hosts, deliver::NoHosts>> DnsHosts::host(std::string name, std::uint16_t port) {
  deliver::Hosts hosts{.names = {name}};
  Duration ttl = kKeptMax;
  bool failed = false;
  dns::KeyedHost keyed{.name = dns::canonical(name), .addresses = dns::Security::secure, .port = port};
  for (dns::Type type : {dns::Type::aaaa, dns::Type::a}) {
    const dns::Answer answer = co_await resolver_.ask(name, type);
    failed |= answer.outcome == dns::Outcome::failed;
    keyed.addresses = dns::together(keyed.addresses, dns::security_of(answer));
    if (answer.outcome != dns::Outcome::failed) keyed.expanded = answer.name;
    if (answer.outcome != dns::Outcome::found) continue;
    ttl = std::min<Duration>(ttl, std::chrono::seconds(answer.ttl_s));
    for (const dns::Record& record : answer.records)
      if (const IpAddress* address = std::get_if<IpAddress>(&record.data)) hosts.addresses.emplace_back(*address, port);
  }
  if (!hosts.addresses.empty()) {
    dns::HostKeys keys;
    if (proves()) keys = co_await dns::find_keys(resolver_, keyed);
    ttl = std::min<Duration>(ttl, std::chrono::seconds(keys.ttl_s));
    hosts.proofs.push_back(proof_of(name, keys));
    hosts.proofs.back().addresses = hosts.addresses;
  }
  hosts.expires = expiry(ttl);
  if (!hosts.addresses.empty()) co_return hosts;
  co_return std::unexpected(deliver::NoHosts{{.verdict = Verdict::deferred,
                                              .reason = failed ? event::Reason::dns_temporary : event::Reason::no_mail_host,
                                              .reply = {451, 4, 4, static_cast<std::uint16_t>(failed ? 3 : 4)},
                                              .text = failed ? "No answer from DNS about the next hop" : "The next hop has no address"},
                                             hosts.expires});
}

}  // namespace ringpost::shard
