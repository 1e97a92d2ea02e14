// Failed logins and budgets.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "ringpost/policy/budgets.hh"
#include "ringpost/policy/logins.hh"

namespace ringpost::policy {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

const IpAddress kHere = *IpAddress::parse("192.0.2.1"), kNeighbour = *IpAddress::parse("192.0.2.200"),
                kElsewhere = *IpAddress::parse("198.51.100.1");
const Network kProxies = *Network::parse("203.0.113.0/24");
const IpAddress kProxy = *IpAddress::parse("203.0.113.5");

LoginLimits limits(std::span<const Network> never_ban = {}) {
  return {.failures_max = 3, .window = minutes{10}, .ban = minutes{15}, .delay = std::chrono::milliseconds{250}, .never_ban = never_ban};
}
Instant at(Duration since) { return Instant{} + std::chrono::hours{1} + since; }

TEST(LoginGuard, bans_a_network_and_a_login_and_forgets_both) {
  LoginGuard guard;
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(guard.may_try(kHere, "anna", at(seconds{i})));
    (void)guard.failed(kHere, "Anna", limits(), at(seconds{i}));
  }
  EXPECT_FALSE(guard.may_try(kHere, {}, at(seconds{3})));
  EXPECT_FALSE(guard.may_try(kNeighbour, "bob", at(seconds{3}))) << "the same /24";
  EXPECT_TRUE(guard.may_try(kElsewhere, "bob", at(seconds{3})));
  EXPECT_FALSE(guard.may_try(kElsewhere, "ANNA", at(seconds{3})));
  std::vector<LoginBan> bans = guard.bans(at(seconds{3}));
  std::ranges::sort(bans, {}, &LoginBan::who);
  ASSERT_EQ(bans.size(), 2u);
  EXPECT_EQ(bans[0].who, "192.0.2.0/24");
  EXPECT_TRUE(bans[0].is_network);
  EXPECT_EQ(bans[1].who, "anna");
  EXPECT_EQ(bans[1].until, at(seconds{2} + minutes{15}));
  EXPECT_TRUE(guard.may_try(kHere, "anna", at(seconds{2} + minutes{15})));
  EXPECT_TRUE(guard.bans(at(seconds{2} + minutes{15})).empty());
}

TEST(LoginGuard, nobody_locks_somebody_out_of_their_own_place) {
  LoginGuard guard;
  guard.succeeded(kHere, "anna");
  for (int i = 0; i < 3; ++i) (void)guard.failed(kElsewhere, "anna", limits(), at({}));
  EXPECT_TRUE(guard.may_try(kNeighbour, "anna", at({})));
  EXPECT_FALSE(guard.may_try(kProxy, "anna", at({})));
}

TEST(LoginGuard, strangers_are_put_off_while_many_are_wrong) {
  LoginGuard guard;
  LoginLimits slow = limits();
  slow.rate = {.messages = 120, .per = minutes{1}};
  guard.succeeded(kHere, "anna");
  const auto strangers = [&](Instant now) {
    int checked = 0;
    for (int i = 0; i < 50; ++i) checked += guard.may_check(kElsewhere, "login" + std::to_string(i), slow, now);
    return checked;
  };
  EXPECT_EQ(strangers(at({})), 2);
  EXPECT_TRUE(guard.may_check(kNeighbour, "Anna", slow, at({}))) << "used rightly from there";
  EXPECT_FALSE(guard.may_check(kElsewhere, "anna", slow, at({})));
  EXPECT_EQ(strangers(at(seconds{1})), 2);
  EXPECT_EQ(strangers(at(minutes{1})), 2) << "a quiet minute is no stock";
  for (int i = 0; i < 10; ++i) {
    const std::string login = "fresh" + std::to_string(i);
    EXPECT_EQ(guard.may_check(kElsewhere, login, slow, at(minutes{2})), true) << "who succeeds costs nothing";
    guard.succeeded(kElsewhere, login);
  }
  slow.rate = {};
  EXPECT_EQ(strangers(at(minutes{2})), 50);
}

TEST(LoginGuard, never_bans_what_is_listed_but_the_login_counts) {
  LoginGuard guard;
  for (int i = 0; i < 3; ++i) (void)guard.failed(kProxy, "anna", limits({&kProxies, 1}), at({}));
  EXPECT_TRUE(guard.may_try(kProxy, "bob", at({})));
  EXPECT_FALSE(guard.may_try(kProxy, "anna", at({})));
}

TEST(LoginGuard, what_is_long_ago_does_not_count) {
  LoginGuard guard;
  for (int i = 0; i < 10; ++i) (void)guard.failed(kHere, "anna", limits(), at(minutes{6 * i}));
  EXPECT_TRUE(guard.may_try(kHere, "anna", at(minutes{60})));
}

TEST(LoginGuard, waits_longer_with_each_failure_up_to_a_bound) {
  LoginGuard guard;
  LoginLimits patient = limits();
  patient.failures_max = 100;
  Duration last{};
  for (int i = 0; i < 20; ++i) {
    const Duration wait = guard.failed(kHere, "anna", patient, at({}));
    EXPECT_GE(wait, last);
    EXPECT_LE(wait, seconds{4});
    last = wait;
  }
  EXPECT_GE(last, seconds{2});
  guard.succeeded(kHere, "anna");
  EXPECT_LT(guard.failed(kHere, "anna", patient, at({})), seconds{1});
}

TEST(LoginGuard, has_its_bound) {
  LoginGuard guard;
  for (std::size_t i = 0; i < LoginGuard::kEntriesMax + 100; ++i)
    for (int n = 0; n < 3; ++n) (void)guard.failed(kHere, "user" + std::to_string(i), limits(), at({}));
  EXPECT_LE(guard.bans(at({})).size(), LoginGuard::kEntriesMax + 1);
  EXPECT_TRUE(guard.may_try(kElsewhere, "user0", at({}))) << "forgotten";
}

TEST(RecipientBudgets, count_by_hour_and_day_and_login) {
  RecipientBudgets budgets;
  const RecipientBudget budget{.per_hour = 2, .per_day = 3};
  using enum BudgetVerdict;
  const auto take = [&](Duration since) { return budgets.take("anna", budget, at(since)); };
  EXPECT_EQ(take({}), within);
  EXPECT_EQ(take({}), within);
  EXPECT_EQ(take({}), over);
  EXPECT_EQ(take({}), over);
  EXPECT_EQ(take({}), far_over);
  EXPECT_EQ(budgets.take("bob", budget, at({})), within);
  EXPECT_EQ(take(minutes{60}), over) << "the day is not over";
  EXPECT_EQ(take(minutes{60}), over);
  EXPECT_EQ(take(minutes{60}), far_over);
  EXPECT_EQ(take(std::chrono::hours{24}), within);
  EXPECT_EQ(budgets.take("carl", {}, at({})), within) << "no limit";
}

}  // namespace
}  // namespace ringpost::policy
