// What a connection means for a report to the domain whose mail it carried (T6; RFC 8460 section 4.3).
#include "deliver/session_facts.hh"

#include <gtest/gtest.h>

namespace ringpost::deliver {
namespace {

using config::TlsPolicy;
using event::Reason;
using tls::PeerVerdict;
using Policy = event::TlsResult::Policy;
using Shortfall = event::TlsResult::Shortfall;
using Status = HostProof::Status;

event::TlsResult secured(Policy policy, Shortfall shortfall = Shortfall::none) { return {0x0304, 0x1301, policy, false, shortfall}; }
event::TlsResult in_clear(Policy policy, Shortfall shortfall) { return {0, 0, policy, false, shortfall}; }

HostProof host(Status status) {
  HostProof proof{.status = status, .host = "mx.a.example"};
  if (status == Status::found) {
    proof.base = "base.example";
    proof.records = {{3, 1, 1, {std::byte{0xab}, std::byte{0x01}}}};
  }
  return proof;
}

StsPolicy with_policy(transport::Mode mode) {
  transport::CachedPolicy cached{.policy = {.mode = mode, .max_age_s = 1, .mx = {"*.a.example"}, .lines = {"version: STSv1"}}, .id = "1"};
  return {std::make_shared<const transport::CachedPolicy>(cached), std::nullopt};
}

/// "sts", "sts: certificate-expired (expired)", "nothing"
std::string text_of(const std::optional<transport::TlsSession>& session) {
  if (!session) return "nothing";
  EXPECT_EQ(session->domain, "a.example");
  std::string text{transport::name_of(session->policy.type)};
  if (!session->failure) return text;
  EXPECT_EQ(session->failure->receiving_mx_hostname, "mx.a.example");
  text.append(": ").append(transport::name_of(session->failure->type));
  return session->failure->reason_code.empty() ? text : text + " (" + session->failure->reason_code + ")";
}

TEST(Attacks, T6_each_trouble_with_tls_has_its_type) {
  const HostProof plain = host(Status::insecure), tlsa = host(Status::found), bogus = host(Status::failed);
  const StsPolicy nothing, enforce = with_policy(transport::Mode::enforce), testing = with_policy(transport::Mode::testing),
                           none = with_policy(transport::Mode::none),
                           unfetched{nullptr, StsTrouble{transport::ResultType::sts_policy_fetch_error, "redirect"}};
  struct Case {
    const char* name;
    SessionFacts facts;
    const StsPolicy& sts;
    std::string report;
  };
  const auto failed = [](const HostProof& proof, Policy policy, Shortfall shortfall, Reason trouble, PeerVerdict peer = PeerVerdict::none) {
    return SessionFacts{.proof = &proof, .tls = in_clear(policy, shortfall), .peer = peer, .trouble = trouble};
  };
  const auto refused = [&](PeerVerdict peer) { return failed(plain, Policy::mta_sts, Shortfall::certificate, Reason::peer_not_verified, peer); };
  const Case cases[] = {
      {"enforced", {.proof = &plain, .tls = secured(Policy::mta_sts), .peer = PeerVerdict::ok}, enforce, "sts"},
      {"expired", refused(PeerVerdict::expired), enforce, "sts: certificate-expired (expired)"},
      {"wrong name", refused(PeerVerdict::wrong_name), enforce, "sts: certificate-host-mismatch (wrong_name)"},
      {"self-signed", refused(PeerVerdict::self_signed), enforce, "sts: certificate-not-trusted (self_signed)"},
      {"no root", refused(PeerVerdict::unknown_issuer), enforce, "sts: certificate-not-trusted (unknown_issuer)"},
      {"chain missing or wrong", refused(PeerVerdict::bad_chain), enforce, "sts: certificate-not-trusted (bad_chain)"},
      {"not yet valid", refused(PeerVerdict::not_yet_valid), enforce, "sts: validation-failure (not_yet_valid)"},
      {"SHA-1, a short key", refused(PeerVerdict::weak), enforce, "sts: validation-failure (weak)"},
      {"host not named", failed(plain, Policy::mta_sts, Shortfall::sts_mx, Reason::sts_mx_mismatch), enforce, "sts: validation-failure (mx_not_in_policy)"},
      {"not offered", failed(plain, Policy::mta_sts, Shortfall::not_offered, Reason::tls_not_offered), enforce, "sts: starttls-not-supported"},
      {"no handshake", failed(plain, Policy::mta_sts, Shortfall::failed, Reason::tls_failed), enforce, "sts: validation-failure (tls_failed)"},
      {"testing, holds", {.proof = &plain, .tls = secured(Policy::opportunistic, Shortfall::sts_testing), .peer = PeerVerdict::ok}, testing, "sts"},
      {"testing, does not",
       {.proof = &plain, .tls = secured(Policy::opportunistic, Shortfall::certificate), .peer = PeerVerdict::expired}, testing, "sts: certificate-expired (expired)"},
      {"testing, in clear", {.proof = &plain, .tls = in_clear(Policy::opportunistic, Shortfall::not_offered)}, testing, "sts: starttls-not-supported"},
      {"mode none", {.proof = &plain, .tls = secured(Policy::opportunistic, Shortfall::dns_insecure)}, none, "no-policy-found"},
      {"no fetch", {.proof = &plain, .tls = secured(Policy::opportunistic, Shortfall::dns_insecure)}, unfetched, "sts: sts-policy-fetch-error (redirect)"},
      {"no policy", {.proof = &plain, .tls = secured(Policy::opportunistic, Shortfall::dns_insecure)}, nothing, "no-policy-found"},
      {"no policy, not offered", {.proof = &plain, .tls = in_clear(Policy::opportunistic, Shortfall::not_offered)}, nothing,
       "no-policy-found: starttls-not-supported"},
      {"no policy, no handshake", failed(plain, Policy::opportunistic, Shortfall::failed, Reason::tls_failed), nothing,
       "no-policy-found: validation-failure (tls_failed)"},
      {"and then in clear", {.proof = &plain, .tls = in_clear(Policy::opportunistic, Shortfall::failed)}, nothing, "nothing"},
      {"dane", {.proof = &tlsa, .tls = secured(Policy::dane)}, nothing, "tlsa"},
      {"dane beside a policy", {.proof = &tlsa, .tls = secured(Policy::dane)}, enforce, "tlsa"},
      {"no record matches", failed(tlsa, Policy::dane, Shortfall::certificate, Reason::tlsa_mismatch, PeerVerdict::no_tlsa_match), nothing,
       "tlsa: validation-failure (no_tlsa_match)"},
      {"records that cannot be used", {.proof = &tlsa, .tls = secured(Policy::encrypt, Shortfall::tlsa_unusable)}, nothing, "tlsa: tlsa-invalid"},
      {"bogus", failed(bogus, Policy::dane, Shortfall::tlsa_unavailable, Reason::tlsa_unavailable), nothing, "tlsa: dnssec-invalid"},
      {"dane demanded",
       {.asked = TlsPolicy::dane, .proof = &plain, .tls = in_clear(Policy::dane, Shortfall::dns_insecure), .trouble = Reason::tlsa_missing},
       nothing,
       "no-policy-found: dane-required"},
      {"an operator's demand",
       {.asked = TlsPolicy::mta_sts, .proof = &plain, .tls = in_clear(Policy::mta_sts, Shortfall::sts_missing), .trouble = Reason::sts_missing},
       nothing, "nothing"},
      {"an operator wants no TLS", {.asked = TlsPolicy::none, .proof = &plain, .tls = in_clear(Policy::none, Shortfall::not_asked)}, enforce, "nothing"},
      {"no connection", {.proof = &plain, .trouble = Reason::unreachable}, enforce, "nothing"}};
  for (const Case& each : cases) EXPECT_EQ(text_of(session_of("a.example", each.facts, each.sts)), each.report) << each.name;
}

TEST(SessionFacts, a_policy_is_quoted_as_it_was_published) {
  const HostProof tlsa = host(Status::found), plain = host(Status::none);
  const auto by_tlsa = session_of("a.example", {.proof = &tlsa, .tls = secured(Policy::dane)}, {});
  ASSERT_TRUE(by_tlsa);
  EXPECT_EQ(by_tlsa->policy.strings, std::vector<std::string>{"3 1 1 ab01"});
  EXPECT_EQ(by_tlsa->policy.domain, "base.example");
  const auto by_sts = session_of("a.example", {.proof = &plain, .tls = secured(Policy::mta_sts)}, with_policy(transport::Mode::enforce));
  ASSERT_TRUE(by_sts);
  EXPECT_EQ(by_sts->policy.strings, std::vector<std::string>{"version: STSv1"});
  EXPECT_EQ(by_sts->policy.mx_hosts, std::vector<std::string>{"*.a.example"});
  EXPECT_EQ(by_sts->policy.domain, "a.example");
}

}  // namespace
}  // namespace ringpost::deliver
