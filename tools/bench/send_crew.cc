#include "bench/send_crew.hh"

#include <fmt/core.h>

#include <algorithm>
#include <cstdio>

#include "ringpost/base/steady_clock.hh"

namespace ringpost::bench {

namespace {

constexpr Duration kLook = std::chrono::milliseconds(50);
constexpr Duration kStopGrace = std::chrono::seconds(2);  // after a signal: for messages under way

double ms(Duration time) { return static_cast<double>(time.count()) / 1e6; }

runtime::Task<void> cut_worker(SendWorker& worker) { co_await worker.cut(); }

}  // namespace

std::string summary(const SendTotals& totals, double seconds) {
  const double per_s = seconds > 0 ? 1 / seconds : 0;
  return fmt::format(
      "{:.1f} s: {} accepted ({:.0f}/s, {:.1f} MB/s), {} deferred, {} refused, {} lost; latency ms p50 {:.2f} p99 {:.2f} max "
      "{:.2f}",
      seconds, totals.accepted, static_cast<double>(totals.accepted) * per_s, static_cast<double>(totals.bytes) / 1e6 * per_s,
      totals.tempfailed, totals.permfailed, totals.lost, ms(totals.latency.percentile(50)), ms(totals.latency.percentile(99)),
      ms(totals.latency.max()));
}

bool SendCrew::prepare() {
  if (!setup_.ledger.empty()) {
    auto opened = LedgerFile::open(setup_.ledger);
    if (!opened) {
      fmt::print(stderr, "ringpost-bench: ledger {}: {}\n", setup_.ledger, error_name(opened.error().code));
      return false;
    }
    ledger_ = std::move(*opened);
  }
  threads_ = std::vector<Thread>(std::clamp(setup_.threads, 1u, setup_.connections));
  const auto each = setup_.connections / static_cast<unsigned>(threads_.size()) + 1;
  for (std::size_t i = 0; i < threads_.size(); ++i) {
    threads_[i].ring = make_ring(setup_.cpu < 0 ? -1 : setup_.cpu + static_cast<int>(i), Sends::at_once, each);
    if (!threads_[i].ring) return false;
  }
  return true;
}

void SendCrew::start() {
  start_ = last_ = steady_now();
  shared_.reset(new SendShared{setup_.options, Generator{setup_.generator},
                               Schedule{start_, setup_.rate, setup_.messages, setup_.span}, std::move(ledger_)});
  const auto threads = static_cast<unsigned>(threads_.size());
  running_ = threads;
  for (Thread& own : threads_) own.worker = std::make_unique<SendWorker>(*own.ring, *shared_);
  for (unsigned i = 0; i < threads; ++i) {
    unsigned share = setup_.connections / threads + (i < setup_.connections % threads ? 1 : 0);
    threads_[i].thread = std::thread{[this, i, share] { run(threads_[i], share); }};
  }
}

void SendCrew::run(Thread& own, unsigned connections) {
  runtime::UringRing& ring = *own.ring;
  own.started = ring.start();
  if (own.started) {
    own.worker->start(connections);
    runtime::Scope scope{ring};
    bool cut = false;
    while (own.worker->running() > 0 || scope.running() > 0) {
      if (!cut && cutting_.load(std::memory_order_relaxed)) {
        cut = true;
        scope.spawn(cut_worker(*own.worker));
      }
      ring.run_once(kLook);
    }
  }
  running_.fetch_sub(1);
}

void SendCrew::watch(const StopSignals& signals, const std::function<void(const SendTotals&, double)>& look) {
  Instant shown = start_, cut_at = kNever;
  while (running_.load() > 0) {
    bool asked = signals.wait(kLook);
    Instant now = steady_now();
    if (asked) {
      shared_->schedule.stop();
      if (cut_at == kNever)
        cut_at = now + kStopGrace;
      else
        cutting_ = true;  // asked twice
    }
    if (now >= cut_at) cutting_ = true;
    if (now - shown >= std::chrono::seconds(1)) {
      shown = now;
      look(totals(), ms(now - start_) / 1000);
    }
  }
}

bool SendCrew::join() {
  bool started = true;
  for (Thread& own : threads_) {
    own.thread.join();
    if (!own.started) {
      say_no_ring(own.started.error());
      started = false;
      continue;
    }
    last_ = std::max(last_, own.worker->last_settled());
    ledger_failed_ |= own.worker->ledger_failed();
  }
  if (ledger_failed_) fmt::print(stderr, "ringpost-bench: the ledger cannot be written\n");
  return started;
}

SendTotals SendCrew::totals() const {
  SendTotals totals;
  for (const Thread& thread : threads_) {
    const SendCounters& own = thread.worker->counters();
    totals.begun += own.begun.value();
    totals.accepted += own.accepted.value();
    totals.tempfailed += own.tempfailed.value();
    totals.permfailed += own.permfailed.value();
    totals.lost += own.lost.value();
    totals.bytes += own.bytes.value();
    totals.recipients += own.recipients.value();
    totals.connections += own.connections.value();
    totals.resumed += own.resumed.value();
    totals.connects_failed += own.connects_failed.value();
    totals.recipients_refused += own.recipients_refused.value();
    totals.latency.merge(own.latency.snapshot());
    totals.reply_latency.merge(own.reply_latency.snapshot());
  }
  return totals;
}

double SendCrew::seconds() const { return ms(last_ - start_) / 1000; }

Troubles SendCrew::troubles() const {
  Troubles all;
  for (const Thread& thread : threads_)
    for (const auto& [what, count] : thread.worker->troubles()) all[what] += count;
  return all;
}

bool SendCrew::began_all() const {
  return setup_.messages == 0 || shared_->schedule.stopped() || setup_.span != Duration::zero() || totals().begun >= setup_.messages;
}

}  // namespace ringpost::bench
