#include "ringpost/event/frame.hh"

#include <gtest/gtest.h>

#include <vector>

#include "ringpost/base/prng.hh"
#include "samples.hh"

namespace ringpost::event {
namespace {

std::vector<std::byte> encoded(const Event& event) {
  std::vector<std::byte> bytes(kEventBytesMax);
  bytes.resize(encode(event, bytes));
  return bytes;
}

std::vector<std::byte> batch_of(std::vector<Event> events) {
  std::vector<std::byte> buffer(kBatchBytesMax);
  BatchWriter writer{buffer, events.front().stamp.incarnation, events.front().stamp.sequence};
  for (const Event& event : events) EXPECT_TRUE(writer.add(encoded(event)));
  Bytes packet = writer.finish();
  return {packet.begin(), packet.end()};
}

Malformed why(Bytes packet) {
  Result<Batch> result = Batch::decode(packet);
  EXPECT_FALSE(result.has_value());
  return result ? Malformed{} : static_cast<Malformed>(result.error().detail);
}

TEST(Batch, carries_its_events_in_order) {
  std::vector<Event> sent = one_of_each(), got;
  std::vector<std::byte> packet = batch_of(sent);
  Result<Batch> batch = Batch::decode(packet);
  ASSERT_TRUE(batch);
  EXPECT_EQ(batch->first_sequence(), 1u);
  EXPECT_EQ(batch->last_sequence(), sent.size());
  batch->for_each([&](const Event& event, Bytes bytes) {
    EXPECT_EQ(*decode(bytes), event);
    got.push_back(event);
  });
  EXPECT_EQ(got, sent);
}

TEST(Batch, every_cut_and_every_addition_is_refused) {
  std::vector<std::byte> packet = batch_of({deferred(7), deferred(8)});
  for (std::size_t size = 0; size < packet.size(); ++size)
    EXPECT_EQ(why(Bytes{packet}.first(size)), Malformed::truncated) << size;
  packet.push_back(std::byte{0});
  EXPECT_EQ(why(packet), Malformed::trailing);
}

TEST(Batch, a_hole_a_step_back_or_a_foreign_incarnation_is_refused) {
  EXPECT_EQ(why(batch_of({deferred(7), deferred(9)})), Malformed::count);
  EXPECT_EQ(why(batch_of({deferred(7), deferred(7)})), Malformed::count);
  Event foreign = deferred(8);
  foreign.stamp.incarnation = counting_id<IncarnationId>(0x50);
  EXPECT_EQ(why(batch_of({deferred(7), foreign})), Malformed::count);
}

TEST(Batch, a_sequence_that_would_wrap_is_refused) { EXPECT_EQ(why(batch_of({deferred(UINT64_MAX)})), Malformed::value); }

TEST(Batch, each_header_field_is_checked) {
  const std::vector<std::byte> good = batch_of({deferred(7)});
  ASSERT_TRUE(Batch::decode(good));
  auto with = [&](std::size_t at, std::uint8_t value) {
    std::vector<std::byte> bytes = good;
    bytes[at] = std::byte{value};
    return why(bytes);
  };
  EXPECT_EQ(with(3, 'K'), Malformed::magic);
  EXPECT_EQ(with(4, 2), Malformed::version);
  EXPECT_EQ(with(5, 1), Malformed::value);
  EXPECT_EQ(with(6, 0), Malformed::count);
  EXPECT_EQ(with(6, 2), Malformed::truncated);
  EXPECT_EQ(with(7, 3), Malformed::count);
  EXPECT_EQ(with(24, 8), Malformed::count);
  EXPECT_EQ(with(kBatchHeaderBytes, 255), Malformed::truncated);
}

TEST(Batch, random_damage_never_crashes) {
  Prng prng{5};
  const std::vector<std::byte> good = batch_of(one_of_each());
  for (int round = 0; round < 20'000; ++round) {
    std::vector<std::byte> bytes = good;
    for (int edits = 0; edits < 3; ++edits) bytes[prng.below(bytes.size())] = static_cast<std::byte>(prng.next());
    bytes.resize(bytes.size() - prng.below(4));
    if (Result<Batch> batch = Batch::decode(bytes)) {
      std::uint64_t next = batch->first_sequence();
      batch->for_each([&](const Event& event, Bytes) { EXPECT_EQ(event.stamp.sequence, next++); });
    }
  }
}

TEST(BatchWriter, a_full_one_takes_no_more_and_stays_valid) {
  std::vector<std::byte> buffer(kBatchBytesMax);
  BatchWriter writer{buffer, stamp(1).incarnation, 1};
  std::uint64_t sequence = 1;
  while (writer.add(encoded(deferred(sequence)))) ++sequence;
  EXPECT_EQ(writer.count(), kBatchEventsMax);
  EXPECT_EQ(Batch::decode(writer.finish())->count(), kBatchEventsMax);

  std::vector<std::byte> small(kBatchHeaderBytes + 2 + kEventBytesMax);
  BatchWriter two{small, stamp(1).incarnation, 1};
  EXPECT_TRUE(two.add(encoded(deferred(1))));
  EXPECT_TRUE(two.add(encoded(deferred(2))));
  EXPECT_FALSE(two.add(encoded(deferred(3))));
  EXPECT_EQ(Batch::decode(two.finish())->count(), 2);
}

TEST(Ack, survives_the_round_and_nothing_else_passes) {
  Ack ack{counting_id<IncarnationId>(1), UINT64_MAX};
  auto packet = encode(ack);
  EXPECT_EQ(decode_ack(packet), ack);
  for (std::size_t size = 0; size < packet.size(); ++size) EXPECT_FALSE(decode_ack(Bytes{packet}.first(size)));
  std::vector<std::byte> longer(packet.begin(), packet.end());
  longer.push_back(std::byte{0});
  EXPECT_FALSE(decode_ack(longer));
  for (std::size_t at = 0; at < 8; ++at) {
    auto bad = packet;
    bad[at] ^= std::byte{0x40};
    EXPECT_FALSE(decode_ack(bad)) << at;
  }
  EXPECT_FALSE(decode_ack(encode(Ack{IncarnationId{}, 1})));
  EXPECT_FALSE(Batch::decode(packet));
  EXPECT_FALSE(decode_ack(batch_of({deferred(7)})));
}

}  // namespace
}  // namespace ringpost::event
