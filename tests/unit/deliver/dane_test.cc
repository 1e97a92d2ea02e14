// DANE towards next hops: what becomes of mail, and how the connection was secured, by what DNS proves (T7; RFC 7672).
#include "../tls/tlsa.hh"
#include "deliver/tls_sessions.hh"
#include "secured.hh"

extern "C" WOLFSSL_SESSION* wolfSSL_SESSION_new(void);  // an empty one; its header is for module tls alone

namespace ringpost::deliver {
namespace {

using namespace testing;
using config::TlsPolicy;
using tls::Association;
using tls::testing::ders;
using tls::testing::files;
using tls::testing::record;
using tls::testing::spoilt;
using Records = std::vector<Association>;
using Shortfall = event::TlsResult::Shortfall;
using Status = HostProof::Status;

const std::vector<std::byte>& own() {
  static const std::vector<std::byte> der = ders(files().mx_chain)[0];
  return der;
}
const std::vector<std::byte>& middle() {
  static const std::vector<std::byte> der = ders(files().mx_chain)[1];
  return der;
}
const std::vector<std::byte>& next() {
  static const std::vector<std::byte> der = ders(files().alone)[0];
  return der;
}
Association of_type(Association made, unsigned usage, unsigned selector, unsigned matching) {
  made.usage = static_cast<std::uint8_t>(usage);
  made.selector = static_cast<std::uint8_t>(selector);
  made.matching = static_cast<std::uint8_t>(matching);
  return made;
}

HostProof found(Records records, std::string base = "mx.test") {
  return {.status = Status::found, .host = "mx.test", .base = base, .names = {base}, .records = std::move(records)};
}
HostProof proof(Status status) { return {.status = status, .host = "mx.test"}; }

/// "dane verified", "encrypt tlsa_unusable", "opportunistic no_tlsa in clear"
std::string text_of(const event::TlsResult& tls) {
  std::string text{event::name_of(tls.policy)};
  if (tls.verified) text += " verified";
  if (tls.shortfall != Shortfall::none) text += " " + std::string{event::name_of(tls.shortfall)};
  if (tls.version == 0) text += " in clear";
  else EXPECT_EQ(tls.version, 0x0304);
  return text;
}

TEST(Attacks, T7_each_state_of_tlsa_records_has_its_outcome) {
  const Association good = record(3, 1, 1, own()), authority = record(2, 0, 1, middle());
  struct Case {
    std::string name;
    HostProof proof;
    std::string automatic, how_automatic;
    std::string demanded, how_demanded;
  };
  const std::string kTls = "+ tls", kDane = "dane verified", kMismatch = "~ tlsa_mismatch", kRefused = "dane certificate in clear";
  const Case cases[] = {
      {"usage 3", found({good}), kTls, kDane, kTls, kDane},
      {"usage 3, whole certificate", found({record(3, 0, 0, own())}), kTls, kDane, kTls, kDane},
      {"usage 3 under another name", found({good}, "elsewhere.test"), kTls, kDane, kTls, kDane},
      {"usage 3, wrong", found({spoilt(good)}), kMismatch, kRefused, kMismatch, kRefused},
      {"usage 2", found({authority}), kTls, kDane, kTls, kDane},
      {"usage 2, wrong", found({spoilt(authority)}), kMismatch, kRefused, kMismatch, kRefused},
      {"usage 2 under another name", found({authority}, "elsewhere.test"), kMismatch, kRefused, kMismatch, kRefused},
      {"usage 0", found({of_type(good, 0, 0, 1)}), kTls, "encrypt tlsa_unusable", "~ tlsa_missing", "dane tlsa_unusable in clear"},
      {"usage 1", found({of_type(good, 1, 1, 1)}), kTls, "encrypt tlsa_unusable", "~ tlsa_missing", "dane tlsa_unusable in clear"},
      {"unknown digest", found({of_type(good, 3, 1, 3)}), kTls, "encrypt tlsa_unusable", "~ tlsa_missing", "dane tlsa_unusable in clear"},
      {"unknown usage", found({of_type(good, 9, 1, 1)}), kTls, "encrypt tlsa_unusable", "~ tlsa_missing", "dane tlsa_unusable in clear"},
      {"mixed, one good", found({of_type(good, 1, 1, 1), of_type(good, 3, 1, 3), good}), kTls, kDane, kTls, kDane},
      {"mixed, none good", found({of_type(good, 1, 1, 1), spoilt(good)}), kMismatch, kRefused, kMismatch, kRefused},
      {"rollover, the old one holds", found({good, record(3, 1, 1, next())}), kTls, kDane, kTls, kDane},
      {"rollover, the new one holds", found({record(3, 1, 1, next()), good}), kTls, kDane, kTls, kDane},
      {"bogus", proof(Status::failed), "~ tlsa_unavailable", "dane tlsa_unavailable in clear", "~ tlsa_unavailable", "dane tlsa_unavailable in clear"},
      {"insecure zone", proof(Status::insecure), kTls, "opportunistic dns_insecure", "~ tlsa_missing", "dane dns_insecure in clear"},
      {"no records at this port", proof(Status::none), kTls, "opportunistic no_tlsa", "~ tlsa_missing", "dane no_tlsa in clear"},
      {"resolver that does not validate", proof(Status::off), kTls, "opportunistic resolver_not_validating", "~ resolver_not_validating",
       "dane resolver_not_validating in clear"}};
  for (const Case& each : cases) {
    for (TlsPolicy policy : {TlsPolicy::automatic, TlsPolicy::dane}) {
      Secured secured(policy, each.proof);
      const bool demanded = policy == TlsPolicy::dane;
      EXPECT_EQ(secured.outcome(), demanded ? each.demanded : each.automatic) << each.name;
      EXPECT_EQ(text_of(secured.last_tls()), demanded ? each.how_demanded : each.how_automatic) << each.name;
      const bool delivered = (demanded ? each.demanded : each.automatic)[0] == '+';
      EXPECT_EQ(secured.hop().messages.size(), delivered ? 1u : 0u) << each.name;
      EXPECT_EQ(secured.told_anything(), delivered) << each.name;
      const bool ruled_out = secured.last_tls().shortfall != Shortfall::certificate && !delivered;
      EXPECT_EQ(secured.hop().connections == 0, ruled_out) << each.name;
      const bool verified = secured.last_tls().verified;
      EXPECT_EQ(secured.bench().metrics.delivery_connections_verified.value(), verified ? 1u : 0u) << each.name;
    }
  }
}

TEST(Attacks, T7_and_T9_where_there_are_tlsa_records_no_mail_goes_in_clear) {
  struct Case {
    std::string name;
    std::function<void(Script&)> change;
    std::string outcome, how;
  };
  const Case cases[] = {
      {"not offered", [](Script& script) { script.ehlo = "250-hop.test\r\n250 SIZE 1000000\r\n"; }, "~ tls_not_offered", "not_offered in clear"},
      {"454", [](Script& script) { script.replies["STARTTLS"] = "454 4.7.0 not now\r\n"; }, "~ tls_not_offered", "not_offered in clear"},
      {"no handshake", [](Script& script) { script.tls = nullptr; }, "~ tls_failed", "failed in clear"},
      {"more behind the answer", [](Script& script) { script.replies["STARTTLS"] = "220 go\r\n250 ok\r\n"; }, "~ tls_failed", "failed in clear"},
      {"HELO only", [](Script& script) { script.ehlo = "500 what?\r\n"; }, "~ tls_not_offered", "not_offered in clear"}};
  const Association good = record(3, 1, 1, own());
  for (const Case& each : cases) {
    for (const Association& published : {good, of_type(good, 1, 1, 1)}) {
      Secured secured(TlsPolicy::automatic, found({published}));
      each.change(secured.hop().script);
      EXPECT_EQ(secured.outcome(), each.outcome) << each.name;
      EXPECT_EQ(text_of(secured.last_tls()), (published == good ? "dane " : "encrypt ") + each.how) << each.name;
      EXPECT_FALSE(secured.told_anything()) << each.name;
    }
    Secured without(TlsPolicy::automatic, proof(Status::none));
    each.change(without.hop().script);
    EXPECT_EQ(without.outcome(), "+ clear") << each.name;
    EXPECT_EQ(text_of(without.last_tls()).substr(0, 13), "opportunistic") << each.name;
  }
}

TEST(Dane, other_policies_do_not_look_at_tlsa_records) {
  for (const HostProof& each : {found({spoilt(record(3, 1, 1, own()))}), proof(Status::failed), proof(Status::off)}) {
    Secured verify(TlsPolicy::verify, each);
    EXPECT_EQ(verify.outcome(), "+ tls");
    EXPECT_EQ(text_of(verify.last_tls()), "verify verified");
    Secured encrypt(TlsPolicy::encrypt, each);
    EXPECT_EQ(encrypt.outcome(), "+ tls");
    EXPECT_EQ(text_of(encrypt.last_tls()), "encrypt not_asked");
    Secured opportunistic(TlsPolicy::opportunistic, each);
    EXPECT_EQ(opportunistic.outcome(), "+ tls");
    EXPECT_EQ(text_of(opportunistic.last_tls()), "opportunistic not_asked");
    Secured none(TlsPolicy::none, each);
    EXPECT_EQ(none.outcome(), "+ clear");
    EXPECT_EQ(text_of(none.last_tls()), "none not_asked in clear");
  }
}

TEST(Dane, an_address_has_nothing_that_dns_could_prove) {
  Secured demanded(TlsPolicy::dane);
  EXPECT_EQ(demanded.outcome(), "~ tlsa_missing");
  Secured automatic(TlsPolicy::automatic);
  EXPECT_EQ(automatic.outcome(), "+ tls");
  EXPECT_EQ(text_of(automatic.last_tls()), "opportunistic dns_insecure");
}

TEST(Dane, a_host_that_is_ruled_out_is_passed_over_for_the_next) {
  const SocketAddress first = *SocketAddress::parse("192.0.2.99:25");
  config::Settings settings = small_settings();
  settings.route.fallback = {.kind = config::Route::Kind::mx};
  Bench bench({}, settings);
  HostProof unknown = proof(Status::failed), other = proof(Status::none);
  unknown.addresses = {first};
  other.addresses = {kHop};
  bench.hosts.hosts["next.test"] = Hosts{.names = {"mx1.test", "mx.test"}, .addresses = {first, kHop}, .proofs = {unknown, other}};
  EXPECT_EQ(bench.deliver({.recipients = {"a@next.test"}}).results.at(0).verdict, Verdict::delivered);
  EXPECT_EQ(bench.hop->messages.size(), 1u);
}

// The operator of the hosts has a signed zone, and only one of its two customers.
TEST(Dane, hosts_are_held_to_it_for_the_domains_that_prove_them) {
  config::Settings settings = small_settings();
  settings.route.fallback = {.kind = config::Route::Kind::mx};
  Bench bench({}, settings);
  HostProof proven = found({record(3, 1, 1, own())}), unproven = proof(Status::insecure);
  proven.addresses = unproven.addresses = {kHop};
  bench.hosts.hosts["signed.test"] = Hosts{.names = {"mx.test"}, .addresses = {kHop}, .proofs = {proven}};
  bench.hosts.hosts["unsigned.test"] = Hosts{.names = {"mx.test"}, .addresses = {kHop}, .proofs = {unproven}};
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(bench.deliver({.recipients = {"a@unsigned.test"}}).results.at(0).verdict, Verdict::delivered);
    EXPECT_EQ(bench.deliver({.recipients = {"a@signed.test"}}).results.at(0).reason, event::Reason::tls_not_offered);
    bench.run_for(minutes{40});
  }
}

// With usage 2 a certificate for the one domain is none for the other, so they share no connection.
TEST(Dane, an_authority_vouches_for_one_domain_at_a_time) {
  config::Settings settings = small_settings();
  settings.route.fallback = {.kind = config::Route::Kind::mx};
  Bench bench({}, settings);
  for (const std::string domain : {"one.test", "two.test"}) {
    HostProof proof = found({record(2, 0, 1, middle())});
    proof.names = {"mx.test", domain};
    proof.addresses = {kHop};
    bench.hosts.hosts[domain] = Hosts{.names = {"mx.test"}, .addresses = {kHop}, .proofs = {proof}};
    (void)bench.deliver({.recipients = {"a@" + domain}});
  }
  EXPECT_EQ(bench.deliverer.sites(), 2u);
}

// ---- sessions

// Long enough for the idle connection to be closed, not for its session to be forgotten.
constexpr Duration kBetween = minutes{5};

TEST(Sessions, a_later_connection_goes_on_with_an_earlier_one) {
  struct Case {
    TlsPolicy policy;
    HostProof proof;
  };
  const Case cases[] = {{TlsPolicy::automatic, found({record(3, 1, 1, own())})}, {TlsPolicy::dane, found({record(2, 0, 1, middle())})},
                        {TlsPolicy::automatic, proof(Status::none)}, {TlsPolicy::verify, proof(Status::none)}, {TlsPolicy::encrypt, proof(Status::none)}};
  for (const Case& each : cases) {
    Secured secured(each.policy, each.proof);
    EXPECT_EQ(secured.outcome(), "+ tls");
    const event::TlsResult whole = secured.last_tls();
    for (int round = 1; round <= 3; ++round) {
      secured.bench().run_for(kBetween);
      EXPECT_EQ(secured.outcome(), "+ tls");
      EXPECT_EQ(secured.hop().resumed, round);
      EXPECT_EQ(secured.last_tls(), whole) << "it is as good as it was";
    }
    EXPECT_EQ(secured.bench().metrics.delivery_connections_resumed.value(), 3u);
    secured.bench().run_for(minutes{40});
    EXPECT_EQ(secured.outcome(), "+ tls");
    EXPECT_EQ(secured.hop().resumed, 3) << "after half an hour all is looked at again";
  }
}

TEST(Sessions, T7_other_tlsa_records_begin_anew) {
  Secured secured(TlsPolicy::automatic, found({record(3, 1, 1, own())}));
  Hosts& hosts = *secured.bench().hosts.hosts["mx.test"];
  hosts.expires = secured.bench().ring.now() + minutes{1};
  EXPECT_EQ(secured.outcome(), "+ tls");
  secured.bench().run_for(kBetween);
  hosts.proofs[0].records = {record(3, 0, 1, own())};
  hosts.expires = secured.bench().ring.now() + minutes{1};
  EXPECT_EQ(secured.outcome(), "+ tls");
  EXPECT_EQ(secured.hop().resumed, 0);
  secured.bench().run_for(kBetween);
  hosts.proofs[0].records = {spoilt(record(3, 1, 1, own()))};
  EXPECT_EQ(secured.outcome(), "~ tlsa_mismatch") << "though a session is there";
}

TEST(Sessions, one_that_does_not_work_costs_no_more_than_a_connection) {
  Secured secured(TlsPolicy::automatic, proof(Status::none));
  EXPECT_EQ(secured.outcome(), "+ tls");
  secured.bench().run_for(kBetween);
  const int before = secured.hop().connections;
  secured.hop().script.tls = nullptr;
  EXPECT_EQ(secured.outcome(), "+ clear");
  EXPECT_EQ(secured.hop().connections - before, 3) << "with the session, with a new one, in clear";
  Secured demanded(TlsPolicy::automatic, found({record(3, 1, 1, own())}));
  EXPECT_EQ(demanded.outcome(), "+ tls");
  demanded.bench().run_for(kBetween);
  demanded.hop().script.tls = nullptr;
  EXPECT_EQ(demanded.outcome(), "~ tls_failed");
  EXPECT_EQ(demanded.hop().messages.size(), 1u);
}

TEST(Sessions, are_bounded_and_used_once) {
  const Instant now{};
  TlsSessions sessions(2);
  auto put = [&](const char* key) { sessions.put(key, tls::ClientSession{wolfSSL_SESSION_new(), tls::PeerVerdict::ok, {}}, now); };
  sessions.put("none", {}, now);
  EXPECT_EQ(sessions.size(), 0u) << "no session, nothing to keep";
  put("a");
  put("b");
  put("a");
  EXPECT_EQ(sessions.size(), 2u);
  put("c");
  EXPECT_EQ(sessions.size(), 2u);
  EXPECT_FALSE(sessions.take("b", now)) << "the oldest went";
  EXPECT_TRUE(sessions.take("a", now));
  EXPECT_FALSE(sessions.take("a", now)) << "it was used";
  EXPECT_FALSE(sessions.take("c", now + minutes{31}));
  put("d");
  sessions.clear();
  EXPECT_FALSE(sessions.take("d", now));
}

}  // namespace
}  // namespace ringpost::deliver
