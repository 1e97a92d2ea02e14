// What senders want of TLS (RFC 8689): REQUIRETLS and "TLS-Required: No" towards next hops of every kind.
#include <algorithm>

#include "secured.hh"

namespace ringpost::deliver {
namespace {

using namespace testing;
using smtp::TlsWish;
using Status = HostProof::Status;

const std::string kPromises = "250-hop.test\r\n250-STARTTLS\r\n250-REQUIRETLS\r\n250 SIZE 1000000\r\n";

HostProof proof(Status status, std::string host = "mx.test") { return {.status = status, .host = std::move(host)}; }

const RecipientResult& last_result(Secured& secured) { return secured.bench().attempts.back().back().results.at(0); }

bool said_it(Secured& secured) {
  return std::ranges::any_of(secured.hop().lines, [](const std::string& line) { return line.starts_with("MAIL") && line.ends_with(" REQUIRETLS"); });
}

TEST(RequireTls, it_is_said_to_a_verified_hop_that_promises_the_same) {
  Secured secured(TlsPolicy::verify);
  secured.hop().script.ehlo = kPromises;
  EXPECT_EQ(secured.outcome(TlsWish::required), "+ tls");
  EXPECT_TRUE(said_it(secured));
  EXPECT_TRUE(secured.last_tls().verified);
  EXPECT_EQ(secured.outcome(), "+ tls");
  EXPECT_EQ(std::ranges::count_if(secured.hop().lines, [](const std::string& line) { return line.ends_with(" REQUIRETLS"); }), 1);
}

TEST(Attacks, T9_a_hop_without_REQUIRETLS_gets_no_mail_that_demands_it) {
  for (TlsPolicy policy : {TlsPolicy::automatic, TlsPolicy::opportunistic, TlsPolicy::encrypt, TlsPolicy::verify, TlsPolicy::none}) {
    Secured secured(policy);
    EXPECT_EQ(secured.outcome(TlsWish::required), "x requiretls_unmet") << static_cast<int>(policy);
    EXPECT_EQ(last_result(secured).reply, (event::ReplyCode{550, 5, 7, 30}));
    EXPECT_FALSE(secured.told_anything());
    EXPECT_EQ(secured.outcome()[0], '+') << "others are not held up by it";
  }
  Secured stripped(TlsPolicy::verify);
  stripped.hop().script.ehlo = "250-hop.test\r\n250-REQUIRETLS\r\n250 SIZE 1000000\r\n";
  EXPECT_EQ(stripped.outcome(TlsWish::required), "x requiretls_unmet");
  EXPECT_EQ(last_result(stripped).reply, (event::ReplyCode{550, 5, 7, 10})) << "no TLS at all (RFC 8689 section 5)";
  EXPECT_FALSE(stripped.told_anything());
}

TEST(RequireTls, somebody_must_vouch_for_the_hop) {
  struct Case {
    std::string name;
    HostProof proof;
    std::string outcome;
  };
  const HostProof other = proof(Status::none, "elsewhere.test");
  const Case cases[] = {{"DNSSEC, and a certificate of that name", proof(Status::none), "+ tls"},
                        {"DNSSEC, and a certificate of another", other, "x requiretls_unmet"},
                        {"a zone that is not signed", proof(Status::insecure), "x requiretls_unmet"},
                        {"resolvers that do not validate", proof(Status::off), "x requiretls_unmet"},
                        {"nobody answers", proof(Status::failed), "~ tlsa_unavailable"}};
  for (const Case& each : cases) {
    for (TlsPolicy policy : {TlsPolicy::automatic, TlsPolicy::opportunistic, TlsPolicy::encrypt}) {
      Secured secured(policy, each.proof);
      secured.hop().script.ehlo = kPromises;
      EXPECT_EQ(secured.outcome(TlsWish::required), each.outcome) << each.name;
      EXPECT_EQ(said_it(secured), each.outcome[0] == '+') << each.name;
      if (each.outcome[0] == '+') EXPECT_TRUE(secured.last_tls().verified) << each.name;
      else EXPECT_FALSE(secured.told_anything()) << each.name;
    }
  }
}

TEST(RequireTls, a_policy_that_is_enforced_vouches_for_the_hosts_it_names) {
  const transport::Policy named{.mode = transport::Mode::enforce, .mx = {"mx.test"}}, other{.mode = transport::Mode::enforce, .mx = {"a.test"}},
      testing{.mode = transport::Mode::testing, .mx = {"mx.test"}};
  const HostProof insecure = proof(Status::insecure), proven = proof(Status::none);
  for (TlsPolicy asked : {TlsPolicy::automatic, TlsPolicy::opportunistic, TlsPolicy::encrypt}) {
    EXPECT_EQ(protection(asked, &insecure, &named, TlsWish::required).policy, TlsPolicy::mta_sts);
    EXPECT_EQ(protection(asked, &insecure, &named, TlsWish::required).refusal, event::Reason::none);
    EXPECT_EQ(protection(asked, &insecure, &other, TlsWish::required).refusal, event::Reason::sts_mx_mismatch);
    EXPECT_EQ(protection(asked, &proven, &other, TlsWish::required).refusal, event::Reason::sts_mx_mismatch);
    EXPECT_EQ(protection(asked, &insecure, &testing, TlsWish::required).refusal, event::Reason::requiretls_unmet);
    EXPECT_TRUE(protection(asked, &proven, &testing, TlsWish::required).as_proven);
  }
  EXPECT_EQ(protection(TlsPolicy::automatic, &insecure, &named, TlsWish::waived).policy, TlsPolicy::opportunistic);
  EXPECT_EQ(protection(TlsPolicy::mta_sts, &insecure, &named, TlsWish::waived).policy, TlsPolicy::mta_sts);
}

TEST(RequireTls, a_handshake_that_fails_is_tried_again_later) {
  Secured secured(TlsPolicy::verify);
  secured.hop().script.ehlo = kPromises;
  secured.hop().script.tls = nullptr;
  secured.hop().script.replies["STARTTLS"] = "220 go ahead\r\n250 glued\r\n";
  EXPECT_EQ(secured.outcome(TlsWish::required), "~ tls_failed");
  EXPECT_FALSE(secured.told_anything());
}

TEST(RequireTls, a_sender_may_waive_what_the_domain_publishes_and_not_what_is_configured) {
  const HostProof failed = proof(Status::failed);
  HostProof wrong = proof(Status::found);
  wrong.base = "mx.test";
  wrong.records = {{.usage = 3, .selector = 1, .matching = 1, .data = std::vector<std::byte>(32)}};
  for (const HostProof& each : {failed, wrong}) {
    Secured automatic(TlsPolicy::automatic, each);
    EXPECT_EQ(automatic.outcome(TlsWish::waived), "+ tls");
    EXPECT_EQ(automatic.last_tls().policy, event::TlsResult::Policy::opportunistic);
    Secured held(TlsPolicy::automatic, each);
    EXPECT_EQ(held.outcome()[0], '~') << "who does not say so waits";
  }
  Secured configured(TlsPolicy::verify, "elsewhere.test");
  EXPECT_EQ(configured.outcome(TlsWish::waived), "~ peer_not_verified");
  Secured encrypt(TlsPolicy::encrypt);
  encrypt.hop().script.ehlo = "250-hop.test\r\n250 SIZE 1000000\r\n";
  EXPECT_EQ(encrypt.outcome(TlsWish::waived), "~ tls_not_offered");
}

}  // namespace
}  // namespace ringpost::deliver
