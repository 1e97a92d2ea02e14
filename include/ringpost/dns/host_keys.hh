// TLSA records of a host: what DNSSEC proves about the keys behind one of its ports (RFC 6698, RFC 7672 section 2.2).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ringpost/dns/resolver.hh"

namespace ringpost::dns {

/// What is known of the keys of one host.
struct HostKeys {
  enum class Status : std::uint8_t {
    insecure,  ///< nothing about it can be proven: it was not asked for TLSA records
    none,      ///< its addresses are proven, and there are no TLSA records that are, too
    found,
    failed,  ///< nobody knows, and somebody on the path may want that: not to be connected to
  };
  Status status = Status::insecure;
  std::string base;                  ///< found: the TLSA base domain, the name that a certificate must be for
  std::vector<Association> records;  ///< found: all of them, usable or not
  Failure failure = Failure::none;
  std::uint32_t ttl_s = UINT32_MAX;  ///< how long that holds
  friend bool operator==(const HostKeys&, const HostKeys&) = default;
};

/// A host whose addresses are known.
struct KeyedHost {
  std::string name;                     ///< as it was asked for
  std::string expanded;                 ///< where its CNAMEs led
  Security addresses = Security::insecure;  ///< of A and AAAA together
  std::uint16_t port = 0;
};

/// The names to look for TLSA records at, in this order. Of an alias that leads into an insecure zone the name itself is asked for
/// when the alias is proven, which an answer about addresses does not say: `cname`, its security.
/// Source: RFC 7672 section 2.2.2.
std::vector<std::string> base_domains(const KeyedHost& host, Security cname);

/// Looks for them. The list of hosts that `host` stands in is proven, or the operator's.
runtime::Task<HostKeys> find_keys(Resolver& resolver, KeyedHost host, std::uint64_t party = 0);

}  // namespace ringpost::dns
