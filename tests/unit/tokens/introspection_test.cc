#include "ringpost/tokens/introspection.hh"

#include <gtest/gtest.h>

#include "support.hh"

namespace ringpost::tokens {
namespace {

std::string answered(std::string_view body) {
  Demands wanted = demands();
  wanted.login_claim = "username";
  return told(read_introspection(body, wanted));
}

TEST(Introspection, the_question_is_a_form) {
  EXPECT_EQ(introspection_form("aZ0-._~+/=").text(), "token=aZ0-._~%2B%2F%3D&token_type_hint=access_token");
  EXPECT_EQ(introspection_form("a&b=\xff\r\n").text(), "token=a%26b%3D%FF%0D%0A&token_type_hint=access_token");
}

TEST(Introspection, who_asks_is_encoded_like_a_form) {
  EXPECT_EQ(introspection_credentials("mail", "s3cret").text(), std::string_view("mail:s3cret\0", 12));
  EXPECT_EQ(introspection_credentials("a:b", "%\xc3\xbc +").text(), std::string_view("a%3Ab:%25%C3%BC%20%2B\0", 22));
}

TEST(Introspection, an_active_token_has_an_owner) {
  EXPECT_EQ(
      answered(
          R"({"active":true,"username":"jdoe","aud":"mail","iss":"https://id.example","exp":1800000000,"client_id":"l238j323ds-23ij4"})"),
      "jdoe until 1800000000");
  EXPECT_EQ(answered(R"({"active":true,"username":"jdoe","aud":["mail"]})"), "jdoe");
}

TEST(Introspection, an_answer_may_say_no_in_many_ways) {
  EXPECT_EQ(answered(R"({"active":false})"), "fault inactive");
  EXPECT_EQ(answered(R"({"active":false,"username":"jdoe","aud":"mail"})"), "fault inactive");
  EXPECT_EQ(answered(R"({"active":true,"username":"jdoe"})"), "fault audience");
  EXPECT_EQ(answered(R"({"active":true,"username":"jdoe","aud":"mail","iss":"https://other.example"})"), "fault issuer");
  EXPECT_EQ(answered(R"({"active":true,"username":"jdoe","aud":"mail","iss":null})"), "fault issuer");
  EXPECT_EQ(answered(R"({"active":true,"username":"jdoe","aud":"mail","exp":1799998940})"), "fault expired");
  EXPECT_EQ(answered(R"({"active":true,"username":"jdoe","aud":"mail","nbf":1799999061})"), "fault not_yet_valid");
  EXPECT_EQ(answered(R"({"active":true,"aud":"mail"})"), "fault login");
  for (const char* bad : {"", "{}", "[]", "true", R"({"active":"true","username":"jdoe","aud":"mail"})",
                          R"({"active":1,"username":"jdoe","aud":"mail"})", R"({"active":true)"})
    EXPECT_EQ(answered(bad), "fault malformed") << bad;
  EXPECT_EQ(answered(R"({"active":true,"username":"jdoe","aud":"mail"})" + std::string(kAnswerBytesMax, ' ')), "fault malformed");
}

}  // namespace
}  // namespace ringpost::tokens
