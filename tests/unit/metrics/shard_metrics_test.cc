#include "ringpost/metrics/shard_metrics.hh"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <memory>
#include <set>
#include <sstream>

#include "ringpost/metrics/exposition.hh"

namespace ringpost::metrics {
namespace {

using std::chrono::milliseconds;

TEST(ShardMetrics, names_are_unique_and_well_formed) {
  std::set<std::string_view> names;
  for (const Descriptor& metric : descriptors()) {
    EXPECT_TRUE(names.insert(metric.name).second) << metric.name;
    EXPECT_EQ(metric.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_"), metric.name.npos) << metric.name;
    EXPECT_EQ(metric.name.ends_with("_total"), metric.kind == Kind::counter) << metric.name;
    EXPECT_TRUE(metric.help.ends_with(".")) << metric.name;
  }
}

TEST(ShardMetrics, prometheus_has_one_sample_for_each_shard) {
  auto first = std::make_unique<ShardMetrics>(), second = std::make_unique<ShardMetrics>();
  first->messages_accepted.add(3);
  second->messages_accepted.add(4);
  second->connections_open.set(-1);
  const ShardMetrics* shards[] = {first.get(), second.get()};
  std::string text = prometheus_text(shards);
  EXPECT_NE(text.find("# TYPE ringpost_messages_accepted_total counter\n"
                      "ringpost_messages_accepted_total{shard=\"0\"} 3\n"
                      "ringpost_messages_accepted_total{shard=\"1\"} 4\n"),
            text.npos);
  EXPECT_NE(text.find("ringpost_connections_open{shard=\"1\"} -1\n"), text.npos);
  EXPECT_TRUE(text.starts_with("# HELP ringpost_connections_open Client connections now open.\n"));
}

TEST(ShardMetrics, prometheus_histograms_are_cumulative_and_end_in_infinity) {
  auto shard = std::make_unique<ShardMetrics>();
  for (int i = 1; i <= 100; ++i) shard->commit_latency.record(milliseconds{i});
  shard->commit_latency.record(std::chrono::hours{24});
  const ShardMetrics* shards[] = {shard.get()};
  std::istringstream text{prometheus_text(shards)};
  std::uint64_t last = 0;
  double last_bound = 0;
  int buckets = 0;
  for (std::string line; std::getline(text, line);) {
    if (!line.starts_with("ringpost_commit_latency_seconds_bucket{shard=\"0\",le=\"")) continue;
    ++buckets;
    std::uint64_t count = std::stoull(line.substr(line.rfind(' ')));
    EXPECT_GE(count, last);
    last = count;
    if (std::string bound = line.substr(line.find("le=\"") + 4); !bound.starts_with("+Inf")) {
      EXPECT_GT(std::stod(bound), last_bound);
      last_bound = std::stod(bound);
      auto expected = static_cast<std::uint64_t>(std::min(100.0, std::floor(last_bound * 1000)));
      EXPECT_EQ(count, expected) << line;
    }
  }
  EXPECT_EQ(buckets, 31);
  EXPECT_EQ(last, 101u);
}

TEST(ShardMetrics, json_sums_over_the_shards) {
  auto first = std::make_unique<ShardMetrics>(), second = std::make_unique<ShardMetrics>();
  first->messages_queued.set(3);
  second->messages_queued.set(4);
  first->commit_latency.record(Duration{10'000});
  second->commit_latency.record(Duration{30'000});
  const ShardMetrics* shards[] = {first.get(), second.get()};
  std::string text = json_totals(shards, 2);
  EXPECT_TRUE(text.starts_with("{\n    \"connections_open\": 0,\n"));
  EXPECT_TRUE(text.ends_with("\n  }"));
  EXPECT_NE(text.find("\"messages_queued\": 7"), text.npos);
  EXPECT_NE(text.find("\"commit_latency\": {\"count\": 2, \"mean_us\": 20, \"p50_us\": 10.239, \"p90_us\": 30, \"p99_us\": 30, "
                      "\"p999_us\": 30, \"max_us\": 30}"),
            text.npos)
      << text;
}

TEST(Exposition, escapes_what_would_break_the_format) {
  Exposition out;
  out.family("a", "gauge", "back\\slash\nline \"quoted\"");
  out.sample("a", {{"label", "x\"y\\z\nw"}}, 0.5);
  out.sample("a", {}, std::uint64_t{7});
  EXPECT_EQ(out.take(), "# HELP a back\\\\slash\\nline \"quoted\"\n# TYPE a gauge\na{label=\"x\\\"y\\\\z\\nw\"} 0.5\na 7\n");
}

TEST(ShardMetrics, the_reference_page_in_docs_is_the_generated_one) {
  std::ifstream file{RP_DOCS "/metrics.md"};
  std::stringstream page;
  page << file.rdbuf();
  EXPECT_EQ(page.str(), reference_page()) << "run: build/src/metrics/print-metrics-reference > docs/metrics.md";
}

}  // namespace
}  // namespace ringpost::metrics
