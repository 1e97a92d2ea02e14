// Connections and messages over time: reuse, idleness, back-off, permits, settings, the end.
#include "support.hh"

namespace ringpost::deliver {
namespace {

using namespace testing;

TEST(Deliverer, messages_share_a_connection_until_it_has_been_idle_too_long) {
  config::Settings settings = small_settings();
  settings.deliver.timeout.idle = seconds{10};
  Bench bench({}, settings);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(verdicts(bench.deliver()), "+");
  EXPECT_EQ(bench.hop->connections, 1);
  bench.run_for(seconds{15});
  EXPECT_EQ(bench.hop->open, 0);
  EXPECT_EQ(bench.hop->lines.back(), "QUIT");
  EXPECT_EQ(verdicts(bench.deliver()), "+");
  EXPECT_EQ(bench.hop->connections, 2);
}

TEST(Deliverer, many_messages_use_as_many_connections_as_allowed_and_each_goes_once) {
  Bench bench;
  for (int i = 0; i < 200; ++i) (void)bench.send({});
  for (std::size_t i = 0; i < 200; ++i) EXPECT_EQ(verdicts(bench.attempt(i)), "+");
  EXPECT_EQ(bench.hop->open_most, 4);
  EXPECT_EQ(bench.hop->messages.size(), 200u);
}

TEST(Deliverer, a_connection_ends_after_its_share_of_messages) {
  config::Settings settings = small_settings();
  settings.deliver.messages_per_connection = 2;
  Bench bench({}, settings);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(verdicts(bench.deliver()), "+");
  EXPECT_EQ(bench.hop->connections, 3);
}

TEST(Deliverer, a_stale_connection_is_replaced_at_once) {
  for (const std::string& reply : {""s, "421 4.4.2 idle\r\n"s}) {
    Bench bench;
    EXPECT_EQ(verdicts(bench.deliver()), "+");
    bench.hop->script.hook = [&](const std::string& verb, const std::string&, int nth) -> std::optional<std::string> {
      if (verb == "MAIL" && nth == 2) return reply;
      return std::nullopt;
    };
    EXPECT_EQ(verdicts(bench.deliver()), "+");
    EXPECT_EQ(bench.hop->connections, 2);
    EXPECT_EQ(bench.attempts[1].size(), 1u);
  }
  Bench bench;
  EXPECT_EQ(verdicts(bench.deliver()), "+");
  bench.world.network().reset_all(kHop);
  bench.run_for(seconds{1});
  EXPECT_EQ(verdicts(bench.deliver()), "+");
}

TEST(Deliverer, a_hop_that_is_away_is_left_alone_for_a_while_and_then_gets_everything) {
  Bench bench;
  bench.world.network().set_route(kHop, sim::Route::refused);
  for (int i = 0; i < 50; ++i) (void)bench.send({});
  bench.run_for(seconds{30});
  EXPECT_LT(bench.metrics.delivery_connections.value(), 30u);
  EXPECT_GE(bench.metrics.delivery_connections.value(), 4u);
  EXPECT_EQ(bench.attempts[0][0].results[0].reason, event::Reason::connection_refused);
  bench.world.network().set_route(kHop, sim::Route::open);
  bench.world.run_until([&] { return bench.queue.size() == 0; }, minutes{10});
  EXPECT_EQ(bench.queue.size(), 0u);
  EXPECT_EQ(bench.hop->messages.size(), 50u);
}

TEST(Deliverer, permits_bound_the_connections_and_idle_ones_are_given_up_when_others_wait) {
  Bench bench;
  bench.permits.limit = 2;
  for (int i = 0; i < 50; ++i) (void)bench.send({});
  for (std::size_t i = 0; i < 50; ++i) EXPECT_EQ(verdicts(bench.attempt(i)), "+");
  EXPECT_EQ(bench.hop->open_most, 2);
  EXPECT_GT(bench.permits.held(), 0u);
  bench.permits.others_wait = true;
  bench.deliverer.kick();
  bench.run_for(seconds{5});
  EXPECT_EQ(bench.permits.held(), 0u);
  EXPECT_EQ(bench.hop->open, 0);
}

TEST(Deliverer, without_a_permit_nothing_leaves) {
  Bench bench;
  bench.permits.limit = 0;
  (void)bench.send({});
  bench.run_for(minutes{5});
  EXPECT_EQ(bench.hop->connections, 0);
  bench.permits.limit = 1;
  bench.deliverer.kick();
  EXPECT_EQ(verdicts(bench.attempt(0)), "+");
}

TEST(Deliverer, hold_keeps_mail_and_a_route_lets_it_go) {
  config::Settings held = small_settings();
  held.route.fallback = {};
  Bench bench({}, held);
  (void)bench.send({});
  bench.run_for(minutes{5});
  EXPECT_EQ(bench.hop->connections, 0);
  bench.deliverer.reconfigure(std::make_shared<const config::Settings>(small_settings()));
  EXPECT_EQ(verdicts(bench.attempt(0)), "+");
  bench.deliverer.reconfigure(std::make_shared<const config::Settings>(held));
  bench.run_for(seconds{5});
  EXPECT_EQ(bench.hop->open, 0);
}

TEST(Deliverer, mail_that_cannot_be_opened_is_postponed_and_the_others_go) {
  Bench bench;
  bench.open_error = Error{Errc::unavailable};
  (void)bench.send({});
  bench.run_for(seconds{1});
  EXPECT_EQ(bench.postponed, 1u);
  EXPECT_EQ(bench.hop->connections, 0);
  bench.open_error.reset();
  EXPECT_EQ(verdicts(bench.attempt(0)), "+");
}

TEST(Stop, a_running_attempt_may_finish) {
  Bench bench({.delay = seconds{1}});
  (void)bench.send({});
  bench.run_for(seconds{3});
  bench.stop(minutes{1});
  EXPECT_EQ(verdicts(bench.attempts[0].at(0)), "+");
}

TEST(Stop, at_the_deadline_attempts_are_broken_off_and_deferred) {
  Bench bench({.delay = seconds{100}});
  for (int i = 0; i < 10; ++i) (void)bench.send({});
  bench.run_for(seconds{150});
  const Instant begin = bench.world.now();
  bench.stop(seconds{5});
  EXPECT_LT(bench.world.now() - begin, seconds{20});
  EXPECT_EQ(verdicts(bench.attempts[0].at(0)), "~");
  EXPECT_EQ(bench.queue.size(), 10u);
}

}  // namespace
}  // namespace ringpost::deliver
