// helperd's protocol, and ringpostd's end of it.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "ringpost/base/prng.hh"
#include "ringpost/helper/client.hh"
#include "ringpost/runtime/receiver.hh"
#include "ringpost/sim/network.hh"
#include "ringpost/sim/sim_ring.hh"
#include "ringpost/sim/world.hh"

namespace ringpost::helper {
namespace {

using protocol::Kind;
using protocol::Status;
using runtime::Task;
using std::chrono::seconds;

const IpAddress kClient = *IpAddress::parse("2001:db8::1");

sasl::ScramKeys some_keys() {
  sasl::ScramKeys keys;
  keys.iterations = sasl::kScramIterationsMin;
  keys.salt.assign(16, std::byte{3});
  keys.stored_key.mutable_view()[0] = std::byte{1};
  keys.server_key.mutable_view()[31] = std::byte{2};
  return keys;
}

std::vector<SecretBytes> frames() {
  std::vector<SecretBytes> all;
  all.push_back(protocol::encode(1, Kind::check_password, {"submission", kClient, "anna", "secret"}));
  all.push_back(protocol::encode(2, Kind::scram_keys, {"submission", kClient, "anna", {}}));
  all.push_back(protocol::encode(3, Kind::check_password, protocol::LoginReply{true, {"anna", {"anna@our.test", "@example.org"}}}));
  all.push_back(protocol::encode(4, Kind::admit, protocol::LoginReply{}));
  all.push_back(protocol::encode(5, protocol::KeysReply{some_keys(), {"anna", {}}}));
  all.push_back(protocol::encode_status(6, Kind::scram_keys, Status::busy));
  all.push_back(protocol::encode(7, Kind::fetch_policy, protocol::WebRequest{"example.org", {kClient, *IpAddress::parse("192.0.2.1")}, {}}));
  all.push_back(protocol::encode(8, Kind::post_report, protocol::WebRequest{"https://example.org/r", {kClient}, "zipped"}));
  all.push_back(protocol::encode(9, Kind::fetch_policy, WebAnswer{WebFault::none, 200, "text/plain", "version: STSv1"}));
  all.push_back(protocol::encode(10, Kind::post_report, WebAnswer{WebFault::redirect, 301, {}, {}}));
  all.push_back(protocol::encode(11, Kind::check_token, protocol::LoginRequest{"submission", kClient, {}, "token", {kClient, *IpAddress::parse("10.0.0.1")}}));
  all.push_back(protocol::encode(12, Kind::admit, protocol::LoginRequest{"submission", kClient, "anna", {}}));
  return all;
}

/// How many of the decoders take it.
int readers(Bytes frame) {
  return static_cast<int>(protocol::decode_request(frame).has_value()) + static_cast<int>(protocol::decode_login_reply(Kind::check_password, frame).has_value()) +
         static_cast<int>(protocol::decode_login_reply(Kind::admit, frame).has_value()) +
         static_cast<int>(protocol::decode_keys_reply(frame).has_value()) + static_cast<int>(protocol::decode_web_request(frame).has_value()) +
         static_cast<int>(protocol::decode_web_answer(frame).has_value());
}

TEST(Protocol, what_is_written_is_read_and_nothing_shorter_or_longer) {
  const std::vector<SecretBytes> all = frames();
  const auto request = protocol::decode_request(all[0].view());
  ASSERT_TRUE(request);
  EXPECT_EQ(request->login, "anna");
  EXPECT_EQ(request->secret, "secret");
  EXPECT_EQ(request->scope, "submission");
  EXPECT_EQ(request->client, kClient);
  EXPECT_TRUE(request->addresses.empty());
  const auto token = protocol::decode_request(all[10].view());
  ASSERT_TRUE(token);
  EXPECT_EQ(token->secret, "token");
  EXPECT_EQ(token->addresses, (std::vector{kClient, *IpAddress::parse("10.0.0.1")}));
  const auto reply = protocol::decode_login_reply(Kind::check_password, all[2].view());
  ASSERT_TRUE(reply);
  EXPECT_TRUE(reply->right);
  EXPECT_EQ(reply->account.senders, (std::vector<std::string>{"anna@our.test", "@example.org"}));
  const auto keys = protocol::decode_keys_reply(all[4].view());
  ASSERT_TRUE(keys);
  EXPECT_EQ(keys->keys.iterations, sasl::kScramIterationsMin);
  EXPECT_EQ(as_text(keys->keys.server_key.view()), as_text(some_keys().server_key.view()));
  const auto post = protocol::decode_web_request(all[7].view());
  ASSERT_TRUE(post);
  EXPECT_EQ(post->target, "https://example.org/r");
  EXPECT_EQ(post->addresses, std::vector{kClient});
  EXPECT_EQ(post->body, "zipped");
  EXPECT_EQ(protocol::decode_web_answer(all[8].view()), (WebAnswer{WebFault::none, 200, "text/plain", "version: STSv1"}));
  EXPECT_EQ(protocol::decode_web_answer(all[9].view()), (WebAnswer{WebFault::redirect, 301, {}, {}}));
  for (const SecretBytes& frame : all) {
    const bool is_status = protocol::decode_header(frame.view())->status != Status::ok;
    EXPECT_EQ(readers(frame.view()), is_status ? 0 : 1);
    for (std::size_t size = 0; size < frame.view().size(); ++size) EXPECT_EQ(readers(frame.view().first(size)), 0);
    std::vector<std::byte> longer(frame.view().begin(), frame.view().end());
    longer.push_back({});
    EXPECT_EQ(readers(longer), 0);
  }
}

// The example of docs/formats/helperd-protocol.md.
TEST(Protocol, the_example_of_the_format_page) {
  constexpr unsigned char kExample[] = "\x01\x01\0\0\x07\0\0\0\x0a\0submission\x09\0" "192.0.2.1\x02\0" "al\x02\0pw";
  const SecretBytes frame = protocol::encode(7, Kind::check_password, {"submission", *IpAddress::parse("192.0.2.1"), "al", "pw"});
  EXPECT_EQ(as_text(frame.view()), (std::string_view{reinterpret_cast<const char*>(kExample), sizeof kExample - 1}));
}

TEST(Protocol, every_byte_string_has_a_verdict) {
  Prng random{7};
  for (const SecretBytes& frame : frames())
    for (int i = 0; i < 5000; ++i) {
      std::vector<std::byte> changed(frame.view().begin(), frame.view().end());
      for (std::uint64_t n = 1 + random.below(4); n > 0; --n) changed[random.below(changed.size())] = static_cast<std::byte>(random.below(256));
      EXPECT_LE(readers(changed), 1);
    }
}

/// helperd as a script: answers what it is asked in the opposite order, `together` at a time.
class Scripted {
 public:
  Scripted(sim::World& world, const SocketAddress& address) : ring_(world.make_ring("helperd")), scope_(ring_) {
    acceptor_.emplace(ring_, *ring_.listen(address, runtime::SocketKind::seqpacket, {}));
    scope_.spawn(run());
  }
  std::size_t together = 1;
  std::size_t die_after = SIZE_MAX;  ///< packets, then the connection ends
  bool garbage = false;
  std::size_t connections = 0;
  std::vector<IpAddress> issuer;  ///< of the last token
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
  Task<void> serve(Fd socket) {
    std::vector<SecretBytes> waiting;
    std::array<std::byte, 4096> buffer;
    for (std::size_t packets = 0;; ++packets) {
      auto received = co_await ring_.receive(socket, buffer);
      if (!received || *received == 0 || packets == die_after) co_return;
      const Bytes frame = Bytes{buffer}.first(*received);
      const auto header = protocol::decode_header(frame);
      const auto request = protocol::decode_request(frame);
      EXPECT_TRUE(header && request);
      if (garbage) waiting.push_back(SecretBytes{{std::byte{9}, std::byte{9}}});
      else if (header->kind == Kind::scram_keys) waiting.push_back(protocol::encode(header->id, protocol::KeysReply{some_keys(), {std::string{request->login}, {}}}));
      else if (header->kind == Kind::admit || header->kind == Kind::check_token) {
        const bool right = header->kind == Kind::admit || request->secret == "right";
        issuer = request->addresses;
        const std::string login{header->kind == Kind::admit ? request->login : "owner"};
        waiting.push_back(protocol::encode(header->id, header->kind, right ? protocol::LoginReply{true, {login, {}}} : protocol::LoginReply{}));
      } else if (request->secret == "right") waiting.push_back(protocol::encode(header->id, header->kind, protocol::LoginReply{true, {std::string{request->login}, {}}}));
      else if (request->secret == "busy") waiting.push_back(protocol::encode_status(header->id, header->kind, Status::busy));
      else waiting.push_back(protocol::encode(header->id, header->kind, protocol::LoginReply{}));
      if (waiting.size() < together) continue;
      for (; !waiting.empty(); waiting.pop_back()) (void)co_await ring_.send(socket, waiting.back().view());
    }
  }
  sim::SimRing& ring_;
  runtime::Scope scope_;
  std::optional<runtime::Acceptor> acceptor_;
};

class HelperClient : public ::testing::Test {
 protected:
  HelperClient() : client_(ring_, log_, address_) {}
  void TearDown() override {
    scope_.spawn(client_.stop());
    if (helperd_) scope_.spawn(helperd_->stop());
    world_.run_until([&] { return scope_.running() == 0; }, seconds{60});
    EXPECT_EQ(scope_.running(), 0u);
  }
  Task<void> ask(std::string login, std::string password) {
    auto answer = co_await client_.check_password({"submission", kClient}, login, password);
    tell(login, answer);
  }
  Task<void> ask_token(std::string token) {
    auto answer = co_await client_.check_token({"submission", kClient}, token);
    tell(token, answer);
  }
  Task<void> ask_admission(std::string login) {
    auto answer = co_await client_.admit({"submission", kClient}, login);
    tell(login, answer);
  }
  void tell(const std::string& asked, const Result<std::optional<Login>>& answer) {
    said_ += asked + (!answer ? ":away " : *answer ? ":" + (*answer)->name + " " : ":no ");
  }
  Task<void> ask_keys(std::string login) {
    auto answer = co_await client_.scram_keys({"submission", kClient}, login);
    said_ += login + (answer ? ":" + answer->login.name + " " : ":away ");
  }
  std::string finish() {
    world_.run_until([&] { return scope_.running() == 0; }, std::chrono::minutes{2});
    EXPECT_EQ(scope_.running(), 0u);
    return std::exchange(said_, {});
  }

