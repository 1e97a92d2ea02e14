// Dovecot's authentication protocol, and asking it.
#include <gtest/gtest.h>

#include "ringpost/base/prng.hh"
#include "ringpost/helperd/dovecot_client.hh"
#include "ringpost/runtime/receiver.hh"
#include "ringpost/sim/network.hh"
#include "ringpost/sim/sim_ring.hh"
#include "ringpost/sim/world.hh"

namespace ringpost::helperd {
namespace {

using namespace dovecot;
using namespace std::string_view_literals;
using runtime::Task;
using std::chrono::seconds;
using Outcome = Answer::Outcome;

const IpAddress kClient = *IpAddress::parse("2001:db8::1");

std::string told(std::string_view line) {
  const auto message = parse_line(line);
  if (!message) return "malformed";
  if (const auto* version = std::get_if<Version>(&*message)) return "version " + std::to_string(version->major);
  if (const auto* mechanism = std::get_if<Mechanism>(&*message)) return "mechanism " + std::string{mechanism->name};
  if (std::holds_alternative<Ready>(*message)) return "ready";
  if (std::holds_alternative<Other>(*message)) return "other";
  const Answer& answer = std::get<Answer>(*message);
  constexpr std::string_view kNames[] = {"ok", "refused", "temporary", "more"};
  return std::to_string(answer.id) + " " + std::string{kNames[static_cast<std::size_t>(answer.outcome)]} + " " + answer.user;
}

TEST(DovecotProtocol, lines) {
  const std::pair<std::string_view, std::string_view> kLines[] = {
      {"VERSION\t1\t2", "version 1"},
      {"VERSION\t1", "version 1"},
      {"VERSION\tx\t2", "malformed"},
      {"VERSION", "malformed"},
      {"MECH\tPLAIN\tplaintext", "mechanism PLAIN"},
      {"MECH\tPLAIN", "mechanism PLAIN"},
      {"MECH", "malformed"},
      {"SPID\t17", "other"},
      {"COOKIE\t0123456789abcdef", "other"},
      {"DONE", "ready"},
      {"OK\t7\tuser=anna@our.test", "7 ok anna@our.test"},
      {"OK\t7\tx=y\tuser=anna\tmore", "7 ok anna"},
      {"OK\t4294967295\tuser=a", "4294967295 ok a"},
      {"OK\t4294967296\tuser=a", "malformed"},
      {"OK\t-1\tuser=a", "malformed"},
      {"OK\t7", "malformed"},
      {"OK\t7\tuser=", "malformed"},
      {"OK\t7\tuser=a\tuser=b", "malformed"},
      {"OK\t7\tuser=a\1tb", "malformed"},  // a tab in a name
      {"OK\t7\tuser=a\1" "0b", "malformed"},
      {"OK\t7\tuser=a\1x", "malformed"},
      {"OK\t7\tuser=a\1", "malformed"},
      {"OK", "malformed"},
      {"FAIL\t7", "7 refused "},
      {"FAIL\t7\tuser=anna\treason=no\tcode=user_disabled", "7 refused "},
      {"FAIL\t7\tuser=anna\ttemp", "7 temporary "},
      {"FAIL\tseven", "malformed"},
      {"CONT\t7\tQQ==", "7 more "},
      {"ok\t7\tuser=anna", "other"},
      {"", "malformed"},
      {"\tOK", "malformed"},
      {"OK\t7\tuser=a\0b"sv, "malformed"},
      {"DONE\nDONE", "malformed"},
  };
  for (const auto& [line, meaning] : kLines) EXPECT_EQ(told(line), meaning) << line;
  EXPECT_EQ(told("OK\t1\tuser=" + std::string(255, 'a')), "1 ok " + std::string(255, 'a'));
  EXPECT_EQ(told("OK\t1\tuser=" + std::string(256, 'a')), "malformed");
  EXPECT_EQ(told("X\t" + std::string(kLineBytesMax, 'a')), "malformed");
}

TEST(DovecotProtocol, what_we_say) {
  EXPECT_EQ(hello(4711), "VERSION\t1\t2\nCPID\t4711\n");
  EXPECT_EQ(plain_request(3, "anna", "secret", kClient).text(),
            "AUTH\t3\tPLAIN\tservice=smtp\tsecured\trip=2001:db8::1\tresp=AGFubmEAc2VjcmV0\n");
  // What would end a field travels as base64 like the rest.
  EXPECT_TRUE(plain_request(3, "a\tb", "c\nd", kClient).text().ends_with("\tresp=AGEJYgBjCmQ=\n"));
}

TEST(DovecotProtocol, whatever_bytes_come_there_is_a_verdict) {
  Prng random{4};
  const std::string_view kPieces[] = {"OK", "FAIL", "CONT", "\t", "user=", "\1", "t", "7", "temp", "VERSION", "MECH", "DONE", "\n", "\0"sv, "\xff"};
  for (int i = 0; i < 100'000; ++i) {
    std::string line;
    for (std::uint64_t pieces = random.below(8); pieces > 0; --pieces) line += kPieces[random.below(std::size(kPieces))];
    const auto message = parse_line(line);
    const auto* answer = message ? std::get_if<Answer>(&*message) : nullptr;
    if (answer) EXPECT_EQ(answer->outcome == Outcome::ok, !answer->user.empty()) << line;
  }
}

/// A Dovecot that does what a test has it do.
class Scripted {
 public:
  Scripted(sim::World& world, const SocketAddress& address) : ring_(world.make_ring("dovecot", {.process = "dovecot"})), scope_(ring_) {
    auto listener = ring_.listen(address, runtime::SocketKind::stream, {});
    EXPECT_TRUE(listener);
    acceptor_.emplace(ring_, *listener);
    scope_.spawn(run());
  }
  std::string greeting = "VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t2\nCOOKIE\tab\nDONE\n";
  std::size_t together = 1;   // so many questions are read before they are answered, the last first
  std::size_t piece = 4096;   // so many bytes are sent at a time
  std::size_t connections = 0;
  std::string heard;
  Task<void> stop() {
    co_await acceptor_->stop();
    co_await scope_.join();
  }

