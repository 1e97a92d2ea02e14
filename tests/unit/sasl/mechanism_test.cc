#include "ringpost/sasl/mechanism.hh"

#include <gtest/gtest.h>

namespace ringpost::sasl {
namespace {

TEST(Mechanism, names_are_found_in_any_case_and_nothing_else_is) {
  for (Mechanism mechanism : kMechanisms) {
    const std::string name{name_of(mechanism)};
    EXPECT_EQ(mechanism_named(name), mechanism);
    std::string lower;
    for (char c : name) lower.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c);
    EXPECT_EQ(mechanism_named(lower), mechanism);
    EXPECT_FALSE(mechanism_named(name + ' '));
    EXPECT_FALSE(mechanism_named(name.substr(1)));
  }
  for (const char* name : {"", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256-", "PLAINX", "ANONYMOUS"})
    EXPECT_FALSE(mechanism_named(name)) << name;
}

TEST(Mechanism, only_scram_and_certificates_reveal_nothing) {
  EXPECT_TRUE(reveals_secret(Mechanism::plain));
  EXPECT_TRUE(reveals_secret(Mechanism::login));
  EXPECT_TRUE(reveals_secret(Mechanism::oauthbearer));
  EXPECT_TRUE(reveals_secret(Mechanism::xoauth2));
  EXPECT_FALSE(reveals_secret(Mechanism::scram_sha_256));
  EXPECT_FALSE(reveals_secret(Mechanism::scram_sha_256_plus));
  EXPECT_FALSE(reveals_secret(Mechanism::external));
  EXPECT_TRUE(needs_tls(Mechanism::scram_sha_256_plus));
  EXPECT_TRUE(needs_tls(Mechanism::external));
  EXPECT_FALSE(needs_tls(Mechanism::scram_sha_256));
}

TEST(Response, an_initial_one_is_absent_empty_or_base64) {  // RFC 4954 section 4
  EXPECT_EQ(parse_initial_response("").kind, Response::Kind::absent);
  const Response empty = parse_initial_response("=");
  EXPECT_EQ(empty.kind, Response::Kind::data);
  EXPECT_TRUE(empty.bytes.empty());
  EXPECT_EQ(parse_initial_response("Zm9v").bytes.text(), "foo");
  for (const char* bad : {"*", "==", "Zm9", "Zm9v Zm9v", "Zm9v=", " Zm9v"})
    EXPECT_EQ(parse_initial_response(bad).kind, Response::Kind::malformed) << bad;
}

TEST(Response, a_later_one_is_empty_cancels_or_is_base64) {
  const Response empty = parse_response("");
  EXPECT_EQ(empty.kind, Response::Kind::data);
  EXPECT_TRUE(empty.bytes.empty());
  EXPECT_EQ(parse_response("*").kind, Response::Kind::cancelled);
  EXPECT_EQ(parse_response("AGEAYg==").bytes.text(), (std::string_view{"\0a\0b", 4}));
  for (const char* bad : {"=", "**", "* ", "Zg", "Zm9v\r"}) EXPECT_EQ(parse_response(bad).kind, Response::Kind::malformed) << bad;
}

}  // namespace
}  // namespace ringpost::sasl
