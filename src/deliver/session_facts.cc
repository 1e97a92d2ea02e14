#include "deliver/session_facts.hh"

namespace ringpost::deliver {

using config::TlsPolicy;
using event::Reason;
using transport::FailureDetail;
using transport::PolicyType;
using transport::ResultType;
using Shortfall = event::TlsResult::Shortfall;
using Status = HostProof::Status;

namespace {

/// RFC 8460 section 4.3.1.
ResultType type_of(tls::PeerVerdict verdict) {
  switch (verdict) {
    case tls::PeerVerdict::expired: return ResultType::certificate_expired;
    case tls::PeerVerdict::wrong_name: return ResultType::certificate_host_mismatch;
    case tls::PeerVerdict::self_signed:
    case tls::PeerVerdict::unknown_issuer:
    case tls::PeerVerdict::bad_chain: return ResultType::certificate_not_trusted;
    default: return ResultType::validation_failure;
  }
}

FailureDetail failure(ResultType type, std::string_view reason = {}) { return {.type = type, .reason_code = std::string{reason}}; }

/// What kept the connection from its policy.
std::optional<FailureDetail> failure_of(const SessionFacts& facts) {
  switch (facts.tls->shortfall) {
    case Shortfall::not_offered: return failure(ResultType::starttls_not_supported);
    case Shortfall::certificate: return failure(type_of(facts.peer), tls::verdict_name(facts.peer));
    case Shortfall::failed: return failure(ResultType::validation_failure, "tls_failed");
    case Shortfall::sts_mx: return failure(ResultType::validation_failure, "mx_not_in_policy");
    case Shortfall::tlsa_unusable: return failure(ResultType::tlsa_invalid);
    case Shortfall::tlsa_unavailable: return failure(ResultType::dnssec_invalid);
    case Shortfall::dns_insecure:
    case Shortfall::no_tlsa:
    case Shortfall::resolver_not_validating:
      if (facts.asked != TlsPolicy::dane) return std::nullopt;  // as good as it can be
      return failure(ResultType::dane_required);
    default: return std::nullopt;
  }
}

/// As zone files have it (RFC 6698 section 2.2).
std::string text_of(const tls::Association& record) {
  std::string text;
  for (std::uint8_t part : {record.usage, record.selector, record.matching}) text += std::to_string(part) + " ";
  return text + hex(record.data);
}

}  // namespace

std::optional<transport::TlsSession> session_of(const std::string& domain, const SessionFacts& facts, const StsPolicy& sts) {
  const bool without = facts.asked == TlsPolicy::none || !facts.tls || facts.trouble == Reason::sts_missing;
  // In clear, after TLS with this host came to nothing: that was told already.
  const bool again = facts.tls && facts.tls->shortfall == Shortfall::failed && facts.trouble == Reason::none;
  if (without || again) return std::nullopt;
  const bool best = facts.asked == TlsPolicy::automatic || facts.asked == TlsPolicy::mta_sts;
  const bool by_tlsa = (best || facts.asked == TlsPolicy::dane) && facts.proof &&
                       (facts.proof->status == Status::found || facts.proof->status == Status::failed);
  const transport::Policy* policy = best && !by_tlsa ? sts.policy() : nullptr;
  transport::TlsSession session{.domain = domain, .policy = {.domain = domain}, .failure = failure_of(facts)};
  if (by_tlsa) {
    session.policy.type = PolicyType::tlsa;
    session.policy.domain = facts.proof->base.empty() ? facts.proof->host : facts.proof->base;
    for (const tls::Association& record : facts.proof->records) session.policy.strings.push_back(text_of(record));
  } else if (policy && policy->mode != transport::Mode::none) {
    session.policy.type = PolicyType::sts;
    session.policy.strings = policy->lines;
    session.policy.mx_hosts = policy->mx;
  } else if (best && !policy && sts.trouble) {
    session.policy.type = PolicyType::sts;
    session.failure = failure(sts.trouble->type, sts.trouble->reason);
  }
  if (!session.failure) return session;
  session.failure->sending_mta_ip = facts.own;
  session.failure->receiving_ip = facts.host;
  if (facts.proof) session.failure->receiving_mx_hostname = facts.proof->host;
  return session;
}

}  // namespace ringpost::deliver
