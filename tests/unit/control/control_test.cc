#include <gtest/gtest.h>

#include <algorithm>

#include <memory>

#include "../drive.hh"
#include "ringpost/control/json.hh"
#include "ringpost/control/server.hh"
#include "ringpost/sim/network.hh"
#include "ringpost/sim/sim_ring.hh"
#include "ringpost/sim/world.hh"

namespace ringpost::control {
namespace {

using runtime::Task;

std::string json(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

TEST(Json, strings_are_escaped_and_never_anything_but_utf8) {
  EXPECT_EQ(json("plain"), "\"plain\"");
  EXPECT_EQ(json("a\"b\\c"), "\"a\\\"b\\\\c\"");
  EXPECT_EQ(json("\n\x01\x7f"), "\"\\u000a\\u0001\\u007f\"");
  EXPECT_EQ(json(std::string_view{"\0", 1}), "\"\\u0000\"");
  EXPECT_EQ(json("gr\xc3\xbc\xc3\x9f"), "\"gr\xc3\xbc\xc3\x9f\"");
  EXPECT_EQ(json("\xf0\x9f\x93\xae"), "\"\xf0\x9f\x93\xae\"");
  const std::string_view bad[] = {"\xff", "\x80", "\xc3", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf0\x80\x80\xaf"};
  for (std::string_view text : bad) {
    std::string out = json(text);
    std::string expected = "\"";
    for (std::size_t i = 0; i < text.size(); ++i) expected += "\xef\xbf\xbd";
    EXPECT_EQ(out, expected + "\"");
  }
}

TEST(Json, commas_stand_between_values_only) {
  std::string out;
  JsonWriter writer{out};
  writer.begin_object();
  writer.field("a", 1);
  writer.key("b");
  writer.begin_array();
  writer.text("x");
  writer.null();
  writer.begin_object();
  writer.end_object();
  writer.end_array();
  writer.field("c", true);
  writer.end_object();
  EXPECT_EQ(out, R"({"a":1,"b":["x",null,{}],"c":true})");
}

struct FakeDaemon final : Daemon {
  std::size_t shards() const override { return 3; }
  std::string status() override { return "{}"; }
  std::string metrics() override { return "m 1\n"; }
  std::string bans() override { return {}; }
  Answer get(std::string_view key) override {
    if (key == "known") return "known = 1\n";
    return std::unexpected("no such key\nnearest: known");
  }
  Answer set(std::string_view assignment, std::uint32_t) override { return "set " + std::string{assignment}; }
  Answer reload(std::uint32_t) override { return ""; }
  void stop() override { stopped = true; }
  bool stopped = false;
};

struct FakeQueue final : QueueView {
  Task<Page> page(MessageId after, const QueueFilter& filter) override {
    Page page;
    const std::uint64_t first = load_le<std::uint64_t>(after.bytes.data()) + 1;
    for (std::uint64_t number = first; number <= messages && number < first + 10; ++number) {
      store_le(page.next.emplace().bytes.data(), number);
      if (!filter.state || number % 2 == 0) page.ids.push_back(*page.next);
    }
    co_return page;
  }
  Task<std::string> describe(MessageId id, const QueueFilter& filter) override {
    const auto number = load_le<std::uint64_t>(id.bytes.data());
    if (number == gone || number > messages || (filter.sender && number != 1)) co_return "";
    co_return "{\"id\":\"" + hex(id) + "\",\"pad\":\"" + std::string(padding, 'x') + "\"}";
  }
  Task<std::string> summarize(const QueueFilter& filter) override { co_return "{\"reason\":\"" + filter.reason.value_or("any") + "\"}"; }
  Task<Effected> carry_out(MessageId id, const Order& order) override {
    orders.push_back(order);
    if (load_le<std::uint64_t>(id.bytes.data()) == gone) co_return Effected{};
    co_return Effected{order.act == Act::retry ? Effect::in_delivery : Effect::done, order.act == Act::bounce ? 2u : 0u,
                       order.act == Act::redirect ? std::optional{id} : std::nullopt};
  }
  std::string destinations() override { return "{\"name\":\"smtp:a\"}\n{\"name\":\"smtp:b\"}\n"; }
  Task<Answer> explain(std::string address) override {
    if (address.empty()) co_return std::unexpected(std::string{"no address"});
    co_return "{\"recipient\":\"" + address + "\"}";
  }
  std::uint64_t messages = 3, gone = 0;
  std::size_t padding = 0;
  std::vector<Order> orders;
};

struct FakeHandover final : Handover {
  bool pass(std::size_t shard, Fd connection, std::string_view request) override {
    passed_to = shard;
    passed = std::string{request};
    if (takes && next) next->adopt(connection, request);
    return takes;
  }
  bool takes = true;
  Server* next = nullptr;
  std::size_t passed_to = 0;
  std::string passed;
};

class ControlTest : public testing::Test {
 protected:
  ControlTest() {
    listener_server_.listen(*ring_.listen(address_, runtime::SocketKind::stream, {}));
    handover_.next = &second_server_;
  }
  ~ControlTest() override {
    sim::drive(ring_, listener_server_.stop());
    sim::drive(ring_, second_server_.stop());
  }
  /// Sends `request` in the pieces given and reads until the server closes. `pause`: before the first read.
  std::string ask(std::vector<std::string> pieces, Duration pause = {}) {
    std::string answer;
    auto talk = [](ControlTest& self, std::vector<std::string> parts, Duration wait, std::string& out) -> Task<void> {
      Fd fd = *self.client_.open_socket(self.address_, runtime::SocketKind::stream);
      auto connected = co_await self.client_.connect(fd, self.address_, self.client_.now() + std::chrono::seconds(5));
      EXPECT_TRUE(connected);
      for (const std::string& part : parts) (void)co_await self.client_.send(fd, as_bytes(part));
      co_await self.client_.sleep_for(wait);
      std::vector<std::byte> block(4096);
      for (;;) {
        auto received = co_await self.client_.receive(fd, block, self.client_.now() + std::chrono::minutes(5));
        if (!received || *received == 0) break;
        out.append(as_text(Bytes{block}.first(*received)));
      }
      (void)co_await self.client_.close(fd);
    };
    sim::drive(client_, talk(*this, std::move(pieces), pause, answer));
    return answer;
  }

  sim::World world_{1};
  sim::SimRing& ring_ = world_.make_ring("ringpostd");
  sim::SimRing& client_ = world_.make_ring("ringpostctl");
  Log log_{LogLevel::error};
  SocketAddress address_ = *SocketAddress::from_path("/run/control.sock");
  FakeDaemon daemon_;
  FakeQueue queue_, second_queue_;
  FakeHandover handover_;
  Server listener_server_{ring_, log_, 0, daemon_, queue_, handover_};
  Server second_server_{ring_, log_, 1, daemon_, second_queue_, handover_};
};

TEST_F(ControlTest, answers_end_in_a_dot_and_refusals_say_why) {
  EXPECT_EQ(ask({"- shards\n"}), "3\n.\n");
  EXPECT_EQ(ask({"- status\n"}), "{}\n.\n");
  EXPECT_EQ(ask({"- metrics\n"}), "m 1\n.\n");
  EXPECT_EQ(ask({"- get known\n"}), "known = 1\n.\n");
  EXPECT_EQ(ask({"- set a.b=c d\n"}), "set a.b=c d\n.\n");
  EXPECT_EQ(ask({"- reload\n"}), ".\n");
  EXPECT_EQ(ask({"- get other\n"}), "! no such key\n! nearest: known\n");
}

TEST_F(ControlTest, a_request_may_come_in_pieces) { EXPECT_EQ(ask({"- sh", "ar", "ds\n"}), "3\n.\n"); }

TEST_F(ControlTest, what_is_no_request_is_refused) {
  EXPECT_EQ(ask({"- dance\n"}), "! no such command\n");
  EXPECT_EQ(ask({"\n"}), "! no such shard\n");
  EXPECT_EQ(ask({"7 queue-list\n"}), "! no such shard\n");
  EXPECT_EQ(ask({"1x queue-list\n"}), "! no such shard\n");
  EXPECT_EQ(ask({"99999999999999999999 queue-list\n"}), "! no such shard\n");
  EXPECT_EQ(ask({"- queue-list id=nothing\n"}), "! a message id is 32 hexadecimal digits\n");
  EXPECT_EQ(ask({"- queue-list colour=red\n"}), "! colour: there is no such filter\n");
  EXPECT_EQ(ask({"- queue-hold to=a@b.example\n"}), "! to: there is no such filter\n");
  EXPECT_EQ(ask({"- queue-dance\n"}), "! no such command\n");
  EXPECT_EQ(ask({"- queue-redirect to=nobody state=held\n"}), "! redirect needs an address\n");
  EXPECT_TRUE(queue_.orders.empty());
}

TEST_F(ControlTest, a_request_that_is_too_long_is_refused) {
  EXPECT_EQ(ask({"- get " + std::string(kRequestBytesMax, 'k')}), "! the request is too long\n");
  EXPECT_EQ(ask({"1 get " + std::string(kRequestBytesMax, 'k') + "\n"}), "! the request is too long\n");
  EXPECT_EQ(handover_.passed, "") << "no longer request may reach another shard";
}

TEST_F(ControlTest, another_shard_goes_on_with_the_connection) {
  second_queue_.messages = 1;
  std::string answer = ask({"1 queue-list\n"});
  EXPECT_EQ(handover_.passed_to, 1u);
  EXPECT_EQ(handover_.passed, "1 queue-list");
  EXPECT_EQ(std::count(answer.begin(), answer.end(), '\n'), 2);
  EXPECT_TRUE(answer.ends_with("}\n.\n"));
  handover_.takes = false;
  EXPECT_EQ(ask({"1 queue-list\n"}), "! that shard is busy, try again\n");
}

TEST_F(ControlTest, messages_that_went_meanwhile_are_left_out) {
  queue_.gone = 2;
  std::string answer = ask({"0 queue-list\n"});
  EXPECT_EQ(std::count(answer.begin(), answer.end(), '\n'), 3);
}

TEST_F(ControlTest, a_slow_reader_gets_the_whole_listing) {
  queue_.messages = 2000;
  queue_.padding = 500;
  std::string answer = ask({"0 queue-list\n"}, std::chrono::seconds(20));
  EXPECT_EQ(std::count(answer.begin(), answer.end(), '\n'), 2001);
  EXPECT_TRUE(answer.ends_with("}\n.\n"));
}

TEST_F(ControlTest, a_listing_goes_through_pages_that_hold_nothing_that_fits) {
  queue_.messages = 45;
  std::string answer = ask({"0 queue-list state=held\n"});
  EXPECT_EQ(std::count(answer.begin(), answer.end(), '\n'), 22 + 1);
  EXPECT_EQ(ask({"0 queue-list sender=\n"}).size(), ask({"0 queue-list id=01000000000000000000000000000000\n"}).size());
}

TEST_F(ControlTest, one_message_is_shown_without_going_through_the_queue) {
  std::string answer = ask({"0 queue-list id=02000000000000000000000000000000\n"});
  EXPECT_EQ(answer, "{\"id\":\"02000000000000000000000000000000\",\"pad\":\"\"}\n.\n");
  EXPECT_EQ(ask({"0 queue-list id=09000000000000000000000000000000\n"}), ".\n");
}

TEST_F(ControlTest, an_order_tells_what_became_of_it_for_each_message) {
  queue_.messages = 200;
  queue_.gone = 7;
  std::string answer = ask({"0 queue-bounce domain=example.org\n"});
  EXPECT_EQ(std::count(answer.begin(), answer.end(), '\n'), 200) << "one is gone, and the last line is a dot";
  EXPECT_TRUE(answer.starts_with("{\"id\":\"01000000000000000000000000000000\",\"result\":\"done\",\"recipients\":2}\n")) << answer.substr(0, 200);
  ASSERT_EQ(queue_.orders.size(), 200u);
  EXPECT_EQ(queue_.orders.front().filter.domain, "example.org");
  answer = ask({"0 queue-retry id=03000000000000000000000000000000\n"});
  EXPECT_EQ(answer, "{\"id\":\"03000000000000000000000000000000\",\"result\":\"in_delivery\"}\n.\n");
  answer = ask({"0 queue-redirect to=new%40example.net id=03000000000000000000000000000000\n"});
  EXPECT_EQ(queue_.orders.back().address, "new@example.net");
  EXPECT_NE(answer.find("\"successor\":\"03000000000000000000000000000000\""), answer.npos);
}

TEST_F(ControlTest, summaries_destinations_and_explanations_are_handed_on) {
  EXPECT_EQ(ask({"0 queue-summary reason=expired\n"}), "{\"reason\":\"expired\"}\n.\n");
  EXPECT_EQ(ask({"0 destinations\n"}), "{\"name\":\"smtp:a\"}\n{\"name\":\"smtp:b\"}\n.\n");
  EXPECT_EQ(ask({"0 explain bert@example.net\n"}), "{\"recipient\":\"bert@example.net\"}\n.\n");
  EXPECT_EQ(ask({"0 explain\n"}), "! no address\n");
}

TEST_F(ControlTest, stop_is_answered_before_it_begins) {
  EXPECT_EQ(ask({"- stop\n"}), ".\n");
  EXPECT_TRUE(daemon_.stopped);
}

}  // namespace
}  // namespace ringpost::control
