#include "ringpost/accounts/accounts.hh"

#include <gtest/gtest.h>

#include "support.hh"

namespace ringpost::accounts {
namespace {

Accounts of(std::initializer_list<std::string_view> logins) {
  Accounts accounts;
  for (std::string_view login : logins) EXPECT_TRUE(accounts.add(login));
  return accounts;
}

TEST(Accounts, logins_are_found_in_any_case_and_stand_in_order) {
  const Accounts accounts = of({"bob", "Alice@Example.org", "carol"});
  ASSERT_EQ(accounts.all().size(), 3U);
  EXPECT_EQ(accounts.all()[0].login, "Alice@Example.org");
  EXPECT_EQ(accounts.all()[2].login, "carol");
  EXPECT_EQ(accounts.find("alice@EXAMPLE.ORG"), &accounts.all()[0]);
  EXPECT_EQ(accounts.find("BOB"), &accounts.all()[1]);
  for (const char* login : {"", "bo", "bobb", "dave", "alice"}) EXPECT_EQ(accounts.find(login), nullptr) << login;
}

TEST(Accounts, changes_say_what_is_wrong_with_them) {
  Accounts accounts = of({"bob"});
  EXPECT_EQ(accounts.add("BOB").error().code, Errc::exists);
  for (const char* login : {"", "a b", "a\n", "\xff", "I\u00adX"})
    EXPECT_EQ(accounts.add(login).error().code, Errc::invalid) << login;
  EXPECT_EQ(accounts.remove("carol").error().code, Errc::not_found);
  EXPECT_EQ(accounts.set_disabled("carol", true).error().code, Errc::not_found);
  EXPECT_EQ(accounts.set_note("carol", "x").error().code, Errc::not_found);
  EXPECT_EQ(accounts.set_note("bob", "two\nlines").error().code, Errc::invalid);
  EXPECT_EQ(accounts.set_note("bob", " x").error().code, Errc::invalid);
  EXPECT_EQ(accounts.set_send_as("carol", {}).error().code, Errc::not_found);
  EXPECT_EQ(accounts.set_send_as("bob", {"bob@x.example", "x"}).error().code, Errc::invalid);
  EXPECT_EQ(accounts.set_send_as("bob", std::vector<std::string>(kSendAsMax + 1, "@x.example")).error().code, Errc::limit);
  EXPECT_EQ(accounts.set_password("carol", std::nullopt, std::nullopt).error().code, Errc::not_found);
  EXPECT_EQ(accounts.add_app_password("carol", {.name = "x", .hash = cheap_hash("x")}).error().code, Errc::not_found);
  EXPECT_EQ(accounts.remove_app_password("carol", "x").error().code, Errc::not_found);
  EXPECT_EQ(accounts.remove_app_password("bob", "x").error().code, Errc::not_found);
  for (const char* name : {"", "X", "-x", "x-", "a b", "123456789012345678901234567890123"})
    EXPECT_EQ(accounts.add_app_password("bob", {.name = name, .hash = cheap_hash("x")}).error().code, Errc::invalid) << name;
  EXPECT_EQ(accounts.add_app_password("bob", {.name = "x", .scope = "X", .hash = cheap_hash("x")}).error().code, Errc::invalid);
  EXPECT_EQ(accounts.format().text(), "ringpost-accounts 1\n\naccount bob\n");
}

TEST(Accounts, what_was_changed_is_written_and_read) {
  Accounts accounts = of({"bob", "carol"});
  EXPECT_TRUE(accounts.set_note("bob", "Bob"));
  EXPECT_TRUE(accounts.set_disabled("bob", true));
  EXPECT_TRUE(accounts.set_send_as("bob", {"bob@x.example"}));
  EXPECT_TRUE(accounts.set_password("bob", cheap_hash("secret-secret"), scram_of("secret-secret")));
  EXPECT_TRUE(accounts.add_app_password("bob", {.name = "phone",
                                                .scope = "submission",
                                                .expires = second(86400),
                                                .networks = {*Network::parse("192.0.2.0/24")},
                                                .hash = cheap_hash("x")}));
  EXPECT_TRUE(accounts.add_app_password("bob", {.name = "laptop", .hash = cheap_hash("y")}));
  EXPECT_EQ(accounts.add_app_password("bob", {.name = "phone", .hash = cheap_hash("x")}).error().code, Errc::exists);
  const std::expected<Accounts, ParseError> again = Accounts::parse(accounts.format().text());
  ASSERT_TRUE(again);
  EXPECT_EQ(again->format().text(), accounts.format().text());
  const Account& bob = *again->find("bob");
  EXPECT_TRUE(bob.disabled && bob.password && bob.scram);
  EXPECT_EQ(bob.find_app_password("phone")->expires, second(86400));
  EXPECT_EQ(bob.find_app_password("tablet"), nullptr);

  EXPECT_TRUE(accounts.set_password("bob", cheap_hash("another-one"), std::nullopt));
  EXPECT_FALSE(accounts.find("bob")->scram);  // they were the old password's
  EXPECT_TRUE(accounts.remove_app_password("bob", "phone"));
  EXPECT_EQ(accounts.find("bob")->find_app_password("phone"), nullptr);
  EXPECT_TRUE(accounts.set_disabled("bob", false));
  EXPECT_FALSE(accounts.find("bob")->disabled);
  EXPECT_TRUE(accounts.remove("Bob"));
  EXPECT_EQ(accounts.find("bob"), nullptr);
  EXPECT_NE(accounts.find("carol"), nullptr);
}

TEST(Accounts, app_passwords_are_bounded_in_number) {
  Accounts accounts = of({"bob"});
  for (std::size_t i = 0; i < kAppPasswordsMax; ++i)
    EXPECT_TRUE(accounts.add_app_password("bob", {.name = "a" + std::to_string(i), .hash = cheap_hash("x")}));
  EXPECT_EQ(accounts.add_app_password("bob", {.name = "b", .hash = cheap_hash("x")}).error().code, Errc::limit);
  Accounts other = of({"bob"});
  const std::vector<Network> many(kNetworksMax + 1, *Network::parse("192.0.2.0/24"));
  EXPECT_EQ(other.add_app_password("bob", {.name = "b", .networks = many, .hash = cheap_hash("x")}).error().code, Errc::limit);
}

TEST(Accounts, app_passwords_have_a_form_that_nobody_chooses) {
  EXPECT_EQ(app_text("laptop", 0), "app-laptop-" + std::string(32, 'a'));
  EXPECT_EQ(app_text("my-old-phone", 0xff), "app-my-old-phone-" + std::string(32, '7'));
  EXPECT_EQ(app_text("x", 0x08), "app-x-baeaqcaibaeaqcaibaeaqcaibaeaqcai");
  EXPECT_FALSE(may_be_chosen(app_text("laptop")));
  EXPECT_TRUE(may_be_chosen("app-laptop-" + std::string(31, 'a')));
  EXPECT_TRUE(may_be_chosen("app-laptop-" + std::string(32, '1')));
  EXPECT_TRUE(may_be_chosen("app--" + std::string(32, 'a')));
}

TEST(Accounts, what_is_chosen_has_eight_characters) {
  EXPECT_TRUE(may_be_chosen("12345678"));
  EXPECT_FALSE(may_be_chosen("1234567"));
  EXPECT_TRUE(may_be_chosen("\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc"));
  EXPECT_FALSE(may_be_chosen("\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc"));
  EXPECT_FALSE(may_be_chosen("1234567\u00ad"));
  EXPECT_FALSE(may_be_chosen("1234567\n"));
  EXPECT_FALSE(may_be_chosen(""));
}

TEST(Accounts, who_may_send_as_whom) {
  const std::vector<std::string> senders{"alice@example.org", "@shop.example.org"};
  EXPECT_TRUE(may_send_as(senders, "alice@example.org"));
  EXPECT_TRUE(may_send_as(senders, "Alice@EXAMPLE.org"));
  EXPECT_TRUE(may_send_as(senders, "anybody@Shop.example.org"));
  EXPECT_TRUE(may_send_as(senders, "\"a@b\"@shop.example.org"));
  for (const char* other : {"", "alice", "bob@example.org", "alice@example.org.evil.example", "x@sub.shop.example.org",
                            "x@ashop.example.org", "@shop.example.org", "alice@example.orgx"})
    EXPECT_FALSE(may_send_as(senders, other)) << other;
  EXPECT_FALSE(may_send_as({}, "alice@example.org"));

  EXPECT_EQ(senders_of(Account{.login = "alice@example.org"}), std::vector<std::string>{"alice@example.org"});
  EXPECT_EQ(senders_of(Account{.login = "alice"}), std::vector<std::string>{});
  EXPECT_EQ(senders_of(Account{.login = "alice@example.org", .send_as = {"@x.example"}}), std::vector<std::string>{"@x.example"});
}

}  // namespace
}  // namespace ringpost::accounts
