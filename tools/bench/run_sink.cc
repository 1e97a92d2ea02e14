#include <fmt/core.h>

#include <cstdio>

#include "bench/files.hh"
#include "bench/report.hh"
#include "bench/sink_crew.hh"

namespace ringpost::bench {

namespace {

std::string to_json(const SinkTotals& totals, Duration cpu) {
  nlohmann::ordered_json json = {
      {"mode", "sink"},
      {"accepted", totals.messages},
      {"refused", totals.refused},
      {"lost", totals.failed},
      {"rate", ratio(static_cast<double>(totals.messages), totals.active_s())},
      {"cpu_us_per_message", ratio(microseconds(cpu), static_cast<double>(totals.messages))},
      {"recipients", totals.recipients},
      {"bytes", totals.bytes},
      {"connections", totals.connections},
      {"connections_secured", totals.secured},
      {"active_s", totals.active_s()},
      {"faults",
       {{"tempfail", totals.tempfails}, {"permfail", totals.permfails}, {"drop", totals.drops}, {"greylist", totals.greylisted}}},
  };
  return json.dump(2) + "\n";
}

void watch(const StopSignals& signals, const SinkCrew& crew, bool quiet) {
  LiveLine line{!quiet};
  std::uint64_t before = 0;
  while (!signals.wait(std::chrono::seconds(1))) {
    if (!line) continue;
    SinkTotals now = crew.totals();
    line.show(fmt::format("{} messages/s   {} in total, {} MB, {} connections open, {} faults, {} refused", now.messages - before,
                          now.messages, now.bytes / 1'000'000, now.open, now.faults(), now.refused));
    before = now.messages;
  }
}

}  // namespace

int run_sink(SinkSetup setup) {
  StopSignals signals;
  raise_descriptor_limit();
  SinkCrew crew{setup};
  if (!crew.start()) return kExitUsage;
  for (const SocketAddress& address : setup.listen) fmt::print("listening on {}\n", address.text());
  std::fflush(stdout);
  watch(signals, crew, setup.quiet);
  crew.stop();
  return write_results(setup.json, to_json(crew.totals(), own_cpu())) ? kExitOk : kExitFailed;
}

}  // namespace ringpost::bench
