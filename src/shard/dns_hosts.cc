#include "shard/dns_hosts.hh"

#include <algorithm>

namespace ringpost::shard {

namespace {

using Verdict = deliver::RecipientResult::Verdict;

constexpr std::uint16_t kSmtpPort = 25;
// However short-lived an answer is, mail that follows goes the same way for a moment; however long-lived, it is asked for again.
constexpr Duration kKeptMin = std::chrono::seconds(30), kKeptMax = std::chrono::hours(1);

// What an answer takes, rather too much; and room for one long list of mail hosts, however few answers are kept.
constexpr std::uint64_t kAnswerBytes = 512, kCacheBytesMin = 64_KiB;

dns::ResolverSettings resolver_settings(const config::Settings& settings) {
  return {.servers = settings.dns.servers,
          .timeout = settings.dns.timeout,
          .cache_bytes_max = std::max(kCacheBytesMin, settings.dns.cache_entries * kAnswerBytes),
          .cache_entries_max = settings.dns.cache_entries};
}

dns::MailHostsSettings host_settings(const config::Settings& settings) {
  return {.own_names = {settings.hostname}, .own_addresses = settings.dns.own_addresses, .allow_private = settings.dns.allow_private};
}

}  // namespace

DnsHosts::DnsHosts(runtime::Ring& ring, const config::Settings& settings)
    : ring_(ring), resolver_(ring, resolver_settings(settings)), mail_hosts_(resolver_, host_settings(settings)) {}

void DnsHosts::reconfigure(const config::Settings& settings) {
  resolver_.apply(resolver_settings(settings));
  mail_hosts_.apply(host_settings(settings));
}

Instant DnsHosts::expiry(Duration ttl) const { return ring_.now() + std::clamp(ttl, kKeptMin, kKeptMax); }

runtime::Task<std::expected<deliver::Hosts, deliver::NoHosts>> DnsHosts::mail_hosts(std::string domain) {
  dns::MailHostsAnswer answer = co_await mail_hosts_.find(std::move(domain));
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
    for (const IpAddress& address : host.addresses) hosts.addresses.emplace_back(address, kSmtpPort);
  }
  co_return hosts;
}

// A next hop was named by the operator: whatever DNS says of it, its mail waits until that is mended.
runtime::Task<std::expected<deliver::Hosts, deliver::NoHosts>> DnsHosts::host(std::string name, std::uint16_t port) {
  deliver::Hosts hosts{.names = {name}};
  Duration ttl = kKeptMax;
  bool failed = false;
  for (dns::Type type : {dns::Type::aaaa, dns::Type::a}) {
    const dns::Answer answer = co_await resolver_.ask(name, type);
    failed |= answer.outcome == dns::Outcome::failed;
    if (answer.outcome != dns::Outcome::found) continue;
    ttl = std::min<Duration>(ttl, std::chrono::seconds(answer.ttl_s));
    for (const dns::Record& record : answer.records)
      if (const IpAddress* address = std::get_if<IpAddress>(&record.data)) hosts.addresses.emplace_back(*address, port);
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
