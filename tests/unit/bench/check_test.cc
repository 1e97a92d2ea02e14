#include "bench/check.hh"

#include <gtest/gtest.h>

namespace ringpost::bench {
namespace {

std::string line(std::string_view token, std::uint64_t size = 100, std::uint64_t hash = 7, std::uint32_t recipients = 1) {
  std::string text;
  append_line(text, {token, size, {hash, hash}, recipients, WallTime{}}, "received", 1);
  return text;
}

CheckReport check(const std::string& sent, const std::string& received) {
  Checker checker;
  checker.add_sent(sent);
  checker.add_received(received);
  return checker.report();
}

TEST(Check, everything_arrived_in_another_order) {
  CheckReport report = check(line("a") + line("b"), line("b") + line("a"));
  EXPECT_TRUE(report.good());
  EXPECT_TRUE(report.readable());
  EXPECT_EQ(report.sent, 2u);
  EXPECT_EQ(report.received, 2u);
  EXPECT_EQ(report.duplicates + report.extra + report.untagged + report.torn, 0u);
}

TEST(Check, a_missing_message_is_lost) {
  CheckReport report = check(line("a") + line("b"), line("a"));
  EXPECT_FALSE(report.good());
  EXPECT_EQ(report.lost, 1u);
  EXPECT_EQ(report.examples, std::vector<std::string>{"lost b"});
}

TEST(Check, another_hash_or_size_is_changed_even_beside_a_good_copy) {
  EXPECT_EQ(check(line("a"), line("a", 100, 8)).changed, 1u);
  EXPECT_EQ(check(line("a"), line("a", 101, 7)).changed, 1u);
  CheckReport both = check(line("a"), line("a", 100, 8) + line("a"));
  EXPECT_EQ(both.changed, 1u);
  EXPECT_EQ(both.lost, 0u);
  EXPECT_FALSE(both.good());
}

TEST(Check, duplicates_are_counted_and_allowed) {
  CheckReport report = check(line("a"), line("a") + line("a") + line("a"));
  EXPECT_TRUE(report.good());
  EXPECT_EQ(report.duplicates, 2u);
}

TEST(Check, a_message_split_by_recipients_is_whole_and_no_duplicate) {
  CheckReport report = check(line("a", 100, 7, 5), line("a", 100, 7, 2) + line("a", 100, 7, 3));
  EXPECT_TRUE(report.good());
  EXPECT_EQ(report.duplicates, 0u);
}

TEST(Check, a_recipient_without_mail_is_a_failure) {
  CheckReport report = check(line("a", 100, 7, 5), line("a", 100, 7, 4));
  EXPECT_FALSE(report.good());
  EXPECT_EQ(report.partial, 1u);
  EXPECT_EQ(report.lost, 0u);
}

TEST(Check, what_got_no_250_may_arrive_all_the_same) {
  CheckReport report = check(line("a"), line("a") + line("unacknowledged") + line("-"));
  EXPECT_TRUE(report.good());
  EXPECT_EQ(report.extra, 1u);
  EXPECT_EQ(report.untagged, 1u);
}

TEST(Check, a_torn_last_line_acknowledges_nothing) {
  std::string torn = line("b");
  torn.pop_back();
  CheckReport sent = check(line("a") + torn, line("a"));
  EXPECT_TRUE(sent.good());
  EXPECT_TRUE(sent.readable());
  EXPECT_EQ(sent.torn, 1u);
  CheckReport received = check(line("a") + line("b"), line("a") + torn);
  EXPECT_EQ(received.lost, 1u);
}

TEST(Check, a_file_that_is_no_ledger_does_not_pass) {
  EXPECT_FALSE(check("From: somebody\n", "").readable());
  EXPECT_FALSE(check(line("a") + line("a"), line("a")).readable());
}

}  // namespace
}  // namespace ringpost::bench
