// Prints docs/metrics.md.
#include <cstdio>

#include "ringpost/metrics/shard_metrics.hh"

int main() {
  std::fputs(ringpost::metrics::reference_page().c_str(), stdout);
  return std::fflush(stdout) == 0 ? 0 : 1;
}
