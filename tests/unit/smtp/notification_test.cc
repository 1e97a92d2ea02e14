#include "ringpost/smtp/notification.hh"

#include "ringpost/smtp/command.hh"
#include "support.hh"

namespace ringpost::smtp {
namespace {

using namespace testing;

int code(std::string_view line, const CommandRules& rules = {}) { return parse_command(as_bytes(line), rules).refusal.code; }

TEST(Notification, notify_takes_never_alone_or_each_word_once) {
  EXPECT_TRUE(parse_notify("NEVER")->never());
  EXPECT_EQ(parse_notify("delay"), (Notify{.delay = true}));
  EXPECT_EQ(parse_notify("SUCCESS,DELAY,FAILURE"), (Notify{true, true, true}));
  for (auto text : {"", ",", "NEVER,SUCCESS", "SUCCESS,NEVER", "SUCCESS,", ",SUCCESS", "SUCCESS,SUCCESS", "SUCCESS FAILURE", "ALWAYS",
                    "NEVER,NEVER", "SUCCESS,,DELAY"})
    EXPECT_FALSE(parse_notify(text)) << text;
}

TEST(Notification, ret_is_full_or_hdrs) {
  EXPECT_EQ(parse_return("full"), Return::full);
  EXPECT_EQ(parse_return("HDRS"), Return::headers);
  for (auto text : {"", "HEADERS", "FULL,HDRS", "HDR"}) EXPECT_FALSE(parse_return(text)) << text;
}

TEST(Notification, xtext_means_printable_ascii_or_nothing) {
  EXPECT_EQ(decode_xtext("a+2Bb+3Dc+20d"), "a+b=c d");
  EXPECT_EQ(decode_xtext(""), "");
  for (auto text : {"+", "+2", "+2b", "+G0", "a b", "a=b", "+0D", "+0A", "+00", "+7F", "+80", "\xc3\xbc", "\x7f", "a\n"})
    EXPECT_FALSE(decode_xtext(text)) << text;
}

TEST(Attacks, C14_xtext_of_every_octet_never_yields_a_control) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  for (int octet = 0; octet < 256; ++octet) {
    const std::string text = std::string{"a+"} + kDigits[octet / 16] + kDigits[octet % 16];
    const bool printable = octet >= 0x20 && octet < 0x7f;
    EXPECT_EQ(is_envelope_id(text), printable) << octet;
    EXPECT_EQ(is_original_recipient("rfc822;" + text), printable) << octet;
    EXPECT_EQ(code("MAIL FROM:<a@b> ENVID=" + text), printable ? 0 : 501) << octet;
  }
}

TEST(Attacks, C14_the_lengths_of_rfc_3461_are_exact) {
  const std::string a100(100, 'a');
  EXPECT_EQ(code("MAIL FROM:<a@b> ENVID=" + a100), 0);
  EXPECT_EQ(code("MAIL FROM:<a@b> ENVID=" + a100 + "a"), 501);
  const std::string original = "rfc822;" + std::string(493, 'a');
  EXPECT_EQ(code("RCPT TO:<a@b> ORCPT=" + original), 0);
  EXPECT_EQ(code("RCPT TO:<a@b> ORCPT=" + original + "a"), 501);
}

TEST(Attacks, C14_malformed_doubled_and_misplaced) {
  for (auto text : {"RET=", "RET", "RET=BOTH", "RET=FULL RET=FULL", "RET=FULL RET=HDRS", "ENVID=", "ENVID", "ENVID=a ENVID=a",
                    "ENVID=a=b", "ENVID=+zz"})
    EXPECT_EQ(code("MAIL FROM:<a@b> " + std::string(text)), 501) << text;
  for (auto text : {"NOTIFY=", "NOTIFY", "NOTIFY=NEVER,DELAY", "NOTIFY=NEVER NOTIFY=NEVER", "ORCPT=", "ORCPT=a@b", "ORCPT=;a@b",
                    "ORCPT=rfc822;", "ORCPT=rfc 822;a", "ORCPT=rfc822;a ORCPT=rfc822;a", "ORCPT=rfc(822);a", "ORCPT=rfc822;a+0Ab",
                    "ORCPT=utf-8;\xc3\xbc@b", "ORCPT=utf-8;\\x{41}", "ORCPT=utf-8;\\x{D800}", "ORCPT=utf-8;\\x{110000}",
                    "ORCPT=utf-8;\\x{85}"})
    EXPECT_EQ(code("RCPT TO:<a@b> " + std::string(text)), 501) << text;
  for (auto text : {"NOTIFY=DELAY", "ORCPT=rfc822;a@b"}) EXPECT_EQ(code("MAIL FROM:<a@b> " + std::string(text)), 555) << text;
  for (auto text : {"RET=FULL", "ENVID=a"}) EXPECT_EQ(code("RCPT TO:<a@b> " + std::string(text)), 555) << text;
}

TEST(Notification, an_original_recipient_in_utf8_needs_the_transaction_to_be_in_utf8) {
  EXPECT_EQ(code("RCPT TO:<a@b> ORCPT=utf-8;\xc3\xbc@b", {.smtputf8 = true}), 0);
  EXPECT_EQ(code("RCPT TO:<a@b> ORCPT=utf-8;\\x{FC}@b"), 0);
  EXPECT_EQ(code("RCPT TO:<a@b> ORCPT=utf-8;a\\x{5C}b@\\x{1F600}"), 0);
  EXPECT_EQ(code("RCPT TO:<a@b> ORCPT=utf-8;\xff@b", {.smtputf8 = true}), 501);
  EXPECT_EQ(code("RCPT TO:<a@b> ORCPT=rfc822;\xc3\xbc@b", {.smtputf8 = true}), 501);
}

TEST(Notification, what_is_kept_is_what_came_and_reads_back) {
  std::string kept;
  append_parameters(parse_command(as_bytes("MAIL FROM:<a@b> ENVID=Q+2B1 RET=hdrs")).mail.notification, kept);
  EXPECT_EQ(kept, "RET=HDRS ENVID=Q+2B1");
  EXPECT_EQ(read_mail_parameters(kept).ret, Return::headers);
  EXPECT_EQ(read_mail_parameters(kept).envelope_id, "Q+2B1");
  kept.clear();
  append_parameters(parse_command(as_bytes("RCPT TO:<a@b> ORCPT=rfc822;A+40b NOTIFY=DELAY,SUCCESS")).rcpt.notification, kept);
  EXPECT_EQ(kept, "NOTIFY=SUCCESS,DELAY ORCPT=rfc822;A+40b");
  EXPECT_EQ(read_recipient_parameters(kept).notify, (Notify{.success = true, .delay = true}));
  EXPECT_EQ(read_recipient_parameters(kept).original, "rfc822;A+40b");
  kept.clear();
  append_parameters(RecipientNotification{.notify = Notify{}}, kept);
  EXPECT_EQ(kept, "NOTIFY=NEVER");
  kept.clear();
  append_parameters(MailNotification{}, kept);
  EXPECT_EQ(kept, "");
  EXPECT_FALSE(read_recipient_parameters("junk =x NOTIFY=? ORCPT=").notify);
}

TEST(Notification, utf8_becomes_ascii_for_a_next_hop_without_it) {
  EXPECT_EQ(ascii_parameters("NOTIFY=NEVER ORCPT=utf-8;\xc3\xbc\xf0\x9f\x98\x80@b"), "NOTIFY=NEVER ORCPT=utf-8;\\x{FC}\\x{1F600}@b");
  EXPECT_TRUE(is_original_recipient("utf-8;\\x{FC}\\x{1F600}@b"));
  std::string longest = "ORCPT=utf-8;";
  for (int i = 0; i < 240; ++i) longest += "\xc3\xbc";
  EXPECT_EQ(ascii_parameters(longest), "");
}

TEST(Notification, what_is_relayed_of_mail_stands_in_front) {
  EXPECT_EQ(notification_part(""), "");
  EXPECT_EQ(notification_part("RET=HDRS ENVID=a"), "RET=HDRS ENVID=a");
  EXPECT_EQ(notification_part("RET=HDRS HOLDFOR=1"), "RET=HDRS");
  EXPECT_EQ(notification_part("HOLDFOR=1"), "");
}

}  // namespace
}  // namespace ringpost::smtp
