// What the modes write as JSON has the same names everywhere: rate, cpu_us_per_message, latency_us, accepted, refused, lost.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "bench/usage.hh"
#include "ringpost/metrics/metrics.hh"

namespace ringpost::bench {

/// mean, p50, p90, p99, p99_9, p99_99, max in microseconds.
nlohmann::ordered_json latencies(const metrics::HistogramSnapshot& latency);

double microseconds(Duration time);
/// `amount` per second, or for each of `count`; 0 when there is nothing to divide by.
double ratio(double amount, double by);

}  // namespace ringpost::bench
