// One key for each message: what seals and opens its content and envelope, and how it is wrapped for its owners.
// Formats: docs/formats/records.md.
#pragma once

#include <array>
#include <cstdint>

#include "ringpost/base/error.hh"
#include "ringpost/base/id.hh"
#include "ringpost/crypto/aead.hh"

namespace ringpost::crypto {

/// Plaintext bytes of one piece of a message's content, at most.
inline constexpr std::size_t kChunkBytesMax = 64 * 1024;
/// One wrapped key on disk.
inline constexpr std::size_t kWrappedKeyBytes = 112;

/// A message key, sealed for one owner under the key that a shard derived from a leased scope key.
///
///     0  scope key id | partition id | incarnation id, 16 bytes each
///     48 owner u32 | nonce, 12 bytes | sealed message key, 48 bytes
struct WrappedKey {
  KeyId scope_key;            ///< the leased key (one version of it)
  PartitionId partition;      ///< whose shard derived the wrapping key
  IncarnationId incarnation;  ///< and in which start
  std::uint32_t owner = 0;    ///< index of the owner within the message
  Nonce nonce{};              ///< random
  std::array<std::byte, 32 + kTagBytes> sealed{};

  /// `out`: kWrappedKeyBytes.
  void encode(MutableBytes out) const;
  static WrappedKey decode(Bytes from);
  friend bool operator==(const WrappedKey&, const WrappedKey&) = default;
};

/// The wrapping key of one start of one shard: HKDF of the leased key over store (salt), partition and incarnation.
/// keyd derives the same one to unwrap. Label "ringpost wrap".
Key256 derive_wrap_key(Bytes leased_key32, const StoreId& store, const PartitionId& partition, const IncarnationId& incarnation);

/// Opens `wrapped` with the key of derive_wrap_key. Errors: corrupt.
Result<Key256> unwrap_message_key(const AeadKey& wrap_key, const StoreId& store, const MessageId& message,
                                  const WrappedKey& wrapped);

/// Seals the parts of one new message. Each nonce is used once because each part is numbered here and sealed once.
///
/// Lifetime: from MAIL until the MESSAGE record is sealed; a message that failed is sealed again only under a new key.
class MessageSealer {
 public:
  /// `random_key` comes from one call of Ring::random, for this message alone.
  MessageSealer(Key256 random_key, const StoreId& store, const MessageId& message);
  MessageSealer(MessageSealer&&) noexcept = default;
  MessageSealer& operator=(MessageSealer&&) noexcept = default;

  const MessageId& message() const { return message_; }
  /// Pieces sealed so far, without the final one.
  std::uint32_t chunks() const { return chunks_; }

  /// The key for one more owner. `identity` names scope key, partition, incarnation and owner; `random_nonce` is fresh.
  WrappedKey wrap(const AeadKey& wrap_key, const WrappedKey& identity, const Nonce& random_nonce) const;
  /// The next piece that is not the last, 1..kChunkBytesMax bytes. `out` is 16 bytes larger.
  void seal_chunk(Bytes plaintext, MutableBytes out);
  /// The last piece, 0..kChunkBytesMax bytes; once.
  void seal_final(Bytes plaintext, MutableBytes out);
  /// `envelope` holds the plaintext and 16 bytes more; once.
  void seal_envelope(MutableBytes envelope);
  /// Key of outcome details (the texts of next hops' replies) of this message. Label "ringpost outcome detail".
  Key256 detail_key() const;

 private:
  Key256 key_;
  AeadKey aead_;
  StoreId store_;
  MessageId message_;
  std::uint32_t chunks_ = 0;
  bool final_sealed_ = false, envelope_sealed_ = false;
};

/// Opens the parts of a stored message.
class MessageOpener {
 public:
  MessageOpener(Key256 key, const StoreId& store, const MessageId& message);

  /// `out` is 16 bytes shorter than `sealed`. False: not authentic, `out` is wiped.
  [[nodiscard]] bool open_chunk(std::uint64_t index, bool final, Bytes sealed, MutableBytes out) const;
  [[nodiscard]] bool open_envelope(Bytes sealed, MutableBytes out) const;
  Key256 detail_key() const;

 private:
  Key256 key_;
  AeadKey aead_;
  StoreId store_;
  MessageId message_;
};

}  // namespace ringpost::crypto
