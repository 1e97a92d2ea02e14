// When a policy is asked for, and when it is not (T8; RFC 8461 sections 3.3 and 5.1).
#include "shard/sts_policies.hh"

#include "transport_world.hh"

namespace ringpost::shard {
namespace {

using deliver::StsPolicy;
using helper::WebAnswer;
using helper::WebFault;
using std::chrono::days;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

WebAnswer document(const std::string& mode, unsigned max_age_s = 10 * 86400) {
  return {WebFault::none, 200, "text/plain", "version: STSv1\nmode: " + mode + "\nmx: mx.a.example\nmax_age: " + std::to_string(max_age_s) + "\n"};
}

class Sts : public testing::TransportWorld {
 protected:
  Sts() : policies_({ring_, hosts_.resolver(), hosts_.finder(), web_, cache_, metrics_, log_}, testing::settings_of("")) {
    zone_.a("mta-sts.a.example", "203.0.113.8");
    zone_.negative_ttl = 1;
    txt("_mta-sts.a.example", "v=STSv1; id=1;");
    web_.answers["a.example"] = document("enforce");
  }
  ~Sts() override {
    sim::drive(ring_, hosts_.stop());
    sim::drive(ring_, policies_.stop());
  }
  /// "enforce 1", "none", "testing 2, redirect"
  std::string ask(std::string domain = "a.example") {
    sim::drive(ring_, ask_into(std::move(domain)));
    return text_of(answer_);
  }
  runtime::Task<void> ask_into(std::string domain) {
    co_await ring_.sleep_for(seconds{2});  // the record's TTL is over
    const Instant began = ring_.now();
    answer_ = co_await policies_.sts_policy(std::move(domain));
    took_ = ring_.now() - began;
  }
  static std::string text_of(const StsPolicy& answer) {
    std::string text = answer.cached ? std::string{transport::name_of(answer.cached->policy.mode)} + " " + answer.cached->id : "none";
    return answer.trouble ? text + ", " + answer.trouble->reason : text;
  }
  /// Until what goes on beside the answer is over.
  void settle() { world_.run_for(seconds{25}); }

