#include "ringpost/keyd/keystore.hh"

#include <cstring>
#include <new>

#include "ringpost/crypto/hash.hh"
#include "ringpost/crypto/sealer.hh"

namespace ringpost::keyd {

using keys::protocol::Status;

namespace {

constexpr char kMagic[] = "RPKSTORE";
constexpr std::size_t kMagicBytes = 8;

// Offsets in the header, which is the associated data of what follows it.
constexpr std::size_t kVersionAt = 8, kHeaderBytesAt = 10, kReservedAt = 12, kRevisionAt = 16, kNonceAt = 24, kKekIdAt = 36,
                      kPayloadBytesAt = 52, kTailAt = 56;
// Offsets in the payload.
constexpr std::size_t kStoreAt = 0, kMetadataAt = 16, kAddressHashAt = 48, kCountAt = 80, kRootReservedAt = 84;
// Offsets in a scope key.
constexpr std::size_t kIdAt = 0, kScopeKindAt = 16, kClassAt = 17, kKeyReservedAt = 18, kDayAt = 20, kOwnerAt = 24,
                      kCreatedAt = 40, kKeyAt = 48;

void write_scope_key(MutableBytes out, const ScopeKey& key) {
  copy_bytes(out.subspan(kIdAt), key.id.bytes);
  out[kScopeKindAt] = static_cast<std::byte>(key.scope.kind);
  out[kClassAt] = static_cast<std::byte>(key.key_class);
  store_le(out.data() + kKeyReservedAt, std::uint16_t{0});
  store_le(out.data() + kDayAt, key.day);
  copy_bytes(out.subspan(kOwnerAt), key.scope.owner.bytes);
  store_le(out.data() + kCreatedAt, key.created_s);
  copy_bytes(out.subspan(kKeyAt), key.key.view());
}

/// False when a field is out of range.
bool read_scope_key(Bytes in, ScopeKey& key) {
  copy_bytes(key.id.bytes, in.subspan(kIdAt, 16));
  key.scope.kind = static_cast<keys::ScopeKind>(in[kScopeKindAt]);
  key.key_class = static_cast<keys::KeyClass>(in[kClassAt]);
  key.day = load_le<std::uint32_t>(in.data() + kDayAt);
  copy_bytes(key.scope.owner.bytes, in.subspan(kOwnerAt, 16));
  key.created_s = load_le<std::int64_t>(in.data() + kCreatedAt);
  copy_bytes(key.key.mutable_view(), in.subspan(kKeyAt, 32));
  return !key.id.is_zero() && keys::is_valid(key.scope) && keys::is_valid(key.key_class) &&
         load_le<std::uint16_t>(in.data() + kKeyReservedAt) == 0;
}

bool read_payload(Bytes payload, KeyTable& table) {
  const auto count = load_le<std::uint32_t>(payload.data() + kCountAt);
  if (count > kScopeKeysMax || payload.size() != kKeystoreRootBytes + count * kScopeKeyBytes) return false;
  if (load_le<std::uint32_t>(payload.data() + kRootReservedAt) != 0) return false;
  copy_bytes(table.store.bytes, payload.subspan(kStoreAt, 16));
  copy_bytes(table.metadata_key().mutable_view(), payload.subspan(kMetadataAt, 32));
  copy_bytes(table.address_hash_key().mutable_view(), payload.subspan(kAddressHashAt, 32));
  if (table.store.is_zero()) return false;
  for (std::size_t i = 0; i < count; ++i) {
    ScopeKey key;
    if (!read_scope_key(payload.subspan(kKeystoreRootBytes + i * kScopeKeyBytes, kScopeKeyBytes), key)) return false;
    if (table.find(key.scope, key.key_class, key.day)) return false;
    table.add(std::move(key));
  }
  return true;
}

}  // namespace

KekId kek_id(const Key256& kek) {
  const Key256 digest = crypto::derive_key(kek.view(), {}, "ringpost kek id", {});
  KekId id;
  copy_bytes(id.bytes, digest.view().first(id.bytes.size()));
  return id;
}

std::optional<Key256> parse_kek(Bytes file) {
  if (file.size() == 32) return Key256{file};
  std::string_view text = as_text(file);
  if (text.ends_with('\n')) text.remove_suffix(1);
  Key256 key;
  if (!unhex(text, key.mutable_view())) return std::nullopt;
  return key;
}

// ---- the table

KeyTable::KeyTable() : pages_(kScopeKeysMax * sizeof(ScopeKey)) {}

const ScopeKey* KeyTable::find(const KeyId& id) const {
  for (const ScopeKey& key : scope_keys())
    if (key.id == id) return &key;
  return nullptr;
}

const ScopeKey* KeyTable::find(const keys::Scope& scope, keys::KeyClass key_class, std::uint32_t day) const {
  for (const ScopeKey& key : scope_keys())
    if (key.day == day && key.key_class == key_class && key.scope == scope) return &key;
  return nullptr;
}

const ScopeKey& KeyTable::add(ScopeKey key) {
  RP_ASSERT(!is_full());
  return *::new (slots() + count_++) ScopeKey(std::move(key));
}

void KeyTable::drop_last() {
  RP_ASSERT(count_ > 0);
  slots()[--count_].~ScopeKey();
}

void KeyTable::clear() {
  while (count_ > 0) drop_last();
  store = {};
  revision = 0;
  metadata_key().clear();
  address_hash_key().clear();
}

// ---- the file

SealedBytes seal_keystore(const KeyTable& table, const Key256& kek, const crypto::Nonce& random_nonce, MutableBytes plaintext,
                          MutableBytes out) {
  const std::span<const ScopeKey> scope_keys = table.scope_keys();
  RP_ASSERT(out.size() == keystore_bytes(scope_keys.size()));
  const MutableBytes payload = plaintext.first(kKeystoreRootBytes + scope_keys.size() * kScopeKeyBytes);
  copy_bytes(payload.subspan(kStoreAt), table.store.bytes);
  copy_bytes(payload.subspan(kMetadataAt), table.metadata_key().view());
  copy_bytes(payload.subspan(kAddressHashAt), table.address_hash_key().view());
  store_le(payload.data() + kCountAt, static_cast<std::uint32_t>(scope_keys.size()));
  store_le(payload.data() + kRootReservedAt, std::uint32_t{0});
  for (std::size_t i = 0; i < scope_keys.size(); ++i)
    write_scope_key(payload.subspan(kKeystoreRootBytes + i * kScopeKeyBytes), scope_keys[i]);

  std::array<std::byte, kKeystoreHeaderBytes> header{};
  copy_bytes(header, as_bytes({kMagic, kMagicBytes}));
  store_le(header.data() + kVersionAt, kKeystoreVersion);
  store_le(header.data() + kHeaderBytesAt, static_cast<std::uint16_t>(kKeystoreHeaderBytes));
  store_le(header.data() + kRevisionAt, table.revision);
  copy_bytes(MutableBytes{header}.subspan(kNonceAt), random_nonce);
  copy_bytes(MutableBytes{header}.subspan(kKekIdAt), kek_id(kek).bytes);
  store_le(header.data() + kPayloadBytesAt, static_cast<std::uint32_t>(payload.size()));

  const crypto::AeadKey sealing{kek.view()};
  const SealedBytes sealed = crypto::Sealer::seal(sealing, random_nonce, header, payload, out);
  wipe(payload);
  return sealed;
}

Status open_keystore(Bytes file, const Key256& kek, MutableBytes plaintext, KeyTable& table) {
  table.clear();
  if (file.size() < kKeystoreHeaderBytes || std::memcmp(file.data(), kMagic, kMagicBytes) != 0) return Status::keystore_damaged;
  if (load_le<std::uint16_t>(file.data() + kVersionAt) > kKeystoreVersion) return Status::keystore_version;
  const bool is_version_1 = load_le<std::uint16_t>(file.data() + kVersionAt) == kKeystoreVersion &&
                            load_le<std::uint16_t>(file.data() + kHeaderBytesAt) == kKeystoreHeaderBytes &&
                            load_le<std::uint32_t>(file.data() + kReservedAt) == 0 &&
                            load_le<std::uint64_t>(file.data() + kTailAt) == 0;
  const std::size_t payload_bytes = load_le<std::uint32_t>(file.data() + kPayloadBytesAt);
  if (!is_version_1 || payload_bytes < kKeystoreRootBytes || file.size() > kKeystoreBytesMax ||
      file.size() != kKeystoreHeaderBytes + payload_bytes + crypto::kTagBytes)
    return Status::keystore_damaged;

  const KekId id = kek_id(kek);
  if (std::memcmp(file.data() + kKekIdAt, id.bytes.data(), id.bytes.size()) != 0) return Status::kek_wrong;
  crypto::Nonce nonce;
  copy_bytes(nonce, file.subspan(kNonceAt, nonce.size()));
  const MutableBytes payload = plaintext.first(payload_bytes);
  const crypto::AeadKey opening{kek.view()};
  const bool read = opening.open(nonce, file.first(kKeystoreHeaderBytes), file.subspan(kKeystoreHeaderBytes), payload) &&
                    read_payload(payload, table);
  wipe(payload);
  if (!read) {
    table.clear();
    return Status::keystore_damaged;
  }
  table.revision = load_le<std::uint64_t>(file.data() + kRevisionAt);
  return Status::ok;
}

}  // namespace ringpost::keyd
