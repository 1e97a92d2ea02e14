// When a report goes out, to whom, and how often (RFC 8460 sections 4.1 and 5).
#include "shard/tls_reporter.hh"

#include "transport_world.hh"

namespace ringpost::shard {
namespace {

using helper::WebAnswer;
using helper::WebFault;
using std::chrono::days;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr const char* kTarget = "https://report.example/tls";

class Reporter : public testing::TransportWorld {
 protected:
  Reporter()
      : reporter_({ring_, hosts_.resolver(), hosts_.finder(), web_, counts_, metrics_, log_},
                  std::make_shared<const config::Settings>(testing::settings_of("tls_report.contact = tls@example.org\n"))) {
    zone_.a("report.example", "203.0.113.8");
    web_.answers[kTarget] = {WebFault::none, 201, {}, {}};
    const auto today = std::chrono::floor<days>(world_.wall_now());
    world_.jump_wall(today + days{1} + hours{12} - world_.wall_now());  // noon
  }
  ~Reporter() override {
    sim::drive(ring_, hosts_.stop());
    sim::drive(ring_, reporter_.stop());
  }
  void wants(const std::string& domain, const std::string& targets) { txt("_smtp._tls." + domain, "v=TLSRPTv1; rua=" + targets); }
  void count(const std::string& domain) { reporter_.on_session({.domain = domain, .policy = {.domain = domain}}); }
  /// The wall clock goes with the other one from here on; in steps, for a day of timers is long.
  void run_for(Duration time) { world_.run_for(time); }

  transport::TlsCounts counts_;
  TlsReporter reporter_;
};

TEST_F(Reporter, a_report_goes_out_once_within_four_hours_of_the_days_end) {
  wants("a.example", kTarget);
  count("a.example");
  reporter_.start_sending();
  run_for(hours{11});
  EXPECT_TRUE(web_.bodies.empty()) << "the day is not over";
  run_for(hours{5} + minutes{2});
  EXPECT_EQ(web_.bodies.size(), 1u);
  EXPECT_EQ(web_.told, std::vector{*IpAddress::parse("203.0.113.8")});
  EXPECT_EQ(counts_.size(), 0u);
  run_for(days{1});
  EXPECT_EQ(web_.bodies.size(), 1u);
  EXPECT_EQ(metrics_.tls_reports_sent.value(), 1u);
}

TEST_F(Reporter, who_wants_none_gets_none_and_mail_is_counted_as_not_sent) {
  wants("m.example", "mailto:tls@m.example");
  for (const char* domain : {"m.example", "n.example"}) count(domain);
  reporter_.start_sending();
  run_for(hours{17});
  EXPECT_TRUE(web_.bodies.empty());
  EXPECT_EQ(counts_.size(), 0u);
  EXPECT_EQ(metrics_.tls_reports_by_mail.value(), 1u);
}

TEST_F(Reporter, what_is_not_taken_is_sent_again_for_some_hours_to_those_who_have_it_not) {
  web_.answers["https://report.example/good"] = {WebFault::none, 200, {}, {}};
  web_.answers[kTarget] = {.fault = WebFault::status, .status = 503};
  wants("a.example", std::string{kTarget} + ",https://report.example/good");
  count("a.example");
  reporter_.start_sending();
  run_for(hours{17});
  EXPECT_EQ(web_.asked["https://report.example/good"], 1u);
  EXPECT_GT(web_.asked[kTarget], 1u);
  run_for(hours{24});
  EXPECT_EQ(web_.asked["https://report.example/good"], 1u);
  EXPECT_EQ(web_.asked[kTarget], 6u);
  EXPECT_EQ(counts_.size(), 0u) << "given up";
  EXPECT_EQ(metrics_.tls_reports_failed.value(), 1u);
}

TEST_F(Reporter, a_dns_that_does_not_answer_means_another_time) {
  zone_.everywhere = dns::Habit::silent;
  count("a.example");
  reporter_.start_sending();
  run_for(hours{16} + minutes{2});
  EXPECT_EQ(counts_.size(), 1u);
  zone_.everywhere = dns::Habit::normal;
  wants("a.example", kTarget);
  run_for(hours{5});
  EXPECT_EQ(web_.bodies.size(), 1u);
}

TEST_F(Reporter, a_domain_of_another_script_is_told_of_as_dns_has_it) {
  wants("xn--mnchen-3ya.example", kTarget);
  count("m\xc3\xbcnchen.example");
  reporter_.start_sending();
  run_for(hours{17});
  EXPECT_EQ(web_.bodies.size(), 1u);
}

}  // namespace
}  // namespace ringpost::shard
