#include <fmt/core.h>

#include <cstdio>

#include "bench/files.hh"
#include "bench/report.hh"
#include "bench/send_crew.hh"

namespace ringpost::bench {

namespace {

nlohmann::ordered_json to_json(const SendSetup& setup, const SendCrew& crew, Duration own, std::optional<Duration> server) {
  const SendTotals totals = crew.totals();
  const double seconds = crew.seconds(), accepted = static_cast<double>(totals.accepted);
  const ClientOptions& client = setup.options.client;
  nlohmann::ordered_json json = {
      {"mode", "send"},
      {"run", setup.generator.run},
      {"to", client.to.text()},
      {"protocol", client.lmtp ? "lmtp" : "smtp"},
      {"tls", security_name(client.security)},
      {"loop", setup.rate > 0 ? "open" : "closed"},
      {"rate_asked", setup.rate},
      {"connections", setup.connections},
      {"per_connection", setup.options.per_connection},
      {"threads", setup.threads},
      {"pipeline", setup.options.pipeline},
      {"depth", setup.options.depth},
      {"bdat", setup.options.bdat},
      {"seed", setup.generator.seed},
      {"message_bytes", setup.generator.bytes.text()},
      {"seconds", seconds},
      {"begun", totals.begun},
      {"accepted", totals.accepted},
      {"refused", totals.refused()},
      {"deferred", totals.tempfailed},
      {"lost", totals.lost},
      {"rate", ratio(accepted, seconds)},
      {"cpu_us_per_message", ratio(microseconds(own), accepted)},
      {"latency_us", latencies(totals.latency)},
      {"reply_latency_us", latencies(totals.reply_latency)},
      {"recipients", {{"accepted", totals.recipients}, {"refused", totals.recipients_refused}}},
      {"bytes", totals.bytes},
      {"megabytes_per_s", ratio(static_cast<double>(totals.bytes) / 1e6, seconds)},
      {"connections_made", totals.connections},
      {"connections_resumed", totals.resumed},
      {"connects_failed", totals.connects_failed},
      {"troubles", readable(crew.troubles())},
  };
  if (server) json["server_cpu_us_per_message"] = ratio(microseconds(*server), accepted);
  return json;
}

}  // namespace

int run_send(SendSetup setup) {
  StopSignals signals;
  raise_descriptor_limit();
  SendCrew crew{setup};
  if (!crew.prepare()) return kExitUsage;
  const CpuWatch cpu{setup.server_pid};
  if (!cpu) return kExitUsage;
  crew.start();
  {
    LiveLine line{!setup.quiet};
    crew.watch(signals, [&](const SendTotals& totals, double seconds) { line.show(summary(totals, seconds)); });
  }
  if (!crew.join()) return kExitUsage;
  const SendTotals totals = crew.totals();
  nlohmann::ordered_json results = to_json(setup, crew, cpu.own(), cpu.server());
  if (!setup.quiet) {
    fmt::print(stderr, "{}\n", summary(totals, crew.seconds()));
    for (const auto& [what, count] : results["troubles"].items()) fmt::print(stderr, "  {}: {}\n", what, count.dump());
  }
  bool written = write_results(setup.json, results.dump(2) + "\n");
  bool all = totals.accepted == totals.begun && crew.began_all();
  bool good = totals.accepted > 0 && (setup.options.keep_going || all);
  return written && good && !crew.ledger_failed() ? kExitOk : kExitFailed;
}

}  // namespace ringpost::bench
