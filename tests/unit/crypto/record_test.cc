// Message keys, records and groups: what is sealed opens, and nothing else does.
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "ringpost/crypto/nonce.hh"
#include "ringpost/crypto/sealer.hh"

namespace ringpost::crypto {
namespace {

const StoreId kStore{{std::byte{1}}};
const PartitionId kPartition{{std::byte{2}}};
const MessageId kMessage{{std::byte{3}}};

Key256 key_of(int value) { return Key256(std::vector<std::byte>(32, std::byte(value))); }
std::vector<std::byte> bytes_of(std::string_view text) { return {as_bytes(text).begin(), as_bytes(text).end()}; }

GenerationKeys generation_keys(std::uint64_t generation = 5) { return {key_of(9).view(), kStore, kPartition, generation, {}}; }

TEST(Nonces, no_two_uses_of_a_key_share_one) {
  std::set<Nonce> seen;
  const auto fresh = [&](const Nonce& nonce) { return seen.insert(nonce).second; };
  EXPECT_TRUE(fresh(envelope_nonce()));
  for (std::uint64_t i = 0; i < 300; ++i) {
    EXPECT_TRUE(fresh(body_nonce(i, false)));
    EXPECT_TRUE(fresh(body_nonce(i, true)));
    EXPECT_TRUE(fresh(metadata_nonce(i)));
    EXPECT_TRUE(fresh(body_nonce(i << 40 | 1u << 30, false)));
  }
}

TEST(MessageKey, a_wrapped_key_opens_only_for_its_message_and_owner) {
  const Key256 wrap = derive_wrap_key(key_of(4).view(), kStore, kPartition, IncarnationId{});
  const AeadKey wrap_key(wrap.view());
  const MessageSealer sealer(key_of(5), kStore, kMessage);
  const WrappedKey wrapped = sealer.wrap(wrap_key, {.scope_key = {}, .partition = kPartition, .incarnation = {}, .owner = 2}, {});
  const auto key = unwrap_message_key(wrap_key, kStore, kMessage, wrapped);
  ASSERT_TRUE(key);
  EXPECT_TRUE(std::ranges::equal(key->view(), key_of(5).view()));
  EXPECT_FALSE(unwrap_message_key(wrap_key, kStore, MessageId{}, wrapped));
  EXPECT_FALSE(unwrap_message_key(wrap_key, StoreId{}, kMessage, wrapped));
  std::vector<std::byte> bytes(kWrappedKeyBytes);
  wrapped.encode(bytes);
  EXPECT_EQ(WrappedKey::decode(bytes), wrapped);
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    auto flipped = bytes;
    flipped[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    EXPECT_FALSE(unwrap_message_key(wrap_key, kStore, kMessage, WrappedKey::decode(flipped))) << bit;
  }
}

TEST(MessageKey, pieces_open_in_their_place_only) {
  MessageSealer sealer(key_of(5), kStore, kMessage);
  const auto seal_piece = [&](std::string_view text, bool final) {
    std::vector<std::byte> sealed(text.size() + kTagBytes);
    final ? sealer.seal_final(as_bytes(text), sealed) : sealer.seal_chunk(as_bytes(text), sealed);
    return sealed;
  };
  const auto first = seal_piece("first", false), second = seal_piece("second", false), last = seal_piece("last", true);
  const MessageOpener opener(key_of(5), kStore, kMessage);
  const auto opens = [&](const auto& sealed, std::uint64_t index, bool final) {
    std::vector<std::byte> out(sealed.size() - kTagBytes);
    return opener.open_chunk(index, final, sealed, out);
  };
  EXPECT_TRUE(opens(first, 0, false));
  EXPECT_TRUE(opens(second, 1, false));
  EXPECT_TRUE(opens(last, 2, true));
  EXPECT_FALSE(opens(first, 1, false));
  EXPECT_FALSE(opens(second, 1, true)) << "a message cannot be cut short";
  EXPECT_FALSE(opens(last, 2, false));
  const MessageOpener other(key_of(5), kStore, MessageId{});
  std::vector<std::byte> out(5);
  EXPECT_FALSE(other.open_chunk(0, false, first, out)) << "or moved to another message";
}

TEST(MessageKeyDeath, nothing_is_sealed_twice_under_one_nonce) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  std::vector<std::byte> out(kTagBytes), envelope(20);
  MessageSealer sealer(key_of(5), kStore, kMessage);
  sealer.seal_final({}, out);
  EXPECT_DEATH(sealer.seal_final({}, out), "assertion failed");
  sealer.seal_envelope(envelope);
  EXPECT_DEATH(sealer.seal_envelope(envelope), "assertion failed");
  std::vector<std::byte> piece(1 + kTagBytes);
  EXPECT_DEATH(sealer.seal_chunk(as_bytes("x"), piece), "assertion failed");
}

/// A MESSAGE with all of its parts.
std::vector<std::byte> whole_record() {
  const GenerationKeys keys = generation_keys();
  MessageSealer sealer(key_of(5), kStore, kMessage);
  const std::string_view envelope = "envelope", body = "body of the message", scheduling = "scheduling data";
  std::vector<std::byte> slot(record_bytes(2, envelope.size(), body.size(), scheduling.size()));
  RecordSealer record(slot, 3, 1, 0, kMessage, 17);
  record.add_wrapped_key({});
  record.add_wrapped_key({.owner = 1});
  copy_bytes(record.envelope_room(envelope.size()), as_bytes(envelope));
  record.seal_envelope(sealer);
  record.seal_final(sealer, as_bytes(body));
  copy_bytes(record.metadata_room(scheduling.size()), as_bytes(scheduling));
  record.finish(keys.metadata);
  return slot;
}

TEST(Record, its_parts_come_back) {
  const auto bytes = whole_record();
  const auto record = RecordView::parse(bytes);
  ASSERT_TRUE(record);
  EXPECT_EQ(record->frame().sequence, 17u);
  EXPECT_EQ(record->wrapped_key(1).owner, 1u);
  std::vector<std::byte> scheduling(15), envelope(8), body(19);
  ASSERT_TRUE(record->open_last(generation_keys().metadata, scheduling));
  EXPECT_EQ(scheduling, bytes_of("scheduling data"));
  const MessageOpener opener(key_of(5), kStore, kMessage);
  ASSERT_TRUE(opener.open_envelope(record->first(), envelope));
  EXPECT_EQ(envelope, bytes_of("envelope"));
  ASSERT_TRUE(opener.open_chunk(0, true, record->second(), body));
  EXPECT_EQ(body, bytes_of("body of the message"));
  EXPECT_FALSE(record->open_last(generation_keys(6).metadata, scheduling)) << "another generation's key";
}

TEST(Record, any_flipped_bit_fails_somewhere) {
  const auto bytes = whole_record();
  const GenerationKeys keys = generation_keys();
  const MessageOpener opener(key_of(5), kStore, kMessage);
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    auto flipped = bytes;
    flipped[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    const auto record = RecordView::parse(flipped);
    if (!record) continue;
    std::vector<std::byte> scheduling(record->last().size() - kTagBytes), envelope(record->first().size() - kTagBytes),
        body(record->second().size() - kTagBytes);
    EXPECT_FALSE(record->open_last(keys.metadata, scheduling) && opener.open_envelope(record->first(), envelope) &&
                 opener.open_chunk(0, true, record->second(), body))
        << bit;
  }
}

TEST(Record, sections_are_copied_without_the_message_key) {
  const auto bytes = whole_record();
  const auto source = RecordView::parse(bytes);
  ASSERT_TRUE(source);
  const GenerationKeys keys = generation_keys(8);
  std::vector<std::byte> slot(record_bytes(2, 8, 19, 5));
  RecordSealer record(slot, 3, 1, 0, kMessage, 1);
  record.copy_sections(*source);
  copy_bytes(record.metadata_room(5), as_bytes("newer"));
  record.finish(keys.metadata);
  const auto copy = RecordView::parse(slot);
  ASSERT_TRUE(copy);
  EXPECT_TRUE(std::ranges::equal(copy->second(), source->second()));
  std::vector<std::byte> scheduling(5), body(19);
  EXPECT_TRUE(copy->open_last(keys.metadata, scheduling));
  EXPECT_TRUE(MessageOpener(key_of(5), kStore, kMessage).open_chunk(0, true, copy->second(), body));
}

TEST(Group, padding_checksum_and_mac_are_told_apart) {
  const GenerationKeys keys = generation_keys();
  std::vector<std::byte> buffer(2 * kBlockBytes, std::byte{0xee});  // what was there before must not get out
  Sealer sealer(buffer);
  for (std::uint64_t i = 1; i <= 3; ++i) {
    RecordSealer record(sealer.slot(record_bytes(0, {}, {}, 100)), 5, 1, 0, {}, i);
    std::ranges::fill(record.metadata_room(100), std::byte{1});
    sealer.add(record.finish(keys.metadata));
  }
  GroupHeader header{.generation = 5, .number = 1};
  const Bytes group = sealer.finish(header, keys).view();
  ASSERT_EQ(group.size(), kBlockBytes);
  EXPECT_EQ(*parse_group_header(group), header);
  EXPECT_EQ(verify_group(group, header, keys), GroupFault::none);
  EXPECT_EQ(verify_group(group, header, generation_keys(6)), GroupFault::mac);
  const auto fault_at = [&](std::size_t offset) {
    std::vector<std::byte> changed(group.begin(), group.end());
    changed[offset] ^= std::byte{1};
    return verify_group(changed, header, keys);
  };
  EXPECT_EQ(fault_at(kBlockBytes - 1), GroupFault::padding);
  EXPECT_EQ(fault_at(GroupHeader::kBytes + RecordFrame::kBytes + 3), GroupFault::checksum);
  EXPECT_EQ(fault_at(GroupHeader::kBytes + 25), GroupFault::mac);
  EXPECT_EQ(fault_at(32), GroupFault::mac);
}

TEST(Group, a_dropped_record_leaves_no_trace) {
  const GenerationKeys keys = generation_keys();
  std::vector<std::byte> buffer(kBlockBytes);
  Sealer sealer(buffer);
  const auto add = [&](std::uint64_t sequence) {
    RecordSealer record(sealer.slot(record_bytes(0, {}, {}, 8)), 5, 1, 0, {}, sequence);
    record.metadata_room(8);
    sealer.add(record.finish(keys.metadata));
  };
  add(1);
  const auto records = sealer.records();
  const auto size = sealer.size();
  add(2);
  sealer.rewind(records, size);
  GroupHeader header{.generation = 5, .number = 1};
  const Bytes group = sealer.finish(header, keys).view();
  EXPECT_EQ(header.records, 1u);
  EXPECT_EQ(verify_group(group, header, keys), GroupFault::none);
}

TEST(SegmentHeader, any_flipped_bit_is_refused) {
  const GenerationKeys keys = generation_keys();
  const SegmentHeader header{kStore, kPartition, {}, 5, {}, 4096 * 4, 3};
  std::vector<std::byte> block(kBlockBytes);
  Sealer::segment_header(header, keys, block);
  EXPECT_EQ(*parse_segment_header(block), header);
  EXPECT_TRUE(verify_segment_header(block, keys));
  for (std::size_t bit = 0; bit < block.size() * 8; bit += bit < 2048 ? 1 : 61) {
    auto flipped = block;
    flipped[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    const auto parsed = parse_segment_header(flipped);
    if (!parsed) continue;
    const GenerationKeys own(key_of(9).view(), parsed->store, parsed->partition, parsed->generation, parsed->salt);
    EXPECT_FALSE(verify_segment_header(flipped, own)) << bit;
  }
}

}  // namespace
}  // namespace ringpost::crypto
