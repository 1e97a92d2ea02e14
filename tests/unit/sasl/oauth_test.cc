#include <gtest/gtest.h>

#include "support.hh"

namespace ringpost::sasl {
namespace {

std::string bearer(std::string_view response) { return told(Exchange(Mechanism::oauthbearer, {}).start(says(response))); }
std::string xoauth2(std::string_view response) { return told(Exchange(Mechanism::xoauth2, {}).start(says(response))); }

TEST(Oauthbearer, the_token_and_who_brings_it_are_asked_about) {  // RFC 7628 section 4.1
  EXPECT_EQ(
      bearer(
          "n,a=user@example.com,\1host=server.example.com\1port=143\1auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\1\1"),
      "token vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==/server.example.com:143 as user@example.com");
  EXPECT_EQ(bearer("n,,\1auth=Bearer abc\1\1"), "token abc/:0 as ");
  EXPECT_EQ(bearer("y,a=a=2Cb=3Dc,\1auth=bEARER   a-b._~+/=\1user=x\1\1"), "token a-b._~+/=/:0 as a,b=c");
}

TEST(Oauthbearer, what_is_not_in_the_grammar_is_refused) {
  EXPECT_EQ(bearer(""), "failure empty");
  EXPECT_EQ(bearer("p=tls-exporter,,\1auth=Bearer abc\1\1"), "failure channel_binding");
  for (std::string_view bad : {"n,,"sv,
                               "n,,\1"sv,
                               "n,,\1\1"sv,
                               "n,\1auth=Bearer abc\1\1"sv,
                               ",,\1auth=Bearer abc\1\1"sv,
                               "x,,\1auth=Bearer abc\1\1"sv,
                               "n,,\1auth=Bearer abc\1"sv,
                               "n,,\1auth=Bearer abc"sv,
                               "n,,\1auth=Bearer abc\1\1x"sv,
                               "n,,\1auth=Bearer abc\1\1\1"sv,
                               "n,,\1auth=Bearer \1\1"sv,
                               "n,,\1auth=Bearer ==\1\1"sv,
                               "n,,\1auth=Bearer a=b\1\1"sv,
                               "n,,\1auth=Bearer a b\1\1"sv,
                               "n,,\1auth=Basic abc\1\1"sv,
                               "n,,\1auth=\1\1"sv,
                               "n,,\1auth\1\1"sv,
                               "n,,\1host=x\1\1"sv,
                               "n,,\1auth=Bearer abc\1auth=Bearer def\1\1"sv,
                               "n,,\1port=65536\1auth=Bearer abc\1\1"sv,
                               "n,,\1port=x\1auth=Bearer abc\1\1"sv,
                               "n,,\1host=a\0b\1auth=Bearer abc\1\1"sv,
                               "n,a=,\1auth=Bearer abc\1\1"sv,
                               "n,a=b=2c,\1auth=Bearer abc\1\1"sv,
                               "n,a=b,c,\1auth=Bearer abc\1\1"sv,
                               "n,b=b,\1auth=Bearer abc\1\1"sv,
                               "n,a=b\0c,\1auth=Bearer abc\1\1"sv})
    EXPECT_EQ(bearer(bad), "failure malformed") << testing::PrintToString(std::string{bad});
}

TEST(Oauthbearer, an_owner_may_differ_from_whom_it_wants_to_be) {
  Exchange exchange{Mechanism::oauthbearer, {}};
  exchange.start(says("n,a=shared@example.com,\1auth=Bearer abc\1\1"));
  EXPECT_EQ(told(exchange.accept("user@example.com")), "success user@example.com as shared@example.com");
  Exchange itself{Mechanism::oauthbearer, {}};
  itself.start(says("n,,\1auth=Bearer abc\1\1"));
  EXPECT_EQ(told(itself.accept("user@example.com")), "success user@example.com as user@example.com");
}

TEST(Oauthbearer, a_refusal_is_told_and_acknowledged) {  // RFC 7628 section 4.3
  Exchange exchange{Mechanism::oauthbearer, {}};
  exchange.start(says("n,,\1auth=Bearer abc\1\1"));
  EXPECT_EQ(told(exchange.refuse()), "challenge {\"status\":\"invalid_token\"}");
  EXPECT_EQ(told(exchange.respond(says("\1"))), "failure rejected");
}

TEST(Xoauth2, the_token_and_who_brings_it_are_asked_about) {
  EXPECT_EQ(xoauth2("user=someuser@example.com\1auth=Bearer ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg\1\1"),
            "token ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg/:0 as someuser@example.com");
  EXPECT_EQ(xoauth2(""), "failure empty");
  for (std::string_view bad : {"user=\1auth=Bearer abc\1\1"sv, "user=a"sv, "auth=Bearer abc\1\1"sv, "user=a\1auth=Bearer abc\1"sv,
                               "n,a=a,\1auth=Bearer abc\1\1"sv, "user=a\0\1auth=Bearer abc\1\1"sv})
    EXPECT_EQ(xoauth2(bad), "failure malformed") << testing::PrintToString(std::string{bad});
}

TEST(Xoauth2, a_refusal_is_told_and_acknowledged_with_nothing) {
  Exchange exchange{Mechanism::xoauth2, {}};
  exchange.start(says("user=a\1auth=Bearer abc\1\1"));
  EXPECT_EQ(told(exchange.refuse()), "challenge {\"status\":\"401\",\"schemes\":\"Bearer\"}");
  EXPECT_EQ(told(exchange.respond(says(""))), "failure rejected");
}

}  // namespace
}  // namespace ringpost::sasl
