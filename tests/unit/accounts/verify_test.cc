#include "ringpost/accounts/verify.hh"

#include <gtest/gtest.h>
#include <time.h>

#include <algorithm>
#include <limits>

#include "support.hh"

namespace ringpost::accounts {
namespace {

constexpr std::string_view kPassword = "correct horse";

struct World {
  Accounts accounts;
  Key256 decoy_key = key_of(9);
  Visit visit{.scope = "submission", .client = *IpAddress::parse("192.0.2.7"), .now = second(1'000'000)};

  World() {
    for (const char* login : {"alice@example.org", "bob", "carol", "dave"}) EXPECT_TRUE(accounts.add(login));
    EXPECT_TRUE(accounts.set_password("alice@example.org", cheap_hash(kPassword), scram_of(kPassword)));
    EXPECT_TRUE(accounts.set_password("bob", cheap_hash("battery staple", 3), std::nullopt));
    EXPECT_TRUE(accounts.set_password("dave", cheap_hash(kPassword), scram_of(kPassword, 5000)));
    EXPECT_TRUE(accounts.set_disabled("dave", true));
  }
  std::string told(std::string_view login, std::string_view password) {
    const Result<Verdict> verdict = verify(accounts, login, password, visit, decoy_key);
    std::string text{name_of(verdict->outcome)};
    if (!verdict->login.empty()) text += ' ' + verdict->login;
    if (!verdict->app_password.empty()) text += " app " + verdict->app_password;
    for (const std::string& sender : verdict->send_as) text += " <" + sender + '>';
    return text;
  }
};

TEST(Verify, every_outcome_has_its_name) {
  World world;
  EXPECT_EQ(world.told("Alice@example.org", kPassword), "ok alice@example.org <alice@example.org>");
  EXPECT_EQ(world.told("bob", "battery staple"), "ok bob");
  EXPECT_EQ(world.told("bob", kPassword), "wrong");
  EXPECT_EQ(world.told("carol", kPassword), "unknown");  // has no password
  EXPECT_EQ(world.told("eve", kPassword), "unknown");
  EXPECT_EQ(world.told("", ""), "unknown");
  EXPECT_EQ(world.told("dave", kPassword), "disabled");
  EXPECT_EQ(world.told("dave", "battery staple"), "wrong");  // nobody hears that it is disabled
}

TEST(Verify, no_unknown_login_gets_in_with_the_password_of_its_decoy) {
  World world;
  for (int i = 0; i < 64; ++i)
    for (std::string_view password : {kPassword, std::string_view{"battery staple"}})
      EXPECT_EQ(world.told("eve" + std::to_string(i), password), "unknown");
  const Accounts none;
  EXPECT_EQ(verify(none, "eve", kPassword, world.visit, world.decoy_key)->outcome, Outcome::unknown);
}

TEST(Verify, app_passwords_are_good_where_they_should_be) {
  World world;
  const std::string text = app_text("laptop"), other = app_text("laptop", 8), phone = app_text("phone");
  EXPECT_TRUE(
      world.accounts.add_app_password("carol", {.name = "laptop",
                                                .scope = "submission",
                                                .expires = second(1'000'001),
                                                .networks = {*Network::parse("192.0.2.0/24"), *Network::parse("2001:db8::/32")},
                                                .hash = cheap_hash(text)}));
  EXPECT_EQ(world.told("carol", text), "ok carol app laptop");
  EXPECT_EQ(world.told("carol", other), "wrong");
  EXPECT_EQ(world.told("carol", phone), "unknown");
  EXPECT_EQ(world.told("bob", text), "wrong");
  world.visit.now = second(1'000'001);
  EXPECT_EQ(world.told("carol", text), "expired app laptop");
  world.visit.now = second(1'000'000);
  world.visit.client = *IpAddress::parse("198.51.100.1");
  EXPECT_EQ(world.told("carol", text), "network app laptop");
  world.visit.client = *IpAddress::parse("2001:db8::5");
  EXPECT_EQ(world.told("carol", text), "ok carol app laptop");
  world.visit.scope = "imap";
  EXPECT_EQ(world.told("carol", text), "scope app laptop");
  EXPECT_TRUE(world.accounts.set_disabled("carol", true));
  EXPECT_EQ(world.told("carol", text), "disabled app laptop");
}

TEST(Verify, an_own_password_in_the_form_of_an_app_password_still_opens) {
  World world;  // may_be_chosen refuses it, but a file may come from elsewhere
  const std::string text = app_text("laptop");
  EXPECT_TRUE(world.accounts.set_password("carol", cheap_hash(text), std::nullopt));
  EXPECT_EQ(world.told("carol", text), "ok carol");
}

TEST(Verify, other_proofs_are_admitted_by_name) {
  World world;
  EXPECT_EQ(admit(world.accounts, "ALICE@example.org").outcome, Outcome::ok);
  EXPECT_EQ(admit(world.accounts, "ALICE@example.org").login, "alice@example.org");
  EXPECT_EQ(admit(world.accounts, "ALICE@example.org").send_as, std::vector<std::string>{"alice@example.org"});
  EXPECT_EQ(admit(world.accounts, "carol").outcome, Outcome::ok);
  EXPECT_EQ(admit(world.accounts, "dave").outcome, Outcome::disabled);
  EXPECT_EQ(admit(world.accounts, "dave").login, "");
  EXPECT_EQ(admit(world.accounts, "eve").outcome, Outcome::unknown);
}

/// Processor time of one log-in that fails, in nanoseconds.
double cost_of(const Accounts& accounts, const World& world, std::string_view login, std::string_view password) {
  timespec before, after;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
  EXPECT_NE(verify(accounts, login, password, world.visit, world.decoy_key)->outcome, Outcome::ok);
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
  return static_cast<double>(after.tv_sec - before.tv_sec) * 1e9 + static_cast<double>(after.tv_nsec - before.tv_nsec);
}

TEST(Verify, an_unknown_login_costs_what_a_wrong_password_costs) {  // attack C5: to 5 %
  World world;
  const Cost cost{.memory_kib = 1024, .passes = 1};  // and not the default: it must be the file's
  Accounts accounts;
  for (const char* login : {"alice", "bob", "carol"}) {
    EXPECT_TRUE(accounts.add(login));
    EXPECT_TRUE(accounts.set_password(login, std::move(*hash_password("secret-secret", salt_of(4), cost)), std::nullopt));
  }
  for (int i = 0; i < 20; ++i)
    EXPECT_TRUE(accounts.add_app_password(
        "bob", {.name = "a" + std::to_string(i), .hash = std::move(*hash_password("x", salt_of(i), cost))}));
  EXPECT_TRUE(accounts.add("machine"));
  EXPECT_TRUE(accounts.set_disabled("carol", true));
  const std::string app = app_text("a7");
  struct {
    std::string_view login, password;
    double least = std::numeric_limits<double>::max();
  } tries[] = {{"alice", "wrong-password"},   {"eve", "wrong-password"},  {"bob", "wrong-password"}, {"bob", app}, {"eve", app},
               {"machine", "wrong-password"}, {"carol", "secret-secret"}, {"alice", "not\nprepared"}};
  // What others do on the machine only ever adds, so the least of many is the cost; more rounds where it was busy.
  const auto spread = [&] {
    const auto [low, high] = std::ranges::minmax(tries, {}, [](const auto& one) { return one.least; });
    return high.least / low.least;
  };
  for (int round = 0; round < 4000 && (round < 20 || spread() > 1.05); ++round)
    for (auto& one : tries) one.least = std::min(one.least, cost_of(accounts, world, one.login, one.password));
  for (const auto& one : tries) EXPECT_LE(spread(), 1.05) << one.login << ' ' << one.least << " ns";
}

TEST(ScramKeysOfAccounts, known_logins_get_their_own_and_unknown_ones_the_same_each_time) {
  World world;
  const ScramAnswer alice = scram_keys(world.accounts, "ALICE@example.org", world.decoy_key);
  EXPECT_TRUE(alice.real);
  EXPECT_EQ(alice.login, "alice@example.org");
  EXPECT_EQ(sasl::format_scram_keys(alice.keys), sasl::format_scram_keys(scram_of(kPassword)));
  const auto text = [&](std::string_view login, const Key256& key) {
    const ScramAnswer answer = scram_keys(world.accounts, login, key);
    EXPECT_FALSE(answer.real);
    EXPECT_EQ(answer.login, login);
    EXPECT_TRUE(sasl::parse_scram_keys(sasl::format_scram_keys(answer.keys)));
    return sasl::format_scram_keys(answer.keys);
  };
  EXPECT_EQ(text("eve", world.decoy_key), text("eve", world.decoy_key));
  EXPECT_NE(text("eve", world.decoy_key), text("eva", world.decoy_key));
  EXPECT_NE(text("eve", world.decoy_key), text("eve", key_of(8)));
  EXPECT_NE(text("bob", world.decoy_key), text("carol", world.decoy_key));  // known, without keys
  // Salts of a login in another spelling are the same, as they are for those who exist.
  EXPECT_EQ(scram_keys(world.accounts, "eve", world.decoy_key).keys.salt,
            scram_keys(world.accounts, "EVE", world.decoy_key).keys.salt);
}

TEST(ScramKeysOfAccounts, made_up_ones_look_like_those_of_the_others) {
  World world;
  bool few = false, many = false;
  for (int i = 0; i < 64; ++i) {
    const sasl::ScramKeys keys = scram_keys(world.accounts, "eve" + std::to_string(i), world.decoy_key).keys;
    EXPECT_EQ(keys.salt.size(), 16U);
    EXPECT_TRUE(keys.iterations == sasl::kScramIterationsMin || keys.iterations == 5000);
    (keys.iterations == 5000 ? many : few) = true;
  }
  EXPECT_TRUE(few && many);
  const Accounts none;
  EXPECT_EQ(scram_keys(none, "eve", world.decoy_key).keys.iterations, sasl::kScramIterations);
}

}  // namespace
}  // namespace ringpost::accounts
