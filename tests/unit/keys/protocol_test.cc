// Frames between ringpostd and keyd: what one side writes the other reads, and nothing else is a frame.
#include <gtest/gtest.h>

#include "samples.hh"

namespace ringpost::keys::protocol {
namespace {

TEST(KeysProtocol, every_frame_survives_the_way) {
  for (Kind kind : kKinds)
    for (bool is_reply : {false, true}) {
      const std::vector<std::byte> frame = sample_frame(kind, is_reply);
      EXPECT_EQ(canonical(frame), frame) << static_cast<int>(kind) << is_reply;
      const std::optional<Header> header = decode_header(frame);
      ASSERT_TRUE(header);
      EXPECT_EQ(header->kind, kind);
      EXPECT_EQ(header->is_reply, is_reply);
      EXPECT_EQ(header->id, 7u);
    }
}

TEST(KeysProtocol, values_arrive_as_they_were_sent) {
  const std::optional<LeaseRequest> lease = decode_lease(sample_frame(Kind::lease, false));
  ASSERT_TRUE(lease);
  EXPECT_EQ(lease->scope, (Scope{ScopeKind::organisation, sample_id<OwnerId>(7)}));
  EXPECT_EQ(lease->key_class, KeyClass::held);

  UnwrapRequest request;
  ASSERT_TRUE(decode_unwrap(sample_frame(Kind::unwrap, false), request));
  ASSERT_EQ(request.count, 3u);
  EXPECT_EQ(request.items[1].wrapped, sample_item(40).wrapped);
  EXPECT_EQ(request.items[2].message, sample_item(80).message);

  std::array<UnwrappedItem, 3> keys;
  ASSERT_TRUE(decode_unwrap_reply(sample_frame(Kind::unwrap, true), keys));
  EXPECT_EQ(keys[0].status, Status::ok);
  EXPECT_EQ(as_text(keys[0].message_key.view()), as_text(sample_key(9).view()));
  EXPECT_EQ(keys[1].status, Status::unknown_key);
  EXPECT_EQ(keys[2].status, Status::not_authentic);
}

TEST(KeysProtocol, a_frame_that_is_cut_or_longer_is_refused) {
  for (Kind kind : kKinds)
    for (bool is_reply : {false, true}) {
      std::vector<std::byte> frame = sample_frame(kind, is_reply);
      for (std::size_t size = 0; size < frame.size(); ++size)
        EXPECT_TRUE(canonical(Bytes{frame}.first(size)).empty()) << static_cast<int>(kind) << is_reply << size;
      frame.push_back(std::byte{0});
      EXPECT_TRUE(canonical(frame).empty()) << static_cast<int>(kind) << is_reply;
    }
}

TEST(KeysProtocol, an_accepted_frame_has_one_form_only) {
  for (Kind kind : kKinds)
    for (bool is_reply : {false, true}) {
      const std::vector<std::byte> frame = sample_frame(kind, is_reply);
      for (std::size_t at = 0; at < frame.size(); ++at)
        for (int bit = 0; bit < 8; ++bit) {
          std::vector<std::byte> changed = frame;
          changed[at] ^= static_cast<std::byte>(1 << bit);
          const std::vector<std::byte> again = canonical(changed);
          EXPECT_TRUE(again.empty() || again == changed) << static_cast<int>(kind) << is_reply << at << bit;
        }
    }
}

TEST(KeysProtocol, ranges_are_kept) {
  std::vector<std::byte> frame = sample_frame(Kind::lease, false);
  frame[kHeaderBytes] = std::byte{1};  // the shared scope has no owner
  EXPECT_FALSE(decode_lease(frame));
  frame = sample_frame(Kind::lease, false);
  frame[kHeaderBytes + 1] = std::byte{5};  // no such class
  EXPECT_FALSE(decode_lease(frame));
  frame = sample_frame(Kind::lease, true);
  store_le(frame.data() + kHeaderBytes + 48, kLeaseSecondsMax + 1);
  EXPECT_FALSE(decode_lease_reply(frame));
  frame = sample_frame(Kind::hello, false);
  std::fill_n(frame.begin() + kHeaderBytes, 16, std::byte{0});  // an incarnation is never zero
  EXPECT_FALSE(decode_hello(frame));
  frame = sample_frame(Kind::unwrap, false);
  store_le(frame.data() + kHeaderBytes, std::uint32_t{65});
  UnwrapRequest request;
  EXPECT_FALSE(decode_unwrap(frame, request));
  store_le(frame.data() + kHeaderBytes, std::uint32_t{0});
  EXPECT_FALSE(decode_unwrap(frame, request));
}

TEST(KeysProtocol, a_reply_without_a_body_is_a_refusal_or_a_release) {
  std::array<std::byte, kHeaderBytes> buffer;
  EXPECT_TRUE(is_bare_reply(encode_status(buffer, 1, Kind::hello, Status::kek_missing)));
  EXPECT_TRUE(is_bare_reply(encode_status(buffer, 1, Kind::release, Status::ok)));
  EXPECT_FALSE(is_bare_reply(encode_status(buffer, 1, Kind::lease, Status::ok)));
  EXPECT_FALSE(is_valid(static_cast<Status>(7)));
  EXPECT_TRUE(is_refusal(Status::same_filesystem));
  EXPECT_FALSE(is_refusal(Status::over_budget));
}

}  // namespace
}  // namespace ringpost::keys::protocol
