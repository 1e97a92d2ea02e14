// How many shards take new connections.
#include <gtest/gtest.h>

#include <utility>

#include "ringpost/policy/spread.hh"

namespace ringpost::policy {
namespace {

constexpr Duration kStep = std::chrono::milliseconds(100);

/// A server that is looked at ten times a second, and does so much work between two looks. Its connections are short, unless said.
struct Watched {
  explicit Watched(std::size_t shards) : spread(shards) {
    see({});
    pass(10);
  }

  /// Connections that last for no time.
  void pass(std::uint64_t count) { see({.closed = closed += count}); }
  /// So many looks later. As many connections are closed as are open.
  std::size_t look(double busy, double idle, int times = 1, std::size_t connections = 0, std::uint64_t work = 1000) {
    while (times-- > 0) {
      done += work;
      see({.busy = busy, .idle = idle, .connections = connections, .closed = closed += connections});
    }
    return spread.in_use();
  }
  /// So many connections are open for `span`, and a few closed between two looks.
  std::size_t hold(Duration span, std::size_t connections, std::uint64_t closed_each_look, double busy = 0.1) {
    for (Instant end = now + span; now < end;) see({.busy = busy, .idle = 1, .connections = connections, .closed = closed += closed_each_look});
    return spread.in_use();
  }
  void see(Spread::Seen seen) {
    seen.now = now += kStep;
    seen.work = done;
    spread.look(seen);
  }

  Spread spread;
  Instant now{std::chrono::hours(1)};
  std::uint64_t done = 0, closed = 0;
};

int looks(Duration span) { return static_cast<int>(span / kStep); }
const int kGrow = looks(Spread::kIdleFor) + 1;

TEST(Spread, one_shard_is_enough_for_little_load) {
  Watched server{8};
  EXPECT_EQ(server.look(0.6, 1, 1000), 1u);
}

TEST(Spread, busy_shards_get_idle_cores_soon) {
  Watched server{8};
  EXPECT_EQ(server.look(0.9, 1, kGrow), 2u);
  EXPECT_EQ(server.look(0.9, 1, kGrow), 4u);
  EXPECT_EQ(server.look(0.5, 1, 100), 4u);
  EXPECT_EQ(server.look(0.9, 1, kGrow), 8u);
  EXPECT_EQ(server.look(1, 1, 100), 8u);
}

TEST(Spread, a_core_that_is_idle_for_a_moment_is_not_taken) {
  Watched server{2};
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(server.look(1, 1, kGrow - 1), 1u);
    EXPECT_EQ(server.look(1, 0.1), 1u);
  }
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(server.look(1, 1, kGrow - 1), 1u);
    EXPECT_EQ(server.look(0.3, 1), 1u);
  }
}

