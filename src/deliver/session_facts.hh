// What one connection means for a report about TLS (RFC 8460 section 4): pure.
#pragma once

#include <optional>
#include <string>

#include "ringpost/config/settings.hh"
#include "ringpost/deliver/policies.hh"
#include "ringpost/deliver/proof.hh"
#include "ringpost/tls/trust.hh"

namespace ringpost::deliver {

/// A connection that is open, or has failed.
struct SessionFacts {
  config::TlsPolicy asked = config::TlsPolicy::automatic;
  const HostProof* proof = nullptr;      ///< of the host; null: nothing was asked about it
  std::optional<event::TlsResult> tls;   ///< nothing: it never came to that
  tls::PeerVerdict peer = tls::PeerVerdict::none;
  event::Reason trouble = event::Reason::none;  ///< none: it is open
  std::optional<IpAddress> own, host;
};

/// What a report to `domain` says of it. Nothing: it did not come to TLS, TLS is not asked for, or it says nothing of the domain.
std::optional<transport::TlsSession> session_of(const std::string& domain, const SessionFacts& facts, const StsPolicy& sts);

}  // namespace ringpost::deliver
