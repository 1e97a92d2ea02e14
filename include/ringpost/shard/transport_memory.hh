// What shards share of what domains say and hear about TLS.
#pragma once

#include "ringpost/base/units.hh"
#include "ringpost/transport/sts_cache.hh"
#include "ringpost/transport/tls_counts.hh"

namespace ringpost::shard {

/// Threads: any.
struct TransportMemory {
  transport::StsCache policies{64_MiB};
  transport::TlsCounts sessions;
};

}  // namespace ringpost::shard
