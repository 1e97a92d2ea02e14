#include "bench/content_digest.hh"

#include <gtest/gtest.h>

#include <string>

namespace ringpost::bench {
namespace {

struct Digested {
  std::string token;
  ContentFacts facts;
};

Digested digest(std::string_view message) {
  ContentDigest digest;
  digest.feed(as_bytes(message));
  ContentFacts facts = digest.finish();
  return {std::string{facts.token}, facts};
}

constexpr std::string_view kPlain = "X-Ringpost-Bench: run-7\r\nSubject: s\r\n\r\nbody\r\n";

TEST(ContentDigest, hash_is_the_one_that_xxhsum_prints) {
  // printf 'a' | xxhsum -H2, and the value of the empty input that the library documents.
  EXPECT_EQ(digest("a").facts.hash.hex(), "a96faf705af16834e6c632b61e964e1f");
  EXPECT_EQ(digest("").facts.hash.hex(), "99aa06d3014798d86001c324468d497f");
}

TEST(ContentDigest, only_the_topmost_received_field_is_left_out) {
  std::string relayed = "Received: from a\r\n by b;\r\n\tSun, 22 Nov 2026\r\n";
  Digested plain = digest(kPlain), once = digest(relayed + std::string{kPlain});
  EXPECT_EQ(once.facts.hash, plain.facts.hash);
  EXPECT_EQ(once.facts.size, kPlain.size());
  EXPECT_EQ(once.facts.received_bytes, relayed.size());
  EXPECT_EQ(once.facts.received_fields, 1u);
  EXPECT_EQ(plain.facts.received_fields, 0u);
  EXPECT_EQ(plain.facts.received_bytes, 0u);

  Digested twice = digest("Received: second\r\n" + relayed + std::string{kPlain});
  EXPECT_EQ(twice.facts.received_fields, 2u);
  EXPECT_EQ(twice.facts.size, relayed.size() + kPlain.size());
  EXPECT_NE(twice.facts.hash, plain.facts.hash);
}

TEST(ContentDigest, a_received_field_below_others_counts_whatever_its_case) {
  Digested below = digest("Return-Path: <>\r\nreceived : x\r\nA: b\r\n\r\nbody\r\n");
  EXPECT_EQ(below.facts.hash, digest("Return-Path: <>\r\nA: b\r\n\r\nbody\r\n").facts.hash);
  EXPECT_EQ(below.facts.received_fields, 1u);
}

TEST(ContentDigest, what_only_looks_like_received_stays) {
  for (std::string_view message :
       {"X: y\r\n\r\nReceived: in the body\r\n", "Received-SPF: pass\r\n\r\n", "Xreceived: a\r\n\r\n",
        "A: b\r\n Received: a continuation\r\n\r\n", "Received no colon\r\n\r\n", "\r\nReceived: x\r\n\r\n"}) {
    Digested digested = digest(message);
    EXPECT_EQ(digested.facts.received_fields, 0u) << message;
    EXPECT_EQ(digested.facts.size, message.size()) << message;
  }
}

TEST(ContentDigest, token_is_the_first_well_formed_one) {
  EXPECT_EQ(digest(kPlain).token, "run-7");
  EXPECT_EQ(digest("x-ringpost-bench:\t a.b_c-1 \r\n\r\n").token, "a.b_c-1");
  EXPECT_EQ(digest("Subject: none\r\n\r\n").token, "-");
  EXPECT_EQ(digest("A: b\r\n\r\nX-Ringpost-Bench: in-the-body\r\n").token, "-");
  EXPECT_EQ(digest("X-Ringpost-Bench: two words\r\n\r\n").token, "-");
  EXPECT_EQ(digest("X-Ringpost-Bench: first\r\nX-Ringpost-Bench: second\r\n\r\n").token, "first");
  EXPECT_EQ(digest("X-Ringpost-Bench: " + std::string(65, 'a') + "\r\n\r\n").token, "-");
}

TEST(ContentDigest, a_message_that_ends_in_its_header_is_whole) {
  EXPECT_EQ(digest("Received: x\r\n y").facts.size, 0u);
  EXPECT_EQ(digest("Received: x\r\nA: b").facts.size, 4u);
}

TEST(ContentDigest, cutting_anywhere_changes_nothing) {
  for (std::string_view message :
       {std::string_view{"Received: a\r\n b\r\nReceived: c\r\nX-Ringpost-Bench: t-1\r\nS: d\r\n\r\nReceived: body\r\n"}, kPlain,
        std::string_view{"\r\nbody"}, std::string_view{"A: b\r\nReceived: end"}}) {
    Digested whole = digest(message);
    for (std::size_t first = 0; first <= message.size(); ++first) {
      for (std::size_t second = first; second <= message.size(); ++second) {
        ContentDigest cut;
        cut.feed(as_bytes(message.substr(0, first)));
        cut.feed(as_bytes(message.substr(first, second - first)));
        cut.feed(as_bytes(message.substr(second)));
        ContentFacts facts = cut.finish();
        ASSERT_EQ(facts.hash, whole.facts.hash) << first << " " << second;
        ASSERT_EQ(facts.token, whole.token);
        ASSERT_EQ(facts.size, whole.facts.size);
        ASSERT_EQ(facts.received_fields, whole.facts.received_fields);
      }
    }
  }
}

TEST(ContentDigest, a_header_without_end_is_looked_at_up_to_a_bound_however_it_is_cut) {
  std::string message = "X-Ringpost-Bench: t-2\r\n";
  while (message.size() < kHeaderBytesMax) message += "Filler: 0123456789\r\n";
  message += "Received: too far down\r\n\r\nbody\r\n";
  Digested whole = digest(message);
  EXPECT_EQ(whole.token, "t-2");
  for (std::size_t piece : {1000u, 4096u, 300'000u}) {
    ContentDigest cut;
    for (std::size_t at = 0; at < message.size(); at += piece) cut.feed(as_bytes(std::string_view{message}.substr(at, piece)));
    ContentFacts facts = cut.finish();
    EXPECT_EQ(facts.size, message.size() - facts.received_bytes);
    EXPECT_EQ(facts.hash, whole.facts.hash) << piece;
    EXPECT_EQ(facts.received_fields, whole.facts.received_fields) << piece;
  }
}

TEST(ContentDigest, begin_forgets_the_last_message) {
  ContentDigest digest;
  digest.feed(as_bytes("Received: x\r\nX-Ringpost-Bench: old\r\nunfinished"));
  digest.begin();
  digest.feed(as_bytes("a"));
  ContentFacts facts = digest.finish();
  EXPECT_EQ(facts.token, "-");
  EXPECT_EQ(facts.hash.hex(), "a96faf705af16834e6c632b61e964e1f");
}

TEST(ContentHash, hex_and_back) {
  ContentHash hash{0x0123456789abcdef, 0xf};
  EXPECT_EQ(hash.hex(), "0123456789abcdef000000000000000f");
  EXPECT_EQ(ContentHash::from_hex(hash.hex()), hash);
  EXPECT_EQ(ContentHash::from_hex("0123"), std::nullopt);
  EXPECT_EQ(ContentHash::from_hex("0123456789abcdef00000000000000zz"), std::nullopt);
  EXPECT_EQ(ContentHash::from_hex("-123456789abcdef000000000000000f"), std::nullopt);
}

}  // namespace
}  // namespace ringpost::bench
