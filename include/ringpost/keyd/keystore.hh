// The key tree as it stands in memory and in the file keys.directory/keystore. Format: docs/formats/keystore.md. Sans-I/O.
#pragma once

#include <cstdint>
#include <optional>

#include "ringpost/base/bytes.hh"
#include "ringpost/base/id.hh"
#include "ringpost/base/sealed.hh"
#include "ringpost/base/secret.hh"
#include "ringpost/crypto/aead.hh"
#include "ringpost/harden/locked.hh"
#include "ringpost/keys/protocol.hh"
#include "ringpost/keys/scope.hh"

namespace ringpost::keyd {

inline constexpr std::uint16_t kKeystoreVersion = 1;
inline constexpr std::size_t kKeystoreHeaderBytes = 64;
inline constexpr std::size_t kKeystoreRootBytes = 88;
inline constexpr std::size_t kScopeKeyBytes = 80;
/// Scope keys of one store, all days together.
inline constexpr std::size_t kScopeKeysMax = 4096;
inline constexpr std::size_t kKeystoreBytesMax =
    kKeystoreHeaderBytes + kKeystoreRootBytes + kScopeKeysMax * kScopeKeyBytes + crypto::kTagBytes;
inline constexpr std::size_t kKekFileBytesMax = 65;  ///< 64 digits and a line feed

/// A short public name of a KEK, so that a wrong one is told from a damaged store.
using KekId = KeyId;
KekId kek_id(const Key256& kek);

/// 32 bytes as they are, or 64 hexadecimal digits with or without a line feed behind them. Empty for anything else.
std::optional<Key256> parse_kek(Bytes file);

/// One scope's key for one class and day.
struct ScopeKey {
  KeyId id;
  keys::Scope scope;
  keys::KeyClass key_class = keys::KeyClass::incoming;
  std::uint32_t day = 0;       ///< days since 1970-01-01 UTC
  std::int64_t created_s = 0;  ///< seconds since 1970, for people
  Key256 key;
};

/// The tree: the store's own keys, and scope keys in locked memory.
class KeyTable {
 public:
  KeyTable();

  StoreId store;
  std::uint64_t revision = 0;  ///< of the file; grows with each rewrite

  Key256& metadata_key() { return root_->metadata_key; }
  Key256& address_hash_key() { return root_->address_hash_key; }
  const Key256& metadata_key() const { return root_->metadata_key; }
  const Key256& address_hash_key() const { return root_->address_hash_key; }

  std::span<const ScopeKey> scope_keys() const { return {slots(), count_}; }
  /// nullptr: no such key. Lifetime of all pointers: until the next add, drop_last or clear.
  const ScopeKey* find(const KeyId& id) const;
  const ScopeKey* find(const keys::Scope& scope, keys::KeyClass key_class, std::uint32_t day) const;
  bool is_full() const { return count_ == kScopeKeysMax; }
  /// The table must not be full.
  const ScopeKey& add(ScopeKey key);
  void drop_last();
  void clear();
  bool is_locked() const { return pages_.is_locked() && root_.is_locked(); }

 private:
  struct Root {
    Key256 metadata_key, address_hash_key;
  };
  ScopeKey* slots() const { return reinterpret_cast<ScopeKey*>(pages_.bytes().data()); }
  harden::Locked<Root> root_;
  harden::LockedPages pages_;
  std::size_t count_ = 0;
};

/// Bytes of the file for this many scope keys.
constexpr std::size_t keystore_bytes(std::size_t scope_keys) {
  return kKeystoreHeaderBytes + kKeystoreRootBytes + scope_keys * kScopeKeyBytes + crypto::kTagBytes;
}

/// Seals the table into `out` (exactly keystore_bytes long); `plaintext` is scratch of at least that size, wiped afterwards.
/// `random_nonce` is fresh from Ring::random for each call.
SealedBytes seal_keystore(const KeyTable& table, const Key256& kek, const crypto::Nonce& random_nonce, MutableBytes plaintext,
                          MutableBytes out);

/// Opens a whole file into `table`. `plaintext` is scratch of the file's size, wiped afterwards.
/// Returns ok, kek_wrong, keystore_version or keystore_damaged; the table is empty unless ok.
keys::protocol::Status open_keystore(Bytes file, const Key256& kek, MutableBytes plaintext, KeyTable& table);

}  // namespace ringpost::keyd
