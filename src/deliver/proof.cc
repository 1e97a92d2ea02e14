#include "ringpost/deliver/proof.hh"

#include <algorithm>

namespace ringpost::deliver {

using config::TlsPolicy;
using event::Reason;
using Shortfall = event::TlsResult::Shortfall;
using Status = HostProof::Status;

bool HostProof::has_usable() const { return std::ranges::any_of(records, &tls::is_usable); }

bool HostProof::names_an_authority() const { return std::ranges::find(records, tls::kTrustAnchor, &tls::Association::usage) != records.end(); }

std::string_view status_name(HostProof::Status status) {
  switch (status) {
    case Status::off: return "off";
    case Status::insecure: return "insecure";
    case Status::none: return "none";
    case Status::found: return "found";
    case Status::failed: return "failed";
  }
  return {};
}

const HostProof* proof_of(const Proofs& proofs, const SocketAddress& address) {
  const auto found = std::ranges::find_if(proofs, [&](const HostProof& proof) { return std::ranges::find(proof.addresses, address) != proof.addresses.end(); });
  return found == proofs.end() ? nullptr : &*found;
}

event::TlsResult::Policy applied(TlsPolicy policy) {
  using Policy = event::TlsResult::Policy;
  switch (policy) {
    case TlsPolicy::none: return Policy::none;
    case TlsPolicy::automatic:
    case TlsPolicy::opportunistic: return Policy::opportunistic;
    case TlsPolicy::encrypt: return Policy::encrypt;
    case TlsPolicy::verify: return Policy::verify;
    case TlsPolicy::dane: return Policy::dane;
    case TlsPolicy::mta_sts: return Policy::mta_sts;
  }
  return Policy::none;
}

namespace {

/// TLSA records decide about it: by them, or because nobody knows them.
bool is_bound(const HostProof& proof) { return proof.status == Status::failed || (proof.status == Status::found && proof.has_usable()); }

/// `demanded`, or as good as it can be.
Protection by_dane(const HostProof* proof, bool demanded) {
  constexpr TlsPolicy asked = TlsPolicy::dane;
  auto without = [&](Reason refusal, Shortfall shortfall) {
    return demanded ? Protection{asked, refusal, shortfall} : Protection{TlsPolicy::opportunistic, Reason::none, shortfall};
  };
  if (!proof) return without(Reason::tlsa_missing, Shortfall::dns_insecure);
  switch (proof->status) {
    case Status::off: return without(Reason::resolver_not_validating, Shortfall::resolver_not_validating);
    case Status::insecure: return without(Reason::tlsa_missing, Shortfall::dns_insecure);
    case Status::none: return without(Reason::tlsa_missing, Shortfall::no_tlsa);
    case Status::failed: return {TlsPolicy::dane, Reason::tlsa_unavailable, Shortfall::tlsa_unavailable};
    case Status::found: break;
  }
  if (proof->has_usable()) return {TlsPolicy::dane};
  // Who publishes TLSA records has TLS, though nobody can tell whose it is (RFC 7672 section 2.2).
  return {demanded ? TlsPolicy::dane : TlsPolicy::encrypt, demanded ? Reason::tlsa_missing : Reason::none, Shortfall::tlsa_unusable};
}

}  // namespace

bool all_bound(const Proofs& proofs) { return !proofs.empty() && std::ranges::all_of(proofs, &is_bound); }

Protection protection(TlsPolicy asked, const HostProof* proof, const transport::Policy* sts) {
  const bool demanded = asked == TlsPolicy::mta_sts;
  if (asked == TlsPolicy::dane) return by_dane(proof, true);
  if (!demanded && asked != TlsPolicy::automatic) return {asked, Reason::none, asked == TlsPolicy::verify ? Shortfall::none : Shortfall::not_asked};
  if (proof && is_bound(*proof)) return by_dane(proof, false);
  const transport::Mode mode = sts ? sts->mode : transport::Mode::none;
  const bool named = sts && proof && transport::matches(*sts, proof->host);
  if (mode == transport::Mode::enforce || (demanded && mode == transport::Mode::testing)) {
    if (named) return {TlsPolicy::mta_sts};
    return {TlsPolicy::mta_sts, Reason::sts_mx_mismatch, Shortfall::sts_mx};
  }
  if (demanded) return {TlsPolicy::mta_sts, Reason::sts_missing, Shortfall::sts_missing};
  Protection without = by_dane(proof, false);
  if (mode != transport::Mode::testing) return without;
  return {without.policy, Reason::none, named ? Shortfall::sts_testing : Shortfall::sts_mx, true};
}

namespace {

/// By DNSSEC, this host takes the mail of this domain.
bool is_vouched_for(const HostProof* proof) { return proof && (proof->status == Status::found || proof->status == Status::none); }

Protection for_required(TlsPolicy asked, const HostProof* proof, const transport::Policy* sts) {
  constexpr Protection kUnmet{TlsPolicy::verify, Reason::requiretls_unmet, Shortfall::dns_insecure};
  if (asked == TlsPolicy::none) return kUnmet;
  if (asked == TlsPolicy::verify || asked == TlsPolicy::dane || asked == TlsPolicy::mta_sts) return protection(asked, proof, sts);
  // A policy that is enforced vouches for the hosts it names, and for no other.
  const bool enforced = sts && sts->mode == transport::Mode::enforce;
  if (enforced || (proof && is_bound(*proof))) return protection(TlsPolicy::automatic, proof, sts);
  if (!is_vouched_for(proof)) return kUnmet;
  return {.policy = TlsPolicy::verify, .as_proven = true};
}

}  // namespace

Protection protection(TlsPolicy asked, const HostProof* proof, const transport::Policy* sts, smtp::TlsWish wish) {
  if (wish == smtp::TlsWish::required) return for_required(asked, proof, sts);
  if (wish == smtp::TlsWish::waived && asked == TlsPolicy::automatic) return {TlsPolicy::opportunistic, Reason::none, Shortfall::not_asked};
  return protection(asked, proof, sts);
}

}  // namespace ringpost::deliver
