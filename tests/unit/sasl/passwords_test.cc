// PLAIN, LOGIN, EXTERNAL.
#include <gtest/gtest.h>

#include "support.hh"

namespace ringpost::sasl {
namespace {

Exchange exchange_of(Mechanism mechanism) { return Exchange{mechanism, {}}; }
std::string plain(std::string_view response) { return told(exchange_of(Mechanism::plain).start(says(response))); }

TEST(Plain, what_the_client_sends_is_asked_about) {  // RFC 4616 section 4
  EXPECT_EQ(plain("\0tim\0tanstaaftanstaaf"sv), "password tim/tanstaaftanstaaf as ");
  EXPECT_EQ(plain("Ursel\0Kurt\0xipj3plmq"sv), "password Kurt/xipj3plmq as Ursel");
  EXPECT_EQ(plain("\0I\u00adX\0Gru\u0308n"sv), "password IX/Gr\u00fcn as ");
  EXPECT_EQ(plain("\0a b\0 p w "sv), "password a b/ p w  as ");
}

TEST(Plain, exactly_two_nuls_stand_between_what_may_not_be_empty) {  // attack C5
  EXPECT_EQ(plain(""), "failure empty");
  for (std::string_view bad :
       {"\0"sv, "\0\0"sv, "\0\0\0"sv, "tim"sv, "tim\0secret"sv, "\0tim\0"sv, "\0\0secret"sv, "id\0\0secret"sv, "id\0tim\0"sv,
        "\0tim\0secret\0"sv, "\0tim\0sec\0ret"sv, "\0\0tim\0secret"sv, "\0tim\0\0secret"sv, "a\0b\0c\0d"sv, "\0tim\0a\nb"sv,
        "\0t\x7fm\0a"sv, "\0tim\0\xff"sv, "\xff\0tim\0a"sv, "\0\u00ad\0a"sv})
    EXPECT_EQ(plain(bad), "failure malformed") << testing::PrintToString(std::string{bad});
}

TEST(Plain, lengths_are_bounded) {
  const std::string nul(1, '\0');
  EXPECT_EQ(plain(std::string(255, 'i') + nul + std::string(255, 'l') + nul + std::string(1024, 'p')).substr(0, 9), "password ");
  EXPECT_EQ(plain(std::string(256, 'i') + nul + "l" + nul + "p"), "failure too_long");
  EXPECT_EQ(plain(nul + std::string(256, 'l') + nul + "p"), "failure too_long");
  EXPECT_EQ(plain(nul + "l" + nul + std::string(1025, 'p')), "failure too_long");
}

TEST(Plain, without_an_initial_response_the_client_is_asked_to_speak) {
  Exchange exchange = exchange_of(Mechanism::plain);
  EXPECT_EQ(told(exchange.start({})), "challenge ");
  EXPECT_EQ(told(exchange.respond(says("\0tim\0secret"sv))), "password tim/secret as ");
  EXPECT_EQ(told(exchange.accept("Tim")), "success Tim as Tim");
}

TEST(Plain, the_answer_decides) {
  Exchange right = exchange_of(Mechanism::plain);
  right.start(says("Ursel\0Kurt\0xipj3plmq"sv));
  EXPECT_EQ(told(right.accept("kurt@example.org")), "success kurt@example.org as Ursel");
  Exchange wrong = exchange_of(Mechanism::plain);
  wrong.start(says("\0Kurt\0xipj3plmq"sv));
  EXPECT_EQ(told(wrong.refuse()), "failure rejected");
  Exchange itself = exchange_of(Mechanism::plain);
  itself.start(says("KURT\0KURT\0xipj3plmq"sv));
  EXPECT_EQ(told(itself.accept("kurt")), "success kurt as kurt");
}

TEST(Login, name_and_password_come_one_after_the_other) {
  Exchange exchange = exchange_of(Mechanism::login);
  EXPECT_EQ(told(exchange.start({})), "challenge Username:");
  EXPECT_EQ(told(exchange.respond(says("tim"))), "challenge Password:");
  EXPECT_EQ(told(exchange.respond(says("secret"))), "password tim/secret as ");
  EXPECT_EQ(told(exchange.accept("tim")), "success tim as tim");
}

TEST(Login, an_initial_response_is_the_name) {
  Exchange exchange = exchange_of(Mechanism::login);
  EXPECT_EQ(told(exchange.start(says("tim"))), "challenge Password:");
  EXPECT_EQ(told(exchange.respond(says("secret"))), "password tim/secret as ");
  EXPECT_EQ(told(exchange.refuse()), "failure rejected");
}

TEST(Login, neither_may_be_missing_or_hold_controls) {
  EXPECT_EQ(told(exchange_of(Mechanism::login).start(says(""))), "failure empty");
  EXPECT_EQ(told(exchange_of(Mechanism::login).start(says("tim\0"sv))), "failure malformed");
  for (const auto& [password, wanted] : {std::pair{""sv, "failure empty"}, {"a\0b"sv, "failure malformed"}}) {
    Exchange exchange = exchange_of(Mechanism::login);
    exchange.start(says("tim"));
    EXPECT_EQ(told(exchange.respond(says(password))), wanted);
  }
}

TEST(External, the_certificate_is_asked_about) {
  Exchange itself = exchange_of(Mechanism::external);
  EXPECT_EQ(told(itself.start(says(""))), "certificate as ");
  EXPECT_EQ(told(itself.accept("relay.example.org")), "success relay.example.org as relay.example.org");
  Exchange other = exchange_of(Mechanism::external);
  EXPECT_EQ(told(other.start({})), "challenge ");
  EXPECT_EQ(told(other.respond(says("tim"))), "certificate as tim");
  EXPECT_EQ(told(other.accept("relay.example.org")), "success relay.example.org as tim");
  Exchange refused = exchange_of(Mechanism::external);
  refused.start(says(""));
  EXPECT_EQ(told(refused.refuse()), "failure rejected");
  EXPECT_EQ(told(exchange_of(Mechanism::external).start(says("t\0m"sv))), "failure malformed");
  EXPECT_EQ(told(exchange_of(Mechanism::external).start(says(std::string(256, 'a')))), "failure too_long");
}

TEST(Exchange, a_client_may_give_up_and_may_not_babble) {
  for (Mechanism mechanism : kMechanisms) {
    Exchange cancelled{mechanism, {.server_nonce = kNonce}};
    EXPECT_TRUE(std::holds_alternative<Challenge>(cancelled.start({})));
    EXPECT_EQ(told(cancelled.respond({.kind = Response::Kind::cancelled})), "failure cancelled");
    Exchange babbled{mechanism, {.server_nonce = kNonce}};
    babbled.start({});
    EXPECT_EQ(told(babbled.respond(parse_response("=!"))), "failure not_base64");
    EXPECT_EQ(told(Exchange(mechanism, {.server_nonce = kNonce}).start(parse_initial_response("*"))), "failure not_base64");
  }
}

TEST(Exchange, a_call_out_of_order_is_our_own_error) {
  EXPECT_DEATH(exchange_of(Mechanism::plain).respond(says("")), "");
  EXPECT_DEATH(exchange_of(Mechanism::plain).accept("tim"), "");
  Exchange asked = exchange_of(Mechanism::plain);
  asked.start(says("\0tim\0secret"sv));
  EXPECT_DEATH(asked.respond(says("")), "");
  asked.refuse();
  EXPECT_DEATH(asked.accept("tim"), "");
}

}  // namespace
}  // namespace ringpost::sasl
