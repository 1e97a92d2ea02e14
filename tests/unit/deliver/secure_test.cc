// TLS towards next hops: what each policy makes of what a hop offers, and of what somebody on the path may do.
#include <algorithm>

#include "secured.hh"

namespace ringpost::deliver {
namespace {

using namespace testing;

TEST(Secure, mail_goes_under_tls_where_it_is_offered) {
  for (TlsPolicy policy : {TlsPolicy::automatic, TlsPolicy::opportunistic, TlsPolicy::encrypt, TlsPolicy::verify}) {
    Secured secured(policy);
    EXPECT_EQ(secured.outcome(), "+ tls") << static_cast<int>(policy);
    EXPECT_EQ(std::ranges::count(secured.hop().lines, "EHLO mx.test"), 2) << "what was said before it is forgotten (RFC 3207 section 4.2)";
    EXPECT_EQ(secured.hop().messages.size(), 1u);
    EXPECT_EQ(secured.bench().metrics.delivery_connections_tls.value(), 1u);
  }
  Secured clear(TlsPolicy::none);
  EXPECT_EQ(clear.outcome(), "+ clear");
  EXPECT_EQ(std::ranges::count(clear.hop().lines, "STARTTLS"), 0);
}

TEST(Secure, several_messages_go_over_one_secured_connection) {
  Secured secured(TlsPolicy::verify);
  for (int i = 0; i < 5; ++i) (void)secured.bench().send({.content = std::string(200'000, 'x') + "\r\n"});
  secured.bench().world.run_until([&] { return secured.bench().queue.size() == 0; }, minutes{5});
  EXPECT_EQ(secured.hop().messages.size(), 5u);
  for (const std::string& message : secured.hop().messages) EXPECT_EQ(message.size(), 200'002u);
  EXPECT_LT(secured.hop().connections, 5);
}

TEST(Attacks, T6_a_certificate_that_is_not_good_enough) {
  const tls::Certificate short_key = made_of("short", files().short_chain, files().short_key);
  const tls::Certificate old_signature = made_of("old", files().old_chain, files().old_key);
  struct Case {
    const tls::Certificate& certificate;
    std::string host;
    std::string why;
  };
  const Case cases[] = {{Secured::alone(), "mx.test", "self_signed"},
                        {Secured::stranger(), "mx.test", "unknown_issuer"},
                        {Secured::mx(), "elsewhere.test", "wrong_name"},
                        {short_key, "mx.test", "weak"},
                        {old_signature, "mx.test", "weak"}};
  for (const Case& each : cases) {
    Secured verify(TlsPolicy::verify, each.host, each.certificate);
    EXPECT_EQ(verify.outcome(), "~ peer_not_verified");
    EXPECT_EQ(verify.bench().attempts.back().back().results.at(0).text, "The next hop's certificate is not accepted: " + each.why);
    EXPECT_EQ(verify.last_tls().shortfall, event::TlsResult::Shortfall::certificate);
    EXPECT_FALSE(verify.told_anything());
    Secured encrypt(TlsPolicy::encrypt, each.host, each.certificate);
    EXPECT_EQ(encrypt.outcome(), "+ tls") << "whoever it is";
    Secured opportunistic(TlsPolicy::automatic, each.host, each.certificate);
    EXPECT_EQ(opportunistic.outcome(), "+ tls");
  }
  // By the clock: a month later all of them have expired.
  Secured late(TlsPolicy::verify);
  late.bench().world.jump_wall(std::chrono::days{60});
  EXPECT_EQ(late.outcome(), "~ peer_not_verified");
}

TEST(Attacks, T9_a_downgrade_costs_nothing_where_tls_is_demanded) {
  struct Case {
    std::string name;
    std::function<void(Script&)> change;
    std::string demanded, else_;
  };
  const Case cases[] = {
      {"not offered", [](Script& script) { script.ehlo = "250-hop.test\r\n250 SIZE 1000000\r\n"; }, "~ tls_not_offered", "+ clear"},
      {"454", [](Script& script) { script.replies["STARTTLS"] = "454 4.7.0 not now\r\n"; }, "~ tls_not_offered", "+ clear"},
      {"502", [](Script& script) { script.replies["STARTTLS"] = "502 5.5.1 what?\r\n"; }, "~ tls_not_offered", "+ clear"},
      {"no handshake", [](Script& script) { script.tls = nullptr; }, "~ tls_failed", "+ clear"},
      {"the connection ends", [](Script& script) { script.replies["STARTTLS"] = ""; }, "~ connection_lost", "+ clear"},
      {"HELO only", [](Script& script) { script.ehlo = "500 what?\r\n"; }, "~ tls_not_offered", "+ clear"}};
  for (const Case& each : cases) {
    for (TlsPolicy policy : {TlsPolicy::encrypt, TlsPolicy::verify}) {
      Secured secured(policy);
      each.change(secured.hop().script);
      EXPECT_EQ(secured.outcome(), each.demanded) << each.name;
      EXPECT_FALSE(secured.told_anything()) << each.name;
    }
    Secured opportunistic(TlsPolicy::automatic);
    each.change(opportunistic.hop().script);
    EXPECT_EQ(opportunistic.outcome(), each.else_) << each.name;
    EXPECT_EQ(opportunistic.hop().messages.size(), 1u) << each.name;
  }
}

TEST(Attacks, C2_what_stands_behind_the_answer_to_starttls_is_never_read_under_tls) {
  for (const std::string& more : {"250 2.1.0 ok\r\n"s, "250-hop\r\n250 SIZE\r\n"s, "250-hop\r\n250 AUTH PLAIN\r\n"s, "221 bye\r\n"s, "354 go\r\n"s,
                                  "421 away\r\n"s, "503 no\r\n"s, "550 5.1.1 nobody\r\n"s, "x"s, "\r\n"s, "\x16\x03"s, "220 again\r\n"s}) {
    for (TlsPolicy policy : {TlsPolicy::encrypt, TlsPolicy::verify}) {
      Secured secured(policy);
      secured.hop().script.replies["STARTTLS"] = "220 2.0.0 go ahead\r\n" + more;
      EXPECT_EQ(secured.outcome(), "~ tls_failed") << more;
      EXPECT_FALSE(secured.told_anything()) << more;
    }
    Secured opportunistic(TlsPolicy::automatic);
    opportunistic.hop().script.replies["STARTTLS"] = "220 2.0.0 go ahead\r\n" + more;
    EXPECT_EQ(opportunistic.outcome(), "+ clear") << "on a connection of its own";
    EXPECT_EQ(opportunistic.hop().connections, 2);
  }
}

// The sanitizers watch the rest: whatever the connection still had in hand must not be touched after it ended.
TEST(Attacks, N7_tls_that_ends_in_the_middle_of_a_message_defers_it) {
  for (const bool chunks : {false, true}) {
    for (const Script::Cut cut : {Script::Cut::said_so, Script::Cut::silent}) {
      for (const std::size_t at : {std::size_t{1}, std::size_t{20'000}, std::size_t{300'000}}) {
        Secured secured(TlsPolicy::verify);
        secured.hop().script.ehlo = chunks ? "250-hop.test\r\n250-STARTTLS\r\n250-PIPELINING\r\n250 CHUNKING\r\n" : kOffer;
        secured.hop().script.cut = cut;
        secured.hop().script.cut_at = at;
        const std::size_t number = secured.bench().send({.content = std::string(400'000, 'x') + "\r\n"});
        EXPECT_EQ(verdicts(secured.bench().attempt(number)), "~") << chunks << " " << at;
        EXPECT_EQ(secured.hop().messages.size(), 0u);
        secured.hop().script.cut_at = std::string::npos;
        EXPECT_EQ(verdicts(secured.bench().attempt(number, 2)), "+") << "the next attempt";
        EXPECT_EQ(secured.hop().messages.size(), 1u);
      }
    }
  }
}

TEST(Secure, a_host_whose_tls_failed_is_asked_again_later) {
  Secured secured(TlsPolicy::automatic);
  tls::ServerContext* server = std::exchange(secured.hop().script.tls, nullptr);
  EXPECT_EQ(secured.outcome(), "+ clear");
  secured.hop().script.tls = server;
  secured.bench().run_for(minutes{1});
  EXPECT_EQ(secured.outcome(), "+ clear");
  EXPECT_EQ(secured.bench().metrics.delivery_tls_failures.value(), 1u);
  secured.bench().run_for(minutes{11});
  EXPECT_EQ(secured.outcome(), "+ tls");
}

TEST(Secure, without_tls_of_our_own_what_demands_it_waits) {
  config::Settings settings = small_settings();
  settings.route.fallback.host = "mx.test";
  settings.destinations = {{.domain = "mx.test", .tls = TlsPolicy::encrypt}};
  Bench bench({.ehlo = kOffer}, settings);
  EXPECT_EQ(bench.deliver().results.at(0).reason, event::Reason::tls_not_offered);
}

TEST(Secure, domains_with_policies_of_their_own_share_hosts_but_no_connection) {
  config::Settings settings = small_settings();
  settings.route.fallback = {.kind = config::Route::Kind::mx};
  settings.destinations = {{.domain = "strict.test", .tls = TlsPolicy::encrypt}};
  Bench bench({}, settings);
  const Hosts hosts{.names = {"hop.test"}, .addresses = {kHop}};
  bench.hosts.hosts["strict.test"] = hosts;
  bench.hosts.hosts["easy.test"] = hosts;
  EXPECT_EQ(bench.deliver({.recipients = {"a@easy.test"}}).results.at(0).verdict, Verdict::delivered);
  EXPECT_EQ(bench.deliver({.recipients = {"a@strict.test"}}).results.at(0).reason, event::Reason::tls_not_offered);
  EXPECT_EQ(bench.deliver({.recipients = {"b@easy.test"}}).results.at(0).verdict, Verdict::delivered);
}

}  // namespace
}  // namespace ringpost::deliver
