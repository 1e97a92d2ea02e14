#include <fmt/core.h>

#include <cstdio>

#include "bench/crew.hh"
#include "bench/files.hh"
#include "bench/report.hh"
#include "bench/modes.hh"
#include "ringpost/runtime/scope.hh"

namespace ringpost::bench {

namespace {

constexpr Duration kLook = std::chrono::milliseconds(50);

/// Logins that are due, and what became of them. On one ring.
class Logins {
 public:
  Logins(runtime::UringRing& ring, const LoginSetup& setup) : ring_(ring), setup_(setup), clients_(ring), scope_(ring) {}

  void start() {
    start_ = ring_.now();
    scope_.spawn(begin_those_due());
  }
  bool running() const { return scope_.running() > 0; }
  void stop() { stopped_ = true; }

  std::uint64_t begun = 0, accepted = 0, refused = 0, lost = 0;
  metrics::Histogram latency;  ///< from when a login was due to its answer
  const Troubles& troubles() const { return clients_.troubles; }

 private:
  runtime::Task<void> begin_those_due() {
    for (std::uint64_t number = 0; !stopped_; ++number) {
      const Instant due = start_ + Duration{static_cast<Duration::rep>(static_cast<double>(number) * 1e9 / setup_.rate)};
      if (due >= start_ + setup_.span) co_return;
      while (!stopped_ && (ring_.now() < due || under_way_ >= setup_.concurrent_max))
        co_await ring_.sleep_until(std::max(std::min(due, ring_.now() + kLook), ring_.now() + std::chrono::milliseconds(1)));
      if (stopped_) co_return;
      ++begun;
      ++under_way_;
      scope_.spawn(log_in(number, due));
    }
  }

  runtime::Task<void> log_in(std::uint64_t number, Instant due) {
    ClientOptions options = setup_.client;
    if (setup_.numbered) options.user.insert(0, std::to_string(number));
    {
      Client client{clients_, options};
      bool ready = co_await client.open();
      const auto [step, code] = client.last_trouble();
      ++(ready ? accepted : step == Step::auth && code != 0 ? refused : lost);
      latency.record(ring_.now() - due);
      co_await client.close();
    }
    --under_way_;
  }

  runtime::UringRing& ring_;
  const LoginSetup& setup_;
  ClientShared clients_;
  runtime::Scope scope_;
  Instant start_{};
  std::size_t under_way_ = 0;
  bool stopped_ = false;
};

}  // namespace

int run_login(const LoginSetup& setup) {
  StopSignals signals;
  raise_descriptor_limit();
  auto ring = start_ring();
  if (!ring) return kExitUsage;
  const CpuWatch cpu{0};
  const Instant start = ring->now();
  Logins logins{*ring, setup};
  {
    LiveLine line{!setup.quiet};
    logins.start();
    while (logins.running()) {
      ring->run_once(kLook);
      if (signals.wait(Duration{})) logins.stop();
      line.show(fmt::format("{} logins: {} accepted, {} refused, {} without an answer", logins.begun, logins.accepted, logins.refused,
                            logins.lost));
    }
  }
  const double seconds = static_cast<double>((ring->now() - start).count()) / 1e9, begun = static_cast<double>(logins.begun);
  nlohmann::ordered_json json = {
      {"mode", "login"},
      {"to", setup.client.to.text()},
      {"tls", security_name(setup.client.security)},
      {"rate_asked", setup.rate},
      {"seconds", seconds},
      {"begun", logins.begun},
      {"accepted", logins.accepted},
      {"refused", logins.refused},
      {"lost", logins.lost},
      {"rate", ratio(begun, seconds)},
      {"cpu_us_per_login", ratio(microseconds(cpu.own()), begun)},
      {"latency_us", latencies(logins.latency.snapshot())},
      {"troubles", readable(logins.troubles())},
  };
  bool written = write_results(setup.json, json.dump(2) + "\n");
  return written && logins.begun > 0 && logins.lost == 0 ? kExitOk : kExitFailed;
}

}  // namespace ringpost::bench
