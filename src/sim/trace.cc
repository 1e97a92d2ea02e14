#include "trace.hh"

#include <cstdio>

#include "ringpost/base/assert.hh"

namespace ringpost::sim {

Trace::Trace() : state_(XXH3_createState()) {
  RP_ASSERT(state_ != nullptr);
  XXH3_64bits_reset(state_);
}

Trace::~Trace() { XXH3_freeState(state_); }

void Trace::add(Instant at, std::string_view what, std::uint64_t who, std::int64_t value) {
  const std::int64_t words[3] = {at.time_since_epoch().count(), static_cast<std::int64_t>(who), value};
  XXH3_64bits_update(state_, words, sizeof words);
  XXH3_64bits_update(state_, what.data(), what.size());
  if (print_) {
    std::fprintf(stderr, "%15.6f ring %llu %.*s %lld\n", static_cast<double>(words[0]) / 1e9,
                 static_cast<unsigned long long>(who), static_cast<int>(what.size()), what.data(), static_cast<long long>(value));
  }
}

}  // namespace ringpost::sim
