// Logging in at a next hop: what is said to whom, and what becomes of the mail when it is not let in.
#include <algorithm>

#include "ringpost/base/base64.hh"
#include "ringpost/sasl/exchange.hh"
#include "ringpost/sasl/scram.hh"
#include "secured.hh"

namespace ringpost::deliver {
namespace {

using namespace testing;

constexpr std::string_view kPassword = "correct horse";

config::HopLogin login() {
  const Bytes bytes = as_bytes(kPassword);
  return {.username = "relay@client.test",
          .password_file = "/etc/ringpost/smarthost.password",
          .password = std::make_shared<const SecretBytes>(std::vector<std::byte>(bytes.begin(), bytes.end()))};
}

std::string base64(std::string_view text) { return encode_base64(as_bytes(text)); }

/// Our own server's side of SCRAM, as a hop's answers.
class ScramHop {
 public:
  explicit ScramHop(std::string password = std::string{kPassword}) : password_(std::move(password)) {}
  std::optional<std::string> operator()(const std::string& verb, const std::string& line, int) {
    if (verb == "AUTH") {
      exchange_.emplace(sasl::Mechanism::scram_sha_256, sasl::Circumstances{.server_nonce = "0123456789abcdefghij"});
      return answer(exchange_->start(sasl::parse_initial_response(line.substr(line.rfind(' ') + 1))));
    }
    if (!exchange_ || verb == "MAIL" || verb == "EHLO" || verb == "QUIT") return std::nullopt;
    return answer(exchange_->respond(sasl::parse_response(line)));
  }
  int log_ins = 0;
  bool lies = false;  ///< it says that all is well before it has shown anything

