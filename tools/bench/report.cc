#include "bench/report.hh"

namespace ringpost::bench {

nlohmann::ordered_json latencies(const metrics::HistogramSnapshot& latency) {
  auto us = [](Duration time) { return static_cast<double>(time.count() / 100) / 10; };
  return {
      {"mean", us(latency.mean())},           {"p50", us(latency.percentile(50))},      {"p90", us(latency.percentile(90))},
      {"p99", us(latency.percentile(99))},    {"p99_9", us(latency.percentile(99.9))},  {"p99_99", us(latency.percentile(99.99))},
      {"max", us(latency.max())},
  };
}

double microseconds(Duration time) { return static_cast<double>(time.count()) / 1000; }

double ratio(double amount, double by) { return by > 0 ? amount / by : 0; }

}  // namespace ringpost::bench