  sim::World world_{1};
  sim::SimRing& ring_ = world_.make_ring("ringpostd");
  SocketAddress address_ = *SocketAddress::from_path("/run/helperd");
  Log log_{LogLevel::error};
  std::optional<Scripted> helperd_;
  Client client_;
  runtime::Scope scope_{ring_};
  std::string said_;
};

TEST_F(HelperClient, answers_find_their_questions_in_any_order) {
  helperd_.emplace(world_, address_);
  helperd_->together = 4;
  scope_.spawn(ask("a", "right"));
  scope_.spawn(ask("b", "wrong"));
  scope_.spawn(ask_keys("c"));
  scope_.spawn(ask("d", "busy"));
  EXPECT_EQ(finish(), "d:away c:c b:no a:a ");
  EXPECT_EQ(helperd_->connections, 1u);
}

TEST_F(HelperClient, tokens_and_proven_logins_are_questions_of_their_own) {
  helperd_.emplace(world_, address_);
  scope_.spawn(ask_token("right"));
  EXPECT_EQ(finish(), "right:owner ");
  EXPECT_TRUE(helperd_->issuer.empty());
  client_.find_issuer_by([this]() -> Task<std::vector<IpAddress>> {
    co_await ring_.sleep_for(seconds{1});
    co_return std::vector<IpAddress>(kWebAddressesMax + 1, kClient);
  });
  scope_.spawn(ask_token("right"));
  EXPECT_EQ(finish(), "right:owner ");
  EXPECT_EQ(helperd_->issuer, std::vector<IpAddress>(kWebAddressesMax, kClient));
  scope_.spawn(ask_token("wrong"));
  EXPECT_EQ(finish(), "wrong:no ");
  scope_.spawn(ask_admission("anna"));
  EXPECT_EQ(finish(), "anna:anna ");
}

TEST_F(HelperClient, nobody_there_is_no_answer_and_the_next_question_tries_again) {
  scope_.spawn(ask("a", "right"));
  EXPECT_EQ(finish(), "a:away ");
  helperd_.emplace(world_, address_);
  scope_.spawn(ask("a", "right"));
  EXPECT_EQ(finish(), "a:a ");
}

TEST_F(HelperClient, a_helperd_that_dies_takes_its_questions_with_it) {
  helperd_.emplace(world_, address_);
  helperd_->together = 3;
  helperd_->die_after = 1;
  scope_.spawn(ask("a", "right"));
  scope_.spawn(ask("b", "right"));
  EXPECT_EQ(finish(), "a:away b:away ");
  helperd_->together = 1;
  scope_.spawn(ask("c", "right"));
  EXPECT_EQ(finish(), "c:c ");
  EXPECT_EQ(helperd_->connections, 2u);
}

TEST_F(HelperClient, one_that_speaks_another_protocol_is_left) {
  helperd_.emplace(world_, address_);
  helperd_->garbage = true;
  scope_.spawn(ask("a", "right"));
  EXPECT_EQ(finish(), "a:away ");
}

TEST_F(HelperClient, one_that_never_answers_is_not_waited_for_without_end) {
  helperd_.emplace(world_, address_);
  helperd_->together = 2;
  scope_.spawn(ask("a", "right"));
  EXPECT_EQ(finish(), "a:away ");
  EXPECT_GT(world_.now().time_since_epoch(), seconds{19});
}

}  // namespace
}  // namespace ringpost::helper
