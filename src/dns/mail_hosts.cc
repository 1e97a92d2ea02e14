#include "ringpost/dns/mail_hosts.hh"

#include <algorithm>
#include <array>

#include "ringpost/dns/idna.hh"
#include "mail_ranking.hh"

namespace ringpost::dns {
namespace {

using runtime::Task;

std::uint64_t random_seed(runtime::Ring& ring) {
  std::array<std::byte, 8> seed{};
  ring.random(seed);
  return load_le<std::uint64_t>(seed.data());
}

constexpr std::uint16_t kSmtpPort = 25;

Duration seconds_of(std::uint32_t ttl_s) { return std::chrono::seconds{ttl_s}; }

/// "[192.0.2.1]" or "[IPv6:2001:db8::1]" (RFC 5321 section 4.1.3).
std::optional<IpAddress> parse_literal(std::string_view text) {
  if (text.size() < 3 || !text.starts_with('[') || !text.ends_with(']')) return std::nullopt;
  text = text.substr(1, text.size() - 2);
  constexpr std::string_view kTag = "ipv6:";
  const bool tagged = canonical(text.substr(0, kTag.size())) == kTag;
  const auto address = IpAddress::parse(tagged ? text.substr(kTag.size()) : text);
  if (!address || tagged != (text.find(':', tagged ? kTag.size() : 0) != text.npos)) return std::nullopt;
  return address;
}

}  // namespace

/// The addresses of one host, while they are asked for.
struct MailHosts::Lookup {
  Candidate candidate;
  bool with_keys = false;
  std::uint32_t ttl_s = UINT32_MAX;
};

MailHosts::MailHosts(Resolver& resolver, MailHostsSettings settings) : resolver_(resolver), prng_(random_seed(resolver.ring())) {
  apply(std::move(settings));
}

void MailHosts::apply(MailHostsSettings settings) {
  settings_ = std::move(settings);
  for (std::string& name : settings_.own_names) name = canonical(name);
}

Task<MailHostsAnswer> MailHosts::find(std::string domain, std::uint64_t party) {
  if (domain.starts_with('[')) co_return find_literal(domain);
  const auto ascii = to_ascii(domain);
  if (ascii) domain = canonical(*ascii);
  MailHostsAnswer answer;
  if (!ascii || !is_askable(domain)) {
    answer.failure = no_such_domain();
    co_return answer;
  }
  const Answer mx = co_await resolver_.ask(domain, Type::mx, party);
  answer.ttl = seconds_of(mx.ttl_s);
  answer.authenticated = mx.authenticated;
  answer.name = mx.name;
  Ranking ranking;
  switch (mx.outcome) {
    case Outcome::failed: answer.failure = unanswered(mx.failure); co_return answer;
    case Outcome::no_such_name: answer.failure = no_such_domain(); co_return answer;
    case Outcome::no_data:
      answer.implicit = true;
      ranking.exchanges = {{0, domain}};
      break;
    case Outcome::found: ranking = rank(mx.records, prng_, settings_.hosts_max); break;
  }
  if (ranking.null_mx) {
    answer.failure = takes_no_mail();
    co_return answer;
  }
  const MailHostsSettings settings = settings_;  // one set of rules for the whole lookup
  std::vector<Lookup> lookups;
  for (Exchange& exchange : ranking.exchanges) {
    lookups.push_back({.candidate = {.name = std::move(exchange.host), .preference = exchange.preference},
                       .with_keys = settings.keys && mx.authenticated});
    Candidate& candidate = lookups.back().candidate;
    candidate.ourselves = std::ranges::find(settings.own_names, candidate.name) != settings.own_names.end();
  }
  {
    runtime::Scope scope(resolver_.ring());
    for (Lookup& lookup : lookups)
      if (!lookup.candidate.ourselves) scope.spawn(look_up(lookup, party));
    co_await scope.join();
  }
  std::vector<Candidate> candidates;
  for (Lookup& lookup : lookups) {
    answer.ttl = std::min(answer.ttl, seconds_of(lookup.ttl_s));
    Candidate& candidate = lookup.candidate;
    for (const auto* family : {&candidate.ipv4, &candidate.ipv6})
      for (const IpAddress& address : *family) candidate.ourselves |= is_own(address, settings);
    candidates.push_back(std::move(candidate));
  }
  choose(candidates, settings, answer);
  co_return answer;
}

/// Both families, one beside the other; then the keys, for which must be known whether both are proven.
Task<void> MailHosts::look_up(Lookup& lookup, std::uint64_t party) {
  runtime::Scope scope(resolver_.ring());
  scope.spawn(look_up_family(lookup, Type::aaaa, party));
  scope.spawn(look_up_family(lookup, Type::a, party));
  co_await scope.join();
  Candidate& candidate = lookup.candidate;
  if (!lookup.with_keys || (candidate.ipv4.empty() && candidate.ipv6.empty())) co_return;
  candidate.keys = co_await find_keys(resolver_, {candidate.name, candidate.expanded, candidate.security, kSmtpPort}, party);
  lookup.ttl_s = std::min(lookup.ttl_s, candidate.keys.ttl_s);
}

Task<void> MailHosts::look_up_family(Lookup& lookup, Type type, std::uint64_t party) {
  const Answer answer = co_await resolver_.ask(lookup.candidate.name, type, party);
  lookup.candidate.unanswered |= answer.outcome == Outcome::failed;
  lookup.candidate.security = together(lookup.candidate.security, security_of(answer));
  if (answer.outcome != Outcome::failed) lookup.candidate.expanded = answer.name;
  lookup.ttl_s = std::min(lookup.ttl_s, answer.ttl_s);
  auto& addresses = type == Type::a ? lookup.candidate.ipv4 : lookup.candidate.ipv6;
  for (const Record& record : answer.records)
    if (const auto* address = std::get_if<IpAddress>(&record.data)) addresses.push_back(*address);
}

Task<std::vector<IpAddress>> MailHosts::addresses(std::string host, NamedBy by) {
  MailHostsSettings settings{.allow_private = settings_.allow_private || by == NamedBy::configuration};
  Lookup lookup{.candidate = {.name = std::move(host)}, .with_keys = false};
  co_await look_up(lookup, 0);
  MailHostsAnswer answer;
  choose(std::span{&lookup.candidate, 1}, settings, answer);
  if (answer.hosts.empty()) co_return std::vector<IpAddress>{};
  co_return std::move(answer.hosts.front().addresses);
}

MailHostsAnswer MailHosts::find_literal(std::string_view literal) const {
  MailHostsAnswer answer{.implicit = true};
  const auto address = parse_literal(literal);
  if (!address) {
    answer.failure = no_such_domain();
    return answer;
  }
  Candidate candidate{.name = std::string{literal}};
  (address->is_ipv4() ? candidate.ipv4 : candidate.ipv6).push_back(*address);
  choose(std::span{&candidate, 1}, settings_, answer);
  return answer;
}

}  // namespace ringpost::dns
