// What DNS proves of a host's TLS, and what becomes of a policy by it: pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ringpost/base/socket_address.hh"
#include "ringpost/config/settings.hh"
#include "ringpost/event/event.hh"
#include "ringpost/smtp/require_tls.hh"
#include "ringpost/tls/dane.hh"
#include "ringpost/transport/mta_sts.hh"

namespace ringpost::deliver {

/// What DNS proves of the TLS of one host (RFC 7672 section 2).
struct HostProof {
  enum class Status : std::uint8_t {
    off,       ///< our resolvers do not validate: nothing is proven of anybody
    insecure,  ///< it, or what leads to it, is in no signed zone
    none,      ///< proven, and it has no TLSA records
    found,
    failed,  ///< nobody knows: it is not to be connected to
  };
  Status status = Status::insecure;
  std::string host;
  std::string base;                        ///< found: whose certificate is asked for
  std::vector<std::string> names;          ///< found: one of them must be in a certificate that an authority vouches for
  std::vector<tls::Association> records;   ///< found: usable or not
  std::vector<SocketAddress> addresses;    ///< of the host

  /// Its mail does not go in clear.
  bool binds() const { return status == Status::found || status == Status::failed; }
  bool has_usable() const;
  /// Some record names an authority: then it matters whose mail it is (RFC 7672 section 3.2.2).
  bool names_an_authority() const;
};
std::string_view status_name(HostProof::Status status);

/// Of a site's hosts, in the order of preference.
using Proofs = std::vector<HostProof>;
/// Of the host at `address`, the first one that has it; null: nothing was asked about it.
const HostProof* proof_of(const Proofs& proofs, const SocketAddress& address);

/// How one connection is secured in the end.
struct Protection {
  config::TlsPolicy policy = config::TlsPolicy::opportunistic;  ///< never `automatic`
  event::Reason refusal = event::Reason::none;                  ///< else: it is not to be opened at all
  event::TlsResult::Shortfall shortfall = event::TlsResult::Shortfall::none;  ///< why it cannot be better
  bool tested = false;  ///< whose the host is, is looked at as MTA-STS has it, and told; nothing else comes of it
  bool as_proven = false;  ///< verify: the host is to be who DNS proves that it is
};
/// As an event says it; `automatic` is no answer to that.
event::TlsResult::Policy applied(config::TlsPolicy policy);
/// `automatic` is the strongest that is to be had. `proof` may be null. `sts`: the domain's MTA-STS policy that holds now; null: none.
/// Where TLSA records bind, it does not count (RFC 8461 section 2).
Protection protection(config::TlsPolicy asked, const HostProof* proof, const transport::Policy* sts = nullptr);
/// All of these hosts are bound by TLSA records, so that no other policy can matter.
bool all_bound(const Proofs& proofs);

/// The same for a message whose sender has a wish (RFC 8689).
/// required: a host that somebody vouches for, DNS or the configuration, and that shows who it is (section 4.2.1); else `requiretls_unmet`.
/// waived: what the domain publishes does not count, what is configured does (section 4.1).
Protection protection(config::TlsPolicy asked, const HostProof* proof, const transport::Policy* sts, smtp::TlsWish wish);

}  // namespace ringpost::deliver
