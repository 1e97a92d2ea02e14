#include "row_cipher.hh"

#include "ringpost/crypto/hash.hh"

namespace ringpost::index {

namespace {

constexpr std::size_t kEpochBytes = sizeof(Epoch);

/// Table, epoch and key of a row, for the associated data.
class Associated {
 public:
  Associated(Table table, Epoch epoch, Bytes key) : size_(1 + kEpochBytes + key.size()) {
    bytes_[0] = static_cast<std::byte>(table);
    store_le(bytes_.data() + 1, epoch);
    copy_bytes(MutableBytes{bytes_}.subspan(1 + kEpochBytes), key);
  }
  Bytes view() const { return Bytes{bytes_}.first(size_); }

 private:
  std::array<std::byte, 1 + kEpochBytes + RowKey::kBytesMax> bytes_;
  std::size_t size_;
};

}  // namespace

RowCipher::RowCipher(Bytes metadata_key32, const StoreId& store, const PartitionId& partition)
    : root_(crypto::derive_key(metadata_key32, store.bytes, "ringpost index", {partition.bytes})) {}

void RowCipher::use(const Salt& salt) {
  salt_ = salt;
  keys_.clear();
  head_key_.emplace(crypto::derive_key(root_.view(), salt_, "ringpost index head", {}).view());
}

const crypto::AeadKey& RowCipher::key_of(Epoch epoch) {
  if (auto known = keys_.find(epoch); known != keys_.end()) return known->second;
  std::array<std::byte, kEpochBytes> number;
  store_le(number.data(), epoch);
  return keys_.try_emplace(epoch, crypto::derive_key(root_.view(), salt_, "ringpost index rows", {number}).view()).first->second;
}

SealedValue RowCipher::seal(Table table, Bytes key, Epoch epoch, const crypto::Nonce& nonce, Bytes plaintext) {
  std::vector<std::byte> value(kOverheadBytes + plaintext.size());
  store_le(value.data(), epoch);
  copy_bytes(MutableBytes{value}.subspan(kEpochBytes), nonce);
  key_of(epoch).seal(nonce, Associated{table, epoch, key}.view(), plaintext,
                     MutableBytes{value}.subspan(kEpochBytes + crypto::kNonceBytes));
  return SealedValue{std::move(value)};
}

bool RowCipher::open(Table table, Bytes key, Epoch newest, Bytes value, std::vector<std::byte>& plaintext) {
  plaintext.clear();
  if (value.size() < kOverheadBytes || key.size() > RowKey::kBytesMax) return false;
  const Epoch epoch = load_le<Epoch>(value.data());
  if (epoch > newest) return false;
  crypto::Nonce nonce;
  copy_bytes(nonce, value.subspan(kEpochBytes, nonce.size()));
  plaintext.resize(value.size() - kOverheadBytes);
  if (key_of(epoch).open(nonce, Associated{table, epoch, key}.view(), value.subspan(kEpochBytes + nonce.size()), plaintext))
    return true;
  plaintext.clear();
  return false;
}

SealedValue RowCipher::seal_head(Bytes clear, const crypto::Nonce& nonce, Bytes plaintext) {
  std::vector<std::byte> value(clear.size() + nonce.size() + plaintext.size() + crypto::kTagBytes);
  copy_bytes(value, clear);
  copy_bytes(MutableBytes{value}.subspan(clear.size()), nonce);
  head_key_->seal(nonce, clear, plaintext, MutableBytes{value}.subspan(clear.size() + nonce.size()));
  return SealedValue{std::move(value)};
}

bool RowCipher::open_head(Bytes value, std::size_t clear_bytes, MutableBytes plaintext) {
  crypto::Nonce nonce;
  if (value.size() != clear_bytes + nonce.size() + plaintext.size() + crypto::kTagBytes) return false;
  copy_bytes(nonce, value.subspan(clear_bytes, nonce.size()));
  return head_key_->open(nonce, value.first(clear_bytes), value.subspan(clear_bytes + nonce.size()), plaintext);
}

}  // namespace ringpost::index
