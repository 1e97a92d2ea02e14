#include "ringpost/crypto/aead.hh"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "ringpost/base/id.hh"
#include "ringpost/crypto/observer.hh"

namespace ringpost::crypto {
namespace {

std::vector<std::byte> from_hex(std::string_view text) {
  std::vector<std::byte> bytes(text.size() / 2);
  EXPECT_TRUE(unhex(text, bytes));
  return bytes;
}

Nonce nonce_from(Bytes bytes) {
  Nonce nonce;
  copy_bytes(nonce, bytes);
  return nonce;
}

struct Case {
  const char *name, *key, *nonce, *associated, *plaintext, *sealed;
};

// McGrew and Viega, "The Galois/Counter Mode of Operation (GCM)", appendix B: the AES-256 cases with 96-bit nonces.
constexpr Case kCases[] = {
    {"case 13", "0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000", "", "",
     "530f8afbc74536b9a963b4f1c4cb738b"},
    {"case 14", "0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000", "",
     "00000000000000000000000000000000", "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"},
    {"case 15", "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888", "",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
     "1aafd255",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
     "898015adb094dac5d93471bdec1a502270e3cc6c"},
    {"case 16", "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
     "feedfacedeadbeeffeedfacedeadbeefabaddad2",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
     "76fc6ece0f4e1768cddf8853bb2d551b"},
};

TEST(Aead, published_vectors_seal_and_open) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.name);
    AeadKey key(from_hex(c.key));
    const auto nonce = nonce_from(from_hex(c.nonce));
    const auto associated = from_hex(c.associated), plaintext = from_hex(c.plaintext), wanted = from_hex(c.sealed);
    std::vector<std::byte> sealed(plaintext.size() + kTagBytes), opened(plaintext.size());
    key.seal(nonce, associated, plaintext, sealed);
    EXPECT_EQ(hex(sealed), hex(wanted));
    ASSERT_TRUE(key.open(nonce, associated, sealed, opened));
    EXPECT_EQ(opened, plaintext);
  }
}

TEST(Aead, every_size_survives_sealing_in_place) {
  AeadKey key(std::vector<std::byte>(32, std::byte{7}));
  for (std::size_t size : {0u, 1u, 15u, 16u, 17u, 63u, 127u, 128u, 129u, 4095u, 65536u}) {
    std::vector<std::byte> buffer(size + kTagBytes), opened(size);
    for (std::size_t i = 0; i < size; ++i) buffer[i] = static_cast<std::byte>(i * 31);
    const std::vector<std::byte> plaintext(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(size));
    Nonce nonce{};
    store_le(nonce.data(), static_cast<std::uint32_t>(size));
    key.seal(nonce, as_bytes("place"), Bytes{buffer}.first(size), buffer);
    ASSERT_TRUE(key.open(nonce, as_bytes("place"), buffer, opened)) << size;
    EXPECT_EQ(opened, plaintext) << size;
  }
}

TEST(Aead, any_flipped_bit_is_refused_and_leaves_no_plaintext) {
  AeadKey key(std::vector<std::byte>(32, std::byte{9}));
  const Nonce nonce{};
  std::vector<std::byte> sealed(40 + kTagBytes);
  key.seal(nonce, as_bytes("place"), as_bytes("0123456789012345678901234567890123456789"), sealed);
  for (std::size_t bit = 0; bit < sealed.size() * 8; ++bit) {
    auto flipped = sealed;
    flipped[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    std::vector<std::byte> opened(40, std::byte{1});
    EXPECT_FALSE(key.open(nonce, as_bytes("place"), flipped, opened)) << bit;
    EXPECT_EQ(opened, std::vector<std::byte>(40)) << bit;
  }
  std::vector<std::byte> opened(40);
  EXPECT_FALSE(key.open(nonce, as_bytes("other"), sealed, opened));
  EXPECT_FALSE(key.open(Nonce{std::byte{1}}, as_bytes("place"), sealed, opened));
}

TEST(Aead, a_key_can_move_and_be_recycled) {
  AeadKey first(std::vector<std::byte>(32, std::byte{1}));
  AeadKey second = std::move(first);
  first = AeadKey(std::vector<std::byte>(32, std::byte{2}));
  std::vector<std::byte> a(20), b(20);
  first.seal({}, {}, as_bytes("abcd"), a);
  second.seal({}, {}, as_bytes("abcd"), b);
  EXPECT_NE(a, b);
}

TEST(Aead, an_observer_sees_a_repeated_pair) {
  struct Recorder : SealObserver {
    std::map<std::pair<Digest256, Nonce>, int> seen;
    void sealed(const Digest256& key, const Nonce& nonce) override { ++seen[{key, nonce}]; }
  } recorder;
  std::vector<std::byte> sealed(20);
  const std::vector<std::byte> secret(32, std::byte{3});
  SealObserver* before = set_seal_observer(&recorder);
  AeadKey(secret).seal({}, {}, as_bytes("abcd"), sealed);
  AeadKey(secret).seal({}, {}, as_bytes("efgh"), sealed);
  AeadKey(secret).seal(Nonce{std::byte{1}}, {}, as_bytes("efgh"), sealed);
  set_seal_observer(before);
  ASSERT_EQ(recorder.seen.size(), 2u);
  EXPECT_EQ((recorder.seen[{sha256({secret}), Nonce{}}]), 2);
}

}  // namespace
}  // namespace ringpost::crypto
