// MTA-STS towards next hops: what a policy comes to, beside what DNS proves (T8; RFC 8461).
#include <gtest/gtest.h>

#include "ringpost/deliver/proof.hh"

namespace ringpost::deliver {
namespace {

using config::TlsPolicy;
using Status = HostProof::Status;

/// "mta_sts", "~ sts_mx_mismatch", "opportunistic sts_testing tested"
std::string text_of(const Protection& made) {
  if (made.refusal != event::Reason::none) {
    EXPECT_TRUE(config::demands_tls(made.policy));
    return "~ " + std::string{event::name_of(made.refusal)};
  }
  std::string text{event::name_of(applied(made.policy))};
  if (made.shortfall != event::TlsResult::Shortfall::none) text += " " + std::string{event::name_of(made.shortfall)};
  if (made.tested) text += " tested";
  return text;
}

HostProof host(Status status, std::uint8_t usage = 3) {
  HostProof proof{.status = status, .host = "mx.a.example"};
  if (status == Status::found) proof.records = {{usage, 1, 1, std::vector<std::byte>(32)}};
  return proof;
}

TEST(Attacks, T8_dane_goes_first_and_nothing_makes_a_policy_weaker) {
  const transport::Policy enforce{.mode = transport::Mode::enforce, .mx = {"*.a.example"}}, elsewhere{.mode = transport::Mode::enforce, .mx = {"a.example"}},
      testing{.mode = transport::Mode::testing, .mx = {"mx.a.example"}}, other{.mode = transport::Mode::testing, .mx = {"*.example"}},
      none{.mode = transport::Mode::none};
  const HostProof insecure = host(Status::insecure), proven = host(Status::none), usable = host(Status::found), unusable = host(Status::found, 1),
                  bogus = host(Status::failed), off = host(Status::off);
  struct Case {
    const char* name;
    const HostProof* proof;
    const transport::Policy* sts;
    std::string automatic, demanded;
  };
  const Case cases[] = {
      {"no policy", &insecure, nullptr, "opportunistic dns_insecure", "~ sts_missing"},
      {"none", &insecure, &none, "opportunistic dns_insecure", "~ sts_missing"},
      {"enforce", &insecure, &enforce, "mta_sts", "mta_sts"},
      {"enforce, no TLSA", &proven, &enforce, "mta_sts", "mta_sts"},
      {"enforce, resolver that does not validate", &off, &enforce, "mta_sts", "mta_sts"},
      {"enforce, host not named", &insecure, &elsewhere, "~ sts_mx_mismatch", "~ sts_mx_mismatch"},
      {"enforce, no host", nullptr, &enforce, "~ sts_mx_mismatch", "~ sts_mx_mismatch"},
      {"testing", &insecure, &testing, "opportunistic sts_testing tested", "mta_sts"},
      {"testing, host not named", &insecure, &other, "opportunistic sts_mx tested", "~ sts_mx_mismatch"},
      {"usable TLSA, no policy", &usable, nullptr, "dane", "dane"},
      {"usable TLSA and enforce", &usable, &enforce, "dane", "dane"},
      {"usable TLSA, host not named", &usable, &elsewhere, "dane", "dane"},
      {"usable TLSA and testing", &usable, &testing, "dane", "dane"},
      {"bogus TLSA and enforce", &bogus, &enforce, "~ tlsa_unavailable", "~ tlsa_unavailable"},
      {"unusable TLSA and enforce", &unusable, &enforce, "mta_sts", "mta_sts"},
      {"unusable TLSA and testing", &unusable, &testing, "encrypt sts_testing tested", "mta_sts"},
      {"unusable TLSA, no policy", &unusable, nullptr, "encrypt tlsa_unusable", "~ sts_missing"}};
  for (const Case& each : cases) {
    EXPECT_EQ(text_of(protection(TlsPolicy::automatic, each.proof, each.sts)), each.automatic) << each.name;
    EXPECT_EQ(text_of(protection(TlsPolicy::mta_sts, each.proof, each.sts)), each.demanded) << each.name;
    // What an operator asks for by another name is what it is without.
    for (TlsPolicy asked : {TlsPolicy::none, TlsPolicy::opportunistic, TlsPolicy::encrypt, TlsPolicy::verify, TlsPolicy::dane})
      EXPECT_EQ(text_of(protection(asked, each.proof, each.sts)), text_of(protection(asked, each.proof))) << each.name;
  }
}

TEST(Sts, nothing_is_asked_for_where_all_hosts_are_bound_by_tlsa_records) {
  EXPECT_TRUE(all_bound({host(Status::found), host(Status::failed)}));
  for (Status status : {Status::off, Status::insecure, Status::none}) EXPECT_FALSE(all_bound({host(Status::found), host(status)}));
  EXPECT_FALSE(all_bound({host(Status::found, 1)})) << "none of its records can be used";
  EXPECT_FALSE(all_bound({}));
}

}  // namespace
}  // namespace ringpost::deliver
