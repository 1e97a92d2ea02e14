#include "shard/sealed_file.hh"

#include <fcntl.h>

#include <algorithm>
#include <array>

#include "ringpost/crypto/hash.hh"
#include "ringpost/crypto/sealer.hh"
#include "ringpost/runtime/small_file.hh"

namespace ringpost::shard {

using runtime::Task;

namespace {

constexpr std::string_view kMagic = "RPTRANSP";
constexpr std::uint16_t kVersion = 1;
constexpr std::size_t kNonceOffset = 12, kFramingBytes = kNonceOffset + crypto::kNonceBytes;
constexpr std::size_t kFileBytesMax = 128_MiB;

using Framing = std::array<std::byte, kFramingBytes>;

const char* name_of(SealedFile::Content content) { return content == SealedFile::Content::mta_sts ? "mta-sts" : "tls-reports"; }
const char* new_name_of(SealedFile::Content content) { return content == SealedFile::Content::mta_sts ? "mta-sts.new" : "tls-reports.new"; }

Framing framing_of(SealedFile::Content content, const crypto::Nonce& nonce) {
  Framing framing;
  copy_bytes(MutableBytes{framing}.first(kMagic.size()), as_bytes(kMagic));
  store_le(framing.data() + kMagic.size(), kVersion);
  store_le(framing.data() + kMagic.size() + sizeof kVersion, static_cast<std::uint16_t>(content));
  copy_bytes(MutableBytes{framing}.subspan(kNonceOffset), nonce);
  return framing;
}

crypto::AeadKey key_for(SealedFile::Content content, const StoreId& store, Bytes metadata_key32) {
  std::array<std::byte, 2> which;
  store_le(which.data(), static_cast<std::uint16_t>(content));
  return crypto::AeadKey{crypto::derive_key(metadata_key32, store.bytes, "ringpost transport memory", {which}).view()};
}

}  // namespace

SealedFile::SealedFile(runtime::Ring& ring, std::string directory, Content content, const StoreId& store, Bytes metadata_key32)
    : ring_(ring), directory_(std::move(directory)), content_(content), key_(key_for(content, store, metadata_key32)) {}

Task<Result<std::vector<std::byte>>> SealedFile::read() {
  const std::string path = directory_ + "/" + name_of(content_);
  Result<std::uint32_t> opened = co_await ring_.open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  if (!opened) co_return std::unexpected(opened.error());
  const Fd file{static_cast<int>(*opened)};
  const Result<runtime::FileInfo> info = ring_.file_info(file);
  std::vector<std::byte> sealed(info ? std::min<std::size_t>(info->size, kFileBytesMax) : 0);
  Result<std::size_t> size = co_await runtime::read_whole(ring_, file, sealed);
  Result<std::uint32_t> closed = co_await ring_.close(file);
  static_cast<void>(closed);
  if (!size) co_return std::unexpected(size.error());
  const Error corrupt{Errc::corrupt};
  if (*size != sealed.size() || sealed.size() < kFramingBytes + crypto::kTagBytes) co_return std::unexpected(corrupt);
  crypto::Nonce nonce;
  copy_bytes(nonce, Bytes{sealed}.subspan(kNonceOffset, nonce.size()));
  const Framing framing = framing_of(content_, nonce);
  if (!std::ranges::equal(framing, Bytes{sealed}.first(kFramingBytes))) co_return std::unexpected(corrupt);
  std::vector<std::byte> plaintext(sealed.size() - kFramingBytes - crypto::kTagBytes);
  if (!key_.open(nonce, framing, Bytes{sealed}.subspan(kFramingBytes), plaintext)) co_return std::unexpected(corrupt);
  co_return plaintext;
}

Task<Result<>> SealedFile::replace(Bytes plaintext) {
  crypto::Nonce nonce;
  ring_.random(nonce);
  const Framing framing = framing_of(content_, nonce);
  std::vector<std::byte> out(kFramingBytes + plaintext.size() + crypto::kTagBytes);
  const SealedBytes sealed = crypto::Sealer::seal(key_, nonce, framing, plaintext, out);
  Result<std::uint32_t> opened = co_await ring_.open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (!opened) co_return std::unexpected(opened.error());
  const Fd directory{static_cast<int>(*opened)};
  Result<> replaced = co_await runtime::replace_whole(ring_, directory, name_of(content_), new_name_of(content_), sealed);
  Result<std::uint32_t> closed = co_await ring_.close(directory);
  static_cast<void>(closed);
  co_return replaced;
}

}  // namespace ringpost::shard
