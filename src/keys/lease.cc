#include "ringpost/keys/lease.hh"

#include "ringpost/crypto/hash.hh"

namespace ringpost::keys {

Key256 derive_lease_key(const Key256& scope_key, const StoreId& store, const KeyId& key, const IncarnationId& incarnation) {
  return crypto::derive_key(scope_key.view(), store.bytes, "ringpost lease", {key.bytes, incarnation.bytes});
}

}  // namespace ringpost::keys
