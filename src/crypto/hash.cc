#include "ringpost/crypto/hash.hh"

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/hmac.h>
#include <wolfssl/wolfcrypt/sha256.h>
#include <wolfssl/wolfcrypt/sha512.h>

#include <algorithm>
#include <new>

namespace ringpost::crypto {

namespace {

const byte* in(Bytes bytes) { return reinterpret_cast<const byte*>(bytes.data()); }
byte* out(MutableBytes bytes) { return reinterpret_cast<byte*>(bytes.data()); }

}  // namespace

Digest256 sha256(std::initializer_list<Bytes> parts) {
  wc_Sha256 state;
  Digest256 digest;
  RP_ASSERT(wc_InitSha256(&state) == 0);
  for (Bytes part : parts)
    if (!part.empty()) RP_ASSERT(wc_Sha256Update(&state, in(part), static_cast<word32>(part.size())) == 0);
  RP_ASSERT(wc_Sha256Final(&state, out(digest)) == 0);
  wc_Sha256Free(&state);
  wipe({reinterpret_cast<std::byte*>(&state), sizeof state});
  return digest;
}

Digest512 sha512(Bytes bytes) {
  Digest512 digest;
  RP_ASSERT(wc_Sha512Hash(in(bytes), static_cast<word32>(bytes.size()), out(digest)) == 0);
  return digest;
}

HmacSha256::HmacSha256(Bytes key) {
  static_assert(sizeof(Hmac) <= sizeof state_ && alignof(Hmac) <= kStateAlignment);
  auto* hmac = new (state_) Hmac;
  RP_ASSERT(wc_HmacInit(hmac, nullptr, INVALID_DEVID) == 0);
  RP_ASSERT(wc_HmacSetKey(hmac, WC_SHA256, in(key), static_cast<word32>(key.size())) == 0);
}

HmacSha256::~HmacSha256() {
  wc_HmacFree(reinterpret_cast<Hmac*>(state_));
  wipe(state_);
}

void HmacSha256::update(Bytes part) {
  if (part.empty()) return;
  RP_ASSERT(wc_HmacUpdate(reinterpret_cast<Hmac*>(state_), in(part), static_cast<word32>(part.size())) == 0);
}

Digest256 HmacSha256::finish() {
  Digest256 digest;
  RP_ASSERT(wc_HmacFinal(reinterpret_cast<Hmac*>(state_), out(digest)) == 0);
  return digest;
}

Digest256 hmac_sha256(Bytes key, std::initializer_list<Bytes> parts) {
  HmacSha256 mac(key);
  for (Bytes part : parts) mac.update(part);
  return mac.finish();
}

bool equal_constant_time(Bytes a, Bytes b) {
  if (a.size() != b.size()) return false;
  std::byte difference{};
  for (std::size_t i = 0; i < a.size(); ++i) difference |= a[i] ^ b[i];
  return difference == std::byte{};
}

void hkdf_sha256(Bytes key, Bytes salt, std::initializer_list<Bytes> info, MutableBytes target) {
  RP_ASSERT(!target.empty() && target.size() <= 255 * sizeof(Digest256));
  Digest256 extracted = hmac_sha256(salt, {key}), block{};
  std::byte counter{};
  for (std::size_t done = 0; done < target.size();) {
    counter = static_cast<std::byte>(std::to_integer<unsigned>(counter) + 1);
    HmacSha256 mac(extracted);
    if (done > 0) mac.update(block);
    for (Bytes part : info) mac.update(part);
    mac.update({&counter, 1});
    block = mac.finish();
    const std::size_t take = std::min(block.size(), target.size() - done);
    copy_bytes(target.subspan(done), Bytes{block}.first(take));
    done += take;
  }
  wipe(extracted);
  wipe(block);
}

Key256 derive_key(Bytes key, Bytes salt, std::string_view label, std::initializer_list<Bytes> context) {
  Key256 derived;
  RP_ASSERT(context.size() <= 6);
  static constexpr std::byte kZero[1] = {};
  Bytes parts[6];
  std::size_t count = 0;
  for (Bytes part : context) parts[count++] = part;
  hkdf_sha256(key, salt, {as_bytes(label), Bytes{kZero}, parts[0], parts[1], parts[2], parts[3], parts[4], parts[5]},
              derived.mutable_view());
  return derived;
}

std::array<std::byte, 16> keyed_hash(Bytes key, std::string_view text) {
  HmacSha256 mac(key);
  char lowered[64];
  while (!text.empty()) {
    const std::size_t count = std::min(text.size(), sizeof lowered);
    for (std::size_t i = 0; i < count; ++i)
      lowered[i] = text[i] >= 'A' && text[i] <= 'Z' ? static_cast<char>(text[i] + ('a' - 'A')) : text[i];
    mac.update(as_bytes({lowered, count}));
    text.remove_prefix(count);
  }
  wipe(std::as_writable_bytes(std::span{lowered}));
  const Digest256 digest = mac.finish();
  std::array<std::byte, 16> cut;
  std::copy_n(digest.begin(), cut.size(), cut.begin());
  return cut;
}

}  // namespace ringpost::crypto
