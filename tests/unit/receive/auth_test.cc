// AUTH and what it allows: sessions of role submission.
#include "submission.hh"

namespace ringpost::receive {
namespace {

using namespace testing;

TEST(Auth, a_user_sends_to_anywhere_as_itself) {
  SubmissionBench bench;
  User user{bench, "203.0.113.9"};  // from anywhere
  EXPECT_EQ(user.ask("MAIL FROM:<anna@our.test>"), "530 5.7.0 Authentication required\r\n");
  user.log_in();
  EXPECT_EQ(user.submit("From: anna@our.test\r\nDate: x\r\nMessage-ID: <1@x>\r\n\r\nhello\r\n").substr(0, 3), "250");
  ASSERT_EQ(bench.intake.stored.size(), 1u);
  EXPECT_EQ(bench.intake.stored[0].login, "Anna@our.test");
  EXPECT_NE(bench.intake.stored[0].content.find(" with ESMTPSA\r\n"), std::string::npos);
  EXPECT_EQ(without_trace(bench.intake.stored[0].content), "From: anna@our.test\r\nDate: x\r\nMessage-ID: <1@x>\r\n\r\nhello\r\n");
  EXPECT_EQ(bench.metrics.logins_accepted.value(), 1u);
}

TEST(Auth, says_what_it_offers_and_only_under_tls) {
  SubmissionBench bench{with_certificate(), ListenerTls::offered};
  Client client(bench);
  client.begin();
  EXPECT_EQ(client.ask("EHLO client.test").find("AUTH"), std::string::npos);
  EXPECT_EQ(client.ask(kGood), "538 5.7.11 Encryption required for authentication\r\n");
  EXPECT_EQ(client.ask("STARTTLS").substr(0, 3), "220");
  ASSERT_TRUE(client.start_tls());
  EXPECT_NE(client.ask("EHLO client.test").find("250-AUTH PLAIN LOGIN\r\n"), std::string::npos);
  EXPECT_EQ(client.ask(kGood).substr(0, 3), "235");
  EXPECT_EQ(client.ask("EHLO client.test").find("AUTH"), std::string::npos);
}

TEST(Auth, is_no_command_on_other_listeners) {
  Bench bench{with_certificate(), 1, config::BareNewline::refuse, ListenerTls::implicit};
  User user{bench};
  EXPECT_EQ(user.ask(kGood).substr(0, 3), "502");
  EXPECT_EQ(user.ask("MAIL FROM:<a@client.test> AUTH=<>").substr(0, 3), "555");
}

TEST(Auth, login_and_passwords_over_several_lines) {
  SubmissionBench bench;
  User user{bench};
  EXPECT_EQ(user.ask("AUTH LOGIN").substr(0, 4), "334 ");
  EXPECT_EQ(user.ask(base64("anna@our.test")).substr(0, 4), "334 ");
  EXPECT_EQ(user.ask(base64("correct horse")).substr(0, 3), "235");
  User other{bench};
  EXPECT_EQ(other.ask("auth plain"), "334 \r\n");
  EXPECT_EQ(other.ask(kGood.substr(11)).substr(0, 3), "235");
}

TEST(Auth, what_a_hasty_client_sends_behind_it_is_not_lost) {
  SubmissionBench bench;
  User user{bench};
  user.send(kBad + "\r\nNOOP\r\n" + kGood + "\r\nMAIL FROM:<anna@our.test>\r\nAUTH\r\n");
  EXPECT_EQ(user.codes(5), "535 250 235 250 503");
  User other{bench};
  other.send("AUTH LOGIN\r\n" + base64("anna@our.test") + "\r\n" + base64("correct horse") + "\r\nNOOP\r\n");
  EXPECT_EQ(other.codes(4), "334 334 235 250");
}

TEST(Auth, scram_is_offered_where_it_is_set_and_bound_to_the_channel) {
  config::Settings settings = with_certificate();
  settings.auth.scram = true;
  SubmissionBench bench{settings};
  Client client(bench);
  ASSERT_TRUE(client.start_tls());
  client.begin();
  EXPECT_NE(client.ask("EHLO client.test").find("250-AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN\r\n"), std::string::npos);
  EXPECT_EQ(client.ask("AUTH SCRAM-SHA-256-PLUS " + base64("p=tls-exporter,,n=anna@our.test,r=abc")).substr(0, 4), "334 ");
  EXPECT_EQ(client.ask(base64("c=bad,r=abc,p=AAAA")).substr(0, 3), "535");
  EXPECT_EQ(client.ask("AUTH SCRAM-SHA-256 " + base64("y,,n=anna@our.test,r=abc")).substr(0, 3), "535") << "somebody took -PLUS away";
}

TEST(Auth, tokens_where_they_are_set) {
  SubmissionBench without;
  User stranger{without};
  EXPECT_EQ(stranger.ask("AUTH OAUTHBEARER " + base64("n,,\1auth=Bearer annas.token\1\1")).substr(0, 3), "504");

  config::Settings settings = with_certificate();
  settings.auth.oauth.issuer = "https://id.test";
  SubmissionBench bench{settings};
  Client client(bench);
  ASSERT_TRUE(client.start_tls());
  client.begin();
  EXPECT_NE(client.ask("EHLO client.test").find("250-AUTH OAUTHBEARER XOAUTH2 PLAIN LOGIN\r\n"), std::string::npos);

  // RFC 7628 section 3.2.2: an error is a challenge, and ^A the answer to it.
  EXPECT_EQ(client.ask("AUTH OAUTHBEARER " + base64("n,,\1auth=Bearer another\1\1")),
            "334 " + base64(R"({"status":"invalid_token"})") + "\r\n");
  EXPECT_EQ(client.ask("AQ==").substr(0, 3), "535");
  EXPECT_EQ(client.ask("AUTH XOAUTH2 " + base64("user=anna@our.test\1auth=Bearer another\1\1")).substr(0, 4), "334 ");
  EXPECT_EQ(client.ask("").substr(0, 3), "535");
  EXPECT_EQ(client.ask("AUTH XOAUTH2 " + base64("user=bob@our.test\1auth=Bearer annas.token\1\1")).substr(0, 3), "535") << "as somebody else";
  EXPECT_EQ(client.ask("AUTH OAUTHBEARER " + base64("n,a=bob@our.test,\1auth=Bearer annas.token\1\1")).substr(0, 3), "535");
  bench.accounts.away = true;
  EXPECT_EQ(client.ask("AUTH XOAUTH2 " + base64("user=anna@our.test\1auth=Bearer annas.token\1\1")).substr(0, 3), "454");
  bench.accounts.away = false;
  EXPECT_EQ(client.ask("AUTH XOAUTH2 " + base64("user=anna@our.test\1auth=Bearer annas.token\1\1")).substr(0, 3), "235");

  User owner{bench};
  EXPECT_EQ(owner.ask("AUTH OAUTHBEARER").substr(0, 4), "334 ");
  EXPECT_EQ(owner.ask(base64("n,,\1host=mx.test\1port=587\1auth=Bearer annas.token\1\1")).substr(0, 3), "235") << "whoever the token names";
  EXPECT_EQ(owner.submit("hello\r\n").substr(0, 3), "250");
  EXPECT_EQ(bench.intake.stored.at(0).login, "Anna@our.test");
  EXPECT_NE(bench.intake.stored.at(0).content.find("\r\n\t(authentication: oauthbearer)\r\n"), std::string::npos);
}

// RFC 5802 section 3: whatever a client sends as its nonce, the answer has its bound.
TEST(Auth, a_nonce_of_any_length_does_no_harm) {
  config::Settings settings = with_certificate();
  settings.auth.scram = true;
  SubmissionBench bench{settings};
  for (std::size_t size : {10u, 700u, 1100u, 1500u, 5000u, 9000u}) {
    User user{bench};
    const std::string reply = user.ask("AUTH SCRAM-SHA-256 " + base64("n,,n=anna@our.test,r=" + std::string(size, 'a')));
    EXPECT_TRUE(reply.starts_with("334 ") || reply.starts_with("535 ")) << size << reply;
    EXPECT_EQ(user.ask(reply.starts_with("334") ? "*" : "NOOP").substr(0, 3), reply.starts_with("334") ? "501" : "250");
  }
}

TEST(Attacks, C5_auth_out_of_order_and_malformed) {
  SubmissionBench required{with_certificate(), ListenerTls::required};
  Client clear(required);
  clear.greet();
  EXPECT_EQ(clear.ask(kGood).substr(0, 3), "530");

  config::Settings settings = with_certificate();
  settings.smtp.errors_max = 100;
  SubmissionBench bench{settings};
  User user{bench};
  EXPECT_EQ(user.ask("AUTH").substr(0, 3), "501");
  EXPECT_EQ(user.ask("AUTH CRAM-MD5").substr(0, 3), "504");
  EXPECT_EQ(user.ask("AUTH SCRAM-SHA-256 " + base64("n,,n=a,r=b")).substr(0, 3), "504") << "it is not offered";
  EXPECT_EQ(user.ask("AUTH PLAIN a b").substr(0, 3), "501");
  EXPECT_EQ(user.ask("AUTH PLAIN ????").substr(0, 3), "501");
  EXPECT_EQ(user.ask("AUTH PLAIN =").substr(0, 3), "501") << "an empty response";
  EXPECT_EQ(user.ask("AUTH PLAIN").substr(0, 3), "334");
  EXPECT_EQ(user.ask("*").substr(0, 3), "501");
  EXPECT_EQ(user.ask("AUTH LOGIN").substr(0, 3), "334");
  EXPECT_EQ(user.ask("*").substr(0, 3), "501");
  EXPECT_EQ(user.ask("AUTH PLAIN " + base64("\0anna@our.test\0correct\0horse"s)).substr(0, 3), "535") << "one NUL too many";
  EXPECT_EQ(user.ask("AUTH PLAIN " + base64("anna@our.test")).substr(0, 3), "535");
  EXPECT_EQ(user.ask(plain("anna@our.test", "correct horse", "bob@our.test")).substr(0, 3), "535") << "as somebody else";
  EXPECT_EQ(user.ask("AUTH PLAIN " + std::string(13000, 'A')).substr(0, 3), "500");
  EXPECT_EQ(user.ask("AUTH PLAIN").substr(0, 3), "334");
  EXPECT_EQ(user.ask(std::string(13000, 'A')).substr(0, 3), "500");
  EXPECT_EQ(user.ask(kGood).substr(0, 3), "235");
  EXPECT_EQ(user.ask(kGood).substr(0, 3), "503") << "twice";
  EXPECT_EQ(user.ask("MAIL FROM:<anna@our.test> AUTH=<>").substr(0, 3), "250");
  EXPECT_EQ(user.ask(kGood).substr(0, 3), "503") << "in a transaction";
  EXPECT_TRUE(bench.intake.stored.empty());
}

TEST(Attacks, A1_nobody_relays_with_a_login_that_failed) {
  SubmissionBench bench;
  User user{bench, "198.51.100.7"};  // one of relay.clients, which counts for nothing here
  EXPECT_EQ(user.ask(kBad).substr(0, 3), "535");
  EXPECT_EQ(user.ask("MAIL FROM:<anna@our.test>").substr(0, 3), "530");
  EXPECT_EQ(user.ask("RCPT TO:<b@next.test>").substr(0, 3), "503");
}

TEST(Auth, the_sender_belongs_to_the_login) {
  SubmissionBench bench;
  User user{bench};
  user.log_in();
  for (const char* sender : {"anna@our.test", "Anna@OUR.test", "anybody@example.org", ""}) {
    EXPECT_EQ(user.ask("MAIL FROM:<" + std::string{sender} + ">").substr(0, 3), "250") << sender;
    EXPECT_EQ(user.ask("RSET").substr(0, 3), "250");
  }
  for (const char* sender : {"bob@our.test", "anna@x.our.test", "x@y.example.org", "postmaster@our.test"})
    EXPECT_EQ(user.ask("MAIL FROM:<" + std::string{sender} + ">"), "553 5.7.1 This sender address is not yours\r\n") << sender;
}

TEST(Auth, failures_take_longer_and_longer_and_end_in_a_ban) {
  config::Settings settings = with_certificate();
  settings.auth.failures_max = 4;
  settings.auth.never_ban.clear();
  SubmissionBench bench{settings};
  Duration last{};
  {
    User user{bench};
    for (int i = 0; i < 4; ++i) {
      const Instant asked = bench.world.now();
      EXPECT_EQ(user.ask(kBad).substr(0, 3), "535");
      EXPECT_GT(bench.world.now() - asked, last);
      last = bench.world.now() - asked;
    }
    const std::size_t before = bench.accounts.asked;
    EXPECT_EQ(user.ask(kGood).substr(0, 3), "421");
    EXPECT_EQ(user.rest(), "");
    EXPECT_EQ(bench.accounts.asked, before) << "who is banned is not looked up";
  }
  EXPECT_EQ(bench.logins.bans(bench.world.now()).size(), 2u) << "the network, and the login";
  {
    User neighbour{bench, "198.51.100.200"};
    EXPECT_EQ(neighbour.ask(kGood).substr(0, 3), "421");
    User elsewhere{bench, "203.0.113.1"};
    EXPECT_EQ(elsewhere.ask(kGood).substr(0, 3), "421") << "the login is banned everywhere it was not used rightly";
  }
  bench.run_for(settings.auth.ban);
  User user{bench};
  user.log_in();
  EXPECT_EQ(bench.intake.logins_refused.size(), 4u);
}

TEST(Auth, who_cannot_be_asked_is_no_refusal) {
  SubmissionBench bench;
  bench.accounts.away = true;
  User user{bench};
  EXPECT_EQ(user.ask(kGood), "454 4.7.0 Authentication is not possible for now\r\n");
  bench.accounts.away = false;
  user.log_in();
  EXPECT_TRUE(bench.logins.bans(bench.world.now()).empty());
}

TEST(Auth, a_client_that_leaves_while_it_is_looked_up) {
  SubmissionBench bench;
  bench.accounts.delay = seconds{5};
  {
    User user{bench};
    user.send(kGood + "\r\n");
    bench.run_for(seconds{1});
    user.reset();
  }
  User user{bench};
  user.send(kGood + "\r\n");
  bench.run_for(seconds{1});
  bench.begin_stop(seconds{10});
  EXPECT_EQ(user.reply().substr(0, 3), "235");
}

TEST(Submission, adds_what_is_missing_at_the_end_of_the_header) {
  SubmissionBench bench;
  User user{bench};
  user.log_in();
  EXPECT_EQ(user.submit("From: anna@our.test\r\nSubject: x\r\n\r\nhello\r\n").substr(0, 3), "250");
  EXPECT_EQ(user.submit("no header at all\r\n").substr(0, 3), "250");
  EXPECT_EQ(user.submit("Subject: only\r\n").substr(0, 3), "250");
  ASSERT_EQ(bench.intake.stored.size(), 3u);
  const std::string added = "Message-ID: <00000000000000000000000000000000@mx.test>\r\n";
  const auto without_date = [](std::string text) {
    const std::size_t at = text.find("Date: ");
    EXPECT_NE(at, std::string::npos) << text;
    return text.erase(at, text.find("\r\n", at) + 2 - at);
  };
  EXPECT_EQ(without_date(without_trace(bench.intake.stored[0].content)), "From: anna@our.test\r\nSubject: x\r\n" + added + "\r\nhello\r\n");
  EXPECT_EQ(without_date(without_trace(bench.intake.stored[1].content)), added + "\r\nno header at all\r\n");
  EXPECT_EQ(without_date(without_trace(bench.intake.stored[2].content)), "Subject: only\r\n" + added + "\r\n");
}

TEST(Submission, refuses_what_readers_would_read_differently) {
  SubmissionBench bench;
  User user{bench};
  user.log_in();
  EXPECT_EQ(user.submit("From: anna@our.test\r\nfrom : boss@our.test\r\n\r\nhello\r\n").substr(0, 9), "554 5.6.0");
  EXPECT_EQ(user.submit("X: y\r\n" + std::string(300 * 1024, 'a') + "\r\n\r\nhello\r\n").substr(0, 3), "554");
  EXPECT_EQ(user.ask("MAIL FROM:<anna@our.test>").substr(0, 3), "250");
  EXPECT_EQ(user.ask("RCPT TO:<b@next.test>").substr(0, 3), "250");
  EXPECT_EQ(user.ask("BDAT 40 LAST\r\nSubject: a\r\nSubject: b\r\n\r\nhello, world\r\n").substr(0, 3), "554");
  EXPECT_TRUE(bench.intake.stored.empty());
}

TEST(Submission, hides_the_client_on_request) {
  config::Settings settings = with_certificate();
  settings.submission.hide_client = true;
  SubmissionBench bench{settings};
  User user{bench};
  user.log_in();
  EXPECT_EQ(user.submit("Date: x\r\nMessage-ID: <1@x>\r\n\r\nhello\r\n").substr(0, 3), "250");
  const std::string& content = bench.intake.stored.at(0).content;
  EXPECT_TRUE(content.starts_with("Received: by mx.test with ESMTPSA\r\n")) << content;
  EXPECT_EQ(content.find("198.51.100.7"), std::string::npos);
  EXPECT_EQ(content.find("client.test"), std::string::npos);
}

TEST(Submission, beyond_its_budget_mail_is_held_and_far_beyond_refused) {
  config::Settings settings = with_certificate();
  settings.submission.recipients_per_hour = 2;
  SubmissionBench bench{settings};
  User user{bench};
  user.log_in();
  for (int i = 0; i < 4; ++i) EXPECT_EQ(user.submit("Date: x\r\nMessage-ID: <1@x>\r\n\r\nhello\r\n").substr(0, 3), "250");
  EXPECT_EQ(user.ask("MAIL FROM:<anna@our.test>").substr(0, 3), "250");
  EXPECT_EQ(user.ask("RCPT TO:<b@next.test>").substr(0, 9), "452 4.7.1");
  std::string held;
  for (const Stored& stored : bench.intake.stored) held += stored.held ? 'h' : '-';
  EXPECT_EQ(held, "--hh");
  bench.run_for(std::chrono::hours{1});
}

}  // namespace
}  // namespace ringpost::receive
