#include <gtest/gtest.h>

#include "support.hh"

namespace ringpost::accounts {
namespace {

constexpr std::string_view kHash =
    "$argon2id$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$rk2Mi3E4dgRMg0fHaYaptWVZRKqs//6b6k3/nntqGJk";
constexpr std::string_view kScram =
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

/// The example of docs/formats/accounts.md.
const std::string kExample =
    "ringpost-accounts 1\n\naccount alice@example.org\n  note Alice, sales\n  send-as alice@example.org\n"
    "  send-as @shop.example.org\n  password " +
    std::string{kHash} + "\n  scram " + std::string{kScram} + "\n  app laptop " + std::string{kHash} +
    "\n    scope submission\n    expires 2027-01-31T00:00:00Z\n    network 192.0.2.0/24\n    network 2001:db8::/32\n  app "
    "printer " +
    std::string{kHash} + "\n\naccount relay\n  disabled\n";

std::string written_again(std::string_view text) {
  const std::expected<Accounts, ParseError> accounts = Accounts::parse(text);
  if (!accounts) return std::to_string(accounts.error().line) + ": " + std::string{accounts.error().why};
  return std::string{accounts->format().text()};
}

TEST(AccountsFile, the_example_means_what_it_says) {
  const std::expected<Accounts, ParseError> accounts = Accounts::parse(kExample);
  ASSERT_TRUE(accounts);
  ASSERT_EQ(accounts->all().size(), 2U);
  const Account& alice = accounts->all()[0];
  EXPECT_EQ(alice.login, "alice@example.org");
  EXPECT_EQ(alice.note, "Alice, sales");
  EXPECT_FALSE(alice.disabled);
  EXPECT_EQ(alice.send_as, (std::vector<std::string>{"alice@example.org", "@shop.example.org"}));
  EXPECT_EQ(format_hash(*alice.password), kHash);
  EXPECT_EQ(sasl::format_scram_keys(*alice.scram), kScram);
  ASSERT_EQ(alice.app_passwords.size(), 2U);
  const AppPassword& laptop = alice.app_passwords[0];
  EXPECT_EQ(laptop.name, "laptop");
  EXPECT_EQ(laptop.scope, "submission");
  EXPECT_EQ(laptop.expires, second(1801353600));
  EXPECT_EQ(laptop.networks, (std::vector{*Network::parse("192.0.2.0/24"), *Network::parse("2001:db8::/32")}));
  EXPECT_EQ(format_hash(laptop.hash), kHash);
  EXPECT_EQ(alice.app_passwords[1].name, "printer");
  EXPECT_FALSE(alice.app_passwords[1].expires);
  EXPECT_TRUE(accounts->all()[1].disabled);
  EXPECT_EQ(accounts->format().text(), kExample);
}

TEST(AccountsFile, blanks_and_order_are_put_in_order) {
  EXPECT_EQ(written_again("ringpost-accounts 1\n"), "ringpost-accounts 1\n");
  EXPECT_EQ(
      written_again(
          "\n\n  ringpost-accounts 1  \n   account   bob \nsend-as   b@x.example\n note  two  words \n\n\n account Alice\n"),
      "ringpost-accounts 1\n\naccount Alice\n\naccount bob\n  note two  words\n  send-as b@x.example\n");
  const std::string hash{kHash};
  EXPECT_EQ(
      written_again("ringpost-accounts 1\naccount a\napp z " + hash + "\napp b   " + hash + "\nnetwork 192.0.2.1\nscope x\n"),
      "ringpost-accounts 1\n\naccount a\n  app b " + hash + "\n    scope x\n    network 192.0.2.1/32\n  app z " + hash + "\n");
}

TEST(AccountsFile, every_mistake_has_its_line) {
  const std::string hash{kHash}, scram{kScram};
  const std::pair<std::string, std::string> cases[] = {
      {"", "1: the first line must be: ringpost-accounts 1"},
      {"\n\n", "2: the first line must be: ringpost-accounts 1"},
      {"ringpost-accounts 2\n", "1: the first line must be: ringpost-accounts 1"},
      {"account a\n", "1: the first line must be: ringpost-accounts 1"},
      {"ringpost-accounts 1\naccount a", "2: the last line does not end: the file may have been cut off"},
      {"ringpost-accounts 1\r\n", "1: a control character"},
      {"ringpost-accounts 1\naccount\ta\n", "2: a control character"},
      {"ringpost-accounts 1\n# hello\n", "2: a comment would be lost when the file is written anew: use a note"},
      {"ringpost-accounts 1\nnote x\n", "2: an account must come first"},
      {"ringpost-accounts 1\napp x " + hash + "\n", "2: an account must come first"},
      {"ringpost-accounts 1\naccount\n", "2: not a login"},
      {"ringpost-accounts 1\naccount a b\n", "2: not a login"},
      {"ringpost-accounts 1\naccount \xff\n", "2: not a login"},
      {"ringpost-accounts 1\naccount I\u00adX\n", "2: not a login"},
      {"ringpost-accounts 1\naccount " + std::string(256, 'a') + "\n", "2: not a login"},
      {"ringpost-accounts 1\naccount b\naccount a\naccount B\n", "4: a second account of this login"},
      {"ringpost-accounts 1\naccount a\npassword x\n", "3: not an Argon2id hash within the bounds"},
      {"ringpost-accounts 1\naccount a\npassword\n", "3: not an Argon2id hash within the bounds"},
      {"ringpost-accounts 1\naccount a\npassword " + hash + "\npassword " + hash + "\n", "4: a second password"},
      {"ringpost-accounts 1\naccount a\nscram x\n", "3: not SCRAM-SHA-256 keys within the bounds"},
      {"ringpost-accounts 1\naccount a\nscram " + scram + "\nscram " + scram + "\n", "4: a second set of SCRAM keys"},
      {"ringpost-accounts 1\naccount a\nsend-as b\n", "3: neither an address nor @domain"},
      {"ringpost-accounts 1\naccount a\nsend-as @\n", "3: neither an address nor @domain"},
      {"ringpost-accounts 1\naccount a\nsend-as <b@x.example>\n", "3: neither an address nor @domain"},
      {"ringpost-accounts 1\naccount a\nsend-as b@x.example c@x.example\n", "3: neither an address nor @domain"},
      {"ringpost-accounts 1\naccount a\nnote\n", "3: not a note"},
      {"ringpost-accounts 1\naccount a\nnote " + std::string(201, 'x') + "\n", "3: not a note"},
      {"ringpost-accounts 1\naccount a\nnote x\nnote x\n", "4: a second note"},
      {"ringpost-accounts 1\naccount a\ndisabled yes\n", "3: \"disabled\" stands alone, and once"},
      {"ringpost-accounts 1\naccount a\ndisabled\ndisabled\n", "4: \"disabled\" stands alone, and once"},
      {"ringpost-accounts 1\naccount a\nDisabled\n", "3: an unknown word"},
      {"ringpost-accounts 1\naccount a\nscope x\n", "3: an unknown word"},
      {"ringpost-accounts 1\naccount a\napp X " + hash + "\n", "3: not a name of an app password"},
      {"ringpost-accounts 1\naccount a\napp\n", "3: not a name of an app password"},
      {"ringpost-accounts 1\naccount a\napp x-\n", "3: not a name of an app password"},
      {"ringpost-accounts 1\naccount a\napp x\n", "3: not an Argon2id hash within the bounds"},
      {"ringpost-accounts 1\naccount a\napp x " + hash + "\napp x " + hash + "\n", "4: a second app password of this name"},
      {"ringpost-accounts 1\naccount a\napp x " + hash + "\npassword " + hash + "\n",
       "4: an unknown word behind an app password"},
      {"ringpost-accounts 1\naccount a\napp x " + hash + "\nscope\n", "4: not a scope"},
      {"ringpost-accounts 1\naccount a\napp x " + hash + "\nscope a\nscope b\n", "5: a second scope"},
      {"ringpost-accounts 1\naccount a\napp x " + hash + "\nnetwork 192.0.2.1/24\n", "4: not a network such as 192.0.2.0/24"},
      {"ringpost-accounts 1\naccount a\napp x " + hash + "\nexpires 2027-01-31\n", "4: not a time such as 2027-01-31T00:00:00Z"},
      {"ringpost-accounts 1\naccount a\napp x " + hash + "\nexpires 2027-01-31T00:00:00Z\nexpires 2027-01-31T00:00:00Z\n",
       "5: a second expiry"},
  };
  for (const auto& [text, wanted] : cases) EXPECT_EQ(written_again(text), wanted) << text;
}

TEST(AccountsFile, expiries_are_real_times) {
  const auto expires = [](std::string_view text) {
    return Accounts::parse("ringpost-accounts 1\naccount a\napp x " + std::string{kHash} + "\nexpires " + std::string{text} +
                           "\n")
        .has_value();
  };
  EXPECT_TRUE(expires("2028-02-29T23:59:59Z"));
  EXPECT_TRUE(expires("1970-01-01T00:00:00Z"));
  EXPECT_TRUE(expires("9999-12-31T23:59:59Z"));
  for (const char* bad : {"2027-02-29T00:00:00Z", "2027-13-01T00:00:00Z", "2027-00-01T00:00:00Z", "2027-01-31T24:00:00Z",
                          "2027-01-31T00:60:00Z", "2027-01-31T00:00:60Z", "1969-12-31T23:59:59Z", "2027-01-31t00:00:00z",
                          "2027-01-31T00:00:00+00:00", "2027-01-31T00:00:00"})
    EXPECT_FALSE(expires(bad)) << bad;
}

TEST(AccountsFile, lists_are_bounded) {
  const auto repeated = [](std::size_t count, auto line) {
    std::string text = "ringpost-accounts 1\naccount a\n";
    for (std::size_t i = 0; i < count; ++i) text += line(i);
    return written_again(text).substr(0, 20);
  };
  const auto sender = [](std::size_t i) { return "send-as a" + std::to_string(i) + "@x.example\n"; };
  const auto app = [](std::size_t i) { return "app a" + std::to_string(i) + ' ' + std::string{kHash} + '\n'; };
  const auto network = [](std::size_t i) {
    return i == 0 ? "app a " + std::string{kHash} + '\n' : "network 192.0.2." + std::to_string(i) + '\n';
  };
  EXPECT_EQ(repeated(kSendAsMax, sender), "ringpost-accounts 1\n");
  EXPECT_EQ(repeated(kSendAsMax + 1, sender), "259: too many addres");
  EXPECT_EQ(repeated(kAppPasswordsMax, app), "ringpost-accounts 1\n");
  EXPECT_EQ(repeated(kAppPasswordsMax + 1, app), "67: too many app pas");
  EXPECT_EQ(repeated(kNetworksMax + 1, network), "ringpost-accounts 1\n");
  EXPECT_EQ(repeated(kNetworksMax + 2, network), "36: too many network");
}

TEST(AccountsFile, a_file_cut_off_anywhere_within_a_line_is_refused) {
  for (std::size_t size = 0; size < kExample.size(); ++size)
    if (size == 0 || kExample[size - 1] != '\n')
      EXPECT_FALSE(Accounts::parse(std::string_view{kExample}.substr(0, size))) << size;
}

}  // namespace
}  // namespace ringpost::accounts
