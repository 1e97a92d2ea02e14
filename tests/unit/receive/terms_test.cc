// When a message is to be delivered: what users may ask for, and who else may.
#include "ringpost/base/utc_time.hh"
#include "submission.hh"

namespace ringpost::receive {
namespace {

using namespace testing;

config::Settings with_future_release(Duration most = std::chrono::hours{24}) {
  config::Settings settings = with_certificate();
  settings.submission.future_release_max = most;
  settings.smtp.errors_max = 1000;
  return settings;
}

std::string time_in(Bench& bench, Duration wait) {
  return format_utc(std::chrono::floor<std::chrono::seconds>(bench.world.wall_now() + wait));
}

TEST(Terms, a_user_may_have_mail_released_later) {
  SubmissionBench bench{with_future_release()};
  User user{bench};
  EXPECT_NE(user.ask("EHLO client.test").find("250-FUTURERELEASE 86400 " + time_in(bench, std::chrono::hours{24}) + "\r\n"), std::string::npos);
  user.log_in();
  const auto submit = [&](std::string parameters) {
    EXPECT_EQ(user.ask("MAIL FROM:<anna@our.test> RET=HDRS " + parameters).substr(0, 3), "250") << parameters;
    EXPECT_EQ(user.ask("RCPT TO:<b@next.test>").substr(0, 3), "250");
    EXPECT_EQ(user.ask("DATA").substr(0, 3), "354");
    EXPECT_EQ(user.ask("From: anna@our.test\r\n\r\nhello\r\n.").substr(0, 3), "250");
    return bench.intake.stored.back();
  };
  const Instant before = bench.world.now();
  const Stored later = submit("HOLDFOR=3600");
  ASSERT_TRUE(later.release);
  EXPECT_GE(*later.release, before + seconds{3600});
  EXPECT_LE(*later.release, bench.world.now() + seconds{3600});
  EXPECT_EQ(later.parameters[0], "RET=HDRS HOLDFOR=3600");
  const std::string when = time_in(bench, seconds{7200});
  const Stored at = submit("HOLDUNTIL=" + when);
  ASSERT_TRUE(at.release);
  EXPECT_GT(*at.release, bench.world.now() + seconds{7190});
  EXPECT_LE(*at.release, bench.world.now() + seconds{7200});
  EXPECT_EQ(at.parameters[0], "RET=HDRS HOLDUNTIL=" + when);
  EXPECT_FALSE(submit("HOLDUNTIL=" + time_in(bench, -seconds{60})).release) << "that is over: at once";
  EXPECT_FALSE(submit("").release) << "nothing of it stays for the next message";
}

TEST(Terms, nobody_waits_for_longer_than_is_offered) {
  SubmissionBench bench{with_future_release()};
  User user{bench};
  user.log_in();
  const auto code = [&](std::string parameters) {
    const std::string said = user.ask("MAIL FROM:<anna@our.test> " + parameters);
    if (said.starts_with("250")) EXPECT_EQ(user.ask("RSET").substr(0, 3), "250");
    return said;
  };
  EXPECT_EQ(code("HOLDFOR=86400").substr(0, 3), "250");
  EXPECT_EQ(code("HOLDFOR=86401"), "501 5.5.4 Release is further away than is offered\r\n");
  EXPECT_EQ(code("HOLDFOR=999999999").substr(0, 3), "501");
  EXPECT_EQ(code("HOLDUNTIL=" + time_in(bench, std::chrono::hours{23})).substr(0, 3), "250");
  EXPECT_EQ(code("HOLDUNTIL=" + time_in(bench, std::chrono::hours{25})).substr(0, 3), "501");
  EXPECT_EQ(code("HOLDUNTIL=9999-12-31T23:59:59Z").substr(0, 3), "501");
  EXPECT_EQ(code("HOLDUNTIL=1970-01-01T00:00:00Z").substr(0, 3), "250");
}

TEST(Terms, a_user_may_name_a_time_and_what_then) {
  config::Settings settings = with_certificate();
  settings.submission.deliver_by_min = seconds{60};
  SubmissionBench bench{settings};
  User user{bench};
  EXPECT_NE(user.ask("EHLO client.test").find("250-DELIVERBY 60\r\n"), std::string::npos);
  user.log_in();
  for (const auto& [parameter, terms] : {std::pair{"BY=60;R", spool::Terms{.by_s = 60, .when_late = spool::WhenLate::give_back}},
                                         {"BY=-7;NT", {.by_s = -7, .when_late = spool::WhenLate::notify, .trace = true}},
                                         {"RET=FULL", {}}}) {
    EXPECT_EQ(user.ask("MAIL FROM:<anna@our.test> " + std::string{parameter}).substr(0, 3), "250") << parameter;
    EXPECT_EQ(user.ask("RCPT TO:<b@next.test>").substr(0, 3), "250");
    EXPECT_EQ(user.ask("DATA").substr(0, 3), "354");
    EXPECT_EQ(user.ask("From: anna@our.test\r\n\r\nhello\r\n.").substr(0, 3), "250");
    EXPECT_EQ(bench.intake.stored.back().terms, terms) << parameter;
  }
}

TEST(Attacks, C14_deliver_by_belongs_to_submission) {
  config::Settings settings = with_certificate();
  settings.submission.deliver_by_min = seconds{60};
  SubmissionBench bench{settings};
  User user{bench};
  user.log_in();
  EXPECT_EQ(user.ask("MAIL FROM:<anna@our.test> BY=59;R"), "555 5.5.4 Delivery cannot be promised within so short a time\r\n");
  for (const char* bad : {"BY=0;R", "BY=-1;R", "BY=60;R BY=60;R", "BY=60"}) {
    EXPECT_EQ(user.ask("MAIL FROM:<anna@our.test> " + std::string{bad}).substr(0, 3), "501") << bad;
    EXPECT_EQ(user.ask("RCPT TO:<b@next.test>").substr(0, 3), "503") << "no side effect";
  }
  Bench relay{with_certificate()};
  Client client{relay};
  client.begin();
  EXPECT_EQ(client.ask("EHLO client.test").find("DELIVERBY"), std::string::npos);
  EXPECT_EQ(client.ask("MAIL FROM:<a@client.test> BY=60;R").substr(0, 3), "555");
}

TEST(Terms, a_user_gets_the_priority_it_asks_for_up_to_a_bound) {
  config::Settings settings = with_certificate();
  settings.submission.priority_max = 4;
  SubmissionBench bench{settings};
  User user{bench};
  EXPECT_NE(user.ask("EHLO client.test").find("250-MT-PRIORITY\r\n"), std::string::npos);
  user.log_in();
  for (const auto& [parameter, said, priority] : {std::tuple{"MT-PRIORITY=4", "250 2.1.0 Sender ok\r\n", 4},
                                                  {"MT-PRIORITY=9", "250 2.3.6 4 is the new priority assigned to the message\r\n", 4},
                                                  {"MT-PRIORITY=-9", "250 2.1.0 Sender ok\r\n", -9},
                                                  {"RET=FULL", "250 2.1.0 Sender ok\r\n", 0}}) {
    EXPECT_EQ(user.ask("MAIL FROM:<anna@our.test> " + std::string{parameter}), said);
    EXPECT_EQ(user.ask("RCPT TO:<b@next.test>").substr(0, 3), "250");
    EXPECT_EQ(user.ask("DATA").substr(0, 3), "354");
    EXPECT_EQ(user.ask("From: anna@our.test\r\n\r\nhello\r\n.").substr(0, 3), "250");
    EXPECT_EQ(bench.intake.stored.back().terms.priority, priority) << parameter;
    const std::string clause = "\r\n\tpriority " + std::to_string(priority) + ";";
    EXPECT_EQ(bench.intake.stored.back().content.find(clause) != std::string::npos, priority != 0) << bench.intake.stored.back().content;
  }
}

TEST(Attacks, C14_priority_is_for_users_and_hosts_that_may_relay) {
  Bench bench;
  Client peer{bench, "198.51.100.7"};
  peer.begin();
  EXPECT_NE(peer.ask("EHLO client.test").find("250-MT-PRIORITY\r\n"), std::string::npos);
  EXPECT_EQ(peer.ask("MAIL FROM:<a@client.test> MT-PRIORITY=9"), "250 2.1.0 Sender ok\r\n");
  Client stranger{bench, "203.0.113.9"};
  stranger.begin();
  EXPECT_EQ(stranger.ask("EHLO client.test").find("MT-PRIORITY"), std::string::npos);
  EXPECT_EQ(stranger.ask("MAIL FROM:<a@client.test> MT-PRIORITY=1").substr(0, 3), "555");
  SubmissionBench submission;
  User user{submission};
  user.log_in();
  for (const char* bad : {"MT-PRIORITY=10", "MT-PRIORITY=x", "MT-PRIORITY=1 MT-PRIORITY=1"}) {
    EXPECT_EQ(user.ask("MAIL FROM:<anna@our.test> " + std::string{bad}).substr(0, 3), "501") << bad;
    EXPECT_EQ(user.ask("RCPT TO:<b@next.test>").substr(0, 3), "503") << "no side effect";
  }
}

TEST(Attacks, C14_future_release_belongs_to_submission) {
  SubmissionBench off{with_future_release(Duration{})};
  User user{off};
  EXPECT_EQ(user.ask("EHLO client.test").find("FUTURERELEASE"), std::string::npos);
  user.log_in();
  EXPECT_EQ(user.ask("MAIL FROM:<anna@our.test> HOLDFOR=1").substr(0, 3), "555");
  SubmissionBench bench{with_future_release()};
  User strict{bench};
  strict.log_in();
  for (const char* bad : {"HOLDFOR=0", "HOLDFOR=1 HOLDFOR=1", "HOLDFOR=1 HOLDUNTIL=2027-01-31T00:00:00Z", "HOLDUNTIL=1801353600"}) {
    EXPECT_EQ(strict.ask("MAIL FROM:<anna@our.test> " + std::string{bad}).substr(0, 3), "501") << bad;
    EXPECT_EQ(strict.ask("RCPT TO:<b@next.test>").substr(0, 3), "503") << "no side effect";
  }
  Bench relay{with_future_release()};
  Client client{relay};
  client.begin();
  EXPECT_EQ(client.ask("EHLO client.test").find("FUTURERELEASE"), std::string::npos);
  EXPECT_EQ(client.ask("MAIL FROM:<a@client.test> HOLDFOR=1").substr(0, 3), "555");
}

}  // namespace
}  // namespace ringpost::receive
