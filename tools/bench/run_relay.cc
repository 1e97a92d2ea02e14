#include <fmt/core.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstdio>
#include <unordered_map>

#include "bench/check.hh"
#include "bench/files.hh"
#include "bench/report.hh"
#include "bench/send_crew.hh"
#include "bench/sink_crew.hh"
#include "ringpost/base/steady_clock.hh"

namespace ringpost::bench {

namespace {

constexpr Duration kLook = std::chrono::milliseconds(50);

/// A folder of its own for the ledgers that nobody asked to keep; gone with it.
class Scratch {
 public:
  Scratch() { good_ = ::mkdtemp(path_) != nullptr; }
  Scratch(const Scratch&) = delete;
  ~Scratch() {
    if (!good_) return;
    for (const char* name : {"/sent", "/received"}) ::unlink((std::string{path_} + name).c_str());
    ::rmdir(path_);
  }
  explicit operator bool() const { return good_; }
  std::string file(const char* name) const { return std::string{path_} + "/" + name; }

 private:
  char path_[sizeof "/tmp/ringpost-bench.XXXXXX"] = "/tmp/ringpost-bench.XXXXXX";
  bool good_;
};

template <typename Take>
void each_entry(std::string_view ledger, Take take) {
  for (std::size_t end; (end = ledger.find('\n')) != ledger.npos; ledger.remove_prefix(end + 1))
    if (auto entry = parse_line(ledger.substr(0, end))) take(*entry);
}

/// From a message's 250 to its first arrival; 0 where it arrived before the generator saw the 250.
metrics::HistogramSnapshot transit(std::string_view sent, std::string_view received) {
  std::unordered_map<std::string_view, WallTime> acknowledged;
  each_entry(sent, [&](const LedgerEntry& entry) { acknowledged.emplace(entry.token, entry.at); });
  metrics::HistogramSnapshot times;
  each_entry(received, [&](const LedgerEntry& entry) {
    auto place = acknowledged.find(entry.token);
    if (place == acknowledged.end()) return;
    times.record(std::max(Duration{}, entry.at - place->second));
    acknowledged.erase(place);
  });
  return times;
}

/// Until as many recipients were served as were accepted, nothing has come for so long, or a signal.
void wait_for_rest(const StopSignals& signals, const SinkCrew& sink, std::uint64_t recipients, Duration patience, LiveLine& line) {
  std::uint64_t before = 0;
  Instant moved = steady_now();
  for (;;) {
    const std::uint64_t arrived = sink.totals().recipients;
    if (arrived >= recipients) return;
    if (arrived != before) moved = steady_now();
    before = arrived;
    line.show(fmt::format("all are sent; {} of {} recipients have theirs", arrived, recipients));
    if (steady_now() - moved > patience || signals.wait(kLook)) return;
  }
}

}  // namespace

int run_relay(RelaySetup setup) {
  StopSignals signals;
  raise_descriptor_limit();
  Scratch scratch;
  if (!scratch) {
    fmt::print(stderr, "ringpost-bench: no folder can be made in /tmp\n");
    return kExitUsage;
  }
  if (setup.send.ledger.empty()) setup.send.ledger = scratch.file("sent");
  if (setup.sink.ledger.empty()) setup.sink.ledger = scratch.file("received");
  SinkCrew sink{setup.sink};
  SendCrew send{setup.send};
  const CpuWatch cpu{setup.send.server_pid};
  if (!sink.start() || !send.prepare() || !cpu) return kExitUsage;
  const Instant start = steady_now();
  send.start();
  {
    LiveLine line{!setup.send.quiet};
    send.watch(signals, [&](const SendTotals& totals, double seconds) {
      line.show(fmt::format("{}; {} arrived", summary(totals, seconds), sink.totals().messages));
    });
    if (!send.join()) return kExitUsage;
    wait_for_rest(signals, sink, send.totals().recipients, setup.patience, line);
  }
  auto server = cpu.server();
  sink.stop();
  auto sent = require_file(setup.send.ledger), received = require_file(setup.sink.ledger);
  if (!sent || !received) return kExitUsage;
  Checker checker;
  checker.add_sent(*sent);
  checker.add_received(*received);
  const CheckReport report = checker.report();
  const SendTotals totals = send.totals();
  const SinkTotals taken = sink.totals();
  const double seconds = static_cast<double>(taken.last_ns - start.time_since_epoch().count()) / 1e9;
  const double arrived = static_cast<double>(report.sent - report.lost);
  nlohmann::ordered_json json = {
      {"mode", "relay"},
      {"to", setup.send.options.client.to.text()},
      {"connections", setup.send.connections},
      {"message_bytes", setup.send.generator.bytes.text()},
      {"seconds", seconds},
      {"begun", totals.begun},
      {"accepted", totals.accepted},
      {"refused", totals.refused()},
      {"lost", report.lost},
      {"unanswered", totals.lost},
      {"changed", report.changed},
      {"partial", report.partial},
      {"duplicates", report.duplicates},
      {"rate", ratio(arrived, seconds)},
      {"accept_rate", ratio(static_cast<double>(totals.accepted), send.seconds())},
      {"cpu_us_per_message", ratio(microseconds(cpu.own()), arrived)},
      {"latency_us", latencies(transit(*sent, *received))},
      {"accept_latency_us", latencies(totals.latency)},
      {"sink_connections", taken.connections},
      {"troubles", readable(send.troubles())},
  };
  if (server) json["server_cpu_us_per_message"] = ratio(microseconds(*server), arrived);
  if (!setup.send.quiet)
    fmt::print(stderr, "{:.1f} s: {} accepted, {} lost, {} changed, {} twice; {:.0f}/s from end to end\n", seconds, totals.accepted,
               report.lost, report.changed, report.duplicates, ratio(arrived, seconds));
  bool written = write_results(setup.send.json, json.dump(2) + "\n");
  bool good = totals.accepted > 0 && totals.accepted == totals.begun && report.good();
  return written && good ? kExitOk : kExitFailed;
}

}  // namespace ringpost::bench
