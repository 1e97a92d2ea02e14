#include <gtest/gtest.h>

#include "support.hh"

namespace ringpost::sasl {
namespace {

constexpr std::string_view kSaltText = "W22ZaJ0SNY7soEsUEjb6gQ==";  // RFC 7677 section 3, as is all of its example

ScramKeys keys_of(std::string_view password, std::uint32_t iterations = 4096) {
  std::vector<std::byte> salt(base64_bytes_max(kSaltText.size()));
  salt.resize(*decode_base64(kSaltText, salt));
  return std::move(*make_scram_keys(password, salt, iterations));
}

std::array<std::byte, 32> channel(int value) {
  std::array<std::byte, 32> bytes;
  bytes.fill(static_cast<std::byte>(value));
  return bytes;
}

/// Both sides up to the end; `password` is the account's.
std::string log_in(Exchange& exchange, ScramClient client, std::string_view password) {
  Step step = exchange.start(says(client.first()));
  if (!std::holds_alternative<FetchKeys>(step)) return told(step);
  step = exchange.give_keys(keys_of(password), "user");
  const std::string final = client.final(as_text(std::get<Challenge>(step).bytes));
  step = exchange.respond(says(final));
  if (!std::holds_alternative<Challenge>(step)) return told(step);
  EXPECT_EQ(told(step), "challenge " + client.server_final());
  return told(exchange.respond(says("")));
}

TEST(Scram, the_exchange_of_rfc_7677) {
  Exchange exchange{Mechanism::scram_sha_256, {.server_nonce = kNonce}};
  EXPECT_EQ(told(exchange.start(says("n,,n=user,r=rOprNGfwEbeRWgbNEkqO"))), "keys user as ");
  EXPECT_EQ(told(exchange.give_keys(keys_of("pencil"), "user")),
            "challenge r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
  EXPECT_EQ(told(exchange.respond(says("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
                                       "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="))),
            "challenge v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
  EXPECT_EQ(told(exchange.respond(says(""))), "success user as user");
}

TEST(Scram, names_are_unescaped_and_may_want_to_act_as_others) {
  Exchange exchange{Mechanism::scram_sha_256, {.server_nonce = kNonce}};
  EXPECT_EQ(told(exchange.start(says("n,a=b=2Co=3Db,n=a=3Db=2Cc,r=rOprNGfwEbeRWgbNEkqO"))), "keys a=b,c as b,o=b");
  Exchange whole{Mechanism::scram_sha_256, {.server_nonce = kNonce}};
  EXPECT_EQ(log_in(whole, {"n,a=bob,", "user", "pencil"}, "pencil"), "success user as bob");
  Exchange extended{Mechanism::scram_sha_256, {.server_nonce = kNonce}};
  EXPECT_EQ(told(extended.start(says("n,,n=user,r=abc,x=future,Y=more=1"))), "keys user as ");
}

TEST(Scram, a_wrong_password_fails_at_the_proof) {
  Exchange exchange{Mechanism::scram_sha_256, {.server_nonce = kNonce}};
  EXPECT_EQ(log_in(exchange, {"n,,", "user", "pencil"}, "pencils"), "failure rejected");
}

TEST(Scram, the_channel_is_part_of_the_proof) {
  const Circumstances here{.server_nonce = kNonce, .plus_offered = true, .channel_binding = channel(1)};
  const std::array<std::byte, 32> right = channel(1), other = channel(2);
  Exchange bound{Mechanism::scram_sha_256_plus, here};
  EXPECT_EQ(log_in(bound, {"p=tls-exporter,,", "user", "pencil", as_text(right)}, "pencil"), "success user as user");
  Exchange relayed{Mechanism::scram_sha_256_plus, here};
  EXPECT_EQ(log_in(relayed, {"p=tls-exporter,,", "user", "pencil", as_text(other)}, "pencil"), "failure channel_binding");
  Exchange unbound{Mechanism::scram_sha_256_plus, here};
  EXPECT_EQ(log_in(unbound, {"p=tls-exporter,,", "user", "pencil"}, "pencil"), "failure channel_binding");
}

TEST(Scram, the_header_says_what_the_client_knows_of_channels) {  // RFC 5802 section 6
  const Circumstances offered{.server_nonce = kNonce, .plus_offered = true, .channel_binding = channel(1)};
  const Circumstances clear{.server_nonce = kNonce};
  const auto start = [](Mechanism mechanism, const Circumstances& here, std::string_view header) {
    return told(Exchange(mechanism, here).start(says(std::string{header} + "n=user,r=abc")));
  };
  EXPECT_EQ(start(Mechanism::scram_sha_256, clear, "y,,"), "keys user as ");
  EXPECT_EQ(start(Mechanism::scram_sha_256, offered, "y,,"), "failure downgraded");
  EXPECT_EQ(start(Mechanism::scram_sha_256, offered, "n,,"), "keys user as ");
  EXPECT_EQ(start(Mechanism::scram_sha_256, offered, "p=tls-exporter,,"), "failure channel_binding");
  EXPECT_EQ(start(Mechanism::scram_sha_256_plus, offered, "p=tls-exporter,,"), "keys user as ");
  EXPECT_EQ(start(Mechanism::scram_sha_256_plus, offered, "p=tls-unique,,"), "failure channel_binding");
  EXPECT_EQ(start(Mechanism::scram_sha_256_plus, offered, "p=tls-server-end-point,,"), "failure channel_binding");
  EXPECT_EQ(start(Mechanism::scram_sha_256_plus, offered, "p=,,"), "failure channel_binding");
  EXPECT_EQ(start(Mechanism::scram_sha_256_plus, offered, "y,,"), "failure malformed");
  EXPECT_EQ(start(Mechanism::scram_sha_256_plus, offered, "n,,"), "failure malformed");
  EXPECT_EQ(start(Mechanism::scram_sha_256_plus, clear, "p=tls-exporter,,"), "failure channel_binding");
}

TEST(Scram, first_messages_against_the_grammar_are_refused) {
  for (std::string_view bad : {"n"sv,
                               "n,"sv,
                               "n,,"sv,
                               "x,,n=user,r=abc"sv,
                               ",,n=user,r=abc"sv,
                               "n,n=user,r=abc"sv,
                               "n,b=x,n=user,r=abc"sv,
                               "n,a=,n=user,r=abc"sv,
                               "n,a=x=2c,n=user,r=abc"sv,
                               "n,a=x=,n=user,r=abc"sv,
                               "n,,m=x,n=user,r=abc"sv,
                               "n,,n=,r=abc"sv,
                               "n,,n=user"sv,
                               "n,,n=user,"sv,
                               "n,,n=user,r="sv,
                               "n,,r=abc,n=user"sv,
                               "n,,n=us=er,r=abc"sv,
                               "n,,n=us\0er,r=abc"sv,
                               "n,,n=user,r=a c"sv,
                               "n,,n=user,r=a\xc3\xa9"sv,
                               "n,,n=user,r=abc,"sv,
                               "n,,n=user,r=abc,x"sv,
                               "n,,n=user,r=abc,x="sv,
                               "n,,n=user,r=abc,1=x"sv,
                               "n,,n=user,r=abc,x=1,"sv,
                               "n,,n=\xff,r=abc"sv,
                               "N,,n=user,r=abc"sv})
    EXPECT_EQ(told(Exchange(Mechanism::scram_sha_256, {.server_nonce = kNonce}).start(says(bad))), "failure malformed")
        << testing::PrintToString(std::string{bad});
  EXPECT_EQ(told(Exchange(Mechanism::scram_sha_256, {.server_nonce = kNonce}).start(says(""))), "failure empty");
  EXPECT_EQ(
      told(Exchange(Mechanism::scram_sha_256, {.server_nonce = kNonce}).start(says("n,,n=user,r=" + std::string(257, 'a')))),
      "failure too_long");
}

/// An exchange that waits for `final`; both are made once, because they cost thousands of hashes.
struct AlmostDone {
  ScramKeys keys = keys_of("pencil");
  ScramClient client{"n,,", "user", "pencil"};
  std::string final;

  AlmostDone() {
    Exchange exchange = begun();
    final = client.final(as_text(std::get<Challenge>(last_step).bytes));
  }
  Exchange begun() {
    Exchange exchange{Mechanism::scram_sha_256, {.server_nonce = kNonce}};
    exchange.start(says(client.first()));
    last_step = exchange.give_keys(keys.duplicate(), "user");
    return exchange;
  }
  Step last_step;
};

/// What a final message, made out of the right one by `change`, comes to.
template <typename Change>
std::string after(Change change) {
  static AlmostDone almost;
  std::string final = almost.final;
  change(final);
  Exchange exchange = almost.begun();
  return told(exchange.respond(says(final)));
}

TEST(Scram, a_final_message_that_is_another_is_refused) {
  EXPECT_EQ(after([](std::string&) {}).substr(0, 12), "challenge v=");
  EXPECT_EQ(after([](std::string& final) { final.clear(); }), "failure empty");
  EXPECT_EQ(after([](std::string& final) { final.resize(final.find(",p=")); }), "failure malformed");
  EXPECT_EQ(after([](std::string& final) { final.replace(final.find("hvYD"), 4, "hvYE"); }), "failure rejected");
  EXPECT_EQ(after([](std::string& final) { final.replace(final.find("%hvY"), 30, ""); }),
            "failure rejected");  // the client's nonce alone
  EXPECT_EQ(after([](std::string& final) { final.replace(0, 6, "c=eSws"); }), "failure channel_binding");     // "y,,"
  EXPECT_EQ(after([](std::string& final) { final.insert(final.find(",p="), ",x=1"); }), "failure rejected");  // not in the proof
  EXPECT_EQ(after([](std::string& final) { final += ",x=1"; }), "failure malformed");
}

TEST(Scram, no_octet_of_a_final_message_may_change_or_be_missing) {
  std::size_t size = 0;
  after([&](std::string& final) { size = final.size(); });
  for (std::size_t at = 0; at < size; ++at) {
    EXPECT_EQ(after([&](std::string& final) { final[at] ^= 1; }).substr(0, 7), "failure") << at;
    EXPECT_EQ(after([&](std::string& final) { final.resize(at); }).substr(0, 7), "failure") << at;
  }
}

TEST(Scram, the_last_word_of_the_client_is_empty) {
  Exchange exchange{Mechanism::scram_sha_256, {.server_nonce = kNonce}};
  ScramClient client{"n,,", "user", "pencil"};
  exchange.start(says(client.first()));
  Step step = exchange.give_keys(keys_of("pencil"), "user");
  exchange.respond(says(client.final(as_text(std::get<Challenge>(step).bytes))));
  EXPECT_EQ(told(exchange.respond(says("x"))), "failure malformed");
}

TEST(ScramKeys, they_are_written_and_read_in_one_form) {
  const std::string text = format_scram_keys(keys_of("pencil"));
  EXPECT_EQ(text,
            "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
            "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=");
  const std::optional<ScramKeys> again = parse_scram_keys(text);
  ASSERT_TRUE(again);
  EXPECT_EQ(format_scram_keys(*again), text);
  EXPECT_EQ(format_scram_keys(again->duplicate()), text);
  for (std::size_t size = 0; size < text.size(); ++size) EXPECT_FALSE(parse_scram_keys(text.substr(0, size))) << size;
  for (const auto& [from, to] : {std::pair{"4096", "4095"},
                                 {"4096", "1000001"},
                                 {"4096", "04096"},
                                 {"4096", "+4096"},
                                 {"4096", ""},
                                 {"4096", "99999999999"},
                                 {"256$", "512$"},
                                 {"W22ZaJ0SNY7soEsUEjb6gQ==", "W22ZaJ0S"},
                                 {"W22ZaJ0SNY7soEsUEjb6gQ==", ""},
                                 {"WG5d", "WG5*"},
                                 {"wfPL", ""},
                                 {"wfPL", "AAAAwfPL"}}) {
    std::string changed = text;
    changed.replace(changed.find(from), std::string_view{from}.size(), to);
    EXPECT_FALSE(parse_scram_keys(changed)) << changed;
  }
  EXPECT_FALSE(parse_scram_keys(text + " "));
  EXPECT_FALSE(parse_scram_keys(text + ":AAAA"));
}

TEST(ScramKeys, passwords_are_prepared_and_bounds_kept) {
  EXPECT_EQ(format_scram_keys(keys_of("I\u00adX")), format_scram_keys(keys_of("IX")));
  const std::byte salt[16] = {};
  EXPECT_FALSE(make_scram_keys("", salt, 4096));
  EXPECT_FALSE(make_scram_keys("a\nb", salt, 4096));
  EXPECT_FALSE(make_scram_keys("pencil", salt, 4095));
  EXPECT_FALSE(make_scram_keys("pencil", salt, kScramIterationsMax + 1));
  EXPECT_FALSE(make_scram_keys("pencil", Bytes{salt}.first(7), 4096));
}

}  // namespace
}  // namespace ringpost::sasl