 private:
  Task<void> run() {
    for (;;) {
      auto accepted = co_await acceptor_->next();
      if (!accepted) co_return;
      ++connections;
      co_await serve(*accepted);
      (void)co_await ring_.close(*accepted);
    }
  }
  Task<void> say(Fd socket, std::string text) {
    for (std::size_t at = 0; at < text.size(); at += piece) (void)co_await ring_.send(socket, as_bytes(std::string_view{text}.substr(at, piece)));
  }
  Task<void> serve(Fd socket) {
    co_await say(socket, greeting);
    std::string line_buffer;
    std::vector<std::string> answers;
    std::array<std::byte, 512> buffer;
    for (;;) {
      auto received = co_await ring_.receive(socket, buffer);
      if (!received || *received == 0) co_return;
      line_buffer += as_text(Bytes{buffer}.first(*received));
      for (std::size_t end = line_buffer.find('\n'); end != line_buffer.npos; end = line_buffer.find('\n')) {
        const std::string line = line_buffer.substr(0, end);
        line_buffer.erase(0, end + 1);
        heard += line + "\n";
        if (!line.starts_with("AUTH\t")) continue;
        const std::string id = line.substr(5, line.find('\t', 5) - 5);
        if (line.ends_with("AGEAcmlnaHQ=")) answers.push_back("OK\t" + id + "\tuser=anna\n");         // a, right
        else if (line.ends_with("AGEAbGF0ZXI=")) answers.push_back("FAIL\t" + id + "\tuser=a\ttemp\n");  // a, later
        else if (line.ends_with("AGEAbW9yZQ==")) answers.push_back("CONT\t" + id + "\t\n");              // a, more
        else if (line.ends_with("AGEAZGll")) co_return;                                                   // a, die
        else if (line.ends_with("AGEAYmFk")) answers.push_back("OK\t" + id + "\n");                       // a, bad
        else answers.push_back("FAIL\t" + id + "\tuser=a\n");
      }
      if (answers.size() < together) continue;
      for (; !answers.empty(); answers.pop_back()) co_await say(socket, answers.back());
    }
  }
  sim::SimRing& ring_;
  runtime::Scope scope_;
  std::optional<runtime::Acceptor> acceptor_;
};

class Dovecot : public ::testing::Test {
 protected:
  Dovecot() : client_(ring_, log_, address_, 4711) {}
  void TearDown() override {
    scope_.spawn(client_.stop());
    if (dovecot_) scope_.spawn(dovecot_->stop());
    world_.run_until([&] { return scope_.running() == 0; }, seconds{60});
    EXPECT_EQ(scope_.running(), 0u);
  }
  Task<void> ask(std::string password) {
    auto answer = co_await client_.check_password("a", password, kClient);
    said_ += password + (!answer ? ":away " : *answer ? ":" + **answer + " " : ":no ");
  }
  std::string finish() {
    world_.run_until([&] { return scope_.running() == 0; }, std::chrono::minutes{2});
    EXPECT_EQ(scope_.running(), 0u);
    return std::exchange(said_, {});
  }
  std::string after(std::string password) {
    scope_.spawn(ask(std::move(password)));
    return finish();
  }

