// The ordinary course of a session, and everything that can go wrong behind the Intake.
#include "support.hh"

namespace ringpost::receive {
namespace {

using namespace testing;

TEST(Session, a_message_is_kept_byte_for_byte_behind_one_received_field) {
  Bench bench;
  Client client(bench);
  client.greet();
  client.begin_data();
  client.send("Subject: x\r\n\r\n..dot\r\n\xc3\xa4\r\n.\r\n");
  EXPECT_EQ(client.reply(), "250 2.0.0 Ok: queued as 00000000000000000000000000000000\r\n");
  EXPECT_EQ(client.ask("QUIT").substr(0, 3), "221");
  EXPECT_EQ(client.rest(), "");
  ASSERT_EQ(bench.intake.stored.size(), 1u);
  const Stored& stored = bench.intake.stored[0];
  EXPECT_EQ(without_trace(stored.content), "Subject: x\r\n\r\n.dot\r\n\xc3\xa4\r\n");
  EXPECT_NE(stored.content.find("([198.51.100.7])"), std::string::npos) << stored.content;
  EXPECT_NE(stored.content.find("by mx.test"), std::string::npos);
  EXPECT_NE(stored.content.find("with ESMTP\r\n\tid 00000000000000000000000000000000"), std::string::npos);
  EXPECT_EQ(stored.content.find("Received:", 1), std::string::npos);
  EXPECT_EQ(stored.reverse_path, "a@client.test");
  EXPECT_EQ(stored.recipients, std::vector<std::string>{"b@next.test"});
  EXPECT_TRUE(stored.eight_bit);
  EXPECT_EQ(bench.metrics.messages_accepted.value(), 1u);
}

TEST(Session, what_the_sender_wants_to_hear_is_kept_with_the_envelope) {
  Bench bench;
  Client client(bench);
  client.begin();
  EXPECT_NE(client.ask("EHLO client.test").find("250-DSN\r\n"), std::string::npos);
  EXPECT_EQ(client.ask("MAIL FROM:<a@client.test> RET=hdrs ENVID=" + std::string(100, 'e')).substr(0, 3), "250");
  const std::string original = "ORCPT=rfc822;" + std::string(493, 'o');
  EXPECT_EQ(client.ask("RCPT TO:<b@next.test> NOTIFY=SUCCESS,FAILURE " + original).substr(0, 3), "250");
  EXPECT_EQ(client.ask("RCPT TO:<c@next.test>").substr(0, 3), "250");
  EXPECT_EQ(client.ask("RCPT TO:<d@next.test> NOTIFY=never").substr(0, 3), "250");
  EXPECT_EQ(client.ask("DATA").substr(0, 3), "354");
  EXPECT_EQ(client.ask("x\r\n.").substr(0, 3), "250");
  ASSERT_EQ(bench.intake.stored.size(), 1u);
  EXPECT_EQ(bench.intake.stored[0].parameters,
            (std::vector<std::string>{"RET=HDRS ENVID=" + std::string(100, 'e'), "NOTIFY=SUCCESS,FAILURE " + original, "", "NOTIFY=NEVER"}));
}

TEST(Session, helo_writes_smtp_in_the_received_field) {
  Bench bench;
  Client client(bench);
  client.begin();
  EXPECT_EQ(client.ask("HELO client.test").substr(0, 4), "250 ");
  client.begin_data();
  EXPECT_EQ(client.ask("x\r\n.").substr(0, 3), "250");
  ASSERT_EQ(bench.intake.stored.size(), 1u);
  EXPECT_NE(bench.intake.stored[0].content.find("with SMTP\r\n"), std::string::npos);
}

TEST(Session, a_pipelined_group_is_answered_in_order) {
  Bench bench;
  Client client(bench);
  client.greet();
  client.send("MAIL FROM:<a@client.test>\r\nRCPT TO:<b@next.test>\r\nRCPT TO:<c@next.test>\r\nDATA\r\n");
  EXPECT_EQ(client.codes(4), "250 250 250 354");
  client.send("x\r\n.\r\nRSET\r\nNOOP\r\nQUIT\r\n");
  EXPECT_EQ(client.codes_to_end(), "250 250 250 221");
  ASSERT_EQ(bench.intake.stored.size(), 1u);
  EXPECT_EQ(bench.intake.stored[0].recipients.size(), 2u);
}

TEST(Session, chunks_make_one_message) {
  Bench bench;
  Client client(bench);
  client.greet();
  client.send("MAIL FROM:<>\r\nRCPT TO:<b@next.test>\r\nBDAT 4\r\nab\r\nBDAT 0\r\nBDAT 5 LAST\r\n..\r\nxNOOP\r\n");
  EXPECT_EQ(client.codes(6), "250 250 250 250 250 250");
  ASSERT_EQ(bench.intake.stored.size(), 1u);
  EXPECT_EQ(without_trace(bench.intake.stored[0].content), "ab\r\n..\r\nx");
  EXPECT_EQ(bench.intake.stored[0].reverse_path, "");
}

TEST(Session, no_byte_of_250_leaves_before_commit_returns) {
  Bench bench;
  bench.intake.hold_commits = true;
  Client client(bench);
  client.greet();
  client.begin_data();
  client.send("x\r\n.\r\n");
  bench.run_for(seconds{30});
  EXPECT_EQ(bench.intake.committing, 1u);
  EXPECT_EQ(client.inbox, "");
  bench.intake.hold_commits = false;
  bench.intake.released.notify_all();
  EXPECT_EQ(client.reply().substr(0, 3), "250");
}

TEST(Session, who_may_send_a_message_holds_nothing_before_its_first_bytes) {
  Bench bench;
  Client client(bench);
  client.greet();
  for (int i = 0; i < 2; ++i) {
    client.send("MAIL FROM:<a@client.test>\r\nRCPT TO:<b@next.test>\r\nDATA\r\n");
    EXPECT_EQ(client.codes(3), "250 250 354");
    EXPECT_EQ(bench.intake.places, 1u);
    EXPECT_EQ(bench.intake.alive, 0u);
    EXPECT_EQ(client.ask(i == 0 ? "x\r\n." : ".").substr(0, 3), "250");
  }
  EXPECT_EQ(bench.intake.places, 0u);
  ASSERT_EQ(bench.intake.stored.size(), 2u);
  EXPECT_TRUE(bench.intake.stored[0].content.starts_with("Received: ") && bench.intake.stored[0].content.ends_with("\r\nx\r\n"));
  EXPECT_TRUE(bench.intake.stored[1].content.starts_with("Received: ") && bench.intake.stored[1].content.ends_with("\r\n"));
}

TEST(Session, who_goes_away_gives_up_the_place_of_a_message_that_never_began) {
  Bench bench;
  Client client(bench);
  client.greet();
  client.send("MAIL FROM:<a@client.test>\r\nRCPT TO:<b@next.test>\r\nDATA\r\n");
  EXPECT_EQ(client.codes(3), "250 250 354");
  EXPECT_EQ(bench.intake.places, 1u);
  client.reset();
  EXPECT_EQ(bench.world.run_until([&] { return bench.intake.places == 0; }, seconds{10}), sim::Stop::reached);
}

TEST(Session, where_no_message_can_begin_data_is_refused_before_anything_is_sent) {
  Bench bench;
  bench.intake.full = Error{Errc::unavailable};
  Client client(bench);
  client.greet();
  client.send("MAIL FROM:<a@client.test>\r\nRCPT TO:<b@next.test>\r\nDATA\r\n");
  EXPECT_EQ(client.codes(3), "250 250 451");
  EXPECT_EQ(bench.intake.refusals.size(), 1u);
  bench.intake.full.reset();
  client.send("MAIL FROM:<a@client.test>\r\nRCPT TO:<b@next.test>\r\nDATA\r\n");
  EXPECT_EQ(client.codes(3), "250 250 354");
}

// begin, the Received field, the content and commit: each fails once, then none does.
TEST(Session, whatever_fails_in_the_intake_nothing_is_kept_and_the_next_message_is_welcome) {
  for (bool chunks : {false, true}) {
    for (auto [code, reply] : {std::pair{Errc::no_space, "452"}, {Errc::io, "451"}, {Errc::unavailable, "451"}, {Errc::no_memory, "451"}}) {
      std::uint64_t nth = 1;
      for (bool failed = true; failed; ++nth) {
        Bench bench;
        bench.intake.failure = {code};
        bench.intake.fail_at = nth;
        Client client(bench);
        client.greet();
        auto send_message = [&]() -> std::string {
          client.send("MAIL FROM:<a@client.test>\r\nRCPT TO:<b@next.test>\r\n"s + (chunks ? "BDAT 3 LAST\r\nx\r\n" : "DATA\r\n"));
          EXPECT_EQ(client.codes(2), "250 250");
          std::string answer = client.reply();
          if (answer.starts_with("354")) answer = client.ask("x\r\n.");
          return answer.substr(0, 3);
        };
        std::string answer = send_message();
        failed = answer != "250";
        if (failed) {
          EXPECT_EQ(answer, reply);
          EXPECT_EQ(bench.intake.stored.size(), 0u);
          EXPECT_EQ(bench.intake.refusals.size(), 1u);
          EXPECT_EQ(client.ask("RCPT TO:<b@next.test>").substr(0, 3), "503");
          EXPECT_EQ(send_message(), "250");
        }
        EXPECT_EQ(bench.intake.stored.size(), 1u);
      }
      EXPECT_EQ(nth, 6u);
    }
  }
}

TEST(Session, mail_is_put_off_while_the_intake_admits_none) {
  Bench bench;
  bench.intake.admission = Error{Errc::no_space};
  Client client(bench);
  client.greet();
  EXPECT_EQ(client.ask("MAIL FROM:<a@client.test>").substr(0, 9), "452 4.3.1");
  bench.intake.admission = Error{Errc::unavailable};
  EXPECT_EQ(client.ask("MAIL FROM:<a@client.test>").substr(0, 3), "451");
  bench.intake.admission.reset();
  EXPECT_EQ(client.ask("RCPT TO:<b@next.test>").substr(0, 3), "503");
  EXPECT_EQ(client.ask("MAIL FROM:<a@client.test>").substr(0, 3), "250");
}

TEST(Session, a_stranger_may_not_relay) {
  Bench bench;
  Client client(bench, "203.0.113.9");
  client.greet();
  client.send("MAIL FROM:<a@client.test>\r\nRCPT TO:<b@next.test>\r\nDATA\r\n");
  EXPECT_EQ(client.codes(3), "250 550 554");
}

TEST(Session, an_mx_takes_mail_for_its_own_domains_from_a_stranger) {
  config::Settings settings = small_settings();
  settings.listeners = {{.name = "test", .address = kServer, .role = config::ListenerRole::mx}};
  settings.relay.domains = {"us.test"};
  settings.recipients = {{.domain = "us.test", .value = {config::RecipientRule::Kind::file, "/users"}}};
  settings.recipients[0].list = std::make_shared<const config::RecipientList>(*config::RecipientList::parse("john", "us.test"));
  Bench bench(settings);
  Client client(bench, "203.0.113.9");
  client.greet();
  (void)client.ask("MAIL FROM:<a@client.test>");
  EXPECT_EQ(client.ask("RCPT TO:<b@next.test>").substr(0, 9), "550 5.7.1");
  EXPECT_EQ(client.ask("RCPT TO:<mary@us.test>").substr(0, 9), "550 5.1.1");
  EXPECT_EQ(client.ask("RCPT TO:<John@US.test>").substr(0, 3), "250");
  EXPECT_EQ(client.ask("RCPT TO:<Postmaster>").substr(0, 3), "250");
  EXPECT_EQ(client.ask("DATA").substr(0, 3), "354");
  EXPECT_EQ(client.ask("Subject: x\r\n\r\ntext\r\n.").substr(0, 3), "250");
  ASSERT_EQ(bench.intake.stored.size(), 1u);
  EXPECT_EQ(bench.intake.stored[0].recipients, (std::vector<std::string>{"John@US.test", "Postmaster"}));
}

TEST(Session, a_recipient_is_verified_while_the_rest_of_the_group_waits) {
  config::Settings settings = small_settings();
  settings.recipients = {{.domain = "ask.test", .value = {.kind = config::RecipientRule::Kind::callout}}};
  settings.smtp.recipients_max = 2;
  Bench bench(settings);
  Client client(bench);
  client.greet();
  client.send("MAIL FROM:<a@client.test>\r\nRCPT TO:<nobody@ask.test>\r\nRCPT TO:<john@ask.test> NOTIFY=NEVER\r\nRCPT TO:<away@ask.test>\r\n"
              "RCPT TO:<b@next.test>\r\nRCPT TO:<john@ask.test>\r\nRCPT TO:<postmaster@ask.test>\r\nDATA\r\n");
  const Instant began = bench.world.now();
  EXPECT_TRUE(client.reply().starts_with("250 "));
  EXPECT_LT(bench.world.now() - began, seconds{1}) << "what is known goes out before anybody is asked";
  EXPECT_EQ(client.reply().substr(0, 9), "550 5.1.1");
  EXPECT_EQ(client.reply().substr(0, 3), "250");
  EXPECT_EQ(client.reply().substr(0, 9), "451 4.4.3");
  EXPECT_EQ(client.codes(4), "250 452 452 354") << "nobody is asked about a recipient too many";
  EXPECT_EQ(client.ask("Subject: x\r\n\r\ntext\r\n.").substr(0, 3), "250");
  ASSERT_EQ(bench.intake.stored.size(), 1u);
  const std::vector<std::string> expected{"john@ask.test", "b@next.test"}, asked{"nobody@ask.test", "john@ask.test", "away@ask.test"};
  EXPECT_EQ(bench.intake.stored[0].recipients, expected);
  EXPECT_EQ(bench.intake.stored[0].parameters[1], "NOTIFY=NEVER");
  EXPECT_EQ(bench.verifier.asked, asked);
}

TEST(Session, recipients_past_the_limit_wait_for_the_next_transaction) {
  Bench bench;
  Client client(bench);
  client.greet();
  (void)client.ask("MAIL FROM:<a@client.test>");
  for (int i = 0; i < 100; ++i) EXPECT_EQ(client.ask("RCPT TO:<b@next.test>").substr(0, 3), "250");
  EXPECT_EQ(client.ask("RCPT TO:<b@next.test>").substr(0, 9), "452 4.5.3");
  EXPECT_EQ(client.ask("DATA").substr(0, 3), "354");
  EXPECT_EQ(client.ask("x\r\n.").substr(0, 3), "250");
  EXPECT_EQ(bench.intake.stored.at(0).recipients.size(), 100u);
}

TEST(Session, a_message_past_the_size_limit_is_refused_and_its_rest_is_not_kept_anywhere) {
  for (bool chunks : {false, true}) {
    Bench bench;
    Client client(bench);
    client.greet();
    EXPECT_EQ(client.ask("MAIL FROM:<a@client.test> SIZE=1048577").substr(0, 9), "552 5.3.4");
    std::string text;
    while (text.size() < 3_MiB) text += std::string(70, 'x') + "\r\n";
    (void)client.ask("MAIL FROM:<a@client.test>");
    (void)client.ask("RCPT TO:<b@next.test>");
    if (chunks) {
      client.send("BDAT " + std::to_string(text.size()) + " LAST\r\n" + text);
    } else {
      EXPECT_EQ(client.ask("DATA").substr(0, 3), "354");
      client.send(text + ".\r\n");
    }
    EXPECT_EQ(client.reply().substr(0, 9), "552 5.3.4");
    EXPECT_LE(bench.intake.bytes_written, 1_MiB + 4096);
    EXPECT_EQ(bench.intake.stored.size(), 0u);
    ASSERT_EQ(bench.intake.refusals.size(), 1u);
    EXPECT_EQ(bench.intake.refusals[0].reason, event::Reason::too_large);
    EXPECT_EQ(client.ask("NOOP").substr(0, 3), "250");
  }
}

TEST(Session, A6_a_message_that_went_round_is_refused) {
  for (int hops : {30, 31}) {
    Bench bench;
    Client client(bench);
    client.greet();
    client.begin_data();
    std::string text;
    for (int i = 0; i < hops; ++i) text += "Received: by x\r\n";
    client.send(text + "\r\nReceived: in the body\r\n.\r\n");
    EXPECT_EQ(client.reply().substr(0, 9), hops > 30 ? "554 5.4.6" : "250 2.0.0");
    EXPECT_EQ(bench.intake.stored.size(), hops > 30 ? 0u : 1u);
  }
}

TEST(Session, C18_connections_are_limited_by_client_and_by_prefix_and_others_are_not_affected) {
  config::Settings settings = small_settings();
  settings.limits.connections_per_client = 2;
  settings.limits.connections_per_prefix = 3;
  Bench bench(settings);
  Client first(bench), second(bench), third(bench);
  first.begin();
  second.begin();
  EXPECT_EQ(third.rest().substr(0, 3), "421");
  Client neighbour(bench, "198.51.100.8"), further(bench, "198.51.100.9"), stranger(bench, "203.0.113.9");
  neighbour.begin();
  EXPECT_EQ(further.rest().substr(0, 3), "421");
  stranger.begin();
  EXPECT_EQ(first.ask("QUIT").substr(0, 3), "221");
  (void)first.rest();
  first.close();
  bench.run_for(seconds{2});
  Client again(bench, "198.51.100.9");
  again.begin();
  EXPECT_EQ(bench.metrics.connections_refused.value(), 2u);
}

TEST(Session, a_listener_that_repairs_makes_crlf_of_what_stands_alone) {
  Bench bench(small_settings(), 1, config::BareNewline::repair);
  Client client(bench);
  client.greet();
  client.begin_data();
  client.send("a\nb\n.\nMAIL FROM:<x@y>\n\r\n.\r\n");
  EXPECT_EQ(client.reply().substr(0, 3), "250");
  ASSERT_EQ(bench.intake.stored.size(), 1u);
  EXPECT_EQ(without_trace(bench.intake.stored[0].content), "a\r\nb\r\n.\r\nMAIL FROM:<x@y>\r\n\r\n");
}

TEST(Stop, idle_sessions_hear_421_and_a_running_message_may_finish) {
  Bench bench;
  Client idle(bench), busy(bench), mute(bench);
  idle.greet();
  mute.begin();
  busy.greet();
  busy.begin_data();
  busy.send("half a ");
  bench.run_for(seconds{1});
  bench.begin_stop(seconds{60});
  EXPECT_EQ(idle.codes_to_end(), "421");
  EXPECT_EQ(mute.codes_to_end(), "421");
  EXPECT_FALSE(busy.ended());
  busy.send("message\r\n.\r\n");
  EXPECT_EQ(busy.codes_to_end(), "250 421");
  EXPECT_EQ(bench.intake.stored.size(), 1u);
}

TEST(Stop, at_the_deadline_what_still_runs_is_cut_and_keeps_nothing) {
  Bench bench;
  Client busy(bench);
  busy.greet();
  busy.begin_data();
  busy.send("half a ");
  bench.run_for(seconds{1});
  bench.stop(seconds{5});
  EXPECT_EQ(bench.intake.stored.size(), 0u);
}

TEST(Stop, a_commit_under_way_is_waited_for_beyond_the_deadline) {
  Bench bench;
  bench.intake.hold_commits = true;
  Client client(bench);
  client.greet();
  client.begin_data();
  client.send("x\r\n.\r\n");
  bench.run_for(seconds{1});
  bench.begin_stop(seconds{5});
  bench.run_for(seconds{20});
  EXPECT_FALSE(bench.stopped());
  bench.intake.hold_commits = false;
  bench.intake.released.notify_all();
  bench.stop(seconds{5});
  EXPECT_EQ(bench.intake.stored.size(), 1u);
}

TEST(Settings, a_session_keeps_those_it_began_with) {
  Bench bench;
  Client before(bench);
  before.greet();
  config::Settings settings = small_settings();
  settings.relay.clients.clear();
  bench.server.reconfigure(std::make_shared<const config::Settings>(settings));
  Client after(bench);
  after.greet();
  for (Client* client : {&before, &after}) (void)client->ask("MAIL FROM:<a@client.test>");
  EXPECT_EQ(before.ask("RCPT TO:<b@next.test>").substr(0, 3), "250");
  EXPECT_EQ(after.ask("RCPT TO:<b@next.test>").substr(0, 3), "550");
}

}  // namespace
}  // namespace ringpost::receive
