// The deciding part of MailHosts: no I/O, no coroutine.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ringpost/base/prng.hh"
#include "ringpost/dns/mail_hosts.hh"

namespace ringpost::dns {

enum class AddressUse : std::uint8_t {
  usable,
  ourselves,  ///< this machine: its own addresses, the loopback, 0.0.0.0
  private_,   ///< private, link-local, shared, multicast or reserved: it means something else elsewhere
};
bool is_own(const IpAddress& address, const MailHostsSettings& settings);
AddressUse use_of(const IpAddress& address, const MailHostsSettings& settings);

/// MX records in the order to try them: by preference, equal ones shuffled, each host once (at its best), none that is the root
/// or an IP address in words, at most `hosts_max`. `null_mx`: the one record there is says that no mail is taken.
struct Ranking {
  std::vector<Exchange> exchanges;
  bool null_mx = false;
};
Ranking rank(std::span<const Record> records, Prng& prng, std::size_t hosts_max);

/// What is known of one host after its lookups.
struct Candidate {
  std::string name;
  std::uint16_t preference = 0;
  std::vector<IpAddress> ipv4, ipv6;
  bool ourselves = false;   ///< by name, or by any of its addresses
  bool unanswered = false;  ///< a lookup failed
  Security security = Security::secure;  ///< of its addresses
  std::string expanded;                  ///< where its CNAMEs led
  HostKeys keys;
};

/// Takes out what must not be connected to: private addresses, and every host at our own preference or behind it (RFC 5321
/// section 5.1). Fills hosts or failure.
void choose(std::span<const Candidate> candidates, const MailHostsSettings& settings, MailHostsAnswer& answer);

MailHostsFailure no_such_domain();
MailHostsFailure takes_no_mail();
MailHostsFailure unanswered(Failure why);

}  // namespace ringpost::dns