  transport::StsCache cache_{1 << 20};
  StsPolicies policies_;
  StsPolicy answer_;
  Duration took_{};
};

TEST_F(Sts, a_policy_is_fetched_once_from_where_dns_says) {
  EXPECT_EQ(ask(), "enforce 1");
  EXPECT_EQ(web_.told, std::vector{*IpAddress::parse("203.0.113.8")});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(ask(), "enforce 1");
  EXPECT_EQ(web_.asked["a.example"], 1u);
  EXPECT_EQ(ask("b.example"), "none");
  EXPECT_EQ(web_.asked["b.example"], 0u) << "it has no record";
  EXPECT_EQ(text_of(policies_.known_policy("a.example")), "enforce 1");
  EXPECT_EQ(metrics_.sts_policies_fetched.value(), 1u);
}

TEST_F(Sts, who_asks_at_the_same_time_shares_a_fetch) {
  web_.delay = seconds{5};
  {
    runtime::Scope scope(ring_);
    for (int i = 0; i < 5; ++i) scope.spawn(ask_into("a.example"));
    world_.run_until([&] { return scope.running() == 0; }, minutes{5});
    EXPECT_EQ(scope.running(), 0u);
  }
  EXPECT_EQ(web_.asked["a.example"], 1u);
  EXPECT_EQ(text_of(answer_), "enforce 1");
}

TEST_F(Sts, mail_waits_for_no_fetch_while_a_policy_holds) {
  EXPECT_EQ(ask(), "enforce 1");
  txt("_mta-sts.a.example", "v=STSv1; id=2;");
  web_.answers["a.example"] = document("testing");
  web_.delay = seconds{20};
  EXPECT_EQ(ask(), "enforce 1");
  EXPECT_LT(took_, seconds{5});
  settle();
  EXPECT_EQ(ask(), "testing 2");
}

TEST_F(Sts, what_could_not_be_fetched_is_left_alone_for_five_minutes_while_the_id_stays) {
  web_.answers["a.example"] = {.fault = WebFault::redirect, .status = 301};
  EXPECT_EQ(ask(), "none, redirect");
  EXPECT_EQ(ask(), "none, redirect");
  EXPECT_EQ(web_.asked["a.example"], 1u);
  EXPECT_EQ(answer_.trouble->type, transport::ResultType::sts_policy_fetch_error);
  txt("_mta-sts.a.example", "v=STSv1; id=2;");
  web_.answers["a.example"] = document("enforce");
  web_.answers["a.example"].content_type = "text/html";
  EXPECT_EQ(ask(), "none, content_type") << "another id is another document";
  EXPECT_EQ(answer_.trouble->type, transport::ResultType::sts_policy_invalid);
  EXPECT_EQ(web_.asked["a.example"], 2u);
  web_.answers["a.example"] = {.fault = WebFault::certificate};
  world_.run_for(minutes{5});
  EXPECT_EQ(ask(), "none, certificate");
  EXPECT_EQ(answer_.trouble->type, transport::ResultType::sts_webpki_invalid);
  EXPECT_EQ(text_of(policies_.known_policy("a.example")), "none, certificate");
  web_.answers["a.example"] = document("enforce");
  world_.run_for(minutes{5});
  EXPECT_EQ(ask(), "enforce 2");
  EXPECT_EQ(web_.asked["a.example"], 4u);
  EXPECT_EQ(metrics_.sts_fetches_failed.value(), 3u);
}

TEST_F(Sts, a_policy_that_holds_outlives_whatever_is_blocked) {
  EXPECT_EQ(ask(), "enforce 1");
  web_.away = true;
  txt("_mta-sts.a.example", "v=STSv1; id=2;");
  EXPECT_EQ(ask(), "enforce 1");
  settle();
  EXPECT_EQ(ask(), "enforce 1, unavailable");
  EXPECT_EQ(web_.asked["a.example"], 2u);
  world_.run_for(seconds{30});  // it is our own fault, and soon mended
  EXPECT_EQ(ask(), "enforce 1");
  world_.run_for(seconds{1});
  EXPECT_EQ(web_.asked["a.example"], 3u);
  zone_.remove("_mta-sts.a.example");
  EXPECT_EQ(ask(), "enforce 1");
  zone_.habit("_mta-sts.a.example", dns::Habit::silent);
  EXPECT_EQ(ask(), "enforce 1");
  world_.jump_wall(days{10});
  EXPECT_EQ(ask(), "none") << "its time is over";
}

TEST_F(Sts, private_addresses_are_not_asked) {
  zone_.remove("mta-sts.a.example");
  zone_.a("mta-sts.a.example", "127.0.0.1").a("mta-sts.a.example", "10.0.0.1");
  EXPECT_EQ(ask(), "none, no_address");
  EXPECT_EQ(web_.asked["a.example"], 0u);
}

TEST_F(Sts, policies_are_renewed_before_they_end_though_no_mail_asks_for_them) {
  EXPECT_EQ(ask(), "enforce 1");
  policies_.keep_fresh();
  world_.run_for(hours{1});
  EXPECT_EQ(web_.asked["a.example"], 1u);
  world_.jump_wall(days{6});
  web_.answers["a.example"] = document("testing");
  world_.run_for(minutes{30});
  EXPECT_EQ(web_.asked["a.example"], 2u);
  EXPECT_EQ(text_of(policies_.known_policy("a.example")), "testing 1");
}

TEST_F(Sts, nothing_is_asked_where_it_is_turned_off) {
  policies_.reconfigure(testing::settings_of("tls.mta_sts = no\n"));
  EXPECT_EQ(ask(), "none");
  EXPECT_EQ(zone_.asked["_mta-sts.a.example/16"], 0u);
}

}  // namespace
}  // namespace ringpost::shard
