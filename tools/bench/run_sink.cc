#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <future>
#include <nlohmann/json.hpp>

#include "bench/crew.hh"
#include "bench/modes.hh"

namespace ringpost::bench {

namespace {

constexpr Duration kLook = std::chrono::milliseconds(100);  // how often a worker looks whether it shall stop

struct SinkThread {
  std::unique_ptr<runtime::UringRing> ring;
  std::unique_ptr<SinkWorker> worker;
  std::thread thread;
};

struct Totals {
  std::uint64_t messages = 0, recipients = 0, bytes = 0, connections = 0;
  std::uint64_t tempfails = 0, permfails = 0, drops = 0, greylisted = 0, refused = 0, failed = 0;
  std::int64_t open = 0, first_ns = 0, last_ns = 0;
  double active_s() const { return static_cast<double>(last_ns - first_ns) / 1e9; }
};

Totals sum(const std::vector<SinkThread>& threads) {
  Totals totals;
  for (const SinkThread& thread : threads) {
    const SinkCounters& own = thread.worker->counters();
    totals.messages += own.messages.value();
    totals.recipients += own.recipients.value();
    totals.bytes += own.bytes.value();
    totals.connections += own.connections.value();
    totals.tempfails += own.tempfails.value();
    totals.permfails += own.permfails.value();
    totals.drops += own.drops.value();
    totals.greylisted += own.greylisted.value();
    totals.refused += own.refused.value();
    totals.failed += own.failed.value();
    totals.open += own.connections_open.value();
    std::int64_t first = own.first_message_ns.value();
    if (first != 0) totals.first_ns = totals.first_ns == 0 ? first : std::min(totals.first_ns, first);
    totals.last_ns = std::max(totals.last_ns, own.last_message_ns.value());
  }
  return totals;
}

std::string to_json(const Totals& totals) {
  nlohmann::ordered_json json = {
      {"mode", "sink"},
      {"messages", totals.messages},
      {"recipients", totals.recipients},
      {"bytes", totals.bytes},
      {"connections", totals.connections},
      {"active_s", totals.active_s()},
      {"messages_per_s", totals.active_s() > 0 ? static_cast<double>(totals.messages) / totals.active_s() : 0.0},
      {"faults",
       {{"tempfail", totals.tempfails}, {"permfail", totals.permfails}, {"drop", totals.drops}, {"greylist", totals.greylisted}}},
      {"refused", totals.refused},
      {"failed", totals.failed},
  };
  return json.dump(2) + "\n";
}

runtime::Task<void> stop_worker(SinkWorker& worker) { co_await worker.stop(); }

/// The life of one worker. `listening` gets the addresses (ports filled in) or the error with the address it is about.
struct Listened {
  std::vector<SocketAddress> addresses;
  Result<> result;
};
void run_worker(SinkThread& own, const std::vector<SocketAddress>& addresses, bool shared_port, const std::atomic<bool>& stopping,
                std::promise<Listened>& listening) {
  runtime::UringRing& ring = *own.ring;
  Listened listened;
  listened.result = ring.start();
  std::vector<Fd> sockets;
  for (const SocketAddress& address : addresses) {
    if (!listened.result) break;
    listened.addresses.push_back(address);
    auto socket = ring.listen(address, runtime::SocketKind::stream, {.reuse_port = shared_port});
    if (!socket) {
      listened.result = std::unexpected(socket.error());
      break;
    }
    sockets.push_back(*socket);
    auto bound = ring.local_address(*socket);
    if (bound) listened.addresses.back() = *bound;
  }
  bool serving = listened.result.has_value();
  if (serving)
    for (Fd socket : sockets) own.worker->serve(socket);
  listening.set_value(std::move(listened));
  if (!serving) return;
  while (!stopping.load(std::memory_order_relaxed)) ring.run_once(kLook);
  runtime::Scope scope{ring};
  scope.spawn(stop_worker(*own.worker));
  while (scope.running() > 0) ring.run_once(kLook);
}

bool prepare(const SinkSetup& setup, SinkShared& shared) {
  if (!setup.ledger.empty()) {
    auto ledger = LedgerFile::open(setup.ledger);
    if (!ledger) {
      fmt::print(stderr, "ringpost-bench: ledger {}: {}\n", setup.ledger, error_name(ledger.error().code));
      return false;
    }
    shared.ledger = std::move(*ledger);
  }
  if (!setup.store.empty()) {
    if (auto opened = shared.store.open(setup.store); !opened) {
      fmt::print(stderr, "ringpost-bench: store {}: {}\n", setup.store, error_name(opened.error().code));
      return false;
    }
  }
  return true;
}

void watch(const StopSignals& signals, const std::vector<SinkThread>& threads, bool quiet) {
  LiveLine line{!quiet};
  std::uint64_t before = 0;
  while (!signals.wait(std::chrono::seconds(1))) {
    if (!line) continue;
    Totals now = sum(threads);
    line.show(fmt::format("{} messages/s   {} in total, {} MB, {} connections open, {} faults, {} refused", now.messages - before,
                          now.messages, now.bytes / 1'000'000, now.open,
                          now.tempfails + now.permfails + now.drops + now.greylisted, now.refused));
    before = now.messages;
  }
}

}  // namespace

int run_sink(SinkSetup setup) {
  StopSignals signals;
  raise_descriptor_limit();
  SinkShared shared{.options = setup.options};
  if (!prepare(setup, shared)) return kExitUsage;

  std::atomic<bool> stopping{false};
  std::vector<SinkThread> threads(setup.threads);
  bool serving = true;
  for (unsigned i = 0; i < setup.threads && serving; ++i) {
    SinkThread& own = threads[i];
    own.ring = make_ring(setup.cpu < 0 ? -1 : setup.cpu + static_cast<int>(i));
    if (!own.ring) return kExitUsage;
    own.worker = std::make_unique<SinkWorker>(*own.ring, shared, i);
    std::promise<Listened> listening;
    auto listened = listening.get_future();
    own.thread = std::thread{run_worker,        std::ref(own),       std::cref(setup.listen),
                             setup.threads > 1, std::cref(stopping), std::ref(listening)};
    Listened outcome = listened.get();
    serving = outcome.result.has_value();
    if (!serving) {
      std::string where = outcome.addresses.empty() ? "ring" : outcome.addresses.back().text();
      fmt::print(stderr, "ringpost-bench: {}: {} (errno {})\n", where, error_name(outcome.result.error().code),
                 outcome.result.error().detail);
    } else if (i == 0) {
      setup.listen = outcome.addresses;  // where port 0 was asked for, the others take the same
    }
  }
  if (serving) {
    for (const SocketAddress& address : setup.listen) fmt::print("listening on {}\n", address.text());
    std::fflush(stdout);
    watch(signals, threads, setup.quiet);
  }
  stopping = true;
  for (SinkThread& own : threads)
    if (own.thread.joinable()) own.thread.join();
  if (!serving) return kExitUsage;
  return write_results(setup.json, to_json(sum(threads))) ? kExitOk : kExitFailed;
}

}  // namespace ringpost::bench
