// The key store's file format.
#include "ringpost/keyd/keystore.hh"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

namespace ringpost::keyd {
namespace {

using keys::protocol::Status;

Key256 counting_key(int first) {
  Key256 key;
  for (std::byte& octet : key.mutable_view()) octet = static_cast<std::byte>(first++);
  return key;
}

template <typename IdType>
IdType counting_id(int first) {
  IdType id;
  for (std::byte& octet : id.bytes) octet = static_cast<std::byte>(first++);
  return id;
}

/// The table of the worked example in docs/formats/keystore.md.
void fill(KeyTable& table) {
  table.store = counting_id<StoreId>(0x10);
  table.revision = 2;
  table.metadata_key() = counting_key(0x20);
  table.address_hash_key() = counting_key(0x40);
  table.add({.id = counting_id<KeyId>(0x60),
             .scope = {keys::ScopeKind::shared, {}},
             .key_class = keys::KeyClass::incoming,
             .day = 20000,
             .created_s = 1'728'000'000,
             .key = counting_key(0x80)});
}

const Key256 kKek = counting_key(0xa0);

struct File {
  std::vector<std::byte> bytes, scratch = std::vector<std::byte>(kKeystoreBytesMax);

  explicit File(const KeyTable& table) : bytes(keystore_bytes(table.scope_keys().size())) {
    crypto::Nonce nonce;
    for (std::size_t i = 0; i < nonce.size(); ++i) nonce[i] = static_cast<std::byte>(i);
    (void)seal_keystore(table, kKek, nonce, scratch, bytes);
  }
};

TEST(Keystore, what_was_sealed_opens) {
  KeyTable table, again;
  fill(table);
  File file{table};
  ASSERT_EQ(open_keystore(file.bytes, kKek, file.scratch, again), Status::ok);
  EXPECT_EQ(again.store, table.store);
  EXPECT_EQ(again.revision, 2u);
  EXPECT_EQ(as_text(again.metadata_key().view()), as_text(table.metadata_key().view()));
  EXPECT_EQ(as_text(again.address_hash_key().view()), as_text(table.address_hash_key().view()));
  ASSERT_EQ(again.scope_keys().size(), 1u);
  const ScopeKey* key = again.find(counting_id<KeyId>(0x60));
  ASSERT_TRUE(key);
  EXPECT_EQ(key->day, 20000u);
  EXPECT_EQ(key->created_s, 1'728'000'000);
  EXPECT_EQ(as_text(key->key.view()), as_text(counting_key(0x80).view()));
  EXPECT_EQ(again.find(key->scope, key->key_class, 20000), key);
  EXPECT_FALSE(again.find(key->scope, key->key_class, 20001));
}

TEST(Keystore, any_one_flipped_bit_makes_it_fail) {
  KeyTable table, again;
  fill(table);
  File file{table};
  for (std::size_t at = 0; at < file.bytes.size(); ++at)
    for (int bit = 0; bit < 8; ++bit) {
      file.bytes[at] ^= static_cast<std::byte>(1 << bit);
      EXPECT_NE(open_keystore(file.bytes, kKek, file.scratch, again), Status::ok) << at << " " << bit;
      EXPECT_TRUE(again.scope_keys().empty() && again.store.is_zero());
      file.bytes[at] ^= static_cast<std::byte>(1 << bit);
    }
}

TEST(Keystore, a_file_that_is_cut_or_longer_is_damaged) {
  KeyTable table, again;
  fill(table);
  File file{table};
  for (std::size_t size = 0; size < file.bytes.size(); ++size)
    EXPECT_EQ(open_keystore(Bytes{file.bytes}.first(size), kKek, file.scratch, again), Status::keystore_damaged) << size;
  file.bytes.push_back(std::byte{0});
  EXPECT_EQ(open_keystore(file.bytes, kKek, file.scratch, again), Status::keystore_damaged);
}

TEST(Keystore, another_kek_is_told_from_damage_and_a_later_version_from_both) {
  KeyTable table, again;
  fill(table);
  File file{table};
  EXPECT_EQ(open_keystore(file.bytes, counting_key(1), file.scratch, again), Status::kek_wrong);
  store_le(file.bytes.data() + 8, std::uint16_t{2});
  EXPECT_EQ(open_keystore(file.bytes, kKek, file.scratch, again), Status::keystore_version);
}

TEST(Keystore, plaintext_is_wiped_from_the_scratch) {
  KeyTable table, again;
  fill(table);
  File file{table};
  const auto is_zero = [](std::byte octet) { return octet == std::byte{0}; };
  EXPECT_TRUE(std::ranges::all_of(file.scratch, is_zero));
  ASSERT_EQ(open_keystore(file.bytes, kKek, file.scratch, again), Status::ok);
  EXPECT_TRUE(std::ranges::all_of(file.scratch, is_zero));
}

TEST(Keystore, a_kek_is_32_bytes_or_64_digits) {
  const std::string digits = hex(kKek.view());
  EXPECT_TRUE(parse_kek(kKek.view()));
  for (const std::string& text : {digits, digits + "\n"}) {
    const std::optional<Key256> kek = parse_kek(as_bytes(text));
    ASSERT_TRUE(kek);
    EXPECT_EQ(as_text(kek->view()), as_text(kKek.view()));
  }
  for (const std::string& text :
       {std::string{}, digits + "\n\n", digits.substr(1), digits + "0", "g" + digits.substr(1), digits.substr(0, 31)})
    EXPECT_FALSE(parse_kek(as_bytes(text))) << text;
}

TEST(Keystore, the_page_shows_this_very_file) {
  KeyTable table;
  fill(table);
  File file{table};
  std::ifstream page{std::string{RP_DOCS} + "/formats/keystore.md"};
  std::stringstream text;
  text << page.rdbuf();
  const std::string digits = hex(file.bytes);
  for (std::size_t at = 0; at < digits.size(); at += 32) {
    const std::string line = digits.substr(at, 32);
    EXPECT_NE(text.str().find(line), std::string::npos) << at / 2 << ": " << line;
  }
}

}  // namespace
}  // namespace ringpost::keyd
