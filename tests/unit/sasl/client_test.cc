#include "ringpost/sasl/client.hh"

#include <gtest/gtest.h>

#include <algorithm>

#include "support.hh"

namespace ringpost::sasl {
namespace {

constexpr std::string_view kOurs = "rOprNGfwEbeRWgbNEkqO";  // RFC 7677 section 3, as is all of its example
constexpr std::string_view kFirst = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
using Next = ClientExchange::Next;
using Kept = std::optional<ScramClientKeys>;

std::array<std::byte, 32> channel(int value) {
  std::array<std::byte, 32> bytes;
  bytes.fill(static_cast<std::byte>(value));
  return bytes;
}

std::string said(const ClientExchange& client) { return client.words() ? std::string{as_text(*client.words())} : "(nothing)"; }

ClientExchange scram(Kept& kept, std::string_view password = "pencil", std::string_view name = "user") {
  return {Mechanism::scram_sha_256, {name, password}, {.client_nonce = kOurs, .channel_binding = {}, .kept = kept}};
}

Next finish_work(ClientExchange& client, Next next) {
  for (int turns = 0; next == Next::work; ++turns) {
    EXPECT_LT(turns, 100);
    next = client.work(1000);
  }
  return next;
}

TEST(Client, the_strongest_mechanism_that_is_offered) {
  EXPECT_EQ(strongest("LOGIN PLAIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS", true), Mechanism::scram_sha_256_plus);
  EXPECT_EQ(strongest("SCRAM-SHA-256-PLUS LOGIN PLAIN SCRAM-SHA-256", false), Mechanism::scram_sha_256);
  EXPECT_EQ(strongest("login plain", true), Mechanism::plain);
  EXPECT_EQ(strongest("CRAM-MD5 LOGIN XOAUTH2", true), Mechanism::login);
  EXPECT_EQ(strongest("CRAM-MD5 DIGEST-MD5 OAUTHBEARER EXTERNAL", true), std::nullopt);
  EXPECT_EQ(strongest("SCRAM-SHA-256-PLUS", false), std::nullopt);
  EXPECT_EQ(strongest("", true), std::nullopt);
}

TEST(Client, plain_says_it_all_at_once) {
  Kept kept;
  ClientExchange client{Mechanism::plain, {"tim", "tanstaaftanstaaf"}, {.client_nonce = {}, .channel_binding = {}, .kept = kept}};
  EXPECT_EQ(client.start(), Next::say);
  EXPECT_EQ(said(client), "\0tim\0tanstaaftanstaaf"sv);
  EXPECT_TRUE(client.complete());
  EXPECT_EQ(client.take({}), Next::failed) << "there is no second word to say";
}

TEST(Client, login_answers_two_questions_whatever_their_words) {
  Kept kept;
  ClientExchange client{Mechanism::login, {"tim", "secret"}, {.client_nonce = {}, .channel_binding = {}, .kept = kept}};
  EXPECT_EQ(client.start(), Next::say);
  EXPECT_EQ(said(client), "(nothing)");
  EXPECT_FALSE(client.complete());
  EXPECT_EQ(client.take(as_bytes("User Name"sv)), Next::say);
  EXPECT_EQ(said(client), "tim");
  EXPECT_EQ(client.take(as_bytes(""sv)), Next::say);
  EXPECT_EQ(said(client), "secret");
  EXPECT_TRUE(client.complete());
  EXPECT_EQ(client.take({}), Next::failed);
}

TEST(Client, the_scram_exchange_of_rfc_7677) {
  Kept kept;
  ClientExchange client = scram(kept);
  EXPECT_EQ(client.start(), Next::say);
  EXPECT_EQ(said(client), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
  EXPECT_EQ(client.take(as_bytes(kFirst)), Next::work);
  EXPECT_EQ(finish_work(client, Next::work), Next::say);
  EXPECT_EQ(said(client), "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
  EXPECT_FALSE(client.complete()) << "the server has shown nothing yet";
  EXPECT_EQ(client.take(as_bytes("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="sv)), Next::say);
  EXPECT_EQ(said(client), "");
  EXPECT_TRUE(client.complete());
  EXPECT_EQ(client.take({}), Next::failed);
}

TEST(Client, keys_that_are_kept_save_the_work_while_the_salt_is_the_same) {
  Kept kept;
  for (int log_in = 0; log_in < 2; ++log_in) {
    ClientExchange client = scram(kept);
    EXPECT_EQ(client.start(), Next::say);
    const Next next = client.take(as_bytes(kFirst));
    EXPECT_EQ(next, log_in == 0 ? Next::work : Next::say);
    EXPECT_EQ(finish_work(client, next), Next::say);
    EXPECT_TRUE(said(client).ends_with(",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")) << said(client);
  }
  ClientExchange other = scram(kept);
  EXPECT_EQ(other.start(), Next::say);
  EXPECT_EQ(other.take(as_bytes("r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4097"sv)), Next::work);
}

TEST(Client, a_server_that_does_not_know_the_password_is_found_out) {
  Kept kept;
  for (const auto& [final, failure] : {std::pair{"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5="sv, ClientFailure::forged},
                                       {"v="sv, ClientFailure::forged}, {"e=invalid-proof"sv, ClientFailure::refused},
                                       {""sv, ClientFailure::malformed}, {"x=1"sv, ClientFailure::malformed}}) {
    ClientExchange client = scram(kept);
    (void)client.start();
    (void)finish_work(client, client.take(as_bytes(kFirst)));
    EXPECT_EQ(client.take(as_bytes(final)), Next::failed) << final;
    EXPECT_EQ(client.failure(), failure) << final;
    EXPECT_FALSE(client.complete());
  }
}

TEST(Client, a_first_message_that_is_not_good) {
  struct Case {
    std::string_view message;
    ClientFailure failure;
  };
  const Case cases[] = {
      {"", ClientFailure::malformed},
      {"r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", ClientFailure::malformed},  // nothing of the server's own
      {"r=somebodyelsesNonce123,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", ClientFailure::malformed},
      {"r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==", ClientFailure::malformed},
      {"r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ=,i=4096", ClientFailure::malformed},
      {"r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096x", ClientFailure::malformed},
      {"r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=-1", ClientFailure::malformed},
      {"r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=", ClientFailure::malformed},
      {"m=must,r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", ClientFailure::malformed},
      {"r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,", ClientFailure::malformed},
      {"r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=1", ClientFailure::too_weak},
      {"r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=4096", ClientFailure::too_weak},
      {"r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=1000001", ClientFailure::too_costly},
      {"r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=99999999999999999999", ClientFailure::too_costly},
  };
  for (const Case& each : cases) {
    Kept kept;
    ClientExchange client = scram(kept);
    (void)client.start();
    EXPECT_EQ(client.take(as_bytes(each.message)), Next::failed) << each.message;
    EXPECT_EQ(client.failure(), each.failure) << each.message;
  }
}

/// Both of our sides, up to the end.
std::string log_in(Mechanism mechanism, const Login& login, const Circumstances& here, std::optional<std::array<std::byte, 32>> binding) {
  Kept kept;
  ClientExchange client{mechanism, login, {.client_nonce = kOurs, .channel_binding = binding, .kept = kept}};
  Exchange server{mechanism, here};
  (void)client.start();
  Step step = server.start(says(said(client)));
  if (!std::holds_alternative<FetchKeys>(step)) return told(step);
  const std::byte salt[16] = {std::byte{9}};
  step = server.give_keys(std::move(*make_scram_keys("pencil", salt, 4096)), "user");
  while (const auto* challenge = std::get_if<Challenge>(&step)) {
    if (finish_work(client, client.take(challenge->bytes)) != Next::say) return "client failed";
    step = server.respond(says(said(client)));
  }
  const bool doubted = std::holds_alternative<Success>(step) && !client.complete();
  return told(step) + (doubted ? ", and the client does not believe it" : "");
}

TEST(Client, our_own_server_lets_it_in) {
  const Circumstances clear{.server_nonce = kNonce}, bound{.server_nonce = kNonce, .plus_offered = true, .channel_binding = channel(1)};
  EXPECT_EQ(log_in(Mechanism::scram_sha_256, {"user", "pencil"}, clear, {}), "success user as user");
  EXPECT_EQ(log_in(Mechanism::scram_sha_256, {"user", "pencils"}, clear, {}), "failure rejected");
  EXPECT_EQ(log_in(Mechanism::scram_sha_256, {"a=b,c", "pencil"}, clear, {}), "success user as user") << "the name is escaped";
  EXPECT_EQ(log_in(Mechanism::scram_sha_256_plus, {"user", "pencil"}, bound, channel(1)), "success user as user");
  EXPECT_EQ(log_in(Mechanism::scram_sha_256_plus, {"user", "pencil"}, bound, channel(2)), "failure channel_binding") << "a relay";
  EXPECT_EQ(log_in(Mechanism::scram_sha_256, {"user", "pencil"}, bound, channel(1)), "failure downgraded") << "somebody took -PLUS away";
  EXPECT_EQ(log_in(Mechanism::scram_sha_256, {"user", "pencil"}, clear, channel(1)), "success user as user");
}

}  // namespace
}  // namespace ringpost::sasl
