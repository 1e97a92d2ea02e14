// Who exists, asked of the next hop before any mail is taken.
#include "ringpost/deliver/callouts.hh"

#include <algorithm>

#include "deliver/callout_memory.hh"
#include "support.hh"

namespace ringpost::deliver {
namespace {

using namespace testing;
using Known = CalloutResult::Verdict;

/// Answers of the hop by local part: "250 ..." unless a test says otherwise.
struct Asked {
  explicit Asked(Script script = {}, config::Settings settings = small_settings())
      : bench(std::move(script), settings),
        callouts(bench.ring, bench.deliverer, bench.metrics, bench.log, Key256{}, std::make_shared<const config::Settings>(settings)),
        scope(bench.ring) {
    bench.hop->script.hook = [this](const std::string& verb, const std::string& line, int) -> std::optional<std::string> {
      if (verb != "RCPT") return std::nullopt;
      for (const auto& [part, reply] : replies)
        if (line.contains(part)) return reply;
      return std::nullopt;
    };
  }
  ~Asked() {
    scope.spawn(callouts.stop());
    bench.world.run_until([&] { return scope.running() == 0; }, minutes{1});
    EXPECT_EQ(scope.running(), 0u);
  }

  Task<void> ask_into(std::string address, CalloutResult& result, bool& done) {
    co_await bench.ring.sleep_for(Duration{1});  // a turn of its own, with the time as it is now
    const Instant began = bench.ring.now();
    result = co_await callouts.ask(std::move(address));
    took = bench.ring.now() - began;
    done = true;
  }
  CalloutResult ask(std::string address) {
    CalloutResult result;
    bool done = false;
    scope.spawn(ask_into(std::move(address), result, done));
    bench.world.run_until([&] { return done; }, minutes{10});
    EXPECT_TRUE(done);
    return result;
  }
  std::size_t questions() const { return static_cast<std::size_t>(std::ranges::count_if(bench.hop->lines, [](auto& line) { return line.starts_with("RCPT"); })); }

