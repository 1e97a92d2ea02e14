#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "bench/crew.hh"
#include "bench/modes.hh"

namespace ringpost::bench {

namespace {

constexpr Duration kLook = std::chrono::milliseconds(50);
constexpr Duration kStopGrace = std::chrono::seconds(2);  // after a signal: for messages under way

struct SendThread {
  std::unique_ptr<runtime::UringRing> ring;
  std::unique_ptr<SendWorker> worker;
  Result<> started;
  std::thread thread;
};

struct Totals {
  std::uint64_t begun = 0, accepted = 0, tempfailed = 0, permfailed = 0, lost = 0, bytes = 0, recipients = 0;
  std::uint64_t connections = 0, connects_failed = 0, recipients_refused = 0;
  metrics::HistogramSnapshot latency;
};

Totals sum(const std::vector<SendThread>& threads) {
  Totals totals;
  for (const SendThread& thread : threads) {
    const SendCounters& own = thread.worker->counters();
    totals.begun += own.begun.value();
    totals.accepted += own.accepted.value();
    totals.tempfailed += own.tempfailed.value();
    totals.permfailed += own.permfailed.value();
    totals.lost += own.lost.value();
    totals.bytes += own.bytes.value();
    totals.recipients += own.recipients.value();
    totals.connections += own.connections.value();
    totals.connects_failed += own.connects_failed.value();
    totals.recipients_refused += own.recipients_refused.value();
    totals.latency.merge(own.latency.snapshot());
  }
  return totals;
}

double ms(Duration time) { return static_cast<double>(time.count()) / 1e6; }
std::uint64_t us(Duration time) { return static_cast<std::uint64_t>(time.count() / 1000); }

nlohmann::ordered_json to_json(const SendSetup& setup, const Totals& totals, const std::vector<SendThread>& threads,
                               double seconds) {
  std::map<std::string, std::uint64_t> troubles;
  for (const SendThread& thread : threads)
    for (const auto& [what, count] : thread.worker->troubles())
      troubles[fmt::format("{} {}", step_name(what.first), what.second == 0 ? "broken" : std::to_string(what.second))] += count;
  double rate = seconds > 0 ? static_cast<double>(totals.accepted) / seconds : 0;
  const metrics::HistogramSnapshot& latency = totals.latency;
  return {
      {"mode", "send"},
      {"run", setup.generator.run},
      {"to", setup.options.to.text()},
      {"loop", setup.rate > 0 ? "open" : "closed"},
      {"rate_asked", setup.rate},
      {"connections", setup.connections},
      {"threads", setup.threads},
      {"pipeline", setup.options.pipeline},
      {"depth", setup.options.depth},
      {"bdat", setup.options.bdat},
      {"seed", setup.generator.seed},
      {"message_bytes", {setup.generator.bytes.min, setup.generator.bytes.max}},
      {"seconds", seconds},
      {"messages",
       {{"begun", totals.begun},
        {"accepted", totals.accepted},
        {"tempfailed", totals.tempfailed},
        {"permfailed", totals.permfailed},
        {"lost", totals.lost}}},
      {"recipients", {{"accepted", totals.recipients}, {"refused", totals.recipients_refused}}},
      {"bytes", totals.bytes},
      {"messages_per_s", rate},
      {"megabytes_per_s", seconds > 0 ? static_cast<double>(totals.bytes) / 1e6 / seconds : 0},
      {"latency_us",
       {{"mean", us(latency.mean())},
        {"p50", us(latency.percentile(50))},
        {"p90", us(latency.percentile(90))},
        {"p99", us(latency.percentile(99))},
        {"p99.9", us(latency.percentile(99.9))},
        {"max", us(latency.max())}}},
      {"connections_made", totals.connections},
      {"connects_failed", totals.connects_failed},
      {"troubles", troubles},
  };
}

std::string summary(const Totals& totals, double seconds) {
  return fmt::format(
      "{:.1f} s: {} accepted ({:.0f}/s, {:.1f} MB/s), {} deferred, {} refused, {} lost; latency ms p50 {:.2f} p99 {:.2f} max "
      "{:.2f}",
      seconds, totals.accepted, seconds > 0 ? static_cast<double>(totals.accepted) / seconds : 0,
      seconds > 0 ? static_cast<double>(totals.bytes) / 1e6 / seconds : 0, totals.tempfailed, totals.permfailed, totals.lost,
      ms(totals.latency.percentile(50)), ms(totals.latency.percentile(99)), ms(totals.latency.max()));
}

runtime::Task<void> cut_worker(SendWorker& worker) { co_await worker.cut(); }

void run_worker(SendThread& own, unsigned connections, const std::atomic<bool>& cutting, std::atomic<unsigned>& running) {
  runtime::UringRing& ring = *own.ring;
  own.started = ring.start();
  if (own.started) {
    own.worker->start(connections);
    runtime::Scope scope{ring};
    bool cut = false;
    while (own.worker->running() > 0 || scope.running() > 0) {
      if (!cut && cutting.load(std::memory_order_relaxed)) {
        cut = true;
        scope.spawn(cut_worker(*own.worker));
      }
      ring.run_once(kLook);
    }
  }
  running.fetch_sub(1);
}

/// Waits for the workers; a signal ends the run early, in order if that is possible.
void watch(const StopSignals& signals, const std::vector<SendThread>& threads, bool quiet, Schedule& schedule,
           std::atomic<bool>& cutting, const std::atomic<unsigned>& running) {
  LiveLine line{!quiet};
  Instant shown = schedule.start(), cut_at = kNever;
  while (running.load() > 0) {
    bool asked = signals.wait(kLook);
    Instant now = monotonic_now();
    if (asked) {
      schedule.stop();
      if (cut_at == kNever)
        cut_at = now + kStopGrace;
      else
        cutting = true;  // asked twice
    }
    if (now >= cut_at) cutting = true;
    if (line && now - shown >= std::chrono::seconds(1)) {
      shown = now;
      line.show(summary(sum(threads), ms(now - schedule.start()) / 1000));
    }
  }
}

}  // namespace

int run_send(SendSetup setup) {
  StopSignals signals;
  raise_descriptor_limit();
  setup.threads = std::clamp(setup.threads, 1u, setup.connections);
  LedgerFile ledger;
  if (!setup.ledger.empty()) {
    auto opened = LedgerFile::open(setup.ledger);
    if (!opened) {
      fmt::print(stderr, "ringpost-bench: ledger {}: {}\n", setup.ledger, error_name(opened.error().code));
      return kExitUsage;
    }
    ledger = std::move(*opened);
  }
  std::vector<SendThread> threads(setup.threads);
  for (unsigned i = 0; i < setup.threads; ++i) {
    threads[i].ring = make_ring(setup.cpu < 0 ? -1 : setup.cpu + static_cast<int>(i));
    if (!threads[i].ring) return kExitUsage;
  }
  Instant start = monotonic_now();
  SendShared shared{setup.options, Generator{setup.generator}, Schedule{start, setup.rate, setup.messages, setup.span},
                    std::move(ledger)};
  std::atomic<bool> cutting{false};
  std::atomic<unsigned> running{setup.threads};
  for (SendThread& own : threads) own.worker = std::make_unique<SendWorker>(*own.ring, shared);
  for (unsigned i = 0; i < setup.threads; ++i) {
    unsigned share = setup.connections / setup.threads + (i < setup.connections % setup.threads ? 1 : 0);
    threads[i].thread = std::thread{run_worker, std::ref(threads[i]), share, std::cref(cutting), std::ref(running)};
  }
  watch(signals, threads, setup.quiet, shared.schedule, cutting, running);
  Instant last = start;
  bool ledger_failed = false;
  for (SendThread& own : threads) {
    own.thread.join();
    if (!own.started) {
      fmt::print(stderr, "ringpost-bench: no ring: {}\n", error_name(own.started.error().code));
      return kExitUsage;
    }
    last = std::max(last, own.worker->last_settled());
    ledger_failed |= own.worker->ledger_failed();
  }
  Totals totals = sum(threads);
  double seconds = ms(last - start) / 1000;
  nlohmann::ordered_json results = to_json(setup, totals, threads, seconds);
  if (!setup.quiet) {
    fmt::print(stderr, "{}\n", summary(totals, seconds));
    for (const auto& [what, count] : results["troubles"].items()) fmt::print(stderr, "  {}: {}\n", what, count.dump());
  }
  if (ledger_failed) fmt::print(stderr, "ringpost-bench: the ledger cannot be written\n");
  bool written = write_results(setup.json, results.dump(2) + "\n");
  bool all = totals.accepted == totals.begun && (setup.messages == 0 || shared.schedule.stopped() ||
                                                 totals.begun >= setup.messages || setup.span != Duration::zero());
  bool good = totals.accepted > 0 && (setup.options.keep_going || all);
  return written && good && !ledger_failed ? kExitOk : kExitFailed;
}

}  // namespace ringpost::bench
