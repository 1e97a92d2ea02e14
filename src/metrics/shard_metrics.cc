#include "ringpost/metrics/shard_metrics.hh"

#include <array>

#include "ringpost/metrics/exposition.hh"

namespace ringpost::metrics {
namespace {

constexpr Descriptor kDescriptors[] = {
#define RP_COUNTER(member, help) {#member, "ringpost_" #member "_total", help, Kind::counter},
#define RP_GAUGE(member, help) {#member, "ringpost_" #member, help, Kind::gauge},
#define RP_HISTOGRAM(member, help) {#member, "ringpost_" #member "_seconds", help, Kind::histogram},
    RP_SHARD_METRICS(RP_COUNTER, RP_GAUGE, RP_HISTOGRAM)
#undef RP_COUNTER
#undef RP_GAUGE
#undef RP_HISTOGRAM
};

/// Calls `visit(descriptor, pointer to member)` for each row.
template <typename Visit>
void for_each_metric(Visit&& visit) {
  std::size_t row = 0;
#define RP_MEMBER(member, help) visit(kDescriptors[row++], &ShardMetrics::member);
  RP_SHARD_METRICS(RP_MEMBER, RP_MEMBER, RP_MEMBER)
#undef RP_MEMBER
}

constexpr int kBoundFirst = 13;  // 2^13 ns = 8.2 us

void expose(Exposition& out, const Descriptor& metric, std::string_view shard, std::uint64_t value) {
  out.sample(metric.name, {{"shard", shard}}, value);
}

void expose(Exposition& out, const Descriptor& metric, std::string_view shard, std::int64_t value) {
  out.sample(metric.name, {{"shard", shard}}, value);
}

void expose(Exposition& out, const Descriptor& metric, std::string_view shard, const HistogramSnapshot& histogram) {
  std::string bucket = std::string{metric.name} + "_bucket";
  for (int bits = kBoundFirst; bits <= Buckets::kValueBits; ++bits) {
    // "le" means at most; our buckets end one nanosecond below each power of two.
    double bound = static_cast<double>((std::uint64_t{1} << bits) - 1) / 1e9;
    out.sample(bucket, {{"shard", shard}, {"le", number_text(bound)}}, histogram.count_below_power(bits));
  }
  out.sample(bucket, {{"shard", shard}, {"le", "+Inf"}}, histogram.count());
  out.sample(std::string{metric.name} + "_sum", {{"shard", shard}}, std::chrono::duration<double>(histogram.sum()).count());
  out.sample(std::string{metric.name} + "_count", {{"shard", shard}}, histogram.count());
}

std::uint64_t read(const Counter& counter) { return counter.value(); }
std::int64_t read(const Gauge& gauge) { return gauge.value(); }
HistogramSnapshot read(const Histogram& histogram) { return histogram.snapshot(); }

void add(std::uint64_t& total, std::uint64_t value) { total += value; }
void add(std::int64_t& total, std::int64_t value) { total += value; }
void add(HistogramSnapshot& total, const HistogramSnapshot& value) { total.merge(value); }

std::string json(std::uint64_t value) { return std::to_string(value); }
std::string json(std::int64_t value) { return std::to_string(value); }
std::string json(const HistogramSnapshot& histogram) {
  auto us = [](Duration value) { return number_text(static_cast<double>(value.count()) / 1e3); };
  return "{\"count\": " + std::to_string(histogram.count()) + ", \"mean_us\": " + us(histogram.mean()) +
         ", \"p50_us\": " + us(histogram.percentile(50)) + ", \"p90_us\": " + us(histogram.percentile(90)) +
         ", \"p99_us\": " + us(histogram.percentile(99)) + ", \"p999_us\": " + us(histogram.percentile(99.9)) +
         ", \"max_us\": " + us(histogram.max()) + "}";
}

}  // namespace

std::span<const Descriptor> descriptors() { return kDescriptors; }

std::string prometheus_text(Shards shards) {
  constexpr std::string_view kTypes[] = {"counter", "gauge", "histogram"};
  Exposition out;
  for_each_metric([&](const Descriptor& metric, auto member) {
    out.family(metric.name, kTypes[static_cast<std::size_t>(metric.kind)], metric.help);
    for (std::size_t shard = 0; shard < shards.size(); ++shard)
      expose(out, metric, std::to_string(shard), read(shards[shard]->*member));
  });
  return out.take();
}

std::string json_totals(Shards shards, int indent) {
  std::string line_start = "\n" + std::string(static_cast<std::size_t>(indent), ' ');
  std::string out = "{";
  std::string_view separator = "";
  for_each_metric([&](const Descriptor& metric, auto member) {
    decltype(read(std::declval<const ShardMetrics&>().*member)) total{};
    for (const ShardMetrics* shard : shards) add(total, read(shard->*member));
    out.append(separator).append(line_start).append("  \"").append(metric.member).append("\": ").append(json(total));
    separator = ",";
  });
  return out + line_start + "}";
}

}  // namespace ringpost::metrics