  std::map<std::string, std::string> replies;
  Bench bench;
  Callouts callouts;
  runtime::Scope scope;
  Duration took{};
};

TEST(Callouts, the_next_hop_decides_and_is_asked_once) {
  Asked asked;
  asked.replies["nobody"] = "550 5.1.1 no\r\n";
  asked.replies["full"] = "452 4.2.2 full\r\n";
  asked.replies["barred"] = "554 5.7.1 you are not welcome\r\n";
  EXPECT_EQ(asked.ask("john@next.test").verdict, Known::exists);
  EXPECT_EQ(asked.ask("JOHN@NEXT.test").verdict, Known::exists);
  EXPECT_EQ(asked.ask("nobody@next.test").verdict, Known::does_not);
  EXPECT_EQ(asked.ask("nobody@next.test").verdict, Known::does_not);
  const CalloutResult barred = asked.ask("barred@next.test");
  EXPECT_EQ(barred.verdict, Known::does_not);
  EXPECT_EQ(barred.enhanced.subject, 7);
  EXPECT_EQ(asked.questions(), 3u);
  EXPECT_EQ(asked.ask("full@next.test").verdict, Known::unsure);
  EXPECT_EQ(asked.ask("full@next.test").verdict, Known::unsure);
  EXPECT_EQ(asked.questions(), 5u) << "what it did not say is asked again";
  EXPECT_EQ(asked.bench.hop->connections, 1);
  EXPECT_EQ(std::ranges::count(asked.bench.hop->lines, "MAIL FROM:<>"), 5);
  EXPECT_EQ(std::ranges::count(asked.bench.hop->lines, "RSET"), 5);
  EXPECT_EQ(asked.bench.hop->text, "");
  EXPECT_EQ(asked.bench.metrics.callouts_sent.value(), 5u);
  EXPECT_EQ(asked.bench.metrics.callouts_remembered.value(), 2u);
  EXPECT_EQ(asked.bench.metrics.callouts_unsure.value(), 2u);
}

TEST(Callouts, a_hop_without_pipelining_is_asked_line_by_line) {
  Asked asked({.ehlo = "250 hop.test\r\n"});
  asked.replies["nobody"] = "550 no\r\n";
  EXPECT_EQ(asked.ask("john@next.test").verdict, Known::exists);
  EXPECT_EQ(asked.ask("nobody@next.test").verdict, Known::does_not);
  const std::vector<std::string> expected{"EHLO mx.test", "MAIL FROM:<>", "RCPT TO:<john@next.test>", "RSET",
                                          "MAIL FROM:<>", "RCPT TO:<nobody@next.test>", "RSET"};
  EXPECT_EQ(asked.bench.hop->lines, expected);
}

TEST(Callouts, what_was_said_holds_for_its_time_and_longer_while_the_hop_is_away) {
  Asked asked;
  asked.replies["nobody"] = "550 5.1.1 no\r\n";
  EXPECT_EQ(asked.ask("john@next.test").verdict, Known::exists);
  EXPECT_EQ(asked.ask("nobody@next.test").verdict, Known::does_not);
  asked.replies = {{"john", "550 5.1.1 left us\r\n"}};
  asked.bench.run_for(minutes{11});
  EXPECT_EQ(asked.ask("john@next.test").verdict, Known::exists);
  EXPECT_EQ(asked.ask("nobody@next.test").verdict, Known::exists) << "a new user";
  asked.bench.run_for(std::chrono::hours{6});
  asked.bench.world.network().set_route(kHop, sim::Route::refused);
  EXPECT_EQ(asked.ask("john@next.test").verdict, Known::exists) << "nobody says otherwise";
  EXPECT_EQ(asked.ask("stranger@next.test").verdict, Known::unsure);
  asked.bench.world.network().set_route(kHop, sim::Route::open);
  asked.bench.run_for(seconds{11});
  EXPECT_EQ(asked.ask("john@next.test").verdict, Known::does_not);
  asked.bench.world.network().set_route(kHop, sim::Route::refused);
  asked.bench.run_for(std::chrono::hours{24 * 8});
  EXPECT_EQ(asked.ask("nobody@next.test").verdict, Known::unsure) << "a week is long enough";
}

TEST(Callouts, a_hop_that_is_away_or_silent_costs_a_bounded_time) {
  Asked asked;
  asked.bench.world.network().set_route(kHop, sim::Route::refused);
  EXPECT_EQ(asked.ask("a@next.test").verdict, Known::unsure);
  EXPECT_EQ(asked.ask("b@next.test").verdict, Known::unsure);
  EXPECT_EQ(asked.took, Duration{}) << "it rests";
  asked.bench.world.network().set_route(kHop, sim::Route::lost);
  asked.bench.run_for(seconds{11});
  EXPECT_EQ(asked.ask("c@next.test").verdict, Known::unsure);
  EXPECT_LE(asked.took, seconds{31});
  asked.bench.world.network().set_route(kHop, sim::Route::open);
  asked.bench.run_for(seconds{11});
  asked.bench.hop->script.delay = minutes{2};
  EXPECT_EQ(asked.ask("d@next.test").verdict, Known::unsure);
  EXPECT_LE(asked.took, seconds{31});
}

TEST(Callouts, a_hop_that_refuses_the_null_sender_says_nothing_of_recipients) {
  Asked asked;
  asked.bench.hop->script.replies["MAIL"] = "550 5.7.1 no bounces here\r\n";
  EXPECT_EQ(asked.ask("john@next.test").verdict, Known::unsure);
  asked.bench.hop->script.replies.clear();
  EXPECT_EQ(asked.ask("john@next.test").verdict, Known::exists) << "it was not taken for an answer";
}

TEST(Callouts, equal_questions_share_an_answer_and_connections_are_few) {
  Asked asked({.delay = milliseconds{100}});
  std::vector<CalloutResult> results(200);
  std::vector<char> done(200);
  auto ask = [&](std::size_t i) -> Task<void> {
    results[i] = co_await asked.callouts.ask("u" + std::to_string(i % 50) + "@next.test");
    done[i] = 1;
  };
  for (std::size_t i = 0; i < results.size(); ++i) asked.scope.spawn(ask(i));
  asked.bench.world.run_until([&] { return std::ranges::count(done, 1) == 200; }, minutes{1});
  EXPECT_TRUE(std::ranges::all_of(results, [](const CalloutResult& result) { return result.verdict == Known::exists; }));
  EXPECT_EQ(asked.questions(), 50u);
  EXPECT_EQ(asked.bench.hop->open_most, 2);
}

TEST(Callouts, one_connection_too_many_leaves_the_questions_to_the_others) {
  Script script{.delay = milliseconds{100}};
  Asked asked(script);
  // The second connection is sent away.
  auto ordinary = asked.bench.hop->script.hook;
  asked.bench.hop->script.hook = [&, ordinary](const std::string& verb, const std::string& line, int nth) -> std::optional<std::string> {
    if (verb == "EHLO" && asked.bench.hop->open > 1) return "421 4.7.0 one is enough\r\n";
    return ordinary(verb, line, nth);
  };
  std::size_t existing = 0, ended = 0;
  auto ask = [&](int i) -> Task<void> {
    const CalloutResult result = co_await asked.callouts.ask("u" + std::to_string(i) + "@next.test");
    existing += result.verdict == Known::exists;
    ++ended;
  };
  CalloutResult first = asked.ask("first@next.test");
  EXPECT_EQ(first.verdict, Known::exists);
  for (int i = 0; i < 20; ++i) asked.scope.spawn(ask(i));
  asked.bench.world.run_until([&] { return ended == 20; }, minutes{2});
  EXPECT_EQ(existing, 20u);
}

TEST(Callouts, a_connection_that_was_closed_while_idle_costs_no_answer) {
  Asked asked;
  EXPECT_EQ(asked.ask("a@next.test").verdict, Known::exists);
  asked.bench.hop->script.replies["RSET"] = "";  // gone behind the next answer
  EXPECT_EQ(asked.ask("b@next.test").verdict, Known::exists);
  asked.bench.hop->script.replies.clear();
  EXPECT_EQ(asked.ask("c@next.test").verdict, Known::exists);
  EXPECT_EQ(asked.bench.hop->connections, 2);
}

TEST(Callouts, a_held_domain_and_a_suspended_site_are_not_asked) {
  config::Settings settings = small_settings();
  settings.route.domains = {{"held.test", {.kind = config::Route::Kind::hold}}};
  Asked asked({}, settings);
  EXPECT_EQ(asked.ask("a@held.test").verdict, Known::unsure);
  asked.bench.world.network().set_route(kHop, sim::Route::refused);
  (void)asked.bench.deliver();
  asked.bench.run_for(seconds{20});
  (void)asked.bench.send({});
  asked.bench.run_for(seconds{2});
  const std::uint64_t before = asked.bench.metrics.delivery_connections.value();
  EXPECT_EQ(asked.ask("a@next.test").verdict, Known::unsure);
  EXPECT_EQ(asked.bench.metrics.delivery_connections.value(), before);
}

TEST(Callouts, an_end_leaves_nobody_waiting) {
  Asked asked({.delay = minutes{10}});
  std::size_t ended = 0;
  auto ask = [&](int i) -> Task<void> {
    const CalloutResult result = co_await asked.callouts.ask("u" + std::to_string(i) + "@next.test");
    EXPECT_EQ(result.verdict, Known::unsure);
    ++ended;
  };
  for (int i = 0; i < 20; ++i) asked.scope.spawn(ask(i));
  asked.bench.run_for(seconds{1});
  asked.callouts.refuse();
  asked.bench.run_for(milliseconds{1});
  EXPECT_EQ(ended, 20u);
}

TEST(CalloutMemory, guesses_do_not_drive_out_those_that_exist) {
  CalloutMemory memory{10, 5};
  auto hash = [](int i) {
    CalloutMemory::Hash hash{};
    std::memcpy(hash.data(), &i, sizeof i);
    return hash;
  };
  for (int i = 0; i < 10; ++i) memory.put({.hash = hash(i), .exists = true});
  for (int i = 100; i < 200; ++i) memory.put({.hash = hash(i)});
  EXPECT_EQ(memory.entries(), 15u);
  EXPECT_TRUE(memory.find(hash(0)));
  EXPECT_FALSE(memory.find(hash(150)));
  memory.put({.hash = hash(10), .exists = true});
  EXPECT_TRUE(memory.find(hash(0))) << "it was just used";
  EXPECT_FALSE(memory.find(hash(1)));
  memory.put({.hash = hash(0)});
  EXPECT_FALSE(memory.find(hash(0))->exists);
}

}  // namespace
}  // namespace ringpost::deliver
