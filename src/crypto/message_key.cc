#include "ringpost/crypto/message_key.hh"

#include "ringpost/crypto/hash.hh"
#include "ringpost/crypto/nonce.hh"

namespace ringpost::crypto {

namespace {

/// Associated data of a message's parts: what they are and of which message, never where they lie, so that they can be
/// copied forward without a key.
std::array<std::byte, 48> part_identity(const StoreId& store, const MessageId& message, Domain domain, std::uint64_t index,
                                        bool final) {
  std::array<std::byte, 48> bytes{};
  copy_bytes(MutableBytes{bytes}, store.bytes);
  copy_bytes(MutableBytes{bytes}.subspan(16), message.bytes);
  bytes[32] = static_cast<std::byte>(domain);
  bytes[33] = static_cast<std::byte>(final);
  store_le(bytes.data() + 40, index);
  return bytes;
}

/// Associated data of a wrapped key: store, message, owner, key version.
std::array<std::byte, 84> wrap_identity(const StoreId& store, const MessageId& message, const WrappedKey& wrapped) {
  std::array<std::byte, 84> bytes{};
  const MutableBytes out{bytes};
  copy_bytes(out, store.bytes);
  copy_bytes(out.subspan(16), message.bytes);
  copy_bytes(out.subspan(32), wrapped.scope_key.bytes);
  copy_bytes(out.subspan(48), wrapped.partition.bytes);
  copy_bytes(out.subspan(64), wrapped.incarnation.bytes);
  store_le(bytes.data() + 80, wrapped.owner);
  return bytes;
}

Key256 detail_key_of(const Key256& key, const StoreId& store, const MessageId& message) {
  return derive_key(key.view(), store.bytes, "ringpost outcome detail", {message.bytes});
}

}  // namespace

void WrappedKey::encode(MutableBytes out) const {
  RP_ASSERT(out.size() == kWrappedKeyBytes);
  copy_bytes(out, scope_key.bytes);
  copy_bytes(out.subspan(16), partition.bytes);
  copy_bytes(out.subspan(32), incarnation.bytes);
  store_le(out.data() + 48, owner);
  copy_bytes(out.subspan(52), nonce);
  copy_bytes(out.subspan(64), sealed);
}

WrappedKey WrappedKey::decode(Bytes from) {
  RP_ASSERT(from.size() == kWrappedKeyBytes);
  WrappedKey wrapped;
  copy_bytes(wrapped.scope_key.bytes, from.subspan(0, 16));
  copy_bytes(wrapped.partition.bytes, from.subspan(16, 16));
  copy_bytes(wrapped.incarnation.bytes, from.subspan(32, 16));
  wrapped.owner = load_le<std::uint32_t>(from.data() + 48);
  copy_bytes(wrapped.nonce, from.subspan(52, kNonceBytes));
  copy_bytes(wrapped.sealed, from.subspan(64, sizeof wrapped.sealed));
  return wrapped;
}

Key256 derive_wrap_key(Bytes leased_key, const StoreId& store, const PartitionId& partition, const IncarnationId& incarnation) {
  return derive_key(leased_key, store.bytes, "ringpost wrap", {partition.bytes, incarnation.bytes});
}

Result<Key256> unwrap_message_key(const AeadKey& wrap_key, const StoreId& store, const MessageId& message,
                                  const WrappedKey& wrapped) {
  Key256 key;
  if (!wrap_key.open(wrapped.nonce, wrap_identity(store, message, wrapped), wrapped.sealed, key.mutable_view()))
    return std::unexpected(Error{Errc::corrupt});
  return key;
}

MessageSealer::MessageSealer(Key256 random_key, const StoreId& store, const MessageId& message)
    : key_(std::move(random_key)), aead_(key_.view()), store_(store), message_(message) {}

WrappedKey MessageSealer::wrap(const AeadKey& wrap_key, const WrappedKey& identity, const Nonce& random_nonce) const {
  WrappedKey wrapped = identity;
  wrapped.nonce = random_nonce;
  wrap_key.seal(random_nonce, wrap_identity(store_, message_, wrapped), key_.view(), wrapped.sealed);
  return wrapped;
}

void MessageSealer::seal_chunk(Bytes plaintext, MutableBytes out) {
  RP_ASSERT(!final_sealed_ && !plaintext.empty() && plaintext.size() <= kChunkBytesMax);
  const std::uint32_t index = chunks_++;
  aead_.seal(body_nonce(index, false), part_identity(store_, message_, Domain::body, index, false), plaintext, out);
}

void MessageSealer::seal_final(Bytes plaintext, MutableBytes out) {
  RP_ASSERT(!final_sealed_ && plaintext.size() <= kChunkBytesMax);
  final_sealed_ = true;
  aead_.seal(body_nonce(chunks_, true), part_identity(store_, message_, Domain::body, chunks_, true), plaintext, out);
}

void MessageSealer::seal_envelope(MutableBytes envelope) {
  RP_ASSERT(!envelope_sealed_ && envelope.size() >= kTagBytes);
  envelope_sealed_ = true;
  aead_.seal(envelope_nonce(), part_identity(store_, message_, Domain::envelope, 0, false),
             envelope.first(envelope.size() - kTagBytes), envelope);
}

Key256 MessageSealer::detail_key() const { return detail_key_of(key_, store_, message_); }

MessageOpener::MessageOpener(Key256 key, const StoreId& store, const MessageId& message)
    : key_(std::move(key)), aead_(key_.view()), store_(store), message_(message) {}

bool MessageOpener::open_chunk(std::uint64_t index, bool final, Bytes sealed, MutableBytes out) const {
  return aead_.open(body_nonce(index, final), part_identity(store_, message_, Domain::body, index, final), sealed, out);
}

bool MessageOpener::open_envelope(Bytes sealed, MutableBytes out) const {
  return aead_.open(envelope_nonce(), part_identity(store_, message_, Domain::envelope, 0, false), sealed, out);
}

Key256 MessageOpener::detail_key() const { return detail_key_of(key_, store_, message_); }

}  // namespace ringpost::crypto
