// MailHosts: which hosts take mail for a domain, and at which addresses (RFC 5321 section 5.1, RFC 7505).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ringpost/base/prng.hh"
#include "ringpost/base/socket_address.hh"
#include "ringpost/dns/host_keys.hh"
#include "ringpost/dns/resolver.hh"
#include "ringpost/event/event.hh"
#include "ringpost/runtime/task.hh"

namespace ringpost::dns {

struct MailHost {
  std::string name;  ///< as the MX record has it, lower case, before any CNAME; of an address literal: the address
  std::uint16_t preference = 0;
  std::vector<IpAddress> addresses;  ///< never empty; the families take turns, so that a broken one falls back
  bool authenticated = false;        ///< its addresses are DNSSEC-proven
  HostKeys keys;
  friend bool operator==(const MailHost&, const MailHost&) = default;
};

/// Why there is nowhere to deliver to. What the reply would be if we said it to a client.
struct MailHostsFailure {
  bool permanent = false;
  event::Reason reason = event::Reason::none;
  event::ReplyCode reply;
  std::string text;  ///< one printable line, names no address and no domain
  friend bool operator==(const MailHostsFailure&, const MailHostsFailure&) = default;
};

/// Either hosts, in the order to try them, or a failure.
struct MailHostsAnswer {
  std::vector<MailHost> hosts;
  std::optional<MailHostsFailure> failure;
  Duration ttl{};              ///< how long all of this holds; 0: look again next time
  bool authenticated = false;  ///< the list itself (the MX records, or that there are none) is DNSSEC-proven
  std::string name;            ///< where the CNAMEs of the domain led; the domain itself when there were none
  bool implicit = false;       ///< no MX records: the domain's own addresses
};

struct MailHostsSettings {
  std::vector<std::string> own_names;    ///< how other hosts' MX records call this machine
  std::vector<IpAddress> own_addresses;  ///< where this machine takes mail; never connected to, also not with allow_private
  bool allow_private = false;            ///< deliver to loopback, private and link-local addresses
  std::size_t hosts_max = 20;            ///< of one domain; the rest is not looked up
  std::size_t addresses_per_host_max = 8;
  bool keys = true;  ///< look for the hosts' keys, where the MX records are DNSSEC-proven
};

/// Lookups of mail hosts. Verdicts:
///   domain does not exist             550 5.1.2, permanent
///   null MX                           556 5.1.10, permanent
///   only hosts that are ourselves     554 5.4.6, permanent; the loopback and 0.0.0.0 count as ourselves
///   only private addresses            550 5.4.4, permanent
///   hosts without any address         451 4.4.4, temporary: people do forget to publish one for a while
///   no usable answer from DNS         451 4.4.3, temporary
/// Whatever is unclear is temporary: one unanswered address is enough when nothing better is left.
///
/// Lifetime: outlives its lookups; the resolver outlives both.
class MailHosts {
 public:
  MailHosts(Resolver& resolver, MailHostsSettings settings);

  /// `domain`: the right side of an address: a name (of any script, in UTF-8), or an address literal with its
  /// brackets. `party`: as Resolver::ask.
  /// Equal preferences come in a new order with each call.
  runtime::Task<MailHostsAnswer> find(std::string domain, std::uint64_t party = 0);

  /// Where another host of the world may be connected to, IPv6 and IPv4 by turns: none when it has no address, a lookup failed
  /// and the other brought nothing, or only private ones, unless whoever runs this named the host. Our own count: a web server may run
  /// here.
  enum class NamedBy : std::uint8_t { anybody, configuration };
  runtime::Task<std::vector<IpAddress>> addresses(std::string host, NamedBy by = NamedBy::anybody);

  void apply(MailHostsSettings settings);

 private:
  struct Lookup;
  runtime::Task<void> look_up(Lookup& lookup, std::uint64_t party);
  runtime::Task<void> look_up_family(Lookup& lookup, Type type, std::uint64_t party);
  MailHostsAnswer find_literal(std::string_view literal) const;

  Resolver& resolver_;
  MailHostsSettings settings_;
  Prng prng_;
};

}  // namespace ringpost::dns
