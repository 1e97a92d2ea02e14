#include "bench/sink_crew.hh"

#include <fmt/core.h>

#include <algorithm>
#include <cstdio>
#include <span>

#include "bench/files.hh"
#include "ringpost/base/secret.hh"

namespace ringpost::bench {

namespace {

constexpr Duration kLook = std::chrono::milliseconds(100);  // how often a worker looks whether it shall stop

runtime::Task<void> stop_worker(SinkWorker& worker) { co_await worker.stop(); }

bool complain(const std::string& what, const std::string& why) {
  fmt::print(stderr, "ringpost-bench: {}: {}\n", what, why);
  return false;
}

}  // namespace

bool SinkCrew::prepare() {
  if (!setup_.ledger.empty()) {
    auto ledger = LedgerFile::open(setup_.ledger);
    if (!ledger) return complain("ledger " + setup_.ledger, std::string{error_name(ledger.error().code)});
    shared_.ledger = std::move(*ledger);
  }
  if (!setup_.store.empty()) {
    if (auto opened = shared_.store.open(setup_.store); !opened)
      return complain("store " + setup_.store, std::string{error_name(opened.error().code)});
  }
  return true;
}

// By the world of the first worker's ring.
bool SinkCrew::read_certificate() {
  if (setup_.options.security == Security::none) return true;
  auto chain = require_file(setup_.chain), key = require_file(setup_.key);
  if (!chain || !key) return false;
  tls::Engine world{*threads_.front().ring};
  auto read = tls::read_certificate("sink", as_bytes(*chain), as_bytes(*key), world);
  wipe(std::as_writable_bytes(std::span{*key}));
  if (!read) return complain(read.error().file == tls::CertificateFile::key ? setup_.key : setup_.chain, read.error().reason);
  shared_.certificate = std::move(*read);
  return true;
}

bool SinkCrew::start() {
  if (!prepare()) return false;
  threads_ = std::vector<Thread>(setup_.threads);
  for (unsigned i = 0; i < setup_.threads; ++i)
    if (!start_one(i)) return false;
  return true;
}

bool SinkCrew::start_one(unsigned index) {
  Thread& own = threads_[index];
  own.ring = make_ring(setup_.cpu < 0 ? -1 : setup_.cpu + static_cast<int>(index), Sends::together);
  if (!own.ring || (index == 0 && !read_certificate())) return false;
  own.worker = std::make_unique<SinkWorker>(*own.ring, shared_, index);
  std::promise<Listened> listening;
  auto listened = listening.get_future();
  own.thread = std::thread{[this, &own, &listening] { run(own, listening); }};
  Listened outcome = listened.get();
  if (outcome.result) {
    if (index == 0) setup_.listen = outcome.addresses;  // where port 0 was asked for, the others take the same
    return true;
  }
  const std::string where = outcome.addresses.empty() ? "ring" : outcome.addresses.back().text();
  const Error error = outcome.result.error();
  return complain(where, fmt::format("{} (errno {})", error_name(error.code), error.detail));
}

// The life of one worker.
void SinkCrew::run(Thread& own, std::promise<Listened>& listening) {
  runtime::UringRing& ring = *own.ring;
  Listened listened;
  listened.result = ring.start();
  if (auto ready = own.worker->prepare_tls(); !ready) {
    complain(setup_.chain, ready.error());
    listened.result = std::unexpected(Error{Errc::invalid});
  }
  std::vector<Fd> sockets;
  for (const SocketAddress& address : setup_.listen) {
    if (!listened.result) break;
    listened.addresses.push_back(address);
    auto socket = ring.listen(address, runtime::SocketKind::stream, {.reuse_port = setup_.threads > 1});
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
  while (!stopping_.load(std::memory_order_relaxed)) ring.run_once(kLook);
  runtime::Scope scope{ring};
  scope.spawn(stop_worker(*own.worker));
  while (scope.running() > 0) ring.run_once(kLook);
}

void SinkCrew::stop() {
  stopping_ = true;
  for (Thread& own : threads_)
    if (own.thread.joinable()) own.thread.join();
}

SinkTotals SinkCrew::totals() const {
  SinkTotals totals;
  for (const Thread& thread : threads_) {
    const SinkCounters& own = thread.worker->counters();
    totals.messages += own.messages.value();
    totals.recipients += own.recipients.value();
    totals.bytes += own.bytes.value();
    totals.connections += own.connections.value();
    totals.secured += own.secured.value();
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

}  // namespace ringpost::bench
