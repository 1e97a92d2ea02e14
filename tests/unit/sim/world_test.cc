// Time, determinism, crashes.
#include <set>

#include "ringpost/runtime/crash.hh"
#include "ringpost/runtime/signal.hh"
#include "support.hh"

namespace ringpost::sim {
namespace {

Task<void> a_bit_of_everything(SimRing& client, SimRing& server) {
  const Pair pair = co_await connect_pair(client, server);
  const Fd fd = co_await open_file(server, "/log", O_RDWR | O_CREAT);
  std::array<std::byte, 16> noise, echo;
  for (int round = 0; round < 20; ++round) {
    client.random(noise);
    auto sent = co_await client.send(pair.client, noise);
    auto received = co_await server.receive(pair.server, echo);
    if (!sent || !received) break;
    (void)co_await server.write_then_sync(fd, sealed(Bytes{echo}.first(*received)), static_cast<std::uint64_t>(round) * 16);
    co_await client.sleep_for(milliseconds{round});
  }
}

std::uint64_t hash_of_run(std::uint64_t seed) {
  World world(seed);
  world.faults().set(Fault::net_split, 2);
  world.faults().set(Fault::disk_slow, 10);
  world.faults().set(Fault::disk_short_write, 5);
  world.faults().set(Fault::ring_stall, 20);
  SimRing &client = world.make_ring("client"), &server = world.make_ring("server");
  drive(client, a_bit_of_everything(client, server));
  return world.trace_hash();
}

TEST(SimWorld, the_same_seed_gives_the_same_run) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) EXPECT_EQ(hash_of_run(seed), hash_of_run(seed)) << "seed " << seed;
}

TEST(SimWorld, another_seed_gives_another_run) {
  std::set<std::uint64_t> hashes;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) hashes.insert(hash_of_run(seed));
  EXPECT_EQ(hashes.size(), 20u);
}

Task<void> sleep_a_day(SimRing& ring, Duration& slept) {
  const Instant before = ring.now();
  const WallTime wall_before = ring.wall_now();
  co_await ring.sleep_for(std::chrono::hours{24});
  slept = ring.now() - before;
  EXPECT_GE(ring.wall_now() - wall_before, std::chrono::hours{24 + 1000});
}

TEST(SimWorld, a_day_passes_at_once_and_the_wall_clock_may_jump) {
  World world(1);
  SimRing& ring = world.make_ring("sleeper");
  Duration slept{};
  runtime::Scope scope(ring);
  scope.spawn(sleep_a_day(ring, slept));
  EXPECT_EQ(world.run_for(std::chrono::hours{1}), Stop::time);
  world.jump_wall(std::chrono::hours{1000});
  EXPECT_EQ(world.run_until([&] { return scope.running() == 0; }, kLong), Stop::reached);
  EXPECT_GE(slept, std::chrono::hours{24});
  EXPECT_LT(slept, std::chrono::hours{24} + seconds{1});
  EXPECT_EQ(world.run_idle(kLong), Stop::idle);
}

struct CountingHook : runtime::LoopHook {
  int polls = 0, work = 0, done = 0;
  bool poll() override {
    ++polls;
    return work > 0 ? (--work, ++done, true) : false;
  }
  bool may_sleep() override { return work == 0; }
  void awake() override {}
};

TEST(SimWorld, a_wake_runs_the_hook_long_before_its_tick) {
  World world(1);
  SimRing &first = world.make_ring("first"), &second = world.make_ring("second");
  CountingHook hook;
  second.set_hook(&hook);
  world.run_for(milliseconds{350});
  EXPECT_GE(hook.polls, 3);
  EXPECT_LE(hook.polls, 5);  // the tick, every 100 ms
  hook.work = 3;
  first.wake(second);
  world.run_for(milliseconds{1});
  EXPECT_EQ(hook.done, 3);
}

struct CountingJob : runtime::OffloadJob {
  CountingJob() {
    run = [](OffloadJob& job) { static_cast<CountingJob&>(job).ran = true; };
    done = [](OffloadJob& job) { static_cast<CountingJob&>(job).order = ++count(); };
  }
  static int& count() {
    static thread_local int value = 0;
    return value;
  }
  bool ran = false;
  int order = 0;
};

TEST(SimWorld, offloaded_jobs_end_later_and_in_order) {
  World world(1);
  SimRing& ring = world.make_ring("shard");
  CountingJob::count() = 0;
  CountingJob jobs[3];
  for (auto& job : jobs) ring.offload(job);
  for (auto& job : jobs) EXPECT_EQ(job.order, 0);
  EXPECT_FALSE(ring.quiet());
  world.run_idle(kLong);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(jobs[i].ran && jobs[i].order == i + 1);
  EXPECT_TRUE(ring.quiet());
}

// ---- crashes

/// Everything that minds being destroyed in the middle of its work.
struct Daemon {
  explicit Daemon(SimRing& on) : ring(on), scope(on), changed(on) {}
  SimRing& ring;
  runtime::Scope scope;
  runtime::Signal changed;
  int written = 0, alive = 0;
};

struct Counted {
  explicit Counted(int& count) : count_(count) { ++count_; }
  Counted(const Counted&) = delete;
  ~Counted() { --count_; }
  int& count_;
};

