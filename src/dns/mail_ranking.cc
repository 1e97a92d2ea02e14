#include "mail_ranking.hh"

#include <algorithm>
#include <array>
#include <set>

namespace ringpost::dns {
namespace {

using event::Reason;

/// Networks whose addresses mean another machine elsewhere, or no single one (IANA's special-purpose registries). Documentation
/// networks are left out: nobody routes them, and tests are full of them.
const std::array<Network, 16>& special_networks() {
  static const std::array<Network, 16> kNetworks = [] {
    std::array<Network, 16> networks;
    std::size_t at = 0;
    for (const char* text : {"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
                             "192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4", "::/96", "fc00::/7",
                             "fe80::/10", "fec0::/10", "ff00::/8"}) {
      networks[at++] = *Network::parse(text);
    }
    return networks;
  }();
  return kNetworks;
}

/// What no connection should ever go to, whatever the configuration allows.
bool is_never_a_host(const IpAddress& address) {
  static const Network kMulticast4 = *Network::parse("224.0.0.0/4"), kReserved4 = *Network::parse("240.0.0.0/4");
  static const Network kMulticast6 = *Network::parse("ff00::/8"), kThis4 = *Network::parse("0.0.0.0/8");
  return kMulticast4.contains(address) || kReserved4.contains(address) || kMulticast6.contains(address) ||
         kThis4.contains(address);
}

void interleave(const Candidate& candidate, const MailHostsSettings& settings, std::vector<IpAddress>& into, bool& any_private) {
  for (std::size_t at = 0; at < std::max(candidate.ipv6.size(), candidate.ipv4.size()); ++at) {
    for (const auto* family : {&candidate.ipv6, &candidate.ipv4}) {
      if (at >= family->size() || into.size() >= settings.addresses_per_host_max) continue;
      const AddressUse use = use_of((*family)[at], settings);
      any_private |= use == AddressUse::private_;
      if (use == AddressUse::usable) into.push_back((*family)[at]);
    }
  }
}

}  // namespace

bool is_own(const IpAddress& address, const MailHostsSettings& settings) {
  return std::ranges::find(settings.own_addresses, address) != settings.own_addresses.end();
}

AddressUse use_of(const IpAddress& address, const MailHostsSettings& settings) {
  if (address.is_unspecified() || is_own(address, settings)) return AddressUse::ourselves;
  if (is_never_a_host(address)) return AddressUse::private_;
  if (settings.allow_private) return AddressUse::usable;
  if (address.is_loopback()) return AddressUse::ourselves;
  const bool special = std::ranges::any_of(special_networks(), [&](const Network& network) { return network.contains(address); });
  return special ? AddressUse::private_ : AddressUse::usable;
}

Ranking rank(std::span<const Record> records, Prng& prng, std::size_t hosts_max) {
  Ranking ranking;
  std::vector<Exchange> all;
  for (const Record& record : records)
    if (const auto* exchange = std::get_if<Exchange>(&record.data)) all.push_back(*exchange);
  ranking.null_mx = all.size() == 1 && all.front().host.empty();  // RFC 7505 section 3: alone, or it means nothing
  for (std::size_t left = all.size(); left > 1; --left) std::swap(all[left - 1], all[prng.below(left)]);
  std::ranges::sort(all, {}, &Exchange::preference);
  std::set<std::string_view> seen;
  for (Exchange& exchange : all) {
    if (ranking.exchanges.size() == hosts_max) break;
    if (!is_askable(exchange.host) || IpAddress::parse(exchange.host)) continue;
    if (seen.insert(exchange.host).second) ranking.exchanges.push_back(exchange);
  }
  return ranking;
}

void choose(std::span<const Candidate> candidates, const MailHostsSettings& settings, MailHostsAnswer& answer) {
  bool unknown = false, any_private = false, any_self = false;
  std::uint32_t own_preference = UINT32_MAX;
  for (const Candidate& candidate : candidates)
    if (candidate.ourselves) own_preference = std::min<std::uint32_t>(own_preference, candidate.preference);
  for (const Candidate& candidate : candidates) {
    if (candidate.preference >= own_preference) continue;
    MailHost host{candidate.name, candidate.preference, {}, candidate.security == Security::secure, candidate.keys};
    interleave(candidate, settings, host.addresses, any_private);
    for (const auto* family : {&candidate.ipv6, &candidate.ipv4})
      for (const IpAddress& address : *family) any_self |= use_of(address, settings) == AddressUse::ourselves;
    unknown |= candidate.unanswered;
    if (!host.addresses.empty()) answer.hosts.push_back(std::move(host));
  }
  if (!answer.hosts.empty()) return;
  any_self |= own_preference != UINT32_MAX;
  if (unknown) {
    answer.failure = unanswered(Failure::none);
  } else if (any_self) {
    answer.failure = {true, Reason::mail_loop, {554, 5, 4, 6}, "The domain's mail hosts lead back to this server"};
  } else if (any_private) {
    answer.failure = {true, Reason::private_address, {550, 5, 4, 4}, "The domain's mail hosts have private addresses only"};
  } else {
    answer.failure = {false, Reason::no_mail_host, {451, 4, 4, 4}, "None of the domain's mail hosts has an address"};
  }
}

MailHostsFailure no_such_domain() { return {true, Reason::dns_no_such_domain, {550, 5, 1, 2}, "The domain does not exist"}; }

MailHostsFailure takes_no_mail() { return {true, Reason::null_mx, {556, 5, 1, 10}, "The domain takes no mail (null MX)"}; }

MailHostsFailure unanswered(Failure why) {
  std::string text = "No usable answer from DNS";
  if (why != Failure::none) text.append(": ").append(failure_name(why));
  return {false, Reason::dns_temporary, {451, 4, 4, 3}, std::move(text)};
}

}  // namespace ringpost::dns
