// What the ring costs: a round trip over loopback TCP, a durable 4 KiB write, a hop between shards, a coroutine call.
// Files go to the directory in TMPDIR: point it at the disk that is meant.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <latch>
#include <thread>

#include "ringpost/runtime/mailbox.hh"
#include "ringpost/runtime/receiver.hh"
#include "ringpost/runtime/scope.hh"
#include "ringpost/runtime/signal.hh"
#include "ringpost/runtime/uring_ring.hh"

namespace {

using namespace ringpost;
using namespace ringpost::runtime;

std::unique_ptr<UringRing> make_ring() {
  Missing missing;
  auto ring = UringRing::create({}, &missing);
  if (!ring) std::fprintf(stderr, "%s\n", missing.text().c_str());
  RP_ASSERT(ring);
  return std::move(*ring);
}

Task<void> then_stop(UringRing& ring, Task<void> task) {
  co_await task;
  ring.stop();
}
void run(UringRing& ring, Task<void> task) {
  Scope scope(ring);
  scope.spawn(then_stop(ring, std::move(task)));
  ring.run();
}

// ---- loopback

Task<void> echo(Ring& ring, Fd socket) {
  Receiver receiver(ring, socket);
  auto chunk = co_await receiver.next();
  while (chunk) {
    auto sent = co_await ring.send(socket, chunk->bytes());
    RP_ASSERT(sent && *sent == chunk->bytes().size());
    chunk->release();
    chunk = co_await receiver.next();
  }
  co_await receiver.stop();
}

Task<void> ping(UringRing& ring, benchmark::State& state) {
  auto listener = ring.listen(*SocketAddress::parse("127.0.0.1:0"), SocketKind::stream, {});
  RP_ASSERT(listener);
  auto address = ring.local_address(*listener);
  RP_ASSERT(address);
  auto client = ring.open_socket(*address, SocketKind::stream);
  RP_ASSERT(client);
  auto connected = co_await ring.connect(*client, *address);
  RP_ASSERT(connected);
  Acceptor acceptor(ring, *listener);
  auto server = co_await acceptor.next();
  RP_ASSERT(server);
  co_await acceptor.stop();
  Scope scope(ring);
  scope.spawn(echo(ring, *server));
  std::vector<std::byte> bytes(static_cast<std::size_t>(state.range(0)));
  {
    Receiver receiver(ring, *client);
    for (auto _ : state) {
      auto sent = co_await ring.send(*client, bytes);
      RP_ASSERT(sent && *sent == bytes.size());
      std::size_t heard = 0;
      while (heard < bytes.size()) {
        auto chunk = co_await receiver.next();
        RP_ASSERT(chunk);
        heard += chunk->bytes().size();
      }
    }
    co_await receiver.stop();
  }
  (void)co_await ring.close(*client);
  co_await scope.join();
  (void)co_await ring.close(*server);
  (void)co_await ring.close(*listener);
}

void tcp_round_trip(benchmark::State& state) {
  auto ring = make_ring();
  RP_ASSERT(ring->start());
  auto turns = ring->stats().turns;
  run(*ring, ping(*ring, state));
  state.counters["turns"] =
      benchmark::Counter(static_cast<double>(ring->stats().turns - turns), benchmark::Counter::kAvgIterations);
}
BENCHMARK(tcp_round_trip)->Arg(64)->Arg(4096);

// ---- durable writes

enum WriteKind { page_cache, direct_overwrite };

Task<void> write_blocks(UringRing& ring, benchmark::State& state, std::string path, MutableBytes buffer, bool direct) {
  auto opened = co_await ring.open(path.c_str(), O_CREAT | O_RDWR | (direct ? O_DIRECT : 0));
  if (!opened) {
    state.SkipWithError("the file cannot be opened that way here");
    co_return;
  }
  Fd file{static_cast<int>(*opened)};
  constexpr std::uint64_t kFileBytes = 16_MiB;
  auto block = std::bit_cast<SealedBytes>(Bytes{buffer.first(static_cast<std::size_t>(state.range(0)))});
  if (direct) {  // written once before, as a recycled segment is
    for (std::uint64_t place = 0; place < kFileBytes; place += buffer.size()) {
      auto written = co_await ring.write(file, std::bit_cast<SealedBytes>(Bytes{buffer}), place);
      RP_ASSERT(written && *written == buffer.size());
    }
    (void)co_await ring.sync_all(file);
  }
  std::uint64_t place = 0;
  for (auto _ : state) {
    auto done = co_await ring.write_then_sync(file, block, place);
    RP_ASSERT(done.written && *done.written == block.size() && done.synced);
    place = direct ? (place + block.size()) % kFileBytes : place + block.size();
  }
  (void)co_await ring.close(file);
}

void write_then_sync(benchmark::State& state) {
  auto ring = make_ring();
  auto buffer = ring->make_io_buffer(64_KiB);
  RP_ASSERT(buffer && ring->start());
  std::string path = std::filesystem::temp_directory_path() / ("ringpost-bench-" + std::to_string(::getpid()));
  run(*ring, write_blocks(*ring, state, path, *buffer, state.range(1) == direct_overwrite));
  std::filesystem::remove(path);
}
BENCHMARK(write_then_sync)
    ->ArgNames({"bytes", "direct"})
    ->Args({4096, page_cache})
    ->Args({4096, direct_overwrite})
    ->Args({65536, direct_overwrite})
    ->UseRealTime();

// ---- mailboxes

struct Letter {
  std::uint64_t words[7] = {};
};
using Box = Mailbox<Letter>;

/// Answers everything, on a thread of its own, until it is asked to stop.
struct Answerer : Box::Handler {
  void on_message(std::size_t from, MessageKind, const Letter& letter) override {
    box->reply(from, letter);
    if (letter.words[0] == 1) ring->stop();
  }
  void serve(MailboxExchange<Letter>& exchange, std::latch& ready, std::latch& ended) {
    auto own = make_ring();
    RP_ASSERT(own->start());
    Box own_box(exchange, 1, *own, *this);
    ring = own.get();
    box = &own_box;
    ready.arrive_and_wait();
    own->run();
    ended.arrive_and_wait();
  }
  UringRing* ring = nullptr;
  Box* box = nullptr;
};

struct Asker : Box::Handler {
  explicit Asker(Ring& ring) : answered(ring) {}
  void on_message(std::size_t, MessageKind, const Letter&) override {
    ++answers;
    answered.notify_all();
  }
  Signal answered;
  std::uint64_t answers = 0;
};

Task<void> ask(Box& box, Asker& asker, benchmark::State& state, std::uint64_t window) {
  std::uint64_t asked = 0;
  for (auto _ : state) {
    while (asked - asker.answers >= window) (void)co_await asker.answered.wait();
    RP_ASSERT(box.request(1, {}));
    ++asked;
  }
  while (asker.answers < asked) (void)co_await asker.answered.wait();
  RP_ASSERT(box.request(1, {.words = {1}}));
  while (asker.answers <= asked) (void)co_await asker.answered.wait();
}

void mailbox_round_trip(benchmark::State& state) {
  MailboxExchange<Letter> exchange(2, {.requests = 1024});
  std::latch ready(2), ended(2);
  Answerer answerer;
  std::thread other([&] { answerer.serve(exchange, ready, ended); });
  {
    auto ring = make_ring();
    RP_ASSERT(ring->start());
    Asker asker(*ring);
    Box box(exchange, 0, *ring, asker);
    ready.arrive_and_wait();
    run(*ring, ask(box, asker, state, static_cast<std::uint64_t>(state.range(0))));
    ended.arrive_and_wait();
  }
  other.join();
}
// With a window of 1 every message finds its receiver asleep; with a wide one nobody sleeps.
BENCHMARK(mailbox_round_trip)->ArgName("window")->Arg(1)->Arg(512)->UseRealTime();

// ---- coroutines

Task<int> leaf(int value) { co_return value; }
Task<void> call(benchmark::State& state) {
  int sum = 0;
  for (auto _ : state) {
    int value = co_await leaf(1);
    benchmark::DoNotOptimize(sum += value);
  }
}
void coroutine_call(benchmark::State& state) {
  auto ring = make_ring();
  RP_ASSERT(ring->start());
  run(*ring, call(state));
}
BENCHMARK(coroutine_call);

void timer_arm_and_disarm(benchmark::State& state) {
  TimerQueue queue;
  std::vector<std::unique_ptr<Timer>> timers;
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    timers.push_back(std::make_unique<Timer>([](Timer&) {}));
    queue.arm(*timers.back(), Instant{Duration{i * 7919 % 100'000}});
  }
  std::size_t next = 0;
  std::int64_t time = 100'000;
  for (auto _ : state) {
    queue.arm(*timers[next], Instant{Duration{++time}});
    next = (next + 7) % timers.size();
  }
  for (auto& timer : timers) queue.disarm(*timer);
}
BENCHMARK(timer_arm_and_disarm)->Arg(100)->Arg(10'000);

}  // namespace

BENCHMARK_MAIN();