 private:
  std::string answer(sasl::Step step) {
    if (std::holds_alternative<sasl::FetchKeys>(step)) {
      const std::byte salt[16] = {std::byte{5}};
      step = exchange_->give_keys(std::move(*sasl::make_scram_keys(password_, salt, 4096)), "relay@client.test");
    } else if (lies) {
      return "235 2.7.0 welcome\r\n";
    }
    if (const auto* challenge = std::get_if<sasl::Challenge>(&step)) return "334 " + encode_base64(challenge->bytes) + "\r\n";
    exchange_.reset();
    if (std::holds_alternative<sasl::Failure>(step)) return "535 5.7.8 no\r\n";
    ++log_ins;
    return "235 2.7.0 welcome\r\n";
  }
  std::string password_;
  std::optional<sasl::Exchange> exchange_;
};

const RecipientResult& last_result(Secured& secured) { return secured.bench().attempts.back().back().results.at(0); }

TEST(Login, plain_is_said_under_tls_in_one_line) {
  Secured secured(TlsPolicy::verify, login(), "PLAIN LOGIN");
  secured.hop().script.replies["AUTH"] = "235 2.7.0 welcome\r\n";
  EXPECT_EQ(secured.outcome(), "+ tls");
  const auto& lines = secured.hop().lines;
  const auto said = std::ranges::find(lines, "AUTH PLAIN " + base64("\0relay@client.test\0correct horse"s));
  ASSERT_NE(said, lines.end());
  EXPECT_GT(said - std::ranges::find(lines, "STARTTLS"), 0);
  EXPECT_EQ(std::ranges::count_if(lines, [](const std::string& line) { return line.starts_with("AUTH"); }), 1);
}

TEST(Login, a_connection_logs_in_once_whatever_goes_over_it) {
  Secured secured(TlsPolicy::verify, login(), "PLAIN");
  secured.hop().script.replies["AUTH"] = "235 2.7.0 welcome\r\n";
  for (int i = 0; i < 3; ++i) EXPECT_EQ(secured.outcome(), "+ tls");
  EXPECT_EQ(secured.hop().connections, 1);
  EXPECT_EQ(std::ranges::count_if(secured.hop().lines, [](const std::string& line) { return line.starts_with("AUTH"); }), 1);
}

TEST(Login, login_is_for_hops_that_have_nothing_else) {
  Secured secured(TlsPolicy::encrypt, login(), "CRAM-MD5 LOGIN");
  secured.hop().script.hook = [](const std::string& verb, const std::string&, int) -> std::optional<std::string> {
    if (verb == "AUTH") return "334 VXNlcm5hbWU6\r\n";
    if (verb == base64("relay@client.test")) return "334 UGFzc3dvcmQ6\r\n";
    if (verb == base64(kPassword)) return "235 welcome\r\n";
    return std::nullopt;
  };
  EXPECT_EQ(secured.outcome(), "+ tls");
  EXPECT_EQ(std::ranges::count(secured.hop().lines, "AUTH LOGIN"), 1);
}

TEST(Login, a_long_initial_response_is_said_when_it_is_asked_for) {  // RFC 4954 section 4
  config::HopLogin longer = login();
  longer.username.assign(200, 'u');
  longer.password = std::make_shared<const SecretBytes>(std::vector<std::byte>(300, std::byte{'p'}));
  Secured secured(TlsPolicy::verify, std::move(longer), "PLAIN");
  const std::string response = base64("\0"s + std::string(200, 'u') + "\0"s + std::string(300, 'p'));
  secured.hop().script.hook = [response](const std::string& verb, const std::string& line, int) -> std::optional<std::string> {
    if (line == "AUTH PLAIN") return "334 \r\n";
    if (verb == response) return "235 welcome\r\n";
    return std::nullopt;
  };
  EXPECT_EQ(secured.outcome(), "+ tls");
  EXPECT_TRUE(std::ranges::all_of(secured.hop().lines, [](const std::string& line) { return !line.starts_with("AUTH") || line.size() <= 510; }));
}

TEST(Login, scram_proves_the_password_to_a_hop_that_knows_it) {
  ScramHop hop;  // says QUIT's answer when the other one dies
  Secured secured(TlsPolicy::verify, login(), "LOGIN PLAIN SCRAM-SHA-256");
  secured.hop().script.hook = std::ref(hop);
  EXPECT_EQ(secured.outcome(), "+ tls");
  EXPECT_EQ(hop.log_ins, 1);
  for (const std::string& line : secured.hop().lines) EXPECT_EQ(line.find(base64(kPassword).substr(0, 12)), line.npos) << line;
}

TEST(Login, a_hop_that_says_yes_without_a_proof_gets_no_mail) {
  ScramHop hop{"another password"};
  hop.lies = true;
  Secured secured(TlsPolicy::verify, login(), "SCRAM-SHA-256");
  secured.hop().script.hook = std::ref(hop);
  EXPECT_EQ(secured.outcome(), "~ hop_login_impossible");
  EXPECT_FALSE(secured.told_anything());
}

TEST(Login, a_refusal_makes_mail_wait_and_is_not_asked_for_again_at_once) {
  Secured secured(TlsPolicy::verify, login(), "PLAIN");
  secured.hop().script.replies["AUTH"] = "535 5.7.8 no such login: AHJlbGF5QGNsaWVudC50ZXN0\r\n";
  EXPECT_EQ(secured.outcome(), "~ hop_login_refused");
  EXPECT_EQ(last_result(secured).reply, (event::ReplyCode{535, 5, 7, 8}));
  EXPECT_EQ(last_result(secured).text, "The next hop refuses the login that is configured for it") << "nothing the hop says of it is kept";
  EXPECT_FALSE(secured.told_anything());
  EXPECT_EQ(secured.bench().metrics.delivery_login_failures.value(), 1u);
  (void)secured.bench().send({});
  secured.bench().run_for(seconds{40});  // the first retry is at 60 s
  EXPECT_EQ(secured.hop().connections, 1) << "who keeps trying a wrong password is locked out";
  secured.hop().script.replies["AUTH"] = "235 welcome\r\n";
  secured.bench().run_for(minutes{10});
  EXPECT_EQ(secured.hop().messages.size(), 2u);
}

TEST(Login, what_goes_wrong_is_said_exactly) {
  struct Case {
    std::string mechanisms, answer, outcome;
    event::ReplyCode reply;
  };
  const Case cases[] = {{"", "", "~ hop_login_impossible", {454, 4, 7, 0}},
                        {"CRAM-MD5 XOAUTH2", "", "~ hop_login_impossible", {454, 4, 7, 0}},
                        {"PLAIN", "454 4.7.0 not now\r\n", "~ next_hop_deferred", {454, 4, 7, 0}},
                        {"PLAIN", "534 5.7.9 too weak\r\n", "~ hop_login_refused", {534, 5, 7, 9}},
                        {"PLAIN", "334 \r\n", "~ hop_login_impossible", {454, 4, 7, 0}},
                        {"PLAIN", "354 go\r\n", "~ next_hop_protocol", {454, 4, 7, 0}},
                        {"SCRAM-SHA-256", "235 welcome\r\n", "~ hop_login_impossible", {454, 4, 7, 0}},
                        {"SCRAM-SHA-256", "334 !\r\n", "~ hop_login_impossible", {454, 4, 7, 0}}};
  for (const Case& each : cases) {
    Secured secured(TlsPolicy::verify, login(), each.mechanisms);
    if (!each.answer.empty()) secured.hop().script.replies["AUTH"] = each.answer;
    EXPECT_EQ(secured.outcome(), each.outcome) << each.mechanisms << " " << each.answer;
    EXPECT_EQ(last_result(secured).reply, each.reply) << each.mechanisms << " " << each.answer;
    EXPECT_FALSE(secured.told_anything());
  }
}

TEST(Login, no_word_of_it_is_said_to_a_hop_that_is_not_who_it_should_be) {
  for (const bool offers : {true, false}) {
    Secured secured(TlsPolicy::verify, login(), "PLAIN");
    if (!offers) secured.hop().script.ehlo = "250-hop.test\r\n250 AUTH PLAIN\r\n";
    else secured.bench().deliverer.secure_with(nullptr);
    EXPECT_EQ(secured.outcome(), "~ tls_not_offered");
    EXPECT_FALSE(std::ranges::any_of(secured.hop().lines, [](const std::string& line) { return line.starts_with("AUTH"); }));
  }
}

TEST(Login, a_hop_that_wants_one_where_we_have_none_makes_mail_wait) {
  for (const std::string verb : {"MAIL", "RCPT"}) {
    Bench bench{Script{.replies = {{verb, "530 5.7.0 Authentication required\r\n"}}}};
    const Attempt& attempt = bench.deliver();
    EXPECT_EQ(verdicts(attempt), "~");
    EXPECT_EQ(attempt.results[0].reason, event::Reason::hop_login_demanded);
    EXPECT_EQ(attempt.results[0].text, "Authentication required");
  }
}

}  // namespace
}  // namespace ringpost::deliver
