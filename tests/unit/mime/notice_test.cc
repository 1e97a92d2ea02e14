#include "ringpost/mime/notice.hh"

#include <gtest/gtest.h>

#include <algorithm>

namespace ringpost::mime {
namespace {

std::string report(const std::string& groups, const std::string& words = "It failed.") {
  return "From: MAILER-DAEMON@example.net\r\nSubject: Undelivered\r\nContent-Type: multipart/report; report-type=delivery-status; "
         "boundary=b\r\n\r\n--b\r\n\r\n" + words + "\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n"
         "Reporting-MTA: dns; mx.example.net\r\n\r\n" + groups + "\r\n--b--\r\n";
}
std::string group(const std::string& action, const std::string& status, const std::string& diagnostic = "") {
  return "Final-Recipient: rfc822; bert@example.net\r\nAction: " + action + "\r\nStatus: " + status + "\r\n" +
         (diagnostic.empty() ? "" : "Diagnostic-Code: smtp; " + diagnostic + "\r\n") + "\r\n";
}
Notice of(const std::string& text) { return classify_notice(as_bytes(text)).notice; }

TEST(Notice, status_codes_mean_what_rfc_3463_says) {
  const std::pair<const char*, Notice> cases[] = {
      {"5.1.1", Notice::hard},  {"5.1.2", Notice::hard},  {"5.1.10", Notice::hard}, {"5.2.1", Notice::hard},  {"5.2.2", Notice::soft},
      {"5.3.4", Notice::soft},  {"5.4.4", Notice::hard},  {"5.4.7", Notice::soft},  {"5.7.1", Notice::block}, {"5.7.26", Notice::block},
      {"4.4.7", Notice::soft},  {"4.2.2", Notice::soft},  {"5.0.0", Notice::hard},  {"2.1.5", Notice::other}};
  for (const auto& [status, notice] : cases) EXPECT_EQ(of(report(group("failed", status))), notice) << status;
}

TEST(Notice, the_action_counts_first) {
  EXPECT_EQ(of(report(group("delayed", "4.4.1"))), Notice::delayed);
  EXPECT_EQ(of(report(group("relayed", "2.0.0"))), Notice::other);
  EXPECT_EQ(of(report(group("Failed (bounced message)", "5.1.1"))), Notice::hard);
}

TEST(Notice, the_next_hops_words_say_what_a_general_code_does_not) {
  EXPECT_EQ(of(report(group("failed", "5.0.0", "554 5.7.1 blocked using dnsbl"))), Notice::block);
  EXPECT_EQ(of(report(group("failed", "5.0.0", "552 Mailbox is full"))), Notice::soft);
  EXPECT_EQ(of(report(group("failed", "5.0.0", "550 User unknown"))), Notice::hard);
  EXPECT_EQ(of(report(group("failed", "5.5.0", "550 5.5.0 Requested action not taken: mailbox unavailable"))), Notice::hard);
}

TEST(Notice, the_worst_recipient_speaks_for_all_and_is_named) {
  const NoticeFacts facts = classify_notice(as_bytes(report(
      "Final-Recipient: rfc822; a@b\r\nAction: delayed\r\nStatus: 4.4.1\r\n\r\n" + group("failed", "5.1.1"))));
  EXPECT_EQ(facts.notice, Notice::hard);
  EXPECT_TRUE(facts.machine_readable);
  EXPECT_EQ(facts.recipient, "bert@example.net");
  EXPECT_EQ(facts.status_class, 5);
  EXPECT_EQ(facts.status_subject, 1);
  EXPECT_EQ(facts.status_detail, 1);
}

TEST(Notice, line_ends_encodings_and_missing_blank_lines_do_not_matter) {
  std::string text = report(group("failed", "5.1.1"));
  std::erase(text, '\r');
  EXPECT_EQ(of(text), Notice::hard);
  std::ranges::replace(text, '\n', '\r');
  EXPECT_EQ(of(text), Notice::hard);
  EXPECT_EQ(of("Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\nContent-Type: message/global-delivery-status\r\n"
               "Content-Transfer-Encoding: base64\r\n\r\nQWN0aW9uOiBmYWlsZWQKU3RhdHVzOiA1LjEuMQo=\r\n--b--\r\n"),
            Notice::hard);
}

TEST(Notice, abuse_reports_are_feedback) {
  EXPECT_EQ(of("Content-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n--b\r\n"
               "Content-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nUser-Agent: x/1\r\nVersion: 1\r\n--b--\r\n"),
            Notice::feedback);
}

TEST(Notice, reports_for_people_are_read_as_far_as_they_go) {
  const std::string head = "From: MAILER-DAEMON@example.net\r\nSubject: failure notice\r\n\r\n";
  EXPECT_EQ(of(head + "<bert@example.net>:\r\n550 5.1.1 User unknown\r\n"), Notice::hard);
  EXPECT_EQ(of(head + "<bert@example.net>: mailbox is full\r\n"), Notice::soft);
  EXPECT_EQ(of(head + "554 rejected as spam\r\n"), Notice::block);
  EXPECT_EQ(of("From: postmaster@example.net\r\nSubject: Warning: could not send message for past 4 hours\r\n\r\nIt will be retried.\r\n"),
            Notice::delayed);
}

TEST(Notice, ordinary_mail_is_none) {
  EXPECT_EQ(of("From: anna@example.org\r\nSubject: lunch\r\n\r\nAt 550 Main Street? The user unknown to me pays.\r\n"), Notice::none);
  EXPECT_EQ(of(""), Notice::none);
  EXPECT_EQ(of("From: anna@example.org\r\nAuto-Submitted: auto-replied\r\nSubject: away\r\n\r\nI am away.\r\n"), Notice::other);
}

}  // namespace
}  // namespace ringpost::mime
