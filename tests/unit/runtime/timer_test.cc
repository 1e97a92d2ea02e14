// The timer heap against a plain sorted map.
#include "ringpost/runtime/timer.hh"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <vector>

#include "ringpost/base/prng.hh"

namespace ringpost::runtime {
namespace {

struct Probe : Timer {
  explicit Probe(std::vector<Probe*>& fired_list)
      : Timer([](Timer& timer) {
          auto& self = static_cast<Probe&>(timer);
          self.fired->push_back(&self);
        }),
        fired(&fired_list) {}
  std::vector<Probe*>* fired;
};

Instant at(std::int64_t time) { return Instant{Duration{time}}; }

TEST(Timers, behave_as_a_sorted_map) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    Prng prng(seed);
    std::vector<Probe*> fired;
    std::vector<std::unique_ptr<Probe>> probes;
    for (int i = 0; i < 200; ++i) probes.push_back(std::make_unique<Probe>(fired));
    TimerQueue queue;
    std::multimap<Instant, Probe*> oracle;  // equal keys keep the order of insertion
    auto forget = [&](Probe* probe) { std::erase_if(oracle, [&](auto& entry) { return entry.second == probe; }); };
    std::int64_t now = 0;
    for (int step = 0; step < 5000; ++step) {
      Probe* probe = probes[prng.below(probes.size())].get();
      switch (prng.below(4)) {
        case 0:
        case 1: {
          Instant when = at(now + static_cast<std::int64_t>(prng.below(50)));
          queue.arm(*probe, when);
          forget(probe);
          oracle.emplace(when, probe);
          break;
        }
        case 2:
          queue.disarm(*probe);
          forget(probe);
          break;
        case 3: {
          now += static_cast<std::int64_t>(prng.below(10));
          std::vector<Probe*> expected;
          while (!oracle.empty() && oracle.begin()->first <= at(now)) {
            expected.push_back(oracle.begin()->second);
            oracle.erase(oracle.begin());
          }
          fired.clear();
          ASSERT_EQ(queue.fire_due(at(now)), expected.size());
          ASSERT_EQ(fired, expected);
          break;
        }
      }
      ASSERT_EQ(queue.size(), oracle.size());
      ASSERT_EQ(queue.next(), oracle.empty() ? kNever : oracle.begin()->first);
      ASSERT_EQ(probe->armed(), std::ranges::any_of(oracle, [&](auto& entry) { return entry.second == probe; }));
    }
  }
}

TEST(Timers, what_is_armed_while_firing_waits_for_the_next_turn) {
  struct Again : Timer {
    explicit Again(TimerQueue& timers)
        : Timer([](Timer& timer) {
            auto& self = static_cast<Again&>(timer);
            ++self.count;
            self.queue.arm(self, Instant{});
          }),
          queue(timers) {}
    TimerQueue& queue;
    int count = 0;
  };
  TimerQueue queue;
  Again again(queue);
  queue.arm(again, at(0));
  EXPECT_EQ(queue.fire_due(at(5)), 1u);
  EXPECT_EQ(queue.fire_due(at(5)), 1u);
  EXPECT_EQ(again.count, 2);
}

TEST(Timers, one_that_disarms_another_keeps_it_from_firing) {
  struct Killer : Timer {
    Killer(TimerQueue& timers, Timer& other)
        : Timer([](Timer& timer) {
            auto& self = static_cast<Killer&>(timer);
            self.queue.disarm(self.victim);
          }),
          queue(timers),
          victim(other) {}
    TimerQueue& queue;
    Timer& victim;
  };
  TimerQueue queue;
  std::vector<Probe*> fired;
  Probe victim(fired);
  Killer killer(queue, victim);
  queue.arm(killer, at(1));
  queue.arm(victim, at(1));
  EXPECT_EQ(queue.fire_due(at(1)), 1u);
  EXPECT_TRUE(fired.empty());
  EXPECT_FALSE(victim.armed());
}

}  // namespace
}  // namespace ringpost::runtime
