// A test hook that sees every seal: the simulator's oracle for "no (key, nonce) pair seals twice".
#pragma once

#include "ringpost/crypto/aead.hh"
#include "ringpost/crypto/hash.hh"

namespace ringpost::crypto {

/// Told of every AeadKey::seal of the process. Empty outside of tests.
class SealObserver {
 public:
  virtual ~SealObserver() = default;
  /// `key` is a digest of the key, never the key.
  virtual void sealed(const Digest256& key, const Nonce& nonce) = 0;
};

/// Replaces the observer (null: none) and returns the one before. Not thread-safe: set it before threads seal.
SealObserver* set_seal_observer(SealObserver* observer);

}  // namespace ringpost::crypto