  sim::World world_{1};
  sim::SimRing& ring_ = world_.make_ring("helperd");
  SocketAddress address_ = *SocketAddress::from_path("/run/dovecot/auth-client");
  Log log_{LogLevel::error};
  std::optional<Scripted> dovecot_;
  DovecotClient client_;
  runtime::Scope scope_{ring_};
  std::string said_;
};

TEST_F(Dovecot, says_whose_password_it_is_or_that_it_is_not_or_nothing) {
  dovecot_.emplace(world_, address_);
  EXPECT_EQ(after("right"), "right:anna ");
  EXPECT_EQ(after("wrong"), "wrong:no ");
  EXPECT_EQ(after("later"), "later:away ");
  EXPECT_EQ(after("more"), "more:away ");
  EXPECT_EQ(dovecot_->connections, 1u);
  EXPECT_TRUE(dovecot_->heard.starts_with("VERSION\t1\t2\nCPID\t4711\nAUTH\t1\tPLAIN\t")) << dovecot_->heard;
}

TEST_F(Dovecot, answers_find_their_questions_in_any_order_however_they_are_cut) {
  dovecot_.emplace(world_, address_);
  dovecot_->together = 3;
  dovecot_->piece = 1;
  for (const char* password : {"right", "wrong", "later"}) scope_.spawn(ask(password));
  EXPECT_EQ(finish(), "later:away wrong:no right:anna ");
}

TEST_F(Dovecot, away_is_no_answer_and_the_next_question_tries_again) {
  EXPECT_EQ(after("right"), "right:away ");
  dovecot_.emplace(world_, address_);
  EXPECT_EQ(after("right"), "right:anna ");
  EXPECT_EQ(after("die"), "die:away ");
  EXPECT_EQ(after("right"), "right:anna ");
  EXPECT_EQ(dovecot_->connections, 2u);
}

TEST_F(Dovecot, nonsense_ends_the_connection_and_is_no_answer) {
  dovecot_.emplace(world_, address_);
  EXPECT_EQ(after("bad"), "bad:away ");
  EXPECT_EQ(after("right"), "right:anna ");
  for (const char* greeting : {"HTTP/1.1 400 Bad Request\n", "VERSION\t2\t0\nMECH\tPLAIN\nDONE\n", "VERSION\t1\t2\nMECH\tGSSAPI\nDONE\n",
                               "MECH\tPLAIN\nDONE\n", "VERSION\t1\t2\nMECH\tPLAIN\nOK\t1\tuser=a\nDONE\n", "\n"}) {
    dovecot_->greeting = greeting;
    EXPECT_EQ(after("die"), "die:away ");
    EXPECT_EQ(after("right"), "right:away ") << greeting;
  }
  dovecot_->greeting = std::string(3 * kLineBytesMax, 'x');
  EXPECT_EQ(after("right"), "right:away ");
  dovecot_->greeting = "";
  EXPECT_EQ(after("right"), "right:away ") << "it says nothing";
}

}  // namespace
}  // namespace ringpost::helperd
