// The log on the real ring and disk: messages a second that are durable, with so many waiting at once. RINGPOST_BENCH_DIRECTORY
// names where (default: the current directory), which must be a filesystem with O_DIRECT.
#include <benchmark/benchmark.h>
#include <stdlib.h>

#include <cstdio>
#include <filesystem>
#include <string>

#include "ringpost/runtime/scope.hh"
#include "ringpost/runtime/uring_ring.hh"
#include "ringpost/spool/log.hh"

namespace {

using namespace ringpost;
using namespace ringpost::spool;
using runtime::Task;

struct Nothing : RecoveryVisitor {
  void on_message(const RecoveredMessage&) override {}
  void on_outcome(const RecoveredOutcome&) override {}
  void on_audit(const IncarnationId&, std::uint64_t, Bytes) override {}
  void on_audit_acknowledged(const AuditMark&) override {}
  void on_damage(const Damage&) override {}
};

struct Bench {
  runtime::Ring& ring;
  spool::Log& log;
  std::size_t body_bytes;
  std::int64_t left;
  std::uint64_t failed = 0;
};

Task<void> send(Bench& bench) {
  const std::vector<std::byte> body(bench.body_bytes, std::byte{'x'});
  const RecipientStatus status;
  const Envelope::Recipient recipient{"bert@example.net", "", 0};
  const crypto::WrappedKey wrapped{};
  while (bench.left > 0) {
    --bench.left;
    std::byte random[48];
    bench.ring.random(random);
    MessageId id;
    copy_bytes(id.bytes, Bytes{random}.subspan(32));
    crypto::MessageSealer sealer(Key256(Bytes{random}.first(32)), StoreId{}, id);
    MessageDraft draft;
    draft.sealer = &sealer;
    draft.keys = {&wrapped, 1};
    draft.scheduling.size = body.size();
    draft.scheduling.recipients = {&status, 1};
    draft.envelope.reverse_path = "anna@example.org";
    draft.envelope.recipients = {&recipient, 1};
    draft.last_piece = body;
    auto room = co_await bench.log.reserve(bytes_of(draft), Use::mail);
    if (!room) {
      ++bench.failed;
      continue;
    }
    const auto place = room->add_message(draft);
    const Ticket ticket = room->commit();
    auto done = co_await bench.log.durable(ticket);
    bench.failed += !done;
    bench.log.release(id, *place);
  }
}

Task<void> open_log(runtime::Ring& ring, LogOptions options, std::unique_ptr<spool::Log>& log) {
  Nothing nothing;
  auto opened = co_await spool::Log::open(ring, std::move(options), std::vector<std::byte>(32), nothing);
  if (opened) log = std::move(*opened);
  if (log) {
    auto started = co_await log->start();
    if (!started) std::fprintf(stderr, "cannot start the log: %s\n", std::string(error_name(started.error().code)).c_str());
  }
}

void run(runtime::UringRing& ring, runtime::Scope& scope) {
  while (scope.running() > 0) ring.run_once(std::chrono::milliseconds{20});
}

void durable_messages(benchmark::State& state) {
  const char* base = getenv("RINGPOST_BENCH_DIRECTORY");
  std::string folder = std::string(base ? base : ".") + "/spool-bench.XXXXXX";
  if (!mkdtemp(folder.data())) return state.SkipWithError("cannot make a directory");
  auto created = runtime::UringRing::create({});
  if (!created) return state.SkipWithError("no io_uring");
  runtime::UringRing& ring = **created;
  LogOptions options;
  options.directory = std::filesystem::absolute(folder).string();
  for (MutableBytes& buffer : options.buffers) buffer = *ring.make_io_buffer(1_MiB);
  if (!ring.start()) return state.SkipWithError("the ring does not start");
  std::unique_ptr<spool::Log> log;
  {
    runtime::Scope scope(ring);
    scope.spawn(open_log(ring, options, log));
    run(ring, scope);
  }
  if (!log) return state.SkipWithError("cannot open the log");
  std::uint64_t failed = 0;
  for (auto _ : state) {
    Bench bench{ring, *log, static_cast<std::size_t>(state.range(1)), 2'000 * state.range(0) / 8 + 200};
    const std::int64_t count = bench.left;
    runtime::Scope scope(ring);
    for (std::int64_t i = 0; i < state.range(0); ++i) scope.spawn(send(bench));
    run(ring, scope);
    failed += bench.failed;
    state.SetItemsProcessed(state.items_processed() + count);
  }
  state.counters["failed"] = static_cast<double>(failed);
  runtime::Scope scope(ring);
  scope.spawn(log->stop());
  run(ring, scope);
  log.reset();
  std::filesystem::remove_all(folder);
}
BENCHMARK(durable_messages)
    ->Args({1, 4096})
    ->Args({20, 4096})
    ->Args({200, 4096})
    ->Args({20, 60'000})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
