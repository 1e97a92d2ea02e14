#include "ringpost/deliver/report.hh"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <vector>

namespace ringpost::deliver {
namespace {

using namespace std::string_literals;

Returned returned(std::string_view content, bool whole = false, std::size_t bytes_max = 4096) {
  Returned part(whole, content.size(), bytes_max);
  for (std::size_t at = 0; at < content.size(); at += 5)
    if (!part.feed(as_bytes(content.substr(at, 5)))) break;
  return part;
}

ReportDraft draft_of(const std::vector<Reported>& recipients, Returned& part) {
  ReportDraft draft{.hostname = "mx.example.org", .sender = "anna@example.org", .parameters = "RET=HDRS ENVID=QQ+2B314"};
  draft.now = WallTime{std::chrono::seconds{1'800'000'060}};
  draft.arrived = WallTime{std::chrono::seconds{1'799'990'000}};
  draft.id.bytes.fill(std::byte{0x1d});
  draft.boundary.fill(std::byte{0xb0});
  draft.recipients = recipients;
  draft.returned = &part;
  return draft;
}

std::vector<Reported> four_fates() {
  std::vector<Reported> recipients(4);
  recipients[0] = {.action = Action::failed,
                   .address = "bert@example.net",
                   .parameters = "NOTIFY=FAILURE ORCPT=rfc822;Bert+2Bx@example.net",
                   .reason = event::Reason::next_hop_refused,
                   .reply = {550, 5, 1, 1},
                   .text = "No such user here",
                   .host = {*IpAddress::parse("192.0.2.25"), 25},
                   .last_attempt = WallTime{std::chrono::seconds{1'800'000'000}}};
  recipients[1] = {.action = Action::failed, .address = "carl@example.com", .reason = event::Reason::expired, .reply = {451, 4, 3, 0}};
  recipients[2] = {.action = Action::delayed,
                   .address = "dora@example.com",
                   .reason = event::Reason::timed_out,
                   .will_retry_until = WallTime{std::chrono::seconds{1'800'400'000}}};
  recipients[3] = {.action = Action::relayed,
                   .address = "emil@example.net",
                   .reply = {250, 2, 1, 5},
                   .host = {*IpAddress::parse("2001:db8::25"), 25}};
  return recipients;
}

std::string golden(const std::string& name) {
  std::ifstream file{RINGPOST_GOLDEN "/" + name};
  std::stringstream text;
  text << file.rdbuf();
  std::string out;
  for (char c : text.str()) {
    if (c == '\n') out += '\r';
    out += c;
  }
  return out;
}

/// Golden files have LF lines, so that they can be read and compared. RINGPOST_WRITE_GOLDEN writes them anew.
void expect_golden(const std::string& name, const std::string& content) {
  if (std::getenv("RINGPOST_WRITE_GOLDEN")) {
    std::string lines = content;
    std::erase(lines, '\r');
    std::ofstream{RINGPOST_GOLDEN "/" + name} << lines;
  }
  EXPECT_EQ(content, golden(name)) << name;
}

TEST(Report, tells_four_fates_with_the_header) {
  Returned part = returned("Received: from a\r\n\tby b\r\nSubject: hi\r\nFrom: anna@example.org\r\n\r\nbody\r\n");
  const MadeReport made = make_report(draft_of(four_fates(), part));
  EXPECT_FALSE(made.smtputf8 || made.eight_bit);
  expect_golden("four_fates.eml", made.content);
}

TEST(Report, gives_back_the_whole_message_where_that_is_asked_for) {
  Returned part = returned("Subject: gr\xc3\xbc\xc3\x9f\r\n\r\nw\xc3\xb6rter\r\n", true);
  const MadeReport made = make_report(draft_of({four_fates()[0]}, part));
  EXPECT_TRUE(made.eight_bit);
  EXPECT_FALSE(made.smtputf8);
  expect_golden("whole_message.eml", made.content);
}

TEST(Report, speaks_utf8_to_a_sender_who_does) {
  Returned part = returned("Subject: gr\xc3\xbc\xc3\x9f\r\n\r\nbody\r\n");
  std::vector<Reported> recipients = four_fates();
  recipients.resize(1);
  recipients[0].address = "j\xc3\xb6rg@example.net";
  recipients[0].parameters = "ORCPT=utf-8;\xc3\xbc@example.net";
  ReportDraft draft = draft_of(recipients, part);
  draft.sender = "\xc3\xa4nna@example.org";
  const MadeReport made = make_report(draft);
  EXPECT_TRUE(made.smtputf8 && made.eight_bit);
  expect_golden("utf8_sender.eml", made.content);
}

TEST(Report, speaks_ascii_of_utf8_recipients_to_a_sender_who_may_not) {
  Returned part = returned("Subject: gr\xc3\xbc\xc3\x9f\r\n\r\nbody\r\n");
  std::vector<Reported> recipients = four_fates();
  recipients.resize(1);
  recipients[0].address = "j\xc3\xb6rg@example.net";
  const MadeReport made = make_report(draft_of(recipients, part));
  EXPECT_FALSE(made.smtputf8 || made.eight_bit);
  expect_golden("utf8_recipient.eml", made.content);
}

TEST(Attacks, N3_words_of_a_next_hop_start_no_field_and_no_part) {
  Returned part = returned("Subject: x\r\n\r\n");
  std::vector<Reported> recipients = four_fates();
  recipients.resize(1);
  const std::string hostile = "bad\r\nFinal-Recipient: rfc822; evil@example.org\r\n\r\n--=_b0\x1b[31m\n.\r"s + '\0' + "\xff";
  recipients[0].text = hostile;
  const std::string content = make_report(draft_of(recipients, part)).content;
  std::size_t fields = 0;
  for (std::size_t at = 0; (at = content.find("\r\nFinal-Recipient:", at)) != std::string::npos; ++at) ++fields;
  EXPECT_EQ(fields, 1u);
  for (char c : "\x1b\0\xff"s) EXPECT_EQ(content.find(c), std::string::npos);
  EXPECT_EQ(content.find("\r\n.\r\n"), std::string::npos);
}

TEST(Attacks, E33_a_report_has_only_lines_that_smtp_allows) {
  const std::string hostile[] = {"Subject: a\nb\rc\r\n\r\nx"s, "X: " + std::string(5000, 'y') + "\r\n\r\n", "Subject: "s + '\0' + "\r\n\r\n",
                                 std::string(3000, 'z'), "\r\n\r\n", "\n\n\r", ""};
  for (const std::string& content : hostile) {
    for (bool whole : {false, true}) {
      for (std::size_t bytes_max : {64u, 4096u, 100'000u}) {
        Returned part = returned(content, whole, bytes_max);
        const std::string made = make_report(draft_of(four_fates(), part)).content;
        std::size_t line = 0;
        for (std::size_t i = 0; i < made.size(); ++i) {
          ASSERT_NE(made[i], '\0');
          ASSERT_TRUE(made[i] != '\n' || (i > 0 && made[i - 1] == '\r'));
          ASSERT_TRUE(made[i] != '\r' || (i + 1 < made.size() && made[i + 1] == '\n'));
          line = made[i] == '\n' ? 0 : line + 1;
          ASSERT_LE(line, 999u);
        }
        EXPECT_TRUE(made.ends_with("--\r\n"));
      }
    }
  }
}

TEST(Report, gives_back_no_more_than_it_may) {
  const std::string content = "A: 1\r\nB: 22222222\r\nC: 3\r\n\r\nbody\r\n";
  EXPECT_EQ(returned(content).text(), "A: 1\r\nB: 22222222\r\nC: 3\r\n");
  EXPECT_EQ(returned(content, false, 12).text(), "A: 1\r\n") << "a header is cut at the end of a line";
  EXPECT_EQ(returned(content, true, 4096).text(), content);
  Returned large = returned(content, true, 20);
  EXPECT_FALSE(large.whole()) << "what is too large goes back as its header";
  EXPECT_EQ(large.text(), "A: 1\r\nB: 22222222\r\n");
  EXPECT_EQ(returned("\r\nno header\r\n").text(), "");
}

TEST(Attacks, A7_nobody_is_told_who_did_not_ask_and_never_the_null_sender) {
  for (Action action : {Action::failed, Action::delayed, Action::relayed, Action::delivered}) {
    EXPECT_FALSE(is_wanted(action, "", "")) << "the null sender";
    EXPECT_FALSE(is_wanted(action, "", "NOTIFY=SUCCESS,FAILURE,DELAY"));
    EXPECT_FALSE(is_wanted(action, "a@b", "NOTIFY=NEVER"));
    EXPECT_TRUE(is_wanted(action, "a@b", "NOTIFY=SUCCESS,FAILURE,DELAY"));
  }
  EXPECT_TRUE(is_wanted(Action::failed, "a@b", ""));
  EXPECT_TRUE(is_wanted(Action::delayed, "a@b", ""));
  EXPECT_FALSE(is_wanted(Action::relayed, "a@b", ""));
  EXPECT_FALSE(is_wanted(Action::failed, "a@b", "NOTIFY=SUCCESS"));
  EXPECT_FALSE(is_wanted(Action::delayed, "a@b", "NOTIFY=FAILURE"));
}

TEST(Report, says_what_release_was_asked_for) {
  const std::vector<Reported> recipients = four_fates();
  for (const auto& [parameters, field] : {std::pair{"HOLDFOR=3600", "Future-Release-Request: for;3600\r\n"},
                                          {"RET=HDRS HOLDUNTIL=2027-01-15T08:00:00Z", "Future-Release-Request: until;2027-01-15T08:00:00Z\r\n"}}) {
    Returned part = returned("Subject: x\r\n\r\n");
    ReportDraft draft = draft_of(recipients, part);
    draft.parameters = parameters;
    EXPECT_NE(make_report(draft).content.find("\r\n"s + field), std::string::npos) << parameters;
  }
}

TEST(Attacks, A7_who_named_a_time_hears_of_it_but_for_never) {
  const spool::Terms told{.by_s = 60, .when_late = spool::WhenLate::notify}, traced{.by_s = 60, .when_late = spool::WhenLate::give_back, .trace = true};
  for (const char* parameters : {"", "NOTIFY=FAILURE", "NOTIFY=SUCCESS"}) {
    EXPECT_TRUE(is_wanted(Action::delayed, "a@b", parameters, told)) << parameters;
    EXPECT_TRUE(is_wanted(Action::relayed, "a@b", parameters, told)) << parameters;
    EXPECT_TRUE(is_wanted(Action::relayed, "a@b", parameters, traced)) << parameters;
    EXPECT_EQ(is_wanted(Action::delayed, "a@b", parameters, traced), is_wanted(Action::delayed, "a@b", parameters)) << parameters;
    EXPECT_FALSE(is_wanted(Action::relayed, "", parameters, told));
  }
  EXPECT_FALSE(is_wanted(Action::delayed, "a@b", "NOTIFY=NEVER", told));
  EXPECT_FALSE(is_wanted(Action::relayed, "a@b", "NOTIFY=NEVER", traced));
}

TEST(Report, says_by_when_it_was_wanted) {
  const std::vector<Reported> recipients = four_fates();
  Returned part = returned("Subject: x\r\n\r\n");
  ReportDraft draft = draft_of(recipients, part);
  EXPECT_EQ(make_report(draft).content.find("Deliver-By-Date"), std::string::npos);
  draft.deliver_by = WallTime{std::chrono::seconds{1'800'000'000}};
  EXPECT_NE(make_report(draft).content.find("\r\nDeliver-By-Date: Fri, 15 Jan 2027 08:00:00 +0000\r\n"), std::string::npos);
}

TEST(Report, a_status_has_the_class_of_the_reply) {
  const auto status = [](Action action, event::Reason reason, event::ReplyCode reply) {
    return status_of({.action = action, .reason = reason, .reply = reply});
  };
  using enum event::Reason;
  EXPECT_EQ(status(Action::failed, next_hop_refused, {550, 5, 1, 1}), (smtp::EnhancedCode{5, 1, 1}));
  EXPECT_EQ(status(Action::failed, next_hop_refused, {550, 0, 0, 0}), (smtp::EnhancedCode{5, 0, 0}));
  EXPECT_EQ(status(Action::failed, expired, {451, 4, 3, 0}), (smtp::EnhancedCode{4, 4, 7}));
  EXPECT_EQ(status(Action::failed, expired, {}), (smtp::EnhancedCode{4, 4, 7}));
  EXPECT_EQ(status(Action::failed, deliver_by_expired, {}), (smtp::EnhancedCode{5, 4, 7}));
  EXPECT_EQ(status(Action::failed, deliver_by_expired, {451, 4, 3, 0}), (smtp::EnhancedCode{5, 4, 7}));
  EXPECT_EQ(status(Action::failed, incompatible, {554, 5, 4, 7}), (smtp::EnhancedCode{5, 4, 7}));
  EXPECT_EQ(status(Action::failed, null_mx, {}), (smtp::EnhancedCode{5, 1, 10}));
  EXPECT_EQ(status(Action::failed, dns_no_such_domain, {}), (smtp::EnhancedCode{5, 1, 2}));
  EXPECT_EQ(status(Action::delayed, connection_refused, {}), (smtp::EnhancedCode{4, 4, 1}));
  EXPECT_EQ(status(Action::delayed, next_hop_deferred, {450, 4, 2, 0}), (smtp::EnhancedCode{4, 2, 0}));
  EXPECT_EQ(status(Action::relayed, none, {250, 2, 1, 5}), (smtp::EnhancedCode{2, 1, 5}));
  EXPECT_EQ(status(Action::relayed, none, {250, 0, 0, 0}), (smtp::EnhancedCode{2, 0, 0}));
}

}  // namespace
}  // namespace ringpost::deliver
