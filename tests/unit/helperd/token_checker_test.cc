// Whose a token is: by keys, by what the issuer says, and by what it said a moment ago.
#include "ringpost/helperd/token_checker.hh"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "../tokens/support.hh"

namespace ringpost::helperd {
namespace {

using std::chrono::seconds;

const IpAddress kIssuer = *IpAddress::parse("10.0.0.1");
const std::chrono::sys_seconds kNow = tokens::second(1'799'999'000);

std::string said(const TokenVerdict& verdict) {
  if (verdict) return *verdict;
  constexpr std::string_view kNames[] = {"refused", "unknown", "unavailable"};
  return std::string{kNames[static_cast<std::size_t>(verdict.error())]};
}

class TokenCheckerTest : public ::testing::Test {
 protected:
  TokenCheckerTest() {
    std::filesystem::create_directory(folder_);
    oauth_ = {.issuer = "https://id.example", .audience = "mail", .login_claim = "email",
              .introspection_url = "https://id.example/ask", .introspection_client_id = "us", .introspection_secret_file = folder_ + "/secret"};
    write("secret", "hidden\r\nnotes\n");
  }
  ~TokenCheckerTest() override { std::filesystem::remove_all(folder_); }

  void write(const std::string& name, std::string_view text) { std::ofstream{folder_ + "/" + name} << text; }
  void with_keys() {
    oauth_.key_file = folder_ + "/keys";
    write("keys", tokens::set_of(tokens::kIssuerKey));
  }
  TokenChecker& checker() {
    if (!checker_)
      checker_.emplace(log_, oauth_, Key256{}, [this](const HttpRequest& wanted) {
        asked_.push_back(std::string{wanted.body} + " " + wanted.credentials);
        EXPECT_TRUE(wanted.post);
        EXPECT_EQ(wanted.url, "https://id.example/ask");
        EXPECT_EQ(wanted.addresses, std::vector{kIssuer});
        EXPECT_LE(wanted.patience, kIssuerPatience);
        return answer_;
      });
    return *checker_;
  }
  /// As the server does.
  std::string owner_of(std::string_view token, seconds later = {}) {
    const TokenVerdict known = checker().owner_of(token, kNow + later);
    if (known || known.error() != TokenDoubt::unknown) return said(known);
    return said(checker().ask_issuer(token, {kIssuer}, kNow + later));
  }
  void answer(std::string body) { answer_ = {.status = 200, .body = std::move(body)}; }

  const std::string folder_ = "/tmp/ringpost-token-checker." + std::to_string(::getpid());
  config::Settings::Auth::Oauth oauth_;
  Log log_{LogLevel::error};
  helper::WebAnswer answer_{.status = 200, .body = R"({"active":true,"email":"anna","aud":"mail"})"};
  std::vector<std::string> asked_;
  std::optional<TokenChecker> checker_;
};

TEST_F(TokenCheckerTest, the_issuer_is_asked_with_our_name_and_secret) {
  EXPECT_EQ(owner_of("a+b"), "anna");
  EXPECT_EQ(asked_, std::vector<std::string>{"token=a%2Bb&token_type_hint=access_token us:hidden"});
  write("secret", "another");
  EXPECT_EQ(owner_of("other"), "anna");
  EXPECT_EQ(asked_.back(), "token=other&token_type_hint=access_token us:another");
  write("secret", "\n");
  EXPECT_EQ(owner_of("third"), "anna");
  EXPECT_EQ(asked_.back(), "token=third&token_type_hint=access_token us:another");
}

TEST_F(TokenCheckerTest, without_a_secret_nobody_is_asked) {
  std::filesystem::remove(folder_ + "/secret");
  EXPECT_EQ(owner_of("token"), "unavailable");
  write("secret", "\nhidden");
  EXPECT_EQ(owner_of("token"), "unavailable");
  EXPECT_TRUE(asked_.empty());
}

TEST_F(TokenCheckerTest, a_yes_holds_for_a_minute_and_not_beyond_the_tokens_end) {
  EXPECT_EQ(owner_of("token"), "anna");
  EXPECT_EQ(owner_of("token", seconds{59}), "anna");
  EXPECT_EQ(asked_.size(), 1u);
  answer(R"({"active":true,"email":"bob","aud":"mail","exp":1799999070})");
  EXPECT_EQ(owner_of("token", seconds{60}), "bob");
  EXPECT_EQ(owner_of("token", seconds{69}), "bob");
  EXPECT_EQ(asked_.size(), 2u);
  EXPECT_EQ(owner_of("token", seconds{70}), "bob") << "clocks may differ";
  EXPECT_EQ(owner_of("token", seconds{70}), "bob");
  EXPECT_EQ(asked_.size(), 4u);
  EXPECT_EQ(owner_of("token", seconds{130}), "refused");
  answer(R"({"active":true,"email":"anna","aud":"mail"})");
  EXPECT_EQ(owner_of("other", seconds{100}), "anna");
  EXPECT_EQ(owner_of("other"), "anna");
  EXPECT_EQ(asked_.size(), 7u) << "a clock that was set back forgets";
}

TEST_F(TokenCheckerTest, a_no_is_asked_for_again) {
  answer(R"({"active":false})");
  EXPECT_EQ(owner_of("token"), "refused");
  EXPECT_EQ(owner_of("token"), "refused");
  EXPECT_EQ(asked_.size(), 2u);
  answer(R"({"active":true,"email":"anna","aud":"others"})");
  EXPECT_EQ(owner_of("token"), "refused");
  answer(R"({"active":true,"email":"anna","aud":"mail"})");
  EXPECT_EQ(owner_of("token"), "anna");
}

TEST_F(TokenCheckerTest, what_is_no_answer_is_no_verdict) {
  const helper::WebAnswer kNone[] = {{.fault = helper::WebFault::connect}, {.fault = helper::WebFault::timed_out}, {.fault = helper::WebFault::status, .status = 401},
                                     {.fault = helper::WebFault::redirect, .status = 302}, {.status = 204}, {.status = 201, .body = R"({"active":false})"},
                                     {.status = 200}, {.status = 200, .body = "sorry"}, {.status = 200, .body = R"({"active":"false"})"}};
  for (const helper::WebAnswer& none : kNone) {
    answer_ = none;
    EXPECT_EQ(owner_of("token"), "unavailable") << none.status << none.body;
  }
  EXPECT_EQ(asked_.size(), std::size(kNone));
}

TEST_F(TokenCheckerTest, what_a_key_has_signed_is_not_asked_about) {
  with_keys();
  constexpr std::string_view kHeader = R"({"alg":"EdDSA","kid":"ed"})";
  const auto token = [&](std::string_view aud) {
    return tokens::signed_by_issuer(kHeader, R"({"iss":"https://id.example","email":"key's","exp":1800000000,"aud":")" + std::string{aud} + "\"}");
  };
  const std::string good = token("mail");
  EXPECT_EQ(owner_of(good), "key's");
  EXPECT_EQ(owner_of(token("others")), "refused");
  EXPECT_EQ(owner_of(good.substr(0, good.size() - 4) + "AAAA"), "refused");
  EXPECT_TRUE(asked_.empty());
  EXPECT_EQ(owner_of("opaque"), "anna");
  EXPECT_EQ(owner_of(tokens::signed_by_issuer(R"({"alg":"EdDSA","kid":"new"})", "{}")), "anna");
  EXPECT_EQ(owner_of(tokens::signed_by_issuer(R"({"alg":"HS256"})", "{}")), "anna");
  EXPECT_EQ(asked_.size(), 3u);
}

TEST_F(TokenCheckerTest, keys_that_cannot_be_read_leave_it_to_the_issuer_if_there_is_one) {
  oauth_.key_file = folder_ + "/keys";
  EXPECT_EQ(owner_of("token"), "anna");
  oauth_.introspection_url.clear();
  EXPECT_EQ(owner_of("token"), "unavailable");
}

TEST_F(TokenCheckerTest, without_an_issuer_there_are_no_tokens) {
  oauth_ = {};
  EXPECT_EQ(owner_of("token"), "unavailable");
  EXPECT_TRUE(asked_.empty());
}

TEST(TokenCache, it_is_bounded) {
  TokenCache cache{Key256{}};
  for (std::size_t i = 0; i < TokenCache::kTokensMax; ++i) cache.put("old" + std::to_string(i), {.login = "a"}, kNow);
  EXPECT_EQ(cache.find("old0", kNow), "a");
  cache.put("young", {.login = "b"}, kNow + seconds{1});
  EXPECT_EQ(cache.find("young", kNow + seconds{1}), "b");
  EXPECT_FALSE(cache.find("old0", kNow + seconds{1})) << "all at once, when none has come to its end";
}

}  // namespace
}  // namespace ringpost::helperd
