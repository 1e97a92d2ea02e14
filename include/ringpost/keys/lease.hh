// The key a client gets for a lease. keyd derives it anew when it unwraps, so it stores no lease.
//
//   lease key    = HKDF(scope key, salt = store id, "ringpost lease", key id || incarnation)
//   wrapping key = crypto::derive_wrap_key(lease key, store, partition, incarnation)
//
// The incarnation is the client's, one for each of its starts: a wrapping key is used by one partition in one start, so its
// random nonces meet no others.
#pragma once

#include "ringpost/base/id.hh"
#include "ringpost/base/secret.hh"

namespace ringpost::keys {

Key256 derive_lease_key(const Key256& scope_key, const StoreId& store, const KeyId& key, const IncarnationId& incarnation);

}  // namespace ringpost::keys
