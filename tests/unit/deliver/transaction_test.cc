// Transactions with hops of all kinds. Verdicts as text: + delivered, ~ deferred, x failed, - not tried.
#include "support.hh"

namespace ringpost::deliver {
namespace {

using namespace testing;

const std::string kPlain = "250 hop.test\r\n";
const std::string kChunking = "250-hop.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 CHUNKING\r\n";
const std::string kChunkingOnly = "250-hop.test\r\n250 CHUNKING\r\n";
const Mail kTwo{.recipients = {"b@next.test", "c@next.test"}};

TEST(Transaction, one_message_each_way) {
  for (const std::string& ehlo : {Script{}.ehlo, kPlain, kChunking, kChunkingOnly}) {
    Bench bench({.ehlo = ehlo});
    Mail mail;
    mail.content = ".dot\r\n..two\r\nend\r\n";
    const Attempt& attempt = bench.deliver(mail);
    EXPECT_EQ(verdicts(attempt), "+") << ehlo;
    EXPECT_EQ(attempt.results[0].reply.code, 250);
    EXPECT_EQ(attempt.host.port, 25);
    bool chunks = ehlo.find("CHUNKING") != std::string::npos;
    ASSERT_EQ(bench.hop->messages.size(), 1u);
    EXPECT_EQ(bench.hop->messages[0], chunks ? mail.content : "..dot\r\n...two\r\nend\r\n");
  }
}

TEST(Transaction, a_large_message_arrives_whole_each_way) {
  for (const std::string& ehlo : {Script{}.ehlo, kChunking}) {
    Bench bench({.ehlo = ehlo});
    Mail mail;
    while (mail.content.size() < 900'000) mail.content += std::to_string(mail.content.size()) + "\r\n";
    EXPECT_EQ(verdicts(bench.deliver(mail)), "+");
    EXPECT_EQ(bench.hop->messages.at(0), mail.content);
  }
}

TEST(Transaction, N5_a_hop_that_offers_bdat_and_does_not_know_it_gets_data_on_a_fresh_connection) {
  for (const std::string& ehlo : {kChunking, kChunkingOnly}) {
    Bench bench({.ehlo = ehlo, .knows_bdat = false});
    Mail mail;
    mail.content = "NOOP\r\nRSET\r\nMAIL FROM:<evil@test>\r\n";
    EXPECT_EQ(verdicts(bench.deliver(mail)), "+");
    EXPECT_EQ(bench.hop->messages, std::vector<std::string>{mail.content});
    EXPECT_EQ(bench.hop->connections, 2);
    EXPECT_EQ(verdicts(bench.deliver()), "+");
    EXPECT_EQ(bench.hop->connections, 2);
  }
}

TEST(Transaction, what_a_hop_cannot_take_is_not_offered_to_it) {
  Bench bench({.ehlo = "250-hop.test\r\n250 SIZE 1000\r\n"});
  Mail big, eight{.declared_eight_bit = true, .eight_bit = true}, utf8{.recipients = {"j\xc3\xb6rg@next.test"}, .smtputf8 = true};
  big.content = std::string(1001, 'x');
  EXPECT_EQ(verdicts(bench.deliver(big)), "x");
  EXPECT_EQ(verdicts(bench.deliver(eight)), "x");
  const Attempt& attempt = bench.deliver(utf8);
  EXPECT_EQ(verdicts(attempt), "x");
  EXPECT_EQ(attempt.results[0].reply, (event::ReplyCode{553, 5, 6, 7}));
  for (const std::string& line : bench.hop->lines) EXPECT_FALSE(line.starts_with("MAIL")) << line;
}

TEST(Transaction, extensions_are_asked_for_where_they_are_needed) {
  Bench bench;
  EXPECT_EQ(verdicts(bench.deliver({.recipients = {"j\xc3\xb6rg@next.test"}, .smtputf8 = true, .eight_bit = true})), "+");
  EXPECT_EQ(verdicts(bench.deliver({.smtputf8 = true})), "+");
  EXPECT_EQ(bench.hop->lines.at(1), "MAIL FROM:<a@client.test> SIZE=20 BODY=8BITMIME SMTPUTF8");
  EXPECT_EQ(bench.hop->lines.at(4), "MAIL FROM:<a@client.test> SIZE=20");
}

TEST(Transaction, what_the_sender_wants_to_hear_is_passed_on_only_where_dsn_is_offered) {
  const Mail mail{.recipients = {"b@next.test", "c@next.test"}, .parameters = "RET=HDRS ENVID=Q+2B1",
                  .recipient_parameters = {"NOTIFY=SUCCESS,DELAY ORCPT=utf-8;\xc3\xbc@x.test"}};
  Bench without;
  const Attempt& plain = without.deliver(mail);
  EXPECT_EQ(verdicts(plain), "++");
  EXPECT_FALSE(plain.results[0].reports);
  EXPECT_EQ(without.hop->lines.at(1), "MAIL FROM:<a@client.test> SIZE=20");
  EXPECT_EQ(without.hop->lines.at(2), "RCPT TO:<b@next.test>");
  Bench with({.ehlo = "250-hop.test\r\n250-PIPELINING\r\n250 DSN\r\n"});
  const Attempt& reporting = with.deliver(mail);
  EXPECT_EQ(verdicts(reporting), "++");
  EXPECT_TRUE(reporting.results[0].reports);
  EXPECT_EQ(with.hop->lines.at(1), "MAIL FROM:<a@client.test> RET=HDRS ENVID=Q+2B1");
  EXPECT_EQ(with.hop->lines.at(2), "RCPT TO:<b@next.test> NOTIFY=SUCCESS,DELAY ORCPT=utf-8;\\x{FC}@x.test");
  EXPECT_EQ(with.hop->lines.at(3), "RCPT TO:<c@next.test>");
}

const std::string kDeliverBy = "250-hop.test\r\n250-PIPELINING\r\n250 DELIVERBY 60\r\n";

TEST(Transaction, a_time_is_carried_on_with_what_is_left_of_it) {
  Bench bench({.ehlo = kDeliverBy});
  Mail mail;
  mail.terms = {.by_s = 600, .when_late = spool::WhenLate::give_back, .trace = true};
  mail.age = seconds{100};
  const Attempt& attempt = bench.deliver(mail);
  EXPECT_EQ(verdicts(attempt), "+");
  EXPECT_TRUE(attempt.results[0].keeps_time);
  mail.terms.when_late = spool::WhenLate::notify;
  mail.age = seconds{700};
  EXPECT_EQ(verdicts(bench.deliver(mail)), "+") << "whoever is only to be told sends it on";
  std::vector<std::string> said;
  for (const std::string& line : bench.hop->lines)
    if (line.starts_with("MAIL")) said.push_back(line);
  ASSERT_EQ(said.size(), 2u);
  EXPECT_TRUE(said[0] == "MAIL FROM:<a@client.test> BY=500;RT" || said[0] == "MAIL FROM:<a@client.test> BY=499;RT") << said[0];
  EXPECT_TRUE(said[1] == "MAIL FROM:<a@client.test> BY=-100;NT" || said[1] == "MAIL FROM:<a@client.test> BY=-101;NT") << said[1];
}

TEST(Transaction, priority_is_carried_on_to_who_knows_it) {
  for (const auto& [ehlo, priority, said] : {std::tuple{"250-hop.test\r\n250 MT-PRIORITY\r\n"s, -3, "MAIL FROM:<a@client.test> MT-PRIORITY=-3"s},
                                             {"250-hop.test\r\n250 MT-PRIORITY MIXER\r\n"s, 0, "MAIL FROM:<a@client.test>"s},
                                             {kPlain, 3, "MAIL FROM:<a@client.test>"s}}) {
    Bench bench({.ehlo = ehlo});
    Mail mail;
    mail.terms.priority = static_cast<std::int8_t>(priority);
    EXPECT_EQ(verdicts(bench.deliver(mail)), "+");
    EXPECT_NE(std::ranges::find(bench.hop->lines, said), bench.hop->lines.end()) << ehlo;
  }
}

TEST(Transaction, what_is_to_come_back_in_time_goes_to_nobody_who_would_not_give_it_back) {
  Mail mail;
  mail.terms = {.by_s = 600, .when_late = spool::WhenLate::give_back};
  for (const auto& [ehlo, age] : {std::pair{kPlain, 0}, {kDeliverBy, 550}}) {
    Bench bench({.ehlo = ehlo});
    mail.age = seconds{age};
    const Attempt& attempt = bench.deliver(mail);
    EXPECT_EQ(verdicts(attempt), "x") << age;
    EXPECT_EQ(attempt.results[0].reply, (event::ReplyCode{554, 5, 4, 7}));
    EXPECT_TRUE(bench.hop->messages.empty());
  }
  Bench late({.ehlo = kDeliverBy});
  mail.age = seconds{600};
  const Attempt& attempt = late.deliver(mail);
  EXPECT_EQ(verdicts(attempt), "x");
  EXPECT_EQ(attempt.results[0].reason, event::Reason::deliver_by_expired);
  EXPECT_EQ(late.hop->connections, 0) << "nobody is asked";
  Bench told({.ehlo = kPlain});
  mail.terms.when_late = spool::WhenLate::notify;
  const Attempt& passed = told.deliver(mail);
  EXPECT_EQ(verdicts(passed), "+");
  EXPECT_FALSE(passed.results[0].keeps_time);
}

TEST(Transaction, limits_the_hop_announces_are_kept) {
  for (const std::string& limits : {"LIMITS RCPTMAX=2"s, "LIMITS MAILMAX=1 RCPTMAX=2"s, "LIMITS MAILMAX=1"s}) {
    Bench bench({.ehlo = "250-hop.test\r\n250-PIPELINING\r\n250 " + limits + "\r\n"});
    Mail mail;
    mail.recipients.assign(5, "b@next.test");
    EXPECT_EQ(verdicts(bench.deliver(mail)), "+++++") << limits;
    bool by_two = limits.find("RCPTMAX") != std::string::npos;
    EXPECT_EQ(bench.hop->messages.size(), by_two ? 3u : 1u);
    EXPECT_EQ(bench.hop->connections, by_two && limits.find("MAILMAX") != std::string::npos ? 3 : 1);
  }
}

TEST(Transaction, recipients_the_hop_has_no_room_for_go_in_the_next_transaction) {
  for (const std::string& code : {"452 4.5.3"s, "552 5.5.3"s}) {
    Bench bench;
    int in_transaction = 0;
    bench.hop->script.hook = [&](const std::string& verb, const std::string&, int) -> std::optional<std::string> {
      if (verb == "MAIL") in_transaction = 0;
      if (verb == "RCPT" && ++in_transaction > 3) return code + " too many\r\n";
      return std::nullopt;
    };
    Mail mail;
    mail.recipients.assign(200, "b@next.test");
    EXPECT_EQ(verdicts(bench.deliver(mail)), std::string(200, '+'));
    EXPECT_EQ(bench.hop->messages.size(), 67u);
  }
}

TEST(Transaction, no_room_for_even_one_recipient_defers) {
  Bench bench({.replies = {{"RCPT", "452 4.5.3 no\r\n"}}});
  EXPECT_EQ(verdicts(bench.deliver(kTwo)), "~~");
}

TEST(Transaction, some_recipients_are_refused) {
  for (const std::string& ehlo : {Script{}.ehlo, kPlain, kChunking, kChunkingOnly}) {
    Bench bench({.ehlo = ehlo});
    bench.hop->script.hook = [](const std::string& verb, const std::string& line, int) -> std::optional<std::string> {
      if (verb != "RCPT") return std::nullopt;
      if (line.find("<c@") != std::string::npos) return "550 5.1.1 nobody\r\n";
      if (line.find("<d@") != std::string::npos) return "450 4.2.1 later\r\n";
      return std::nullopt;
    };
    const Attempt& attempt = bench.deliver({.recipients = {"b@next.test", "c@next.test", "d@next.test"}});
    EXPECT_EQ(verdicts(attempt), "+x~") << ehlo;
    EXPECT_EQ(attempt.results[1].reply, (event::ReplyCode{550, 5, 1, 1}));
    EXPECT_EQ(attempt.results[1].text, "nobody");
  }
}

TEST(Transaction, when_all_recipients_are_refused_no_content_is_given) {
  for (const std::string& ehlo : {Script{}.ehlo, kPlain, kChunkingOnly}) {
    // The pipelined DATA may be answered 354 although nobody is to get the message.
    Bench bench({.ehlo = ehlo, .replies = {{"RCPT", "550 5.1.1 nobody\r\n"}}});
    EXPECT_EQ(verdicts(bench.deliver(kTwo)), "xx");
    EXPECT_EQ(bench.hop->text, "") << ehlo;
    bench.hop->script.replies.clear();
    EXPECT_EQ(verdicts(bench.deliver(kTwo)), "++") << ehlo;
    EXPECT_EQ(bench.hop->connections, 1);
  }
}

TEST(Transaction, mail_refused_settles_all_also_with_more_recipients_than_a_group_holds) {
  for (const std::string& ehlo : {Script{}.ehlo, kPlain, kChunking}) {
    Bench bench({.ehlo = ehlo, .replies = {{"MAIL", "550 5.7.1 no\r\n"}, {"RCPT", "503 5.5.1 no\r\n"}, {"DATA", "503 5.5.1 no\r\n"}, {"CHUNK", "503 5.5.1 no\r\n"}}});
    Mail mail;
    mail.recipients.assign(150, "b@next.test");
    EXPECT_EQ(verdicts(bench.deliver(mail)), std::string(150, 'x')) << ehlo;
    EXPECT_EQ(verdicts(bench.deliver()), "x");
    bench.hop->script.replies.clear();
    EXPECT_EQ(verdicts(bench.deliver()), "+");
  }
}

TEST(Attacks, N2_no_reply_out_of_place_means_delivered) {
  for (const auto& [verb, reply] : std::vector<std::pair<std::string, std::string>>{
           {"DATA", "250 2.0.0 sure\r\n"}, {".", "354 again\r\n"}, {"MAIL", "354 go\r\n"}, {"RCPT", "354 go\r\n"},
           {".", ""}, {"DATA", ""}, {"MAIL", ""}, {"RCPT", ""}, {"MAIL", "421 4.3.2 bye\r\n"}, {"RCPT", "421 4.3.2 bye\r\n"},
           {"DATA", "421 4.3.2 bye\r\n"}, {".", "421 4.3.2 bye\r\n"}, {"EHLO", "421 4.3.2 bye\r\n"}, {".", "451 4.3.0 later\r\n"}}) {
    for (const std::string& ehlo : {Script{}.ehlo, kPlain}) {
      Bench bench({.ehlo = ehlo, .replies = {{verb, reply}}});
      EXPECT_EQ(verdicts(bench.deliver(kTwo)), "~~") << verb << " " << reply;
      bench.hop->script.replies.clear();
      EXPECT_EQ(verdicts(bench.attempt(0, 2)), "++") << verb << " " << reply;
    }
  }
}

TEST(Attacks, N1_replies_that_are_none_defer_within_bounds) {
  const std::string endless = [] {
    std::string lines;
    for (int i = 0; i < 10'000; ++i) lines += "250-more\r\n";
    return lines;
  }();
  for (const std::string& reply : {endless, std::string(1_MiB, 'x'), "250 a\0b\r\n"s, "250 a\rb\r\n"s, "2x0 ok\r\n"s, "999 ok\r\n"s, "250-a\r\n251 b\r\n"s,
                                   "\r\n"s, "250 ok\n"s, "250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n"s}) {
    for (const std::string& verb : {"EHLO"s, "MAIL"s, "RCPT"s, "DATA"s}) {
      Bench bench({.replies = {{verb, reply}}});
      EXPECT_EQ(verdicts(bench.deliver()), "~") << verb << " " << reply.substr(0, 30);
      EXPECT_TRUE(bench.hop->messages.empty());
    }
  }
}

TEST(Attacks, N6_a_tarpit_has_an_overall_deadline) {
  config::Settings settings = small_settings();
  settings.deliver.timeout.transaction = minutes{20};
  Bench bench({.delay = seconds{295}}, settings);
  Mail mail;
  mail.recipients.assign(200, "b@next.test");
  const Instant begin = bench.world.now();
  EXPECT_EQ(verdicts(bench.deliver(mail)), std::string(200, '~'));
  EXPECT_LT(bench.world.now() - begin, minutes{50});
}

TEST(Attacks, E33_stray_newlines_never_leave_and_never_end_a_message) {
  for (const std::string& bad : {"a\n.\nb\r\n"s, "a\r.\rb\r\n"s, "a\0b\r\n"s}) {
    Bench bench;
    Mail mail;
    mail.content = bad;
    EXPECT_EQ(verdicts(bench.deliver(mail)), "~");
    EXPECT_TRUE(bench.hop->messages.empty());
    EXPECT_EQ(bench.hop->text.find('\n', 0), std::string::npos);
  }
}

TEST(Content, a_copy_that_does_not_authenticate_never_gets_its_end) {
  for (const std::string& ehlo : {Script{}.ehlo, kPlain, kChunking, kChunkingOnly}) {
    for (std::size_t damaged_at : {0u, 300'000u, 499'999u}) {
      Bench bench({.ehlo = ehlo});
      Mail mail{.damaged_at = damaged_at};
      mail.content.assign(500'000, 'x');
      const Attempt& attempt = bench.deliver(mail);
      EXPECT_EQ(verdicts(attempt), "~");
      EXPECT_EQ(attempt.results[0].reason, event::Reason::damaged);
      bench.run_for(seconds{5});
      EXPECT_TRUE(bench.hop->messages.empty());
    }
  }
}

}  // namespace
}  // namespace ringpost::deliver
