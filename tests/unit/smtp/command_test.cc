#include "ringpost/smtp/command.hh"

#include "support.hh"

namespace ringpost::smtp {
namespace {

using namespace testing;

Command parse(std::string_view line, const CommandRules& rules = {}) { return parse_command(as_bytes(line), rules); }
int code(std::string_view line, const CommandRules& rules = {}) { return parse(line, rules).refusal.code; }

TEST(Command, every_row_of_the_table_is_found_by_its_name_in_any_case) {
  for (const CommandTraits& row : command_table()) {
    EXPECT_EQ(traits(row.verb).name, row.name);
    EXPECT_FALSE(row.rfc.empty());
    if (row.name.empty()) continue;
    std::string lower;
    for (char c : row.name) lower += static_cast<char>(c | 0x20);
    EXPECT_EQ(parse(row.name).verb, row.verb) << row.name;
    EXPECT_EQ(parse(lower + " x").verb, row.verb) << row.name;
    EXPECT_EQ(parse(lower + "x").verb, Verb::unknown) << row.name;
    if (!row.takes_argument) {
      EXPECT_EQ(code(lower + " x"), 501) << row.name;
      EXPECT_EQ(code(lower + " \t "), 0) << row.name;
    }
  }
}

TEST(Command, the_groups_of_rfc_2920_end_where_they_must) {
  for (Verb verb : {Verb::ehlo, Verb::data, Verb::vrfy, Verb::expn, Verb::noop, Verb::quit, Verb::turn})
    EXPECT_TRUE(traits(verb).ends_group);
  for (Verb verb : {Verb::mail, Verb::rcpt, Verb::rset, Verb::bdat}) EXPECT_FALSE(traits(verb).ends_group);
}

TEST(Command, greetings) {
  EXPECT_EQ(parse("EHLO mx.example.org").argument, "mx.example.org");
  EXPECT_EQ(parse("helo [IPv6:::1]").argument, "[IPv6:::1]");
  EXPECT_EQ(code("EHLO mx.example.org  "), 0);
  for (auto line : {"EHLO", "EHLO ", "EHLO  a", "EHLO a b", "EHLO a_b", "HELO -a", "EHLO [1.2.3]"})
    EXPECT_EQ(code(line), 501) << line;
}

TEST(Command, mail_with_all_its_parameters) {
  Command command = parse("mail from:<a@b.example> size=1000 Body=8bitMIME smtputf8");
  ASSERT_TRUE(command.ok());
  EXPECT_EQ(command.path.address(), "a@b.example");
  EXPECT_EQ(command.mail.size, 1000u);
  EXPECT_EQ(command.mail.body, BodyType::eight_bit_mime);
  EXPECT_TRUE(command.mail.smtputf8);
  command = parse("MAIL FROM:<>");
  EXPECT_TRUE(command.ok() && command.path.null_sender());
  EXPECT_FALSE(command.mail.size || command.mail.body || command.mail.smtputf8);
  EXPECT_EQ(parse("MAIL FROM:<> BODY=7BIT").mail.body, BodyType::seven_bit);
  EXPECT_EQ(parse("MAIL FROM:<\"a > b\"@c> SIZE=7").mail.size, 7u);
}

TEST(Command, mail_that_does_not_fit) {
  for (auto line : {"MAIL", "MAIL <a@b>", "MAIL FROM", "MAIL FROM:", "MAIL FROM: <a@b>", "MAIL FROM :<a@b>", "MAIL FROM:a@b",
                    "MAIL TO:<a@b>", "MAIL FROM:<a@b>SIZE=1", "MAIL FROM:<a@b>  SIZE=1", "MAIL FROM:<a@b> =1",
                    "MAIL FROM:<a@b> -X=1", "MAIL FROM:<a@b> SIZE"}) {
    EXPECT_EQ(code(line), 501) << line;
  }
}

TEST(Command, after_helo_no_parameter_is_known) {
  CommandRules rules{.extended = false};
  EXPECT_EQ(code("MAIL FROM:<a@b>", rules), 0);
  EXPECT_EQ(code("MAIL FROM:<a@b> SIZE=1", rules), 555);
  EXPECT_EQ(code("MAIL FROM:<a@b> RET=FULL", rules), 555);
  EXPECT_EQ(code("RCPT TO:<a@b> NOTIFY=NEVER", rules), 555);
  EXPECT_EQ(code("MAIL FROM:<\xc3\xbc@b>", rules), 553);
}

TEST(Command, rcpt) {
  EXPECT_EQ(parse("RCPT TO:<a@b>").path.address(), "a@b");
  EXPECT_EQ(parse("rcpt to:<Postmaster>").path.kind, Path::Kind::postmaster);
  for (auto line : {"RCPT", "RCPT TO:", "RCPT TO: <a@b>", "RCPT FROM:<a@b>", "RCPT TO:<>", "RCPT TO:<a>", "RCPT TO:<a@b>x"}) {
    EXPECT_EQ(code(line), 501) << line;
  }
  for (auto line : {"RCPT TO:<a@b> RET=FULL", "RCPT TO:<a@b> SIZE=1", "RCPT TO:<a@b> X"}) EXPECT_EQ(code(line), 555) << line;
  Command command = parse("RCPT TO:<a@b> notify=success,Failure ORCPT=rfc822;x+2By@z");
  ASSERT_TRUE(command.ok());
  EXPECT_EQ(command.rcpt.notification.notify, (Notify{.success = true, .failure = true}));
  EXPECT_EQ(command.rcpt.notification.original, "rfc822;x+2By@z");
}

TEST(Command, the_rest) {
  EXPECT_EQ(parse("NOOP anything goes").argument, "anything goes");
  EXPECT_EQ(parse("VRFY somebody").argument, "somebody");
  EXPECT_EQ(code("VRFY"), 501);
  EXPECT_EQ(code("VRFY \xc3\xbc"), 501);
  EXPECT_EQ(code("HELP"), 0);
  EXPECT_EQ(code("HELP MAIL"), 0);
  for (auto line : {"", " ", " QUIT", "FOO", "QUITX", "\tQUIT"}) EXPECT_EQ(code(line), 500) << line;
}

TEST(Attacks, C4_starttls_takes_no_argument) { EXPECT_EQ(code("STARTTLS now"), 501); }

TEST(Attacks, C6_other_protocols_are_told_apart) {
  for (auto line : {"GET / HTTP/1.1", "post /x HTTP/1.0", "CONNECT a:25 HTTP/1.1", "SSH-2.0-OpenSSH_9.9"}) {
    Command command = parse(line);
    EXPECT_EQ(command.verb, Verb::alien) << line;
    EXPECT_EQ(command.refusal.code, 554) << line;
    EXPECT_TRUE(command.close) << line;
  }
  EXPECT_EQ(parse("\x16\x03\x01\x02").verb, Verb::alien);
}

TEST(Attacks, C9_control_characters_and_8_bit_in_commands) {
  for (auto line : {"NOOP \x1b[31m"sv, "NOOP a\0b"sv, "MAIL FROM:<a@b>\x7f"sv, "RCPT TO:<a@b>\0"sv, "EHLO a\tb"sv, "\x01"sv}) {
    EXPECT_EQ(code(line), 500);
  }
  for (auto line : {"NOOP \xff", "HELP \x80", "EHLO \xe4"}) EXPECT_EQ(code(line), 501);
  EXPECT_EQ(code("\xff\xfe"), 500);
}

TEST(Attacks, C12_bdat_sizes_are_exact_or_the_session_ends) {
  auto chunk = [](std::string_view line) {
    Command command = parse(line);
    EXPECT_TRUE(command.ok() && !command.close) << line;
    return command.chunk;
  };
  EXPECT_EQ(chunk("BDAT 0").size, 0u);
  EXPECT_EQ(chunk("BDAT 86").size, 86u);
  EXPECT_FALSE(chunk("BDAT 86").last);
  EXPECT_TRUE(chunk("BDAT 0 LAST").last);
  EXPECT_TRUE(chunk("bdat 12 last").last);
  EXPECT_EQ(chunk("BDAT 00000000000000000012").size, 12u);
  EXPECT_EQ(chunk("BDAT 9223372036854775807").size, kChunkBytesMax);
  for (auto line : {"BDAT", "BDAT LAST", "BDAT -1", "BDAT +1", "BDAT 1x", "BDAT 0x10", "BDAT 1.0", "BDAT 9223372036854775808",
                    "BDAT 18446744073709551616", "BDAT 99999999999999999999", "BDAT 000000000000000000012", "BDAT  1",
                    "BDAT 1  LAST", "BDAT 1 LAST x", "BDAT 1 FIRST", "BDAT 1\x01", "BDAT 1 LAST\xff"}) {
    Command command = parse(line);
    EXPECT_GE(command.refusal.code, 500) << line;
    EXPECT_TRUE(command.close) << line;
  }
}

TEST(Attacks, C14_parameters_malformed_doubled_and_unknown) {
  CommandRules rules{.message_bytes_max = 1'000'000};
  auto mail = [&](std::string parameters) { return code("MAIL FROM:<a@b> " + parameters, rules); };
  EXPECT_EQ(mail("SIZE=0"), 0);
  EXPECT_EQ(mail("SIZE=1000000"), 0);
  for (auto text : {"SIZE=1000001", "SIZE=9223372036854775808", "SIZE=18446744073709551616", "SIZE=99999999999999999999"})
    EXPECT_EQ(mail(text), 552) << text;
  for (auto text : {"SIZE=-1", "SIZE=", "SIZE", "SIZE=1x", "SIZE=100000000000000000000", "SIZE=1 SIZE=1", "BODY=", "BODY",
                    "BODY=9BIT", "BODY=7BIT BODY=7BIT", "SMTPUTF8=1", "SMTPUTF8 SMTPUTF8", "SIZE=1=2", "=", "X=\x01"}) {
    EXPECT_GE(mail(text), 500) << text;
    EXPECT_LE(mail(text), 501) << text;
  }
  for (auto text : {"NOTIFY=NEVER", "ORCPT=rfc822;a@b", "MT-PRIORITY=3", "REQUIRETLS", "BY=120;R", "HOLDFOR=1", "AUTH=<>", "BODY=BINARYMIME",
                    "FOO", "FOO=1"}) {
    EXPECT_EQ(mail(text), 555) << text;
  }
  rules.require_tls = true;
  EXPECT_EQ(mail("REQUIRETLS"), 0);
  EXPECT_EQ(mail("requiretls SIZE=1"), 0);
  for (auto text : {"REQUIRETLS=1", "REQUIRETLS=", "REQUIRETLS REQUIRETLS"}) EXPECT_EQ(mail(text), 501) << text;
  EXPECT_EQ(code("RCPT TO:<a@b> REQUIRETLS", rules), 555);
  EXPECT_EQ(code("MAIL FROM:<a@b> REQUIRETLS", {.extended = false, .require_tls = true}), 555);
}

TEST(Attacks, A4_smtputf8_addresses_need_the_parameter) {
  EXPECT_EQ(code("MAIL FROM:<\xc3\xbc@b>"), 553);
  EXPECT_EQ(code("MAIL FROM:<@\xc3\xbc.x:a@b>"), 553);
  EXPECT_EQ(code("MAIL FROM:<\xc3\xbc@b> SMTPUTF8"), 0);
  EXPECT_EQ(code("MAIL FROM:<\xff@b> SMTPUTF8"), 553);
  EXPECT_EQ(code("RCPT TO:<\xc3\xbc@b>"), 553);
  EXPECT_EQ(code("RCPT TO:<\xc3\xbc@b>", {.smtputf8 = true}), 0);
}

TEST(Attacks, C8_a_line_of_any_length_has_a_verdict) {
  std::string name(100'000, 'a');
  EXPECT_EQ(code("EHLO " + name), 501);
  EXPECT_EQ(code("MAIL FROM:<" + name + "@b>"), 501);
  EXPECT_EQ(code("NOOP " + name), 0);
  EXPECT_EQ(code(name), 500);
}

}  // namespace
}  // namespace ringpost::smtp
