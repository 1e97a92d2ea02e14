// The worked examples of docs/formats, which were computed with another implementation (Python's cryptography).
#include "ringpost/keys/lease.hh"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>

#include "ringpost/crypto/message_key.hh"
#include "samples.hh"

namespace ringpost::keys {
namespace {

using protocol::sample_id;
using protocol::sample_key;

/// A page without blanks and line ends.
std::string page(const std::string& name) {
  std::ifstream file{std::string{RP_DOCS} + "/formats/" + name};
  std::stringstream text;
  text << file.rdbuf();
  std::string all = text.str();
  std::erase_if(all, [](char octet) { return octet == ' ' || octet == '\n'; });
  return all;
}

TEST(KeysLease, derivation_and_wrapping_are_those_of_the_page) {
  const auto store = sample_id<StoreId>(0x10);
  const auto key = sample_id<KeyId>(0x60);
  const auto partition = sample_id<PartitionId>(0xc0);
  const auto incarnation = sample_id<IncarnationId>(0x01);
  const auto message = sample_id<MessageId>(0xd0);

  const Key256 lease = derive_lease_key(sample_key(0x80), store, key, incarnation);
  EXPECT_EQ(hex(lease.view()), "4c0c3d8efd6b61956079392291f94dc50d238f03fa0018a6c9dbdb8cf5383b5e");
  const Key256 wrap = crypto::derive_wrap_key(lease.view(), store, partition, incarnation);
  EXPECT_EQ(hex(wrap.view()), "e3ab3cacef4a94693d545b24496342cb5e87776db9c31a2c55c2722c822ec838");

  crypto::Nonce nonce;
  for (std::size_t i = 0; i < nonce.size(); ++i) nonce[i] = static_cast<std::byte>(i);
  const crypto::MessageSealer sealer{sample_key(0xe0), store, message};
  const crypto::WrappedKey wrapped =
      sealer.wrap(crypto::AeadKey{wrap.view()}, {.scope_key = key, .partition = partition, .incarnation = incarnation}, nonce);
  EXPECT_EQ(hex(wrapped.sealed),
            "8fe11ae2d9088bf36623883064d30a1ad4de07aad8349a56a52f5c297dbe03ee6d45800a3c3e37f79989002ae7cdf101");

  const std::string text = page("keystore.md");
  for (Bytes bytes : {lease.view(), wrap.view(), Bytes{wrapped.sealed}}) EXPECT_NE(text.find(hex(bytes)), std::string::npos);
}

TEST(KeysProtocol, the_page_shows_these_very_frames) {
  using namespace protocol;
  const std::string text = page("keyd-protocol.md");
  std::array<std::byte, kRequestBytesMax> buffer;
  const HelloRequest hello{.incarnation = sample_id<IncarnationId>(1), .spool_empty = true};
  EXPECT_NE(text.find(hex(encode(buffer, 7, hello))), std::string::npos);
  EXPECT_NE(text.find(hex(encode_status(buffer, 7, Kind::hello, Status::kek_missing))), std::string::npos);
  EXPECT_NE(text.find(hex(encode(buffer, 8, LeaseRequest{}))), std::string::npos);
}

}  // namespace
}  // namespace ringpost::keys