TEST(Spread, no_more_than_there_are) {
  Watched server{3};
  EXPECT_EQ(server.look(1, 1, 2 * kGrow), 3u);
  EXPECT_EQ(Watched{1}.look(1, 1, 1000, 100'000), 1u);
}

TEST(Spread, each_has_so_many_open_connections_at_most_while_there_are_others) {
  Watched server{4};
  EXPECT_EQ(server.look(0, 1, 1, Spread::kConnections), 1u);
  EXPECT_EQ(server.look(0, 1, 1, Spread::kConnections + 1), 2u);
  EXPECT_EQ(server.look(0, 1, 1000, Spread::kConnections + 1), 2u) << "not given up while they are open";
  EXPECT_EQ(server.look(0, 1, 1, 1'000'000), 4u);
}

TEST(Spread, all_take_part_until_connections_are_seen_to_be_short) {
  Spread spread{4};
  Instant now{std::chrono::hours(1)};
  EXPECT_EQ(spread.look({.now = now, .closed = 1'000'000}), 4u) << "how it came to that is not known";
  EXPECT_EQ(spread.look({.now = now += kStep, .connections = 10, .closed = 1'000'000}), 4u);
  EXPECT_EQ(spread.look({.now = now += kStep, .connections = 10, .closed = 1'000'003}), 4u) << "three may be probes";
  EXPECT_EQ(spread.look({.now = now += kStep, .connections = 10, .closed = 1'000'020}), 1u);
  EXPECT_EQ(spread.look({.now = now += std::chrono::hours(10), .connections = 0, .closed = 1'000'030}), 1u);
  EXPECT_EQ(spread.look({.now = now += std::chrono::hours(10), .connections = 0, .closed = 1'000'030}), 1u) << "nothing is forgotten in a calm";
}

TEST(Spread, all_take_part_where_connections_are_kept) {
  Watched server{4};
  const auto while_ = std::chrono::seconds(30);
  server.pass(1000);
  ASSERT_EQ(server.spread.in_use(), 1u);
  EXPECT_EQ(server.hold(while_, 100, 0), 4u);
  EXPECT_EQ(server.hold(while_, 100, 2), 4u) << "5 s each";
  EXPECT_EQ(server.hold(while_, 100, 4), 1u) << "2.5 s each";
  EXPECT_EQ(server.hold(while_, 100, 2), 1u) << "5 s each: between the two it stays as it is";
  EXPECT_EQ(server.hold(while_, 100, 1), 4u) << "10 s each";
  EXPECT_EQ(server.hold(while_, 0, 1), 1u);
}

TEST(Spread, connections_that_wait_for_a_moment_are_not_kept_ones) {
  Watched server{4};
  EXPECT_EQ(server.hold(Spread::kLongFor, 200, 0), 1u);
  EXPECT_EQ(server.hold(std::chrono::seconds(1), 200, 100), 1u);
}

TEST(Spread, what_all_did_goes_to_as_many_as_it_needs) {
  for (const auto& [busy, wanted] : {std::pair{0.05, 1u}, {0.3, 4u}, {0.6, 8u}}) {
    Watched server{8};
    ASSERT_EQ(server.hold(std::chrono::seconds(30), 100, 0, busy), 8u);
    server.see({.busy = busy, .idle = 0, .connections = 100, .closed = server.closed += 10'000});
    EXPECT_EQ(server.spread.in_use(), wanted) << busy;
  }
}

TEST(Spread, counters_that_seem_to_go_back_do_no_harm) {
  Watched server{4};
  EXPECT_EQ(server.spread.look({.now = server.now += kStep, .connections = 10, .closed = server.closed - 1}), 1u);
  for (int i = 0; i < looks(std::chrono::seconds(5)); ++i)
    server.spread.look({.now = server.now += kStep, .connections = 10, .closed = server.closed - 1});
  EXPECT_EQ(server.spread.in_use(), 4u);
}

TEST(Spread, given_up_one_by_one_when_fewer_are_enough_for_a_while) {
  Watched server{4};
  server.look(1, 1, 2 * kGrow);
  ASSERT_EQ(server.spread.in_use(), 4u);
  const int a_while = looks(Spread::kRelaxedFor) + 1;
  EXPECT_EQ(server.look(0.5, 1, 10 * a_while), 4u) << "three would be busier than they should";
  EXPECT_EQ(server.look(0.3, 1, a_while - 1), 4u);
  EXPECT_EQ(server.look(0.6, 1), 4u) << "not that relaxed after all";
  EXPECT_EQ(server.look(0.3, 1, a_while), 3u);
  EXPECT_EQ(server.look(0, 1, a_while - 1), 3u);
  EXPECT_EQ(server.look(0, 1), 2u);
  EXPECT_EQ(server.look(0, 1, 10 * a_while), 1u);
}

TEST(Spread, one_that_is_busy_while_others_are_not_gets_help_too) {
  Watched server{8};
  for (int i = 0; i < 3 * kGrow; ++i) server.see({.busy = 0.3, .busiest = 0.95, .idle = 1});
  EXPECT_EQ(server.spread.in_use(), 8u);
  for (int i = 0; i < 100; ++i) server.see({.busy = 0.1, .busiest = 0.95, .idle = 1});
  EXPECT_EQ(server.spread.in_use(), 8u);
}

/// More shards cost more for the same load: nothing, or half as much again.
TEST(Spread, what_is_given_up_at_one_load_is_not_taken_at_the_same) {
  for (const double price : {1.0, 1.5}) {
    for (double load = 0.05; load < 4; load += 0.05) {
      Watched server{4};
      std::size_t changes = 0, before = 0;
      for (int i = 0; i < 1000; ++i) {
        const double all = server.spread.in_use() == 1 ? load : load * price;
        const std::size_t count = server.look(std::min(1.0, all / static_cast<double>(server.spread.in_use())), 1);
        if (i > 300 && count != before) ++changes;
        before = count;
      }
      EXPECT_EQ(changes, 0u) << load << " at " << price;
    }
  }
}

constexpr Duration kUntilOneMore = Spread::kBusyFor + Spread::kMeasure;
constexpr Duration kUntilJudged = Spread::kSettle + Spread::kMeasure;

TEST(Spread, a_core_that_others_use_is_tried_after_a_while_and_kept_when_it_brings_something) {
  Watched server{2};
  EXPECT_EQ(server.look(1, 0.1, looks(kUntilOneMore)), 1u);
  EXPECT_EQ(server.look(1, 0.1), 2u);
  EXPECT_EQ(server.look(1, 0.1, 100, 0, 1400), 2u);
}

TEST(Spread, and_given_back_when_it_brings_too_little) {
  Watched server{2};
  server.look(1, 0.1, looks(kUntilOneMore) + 1);
  ASSERT_EQ(server.spread.in_use(), 2u);
  EXPECT_EQ(server.look(1, 0.1, looks(kUntilJudged) - 1, 0, 1200), 2u);
  EXPECT_EQ(server.look(1, 0.1, 1, 0, 1200), 1u);
  EXPECT_EQ(server.look(1, 0.1, looks(Spread::kNextTrial), 0, 1200), 1u) << "and not tried again at once";
  EXPECT_EQ(server.look(1, 0.1, looks(Spread::kMeasure), 0, 1200), 2u);
}

TEST(Spread, a_load_that_rises_is_no_gain_of_a_trial) {
  Watched server{2};
  std::uint64_t work = 1000;
  for (int i = 0; i < looks(kUntilOneMore) + 1; ++i) server.look(1, 0.1, 1, 0, work += 10);
  ASSERT_EQ(server.spread.in_use(), 2u);
  EXPECT_EQ(server.look(1, 0.1, looks(kUntilJudged), 0, work), 1u);
}

TEST(Spread, many_shards_ask_less_of_one_more) {
  Watched server{8};
  server.look(0.9, 1, 2 * kGrow);
  ASSERT_EQ(server.spread.in_use(), 4u);
  server.look(1, 0, looks(kUntilOneMore) + 1, 0, 4000);
  ASSERT_EQ(server.spread.in_use(), 5u);
  EXPECT_EQ(server.look(1, 0, looks(kUntilJudged), 0, 4400), 5u);
}

TEST(Spread, a_trial_ends_when_connections_are_kept_or_more_shards_are_needed) {
  Watched kept{4};
  kept.look(1, 0, looks(kUntilOneMore) + 1);
  ASSERT_EQ(kept.spread.in_use(), 2u);
  EXPECT_EQ(kept.hold(std::chrono::seconds(30), 100, 0), 4u);

  Watched many{4};
  many.look(1, 0, looks(kUntilOneMore) + 1);
  ASSERT_EQ(many.spread.in_use(), 2u);
  EXPECT_EQ(many.look(1, 0, 1, 2 * Spread::kConnections + 1), 3u);
  EXPECT_EQ(many.look(1, 0, looks(kUntilJudged), 2 * Spread::kConnections + 1), 3u);
}

TEST(Spread, a_trial_is_not_begun_in_a_load_that_comes_and_goes) {
  Watched server{2};
  for (int i = 0; i < 100; ++i) {
    server.look(1, 0, looks(Spread::kBusyFor) - 1);
    EXPECT_EQ(server.look(0.1, 0), 1u);
  }
}

}  // namespace
}  // namespace ringpost::policy
