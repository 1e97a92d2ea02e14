// Sealing of rows: AES-256-GCM under keys derived for one index of one partition.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "ringpost/base/id.hh"
#include "ringpost/base/secret.hh"
#include "ringpost/crypto/aead.hh"
#include "ringpost/crypto/hash.hh"
#include "ringpost/index/store.hh"

namespace ringpost::index {

using Salt = std::array<std::byte, 16>;
using Epoch = std::uint32_t;

/// The nonces of one commit: SHA-256 over a random seed of 256 bits and a counter, cut to size, which are as good as drawn one by
/// one. The seed is drawn on the ring's own thread, for a Ring has no randomness for other threads, and never kept longer, so that a
/// copy of the machine's memory (a VM snapshot) hardly ever holds one.
class Nonces {
 public:
  MutableBytes seed() { return seed_; }
  crypto::Nonce take() {
    std::array<std::byte, 8> count;
    store_le(count.data(), taken_++);
    const crypto::Digest256 digest = crypto::sha256({seed_, count});
    crypto::Nonce nonce;
    copy_bytes(nonce, Bytes{digest}.first(nonce.size()));
    return nonce;
  }

 private:
  std::array<std::byte, 32> seed_{};
  std::uint64_t taken_ = 0;
};

/// The only maker of SealedValue. Threads: one at a time.
///
/// A row's value: epoch u32 | nonce, 12 bytes | ciphertext | tag, 16 bytes. Associated data: table, epoch, the row's key.
/// A new epoch has a new key: at most kSealsPerEpoch random nonces meet under one (NIST SP 800-38D section 8.3 allows 2^32).
class RowCipher {
 public:
  static constexpr std::size_t kOverheadBytes = 4 + crypto::kNonceBytes + crypto::kTagBytes;
  static constexpr std::uint64_t kSealsPerEpoch = std::uint64_t{1} << 31;

  RowCipher(Bytes metadata_key32, const StoreId& store, const PartitionId& partition);

  /// Uses the keys of the index that was made with `salt`.
  void use(const Salt& salt);
  SealedValue seal(Table table, Bytes key, Epoch epoch, const crypto::Nonce& nonce, Bytes plaintext);
  /// Opens into `plaintext`. False, with `plaintext` empty, when it does not authenticate or its epoch is above `newest`.
  [[nodiscard]] bool open(Table table, Bytes key, Epoch newest, Bytes value, std::vector<std::byte>& plaintext);

  /// The head row is sealed once a commit under a key of its own: `clear` in front, authenticated, then nonce and ciphertext.
  SealedValue seal_head(Bytes clear, const crypto::Nonce& nonce, Bytes plaintext);
  [[nodiscard]] bool open_head(Bytes value, std::size_t clear_bytes, MutableBytes plaintext);

 private:
  const crypto::AeadKey& key_of(Epoch epoch);

  Key256 root_;
  Salt salt_{};
  std::optional<crypto::AeadKey> head_key_;
  std::map<Epoch, crypto::AeadKey> keys_;
};

}  // namespace ringpost::index
