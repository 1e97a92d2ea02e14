// What reports are made of: counted, over restarts, and within bounds.
#include <gtest/gtest.h>

#include "ringpost/base/prng.hh"
#include "ringpost/transport/tls_counts.hh"

namespace ringpost::transport {
namespace {

using std::chrono::days;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using std::chrono::sys_days;

constexpr sys_days kDay{days{20'700}};
constexpr TlsCounts::Time kNoon = kDay + hours{12};

std::chrono::seconds ten_minutes(const std::string&) { return minutes{10}; }

TlsSession session(std::string domain, std::optional<ResultType> failure = {}) {
  TlsSession made{.domain = domain, .policy = {.type = PolicyType::sts, .strings = {"version: STSv1"}, .domain = domain, .mx_hosts = {"*.example"}}};
  if (failure) made.failure = FailureDetail{.type = *failure, .receiving_mx_hostname = "mx.example", .receiving_ip = IpAddress::from_ipv4(0xc0000201)};
  return made;
}

TEST(TlsCounts, sessions_are_summed_up_by_domain_policy_and_failure) {
  TlsCounts counts;
  counts.add(session("a.example"), kNoon);
  counts.add(session("a.example"), kNoon + hours{11});
  counts.add(session("a.example", ResultType::certificate_expired), kNoon);
  counts.add(session("a.example", ResultType::certificate_expired), kNoon);
  counts.add(session("a.example", ResultType::starttls_not_supported), kNoon);
  TlsSession other = session("a.example");
  other.policy.strings = {"version: STSv1", "mode: testing"};
  counts.add(other, kNoon);
  counts.add(session("a.example"), kNoon + hours{12});  // another day
  counts.add(session("b.example"), kNoon);
  EXPECT_EQ(counts.size(), 3u);
  EXPECT_TRUE(counts.due(kDay + days{1} - seconds{1}, 10, ten_minutes).empty()) << "the day is not over";
  EXPECT_TRUE(counts.due(kDay + days{1} + minutes{10} - seconds{1}, 10, ten_minutes).empty());
  const std::vector<DomainDay> due = counts.due(kDay + days{1} + minutes{10}, 10, ten_minutes);
  ASSERT_EQ(due.size(), 2u);
  EXPECT_EQ(due[0].domain, "a.example");
  EXPECT_EQ(due[0].day, kDay);
  ASSERT_EQ(due[0].policies.size(), 2u);
  const PolicyReport& first = due[0].policies[0];
  EXPECT_EQ(first.successful_sessions, 2u);
  EXPECT_EQ(first.failed_sessions, 3u);
  ASSERT_EQ(first.failures.size(), 2u);
  EXPECT_EQ(first.failures[0].sessions, 2u);
  EXPECT_EQ(first.failures[1].sessions, 1u);
  EXPECT_EQ(due[0].policies[1].successful_sessions, 1u);
  EXPECT_EQ(counts.due(kDay + days{1} + minutes{10}, 1, ten_minutes).size(), 1u) << "the limit";
}

TEST(TlsCounts, a_report_that_went_is_forgotten_and_one_that_did_not_is_due_again) {
  TlsCounts counts;
  counts.add(session("a.example"), kNoon);
  const TlsCounts::Time later = kDay + days{1} + hours{1};
  std::vector<DomainDay> due = counts.due(later, 10, ten_minutes);
  ASSERT_EQ(due.size(), 1u);
  due[0].reported_to = {"https://one.example/"};
  counts.tried(due[0], later + hours{1});
  EXPECT_TRUE(counts.due(later + minutes{59}, 10, ten_minutes).empty());
  due = counts.due(later + hours{1}, 10, ten_minutes);
  ASSERT_EQ(due.size(), 1u);
  EXPECT_EQ(due[0].attempts, 1u);
  EXPECT_EQ(due[0].reported_to, std::vector<std::string>{"https://one.example/"});
  counts.tried(due[0], std::nullopt);
  EXPECT_EQ(counts.size(), 0u);
}

TEST(TlsCounts, come_back_as_they_were_and_every_byte_string_has_a_verdict) {
  TlsCounts counts;
  for (ResultType type : {ResultType::certificate_expired, ResultType::sts_webpki_invalid}) counts.add(session("a.example", type), kNoon);
  TlsSession full = session("b.example", ResultType::validation_failure);
  full.failure->sending_mta_ip = *IpAddress::parse("2001:db8::1");
  full.failure->receiving_mx_helo = "mx";
  full.failure->additional_information = "https://example.org/";
  full.failure->reason_code = "why";
  counts.add(full, kNoon);
  std::vector<DomainDay> due = counts.due(kDay + days{2}, 10, ten_minutes);
  ASSERT_EQ(due.size(), 2u);
  due[1].reported_to = {"https://one.example/"};
  counts.tried(due[1], kDay + days{2});
  const std::vector<std::byte> bytes = counts.encode();
  TlsCounts next;
  EXPECT_TRUE(next.decode(bytes));
  EXPECT_EQ(next.encode(), bytes);
  EXPECT_EQ(next.revision(), 0u);
  EXPECT_EQ(next.due(kDay + days{2}, 10, ten_minutes).size(), 2u);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    TlsCounts cut;
    EXPECT_FALSE(cut.decode(Bytes{bytes}.first(size))) << size;
  }
  Prng random{4};
  for (int i = 0; i < 5000; ++i) {
    std::vector<std::byte> changed = bytes;
    changed[random.below(changed.size())] = static_cast<std::byte>(random.below(256));
    TlsCounts odd;
    (void)odd.decode(changed);
    EXPECT_LE(odd.size(), 2u);
  }
}

TEST(TlsCounts, are_bounded) {
  TlsCounts counts;
  for (std::size_t i = 0; i < 3 * TlsCounts::kPoliciesMax; ++i) {
    TlsSession made = session("a.example");
    made.policy.strings = {std::to_string(i)};
    counts.add(made, kNoon);
  }
  for (std::size_t i = 0; i < 3 * TlsCounts::kDetailsMax; ++i) {
    TlsSession made = session("b.example", ResultType::validation_failure);
    made.failure->reason_code = std::to_string(i);
    counts.add(made, kNoon);
  }
  const std::vector<DomainDay> due = counts.due(kDay + days{2}, 10, ten_minutes);
  ASSERT_EQ(due.size(), 2u);
  EXPECT_EQ(due[0].policies.size(), TlsCounts::kPoliciesMax);
  EXPECT_EQ(due[1].policies[0].failures.size(), TlsCounts::kDetailsMax);
  EXPECT_EQ(due[1].policies[0].failed_sessions, 3 * TlsCounts::kDetailsMax) << "the sum has all of them";
}

TEST(TlsReport, has_the_same_id_each_time_it_is_made) {
  const DomainDay day{.day = kDay, .domain = "a.example"};
  EXPECT_EQ(report_of(day, "Us", "tls@us.example", "mx.us.example").id, "2026-09-04.a.example@mx.us.example");
}

TEST(Gzip, makes_what_rfc_1952_says) {
  const std::vector<std::byte> zipped = gzip(std::string(100'000, 'a'));
  EXPECT_LT(zipped.size(), 1000u);
  EXPECT_EQ(as_text(Bytes{zipped}.first(3)), "\x1f\x8b\x08");
  EXPECT_EQ(load_le<std::uint32_t>(zipped.data() + zipped.size() - 4), 100'000u);
  EXPECT_GT(gzip("").size(), 10u);
}

}  // namespace
}  // namespace ringpost::transport