Task<void> write_for_ever(Daemon& daemon) {
  const Counted counted(daemon.alive);
  const Fd fd = co_await open_file(daemon.ring, "/log", O_RDWR | O_CREAT);
  const auto block = filled(512, 'x');
  for (std::uint64_t offset = 0;; offset += 512) {
    auto written = co_await daemon.ring.write(fd, sealed(block), offset);
    EXPECT_TRUE(written);
    ++daemon.written;
    daemon.changed.notify_all();
  }
}

Task<void> wait_for_ever(Daemon& daemon) {
  const Counted counted(daemon.alive);
  for (;;) (void)co_await daemon.changed.wait(daemon.ring.now() + seconds{100});
}

Task<void> serve_for_ever(Daemon& daemon) {
  const Counted counted(daemon.alive);
  auto listener = daemon.ring.listen(kServer, runtime::SocketKind::stream, {});
  runtime::Acceptor acceptor(daemon.ring, *listener);
  runtime::Scope sessions(daemon.ring);
  sessions.spawn(wait_for_ever(daemon));
  for (;;) {
    auto accepted = co_await acceptor.next();
    if (!accepted) break;
    runtime::Receiver receiver(daemon.ring, *accepted);
    auto chunk = co_await receiver.next();
    EXPECT_TRUE(chunk);
    (void)co_await receiver.next();
  }
}

Task<void> call(SimRing& ring) {
  auto socket = ring.open_socket(kServer, runtime::SocketKind::stream);
  (void)co_await ring.connect(*socket, kServer);
  (void)co_await ring.send(*socket, as_bytes("hello"));
}

TEST(SimWorld, a_process_can_die_at_any_completion_and_start_again) {
  for (std::uint64_t nth = 1; nth <= 60; ++nth) {
    World world(nth);
    SimRing& caller = world.make_ring("caller");
    SimRing& ring = world.make_ring("daemon");
    world.plan_crash({.process = "daemon", .nth = nth});
    runtime::Scope calls(caller);
    calls.spawn(call(caller));
    int alive = 0;
    {
      auto daemon = std::make_unique<Daemon>(ring);
      daemon->scope.spawn(serve_for_ever(*daemon));
      daemon->scope.spawn(wait_for_ever(*daemon));
      daemon->scope.spawn(write_for_ever(*daemon));
      ASSERT_EQ(world.run_for(seconds{60}), Stop::crash);
      EXPECT_EQ(world.crashed_process(), "daemon");
      EXPECT_EQ(daemon->alive, 4);
      world.kill(ring);
      alive = daemon->alive;
      runtime::CrashGuard crashing;
      daemon.reset();
    }
    EXPECT_EQ(alive, 0) << "frames were left";
    world.bury();
    EXPECT_EQ(world.run_until([&] { return calls.running() == 0; }, kLong), Stop::reached);
    EXPECT_FALSE(world.alive("daemon"));
    SimRing& again = world.make_ring("daemon");
    auto listener = again.listen(kServer, runtime::SocketKind::stream, {.reuse_port = false});
    EXPECT_TRUE(listener) << "the address was not given back";
    world.retire(again);
  }
}

TEST(SimWorld, a_crash_comes_after_the_effect_and_before_anybody_hears) {
  World world(5);
  SimRing& ring = world.make_ring("daemon");
  world.plan_crash({.process = "daemon", .code = runtime::OpCode::write, .nth = 3});
  auto daemon = std::make_unique<Daemon>(ring);
  daemon->scope.spawn(write_for_ever(*daemon));
  EXPECT_EQ(world.run_for(seconds{60}), Stop::crash);
  EXPECT_EQ(daemon->written, 2);
  EXPECT_EQ(world.disk().content("/log")->size(), 3 * 512u);
  world.kill(ring);
  runtime::CrashGuard crashing;
  daemon.reset();
}

TEST(SimWorld, the_rings_of_one_process_share_descriptors_and_die_together) {
  World world(1);
  SimRing& first = world.make_ring("shard 0", {.process = "daemon"});
  SimRing& second = world.make_ring("shard 1", {.process = "daemon"});
  auto listener = first.listen(kServer, runtime::SocketKind::stream, {});
  ASSERT_TRUE(listener);
  EXPECT_EQ(second.local_address(*listener).value(), kServer);
  world.kill(second);
  EXPECT_FALSE(first.alive() || second.alive() || world.alive("daemon"));
}

Task<void> change_a_buffer_too_early(SimRing& ring) {
  const Fd fd = co_await open_file(ring, "/file", O_RDWR | O_CREAT);
  auto bytes = filled(512, 'x');
  runtime::Operation write;
  write.code = runtime::OpCode::write;
  write.fd = fd;
  write.buffer = bytes.data();
  write.size = 512;
  write.complete = [](runtime::Operation&, const runtime::Completion&) {};
  ring.submit(write);
  bytes[0] = std::byte{'y'};
  co_await ring.sleep_for(seconds{1});
}

TEST(SimWorldDeathTest, a_buffer_that_changes_under_a_write_is_found) {
  World world(1);
  SimRing& ring = world.make_ring("careless");
  EXPECT_DEATH(drive(ring, change_a_buffer_too_early(ring)), "bytes_hash");
}

TEST(SimWorldDeathTest, an_operation_left_at_the_end_is_found) {
  auto forget_an_operation = [] {
    World world(1);
    SimRing& ring = world.make_ring("careless");
    auto* daemon = new Daemon(ring);
    daemon->scope.spawn(serve_for_ever(*daemon));
  };
  EXPECT_DEATH(forget_an_operation(), "quiet");
}

}  // namespace
}  // namespace ringpost::sim
