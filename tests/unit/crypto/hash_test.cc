#include "ringpost/crypto/hash.hh"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "ringpost/base/id.hh"

namespace ringpost::crypto {
namespace {

std::vector<std::byte> repeated(std::size_t count, int value) { return std::vector<std::byte>(count, std::byte(value)); }
std::vector<std::byte> counting(int first, int last) {
  std::vector<std::byte> bytes;
  for (int value = first; value <= last; ++value) bytes.push_back(std::byte(value));
  return bytes;
}

TEST(Hash, sha256_of_the_standards_examples) {  // FIPS 180-4 examples
  EXPECT_EQ(hex(sha256({})), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hex(sha256({as_bytes("a"), as_bytes("bc")})), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex(sha256({as_bytes("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")})),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST(Hash, hmac_of_rfc_4231) {
  EXPECT_EQ(hex(hmac_sha256(repeated(20, 0x0b), {as_bytes("Hi "), as_bytes("There")})),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(hex(hmac_sha256(as_bytes("Jefe"), {as_bytes("what do ya want for nothing?")})),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(hex(hmac_sha256(repeated(131, 0xaa), {as_bytes("Test Using Larger Than Block-Size Key - Hash Key First")})),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(Hash, hkdf_of_rfc_5869) {
  struct {
    std::vector<std::byte> key, salt, info;
    const char* wanted;
  } cases[] = {
      {repeated(22, 0x0b), counting(0, 0x0c), counting(0xf0, 0xf9),
       "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"},
      {counting(0, 0x4f), counting(0x60, 0xaf), counting(0xb0, 0xff),
       "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9a"
       "ca3"
       "db71cc30c58179ec3e87c14c01d5c1f3434f1d87"},
      {repeated(22, 0x0b), {}, {}, "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"},
  };
  for (auto& c : cases) {
    std::vector<std::byte> derived(std::string_view(c.wanted).size() / 2);
    hkdf_sha256(c.key, c.salt, {c.info}, derived);
    EXPECT_EQ(hex(derived), c.wanted);
  }
}

TEST(Hash, derived_keys_depend_on_every_input) {
  const auto base = hex(derive_key(as_bytes("key"), as_bytes("salt"), "label", {as_bytes("a"), as_bytes("b")}).view());
  EXPECT_NE(base, hex(derive_key(as_bytes("kez"), as_bytes("salt"), "label", {as_bytes("a"), as_bytes("b")}).view()));
  EXPECT_NE(base, hex(derive_key(as_bytes("key"), as_bytes("salu"), "label", {as_bytes("a"), as_bytes("b")}).view()));
  EXPECT_NE(base, hex(derive_key(as_bytes("key"), as_bytes("salt"), "labem", {as_bytes("a"), as_bytes("b")}).view()));
  EXPECT_NE(base, hex(derive_key(as_bytes("key"), as_bytes("salt"), "label", {as_bytes("a"), as_bytes("c")}).view()));
  // The parts have fixed sizes wherever this is used; the label is delimited by itself.
  std::vector<std::byte> wanted(32);
  hkdf_sha256(as_bytes("key"), as_bytes("salt"), {as_bytes(std::string_view("label\0ab", 8))}, wanted);
  EXPECT_EQ(base, hex(wanted));
}

TEST(Hash, comparison_tells_equal_from_different) {
  EXPECT_TRUE(equal_constant_time(as_bytes("same"), as_bytes("same")));
  EXPECT_FALSE(equal_constant_time(as_bytes("same"), as_bytes("sane")));
  EXPECT_FALSE(equal_constant_time(as_bytes("same"), as_bytes("sam")));
  EXPECT_TRUE(equal_constant_time({}, {}));
}

TEST(Hash, keyed_hash_ignores_ascii_case_and_nothing_else) {
  const auto key = repeated(32, 5), other = repeated(32, 6);
  EXPECT_EQ(keyed_hash(key, "Anna@Example.ORG"), keyed_hash(key, "anna@example.org"));
  EXPECT_NE(keyed_hash(key, "anna@example.org"), keyed_hash(key, "anne@example.org"));
  EXPECT_NE(keyed_hash(key, "anna@example.org"), keyed_hash(other, "anna@example.org"));
  const std::string long_text(200, 'X'), long_lower(200, 'x');
  EXPECT_EQ(keyed_hash(key, long_text), keyed_hash(key, long_lower));
  const Digest256 full = hmac_sha256(key, {as_bytes(long_lower)});
  EXPECT_EQ(hex(keyed_hash(key, long_text)), hex(full).substr(0, 32));
}

}  // namespace
}  // namespace ringpost::crypto
