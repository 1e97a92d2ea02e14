#include <string>

#include "ringpost/metrics/shard_metrics.hh"

namespace ringpost::metrics {

std::string reference_page() {
  std::string page =
      "# Metrics\n"
      "\n"
      "<!-- Generated from include/ringpost/metrics/shard_metrics.hh by print-metrics-reference; a test compares them. -->\n"
      "\n"
      "`ringpostctl metrics` prints these in the Prometheus text format, each labelled `shard=\"N\"`; sum over the label for "
      "the\n"
      "whole server. `ringpostctl status --json` has the sums by the name without `ringpost_` and suffix.\n"
      "Latencies are in seconds; their buckets end at powers of two from 8 us to 73 minutes.\n"
      "Counters start at zero with each start of the server.\n"
      "\n"
      "| name | type | meaning |\n"
      "|---|---|---|\n";
  constexpr std::string_view kTypes[] = {"counter", "gauge", "histogram"};
  for (const Descriptor& metric : descriptors()) {
    page.append("| `").append(metric.name).append("` | ").append(kTypes[static_cast<std::size_t>(metric.kind)]);
    page.append(" | ").append(metric.help).append(" |\n");
  }
  page +=
      "\n"
      "Of the whole server, not of a shard: `ringpost_shards_in_use`, a gauge, how many shards take new connections (`shards.spread`);\n"
      "`ringpost_certificate_days_left{certificate=\"NAME\"}`, a gauge, for each\n"
      "`tls.certificate.NAME`. It is negative when the certificate has ended.\n";
  return page;
}

}  // namespace ringpost::metrics
