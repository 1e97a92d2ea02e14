// Contract: time, randomness, timers, signals, scopes, hooks and offloaded work.
#include <algorithm>
#include <set>
#include <thread>

#include "contract_support.hh"

namespace ringpost::runtime::contract {

namespace {

using std::chrono::milliseconds;

Task<void> sleep_and_note(Ring& ring, Duration time, int name, std::vector<int>& order) {
  Instant until = ring.now() + time;
  co_await ring.sleep_until(until);
  EXPECT_GE(ring.now(), until);
  order.push_back(name);
}

Task<void> sleepers_wake_in_order(Ring& ring) {
  std::vector<int> order;
  Scope scope(ring);
  scope.spawn(sleep_and_note(ring, milliseconds(30), 4, order));
  scope.spawn(sleep_and_note(ring, milliseconds(10), 1, order));
  scope.spawn(sleep_and_note(ring, milliseconds(20), 2, order));
  scope.spawn(sleep_and_note(ring, milliseconds(20), 3, order));
  scope.spawn(sleep_and_note(ring, milliseconds(-5), 0, order));
  EXPECT_EQ(scope.running(), 5u);
  co_await scope.join();
  EXPECT_EQ(order, (std::vector{0, 1, 2, 3, 4}));
}

Task<void> take_turns(Ring& ring, int turns, bool& other_ran) {
  for (int i = 0; i < turns && !other_ran; ++i) co_await ring.sleep_for(Duration::zero());
  EXPECT_TRUE(other_ran) << "the loop never came round";
}
Task<void> wait_for_file(Ring& ring, std::string path, bool& ran) {
  auto opened = co_await ring.open(path.c_str(), 0);
  EXPECT_FALSE(opened);
  ran = true;
}

Task<void> zero_sleeps_let_others_run(Ring& ring, std::string path) {
  bool ran = false;
  Scope scope(ring);
  scope.spawn(wait_for_file(ring, path, ran));
  scope.spawn(take_turns(ring, 1'000'000, ran));
  co_await scope.join();
}

Task<void> look_at_clocks(Ring& ring) {
  Instant before = ring.now();
  WallTime wall_before = ring.wall_now();
  co_await ring.sleep_for(milliseconds(5));
  EXPECT_GE(ring.now() - before, milliseconds(5));
  EXPECT_GE(ring.wall_now() - wall_before, milliseconds(1));
}

Task<void> be_busy(Ring& ring, int turns, bool& done) {
  for (int i = 0; i < turns; ++i) co_await ring.sleep_for(Duration::zero());
  done = true;
}
Task<void> pause(Ring& ring, Duration patience, PauseAwait** pausing, bool& over) {
  PauseAwait await = ring.pause(ring.now() + patience);
  *pausing = &await;
  co_await await;
  over = true;
}

Task<void> pauses_wait_for_what_is_ready(Ring& ring) {
  bool done = false, over = false;
  PauseAwait* pausing = nullptr;
  Scope scope(ring);
  scope.spawn(be_busy(ring, 50, done));
  scope.spawn(pause(ring, kPatience, &pausing, over));
  while (!done) {
    EXPECT_FALSE(over);
    co_await ring.sleep_for(Duration::zero());
  }
  co_await scope.join();
  EXPECT_TRUE(over);
}

Task<void> pauses_end_in_time(Ring& ring, bool hurry) {
  bool over = false;
  PauseAwait* pausing = nullptr;
  Scope scope(ring);
  const Instant latest = ring.now() + kSoon;
  scope.spawn(pause(ring, hurry ? kPatience : kSoon, &pausing, over));
  if (hurry) pausing->hurry();
  int turns = 0;
  while (!over) {  // the loop is never quiet
    co_await ring.sleep_for(Duration::zero());
    ++turns;
  }
  if (hurry) EXPECT_LE(turns, 2);
  else EXPECT_GE(ring.now(), latest);
  co_await scope.join();
}

struct Waiting {
  int woken = 0, timed_out = 0;
  std::vector<int> order;
};

Task<void> wait_once(Signal& signal, int name, Instant deadline, Waiting& seen) {
  bool woken = co_await signal.wait(deadline);
  ++(woken ? seen.woken : seen.timed_out);
  seen.order.push_back(name);
}

Task<void> signals_wake_and_time_out(Ring& ring) {
  Signal signal(ring);
  Scope scope(ring);
  Waiting seen;
  scope.spawn(wait_once(signal, 1, kNever, seen));
  scope.spawn(wait_once(signal, 2, ring.now() + kSoon, seen));
  scope.spawn(wait_once(signal, 3, ring.now() + kPatience, seen));
  scope.spawn(wait_once(signal, 4, kNever, seen));
  co_await ring.sleep_for(2 * kSoon);
  EXPECT_EQ(seen.order, std::vector{2});
  EXPECT_EQ(seen.timed_out, 1);
  signal.notify_one();
  EXPECT_EQ(seen.woken, 0) << "woken inside notify";
  co_await ring.sleep_for(Duration::zero());
  EXPECT_EQ(seen.order, (std::vector{2, 1}));
  signal.notify_all();
  EXPECT_FALSE(signal.has_waiters());
  co_await scope.join();
  EXPECT_EQ(seen.order, (std::vector{2, 1, 3, 4}));
  EXPECT_EQ(seen.woken, 3);
}

Task<int> deep(int depth) {
  if (depth == 0) co_return 0;
  int below = co_await deep(depth - 1);
  co_return below + 1;
}
Task<void> nest(Ring& ring, int& result) {
  co_await ring.sleep_for(Duration::zero());
  result = co_await deep(20'000);
}

Task<void> scopes_wait_for_all(Ring& ring) {
  Scope scope(ring);
  co_await scope.join();  // nothing to wait for
  int result = 0;
  scope.spawn(nest(ring, result));
  EXPECT_EQ(scope.running(), 1u);
  co_await scope.join();
  EXPECT_EQ(result, 20'000);
}

struct Job : OffloadJob {
  int number = 0, runs = 0;
  std::thread::id ran_on{}, done_on{};
  std::vector<int>* order = nullptr;
  Signal* signal = nullptr;
};

Task<void> jobs_run_in_order(Ring& ring) {
  std::vector<int> order;
  Signal signal(ring);
  std::vector<Job> jobs(50);
  for (Job& job : jobs) {
    job.number = static_cast<int>(&job - jobs.data());
    job.order = &order;
    job.signal = &signal;
    job.run = [](OffloadJob& base) {
      auto& self = static_cast<Job&>(base);
      ++self.runs;
      self.ran_on = std::this_thread::get_id();
    };
    job.done = [](OffloadJob& base) {
      auto& self = static_cast<Job&>(base);
      self.done_on = std::this_thread::get_id();
      self.order->push_back(self.number);
      self.signal->notify_all();
    };
    ring.offload(job);
  }
  EXPECT_TRUE(order.empty()) << "done inside offload()";
  bool in_time = true;
  while (order.size() < jobs.size() && in_time) in_time = co_await signal.wait(ring.now() + kPatience);
  EXPECT_TRUE(std::ranges::is_sorted(order));
  EXPECT_EQ(order.size(), jobs.size());
  for (Job& job : jobs) {
    EXPECT_EQ(job.runs, 1);
    EXPECT_EQ(job.ran_on, jobs[0].ran_on);
    EXPECT_EQ(job.done_on, std::this_thread::get_id());
  }
}

struct CountingHook final : LoopHook {
  explicit CountingHook(Ring& ring) : ring(ring) { ring.set_hook(this); }
  ~CountingHook() override { ring.set_hook(nullptr); }
  bool poll() override {
    EXPECT_FALSE(asleep);
    ++polls;
    return false;
  }
  bool may_sleep() override {
    EXPECT_FALSE(asleep);
    asleep = true;
    return true;
  }
  void awake() override {
    EXPECT_TRUE(asleep);
    asleep = false;
  }
  Ring& ring;
  bool asleep = false;
  int polls = 0;
};

Task<void> wakes_run_the_other_hook(Ring& ring, Ring& other) {
  CountingHook hook(other);
  for (int round = 0; round < 100; ++round) {
    int before = hook.polls;
    ring.wake(other);
    ring.wake(other);
    Instant patience = ring.now() + kPatience;
    while (hook.polls == before && ring.now() < patience) co_await ring.sleep_for(milliseconds(1));
    EXPECT_GT(hook.polls, before);
  }
  int before = hook.polls;
  other.wake(other);
  Instant patience = ring.now() + kPatience;
  while (hook.polls == before && ring.now() < patience) co_await ring.sleep_for(milliseconds(1));
  EXPECT_GT(hook.polls, before);
}

}  // namespace

TEST_P(RingContract, sleepers_wake_in_order) { drive(sleepers_wake_in_order(ring())); }
TEST_P(RingContract, zero_sleeps_let_others_run) { drive(zero_sleeps_let_others_run(ring(), world().directory() + "/none")); }
TEST_P(RingContract, clocks_advance) { drive(look_at_clocks(ring())); }
TEST_P(RingContract, a_pause_waits_for_what_is_ready) { drive(pauses_wait_for_what_is_ready(ring())); }
TEST_P(RingContract, a_pause_ends_in_time) { drive(pauses_end_in_time(ring(), false)); }
TEST_P(RingContract, a_pause_can_be_ended) { drive(pauses_end_in_time(ring(), true)); }
TEST_P(RingContract, signals_wake_in_order_and_time_out) { drive(signals_wake_and_time_out(ring())); }
TEST_P(RingContract, scopes_wait_for_the_last) { drive(scopes_wait_for_all(ring())); }
TEST_P(RingContract, offloaded_jobs_run_in_order) { drive(jobs_run_in_order(ring())); }
TEST_P(RingContract, a_wake_runs_the_other_hook) { drive(wakes_run_the_other_hook(ring(0), ring(1))); }
TEST_P(RingContract, randomness_does_not_repeat) {
  std::set<std::vector<std::byte>> seen;
  for (int i = 0; i < 100; ++i) {
    std::vector<std::byte> bytes(32);
    ring().random(bytes);
    seen.insert(bytes);
  }
  EXPECT_EQ(seen.size(), 100u);
  std::vector<std::byte> much(1_MiB);  // more than one system call gives
  ring().random(much);
  EXPECT_LT(std::ranges::count(much, std::byte{0}), 8192);
}

}  // namespace ringpost::runtime::contract
