// Hostile and damaged segments: attacks.md H7. Nothing wrong is ever believed, and nothing that changed goes unnoticed.
#include "../../../src/spool/scan.hh"

#include <algorithm>

#include "support.hh"

namespace ringpost::spool {
namespace {

struct Found : ScanSink {
  std::vector<std::string> records;  // kind, message and plaintext, in order
  std::vector<DamageKind> damages;
  std::vector<std::uint64_t> groups;
  void group(const crypto::GroupHeader& header, std::uint64_t) override { groups.push_back(header.number); }
  void record(const crypto::RecordView& record, std::uint64_t, Bytes plaintext) override {
    records.push_back(std::to_string(record.frame().kind) + ' ' + hex(record.frame().message) + ' ' + hex(plaintext));
  }
  void damage(DamageKind kind, std::uint64_t, std::uint64_t, const std::optional<MessageId>&) override {
    damages.push_back(kind);
  }
};

/// A segment as a log wrote it, cut behind its groups and one block more.
class SegmentBytes : public testing::Test {
 protected:
  void SetUp() override {
    Machine machine;
    ASSERT_TRUE(machine.open());
    for (std::uint64_t i = 1; i <= 4; ++i)
      ASSERT_TRUE(outcome_of(machine, machine.accept(make_mail(i, 300), as_bytes("an event"), i)));
    ASSERT_TRUE(outcome_of(machine, machine.deliver(make_id<MessageId>(2), 1)));
    store_ = machine.store;
    partition_ = machine.partition;
    metadata_key_ = machine.metadata_key;
    machine.stop();
    segment_ = *machine.world.disk().content(machine.directory + "/00000001.seg");
    machine.boot();
    std::size_t end = crypto::kBlockBytes;
    while (const auto header = crypto::parse_group_header(Bytes{segment_}.subspan(end, crypto::GroupHeader::kBytes))) {
      starts_.push_back(end);
      end += header->group_bytes();
    }
    ASSERT_EQ(starts_.size(), 5u);
    starts_.push_back(end);
    segment_.resize(end + crypto::kBlockBytes);
    whole_ = scan(segment_);
    ASSERT_EQ(whole_->groups.size(), 5u);
    ASSERT_TRUE(whole_->damages.empty());
    ASSERT_FALSE(torn_);
  }

  /// Nothing when the header does not authenticate.
  std::optional<Found> scan(const std::vector<std::byte>& segment, const std::set<std::uint64_t>& abandoned = {}) {
    const Bytes block = Bytes{segment}.first(crypto::kBlockBytes);
    const auto header = crypto::parse_segment_header(block);
    if (!header) return std::nullopt;
    const crypto::GenerationKeys keys(metadata_key_, store_, partition_, header->generation, header->salt);
    if (!crypto::verify_segment_header(block, keys)) return std::nullopt;
    Found found;
    SegmentScan scan(keys, header->generation, segment.size(), abandoned, SegmentScan::Extent::whole, found);
    while (const auto want = scan.want()) {
      if (unreadable_ >= want->offset && unreadable_ < want->offset + want->size)
        scan.feed_unreadable();
      else
        scan.feed(Bytes{segment}.subspan(want->offset, want->size));
    }
    torn_ = scan.tail_torn();
    torn_bytes_ = scan.tail_torn_bytes();
    tail_unreadable_ = scan.tail_unreadable();
    return found;
  }
  static bool contains_all(const std::vector<std::string>& all, const std::vector<std::string>& some) {
    return std::ranges::all_of(some, [&](const std::string& one) { return std::ranges::find(all, one) != all.end(); });
  }

  StoreId store_;
  PartitionId partition_;
  std::vector<std::byte> metadata_key_;
  std::vector<std::byte> segment_;
  std::vector<std::size_t> starts_;  // of the groups, and their end
  std::optional<Found> whole_;
  std::uint64_t unreadable_ = ~std::uint64_t{0};
  bool torn_ = false, tail_unreadable_ = false;
  std::uint64_t torn_bytes_ = 0;
};

TEST_F(SegmentBytes, H7_any_flipped_bit_is_noticed_and_nothing_wrong_is_believed) {
  for (std::size_t bit = 0; bit < starts_.back() * 8; ++bit) {
    auto flipped = segment_;
    flipped[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    const auto found = scan(flipped);
    if (!found) {
      ASSERT_LT(bit / 8, crypto::kBlockBytes) << "only block 0 makes a whole segment suspect";
      continue;
    }
    ASSERT_GE(bit / 8, crypto::kBlockBytes);
    const bool in_last_group = bit / 8 >= starts_[4];
    ASSERT_TRUE(!found->damages.empty() || (in_last_group && torn_)) << "byte " << bit / 8 << " bit " << bit % 8;
    ASSERT_TRUE(contains_all(whole_->records, found->records)) << "byte " << bit / 8 << " bit " << bit % 8;
    if (!in_last_group) {  // damage stays where it is: all other groups are good
      ASSERT_GE(found->groups.size(), 4u) << "byte " << bit / 8 << " bit " << bit % 8;
      ASSERT_EQ(found->groups.back(), whole_->groups.back());
    }
  }
}

TEST_F(SegmentBytes, H7_a_damaged_record_costs_no_other_record_of_its_group) {
  auto damaged = segment_;
  // The envelope of the MESSAGE behind the AUDIT record of the second group.
  const auto header = *crypto::parse_group_header(Bytes{segment_}.subspan(starts_[1]));
  std::size_t last_record = 0;
  crypto::for_each_record(Bytes{segment_}.subspan(starts_[1], header.group_bytes()), header,
                          [&](Bytes, std::uint32_t offset) { last_record = offset; });
  damaged[starts_[1] + last_record + crypto::RecordFrame::kBytes + crypto::kWrappedKeyBytes + 4] ^= std::byte{1};
  const auto found = scan(damaged);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->damages, std::vector{DamageKind::group});
  EXPECT_EQ(found->records.size(), whole_->records.size());  // the message's own key tells, when it is read
  damaged[starts_[1] + last_record + 40] ^= std::byte{1};    // and now its frame: its parts do not add up
  const auto worse = scan(damaged);
  ASSERT_TRUE(worse);
  EXPECT_EQ(worse->records.size(), whole_->records.size() - 1);
  EXPECT_TRUE(std::ranges::count(worse->damages, DamageKind::record) > 0);
}

TEST_F(SegmentBytes, H7_a_dropped_group_is_noticed) {
  for (std::size_t group = 0; group < 4; ++group) {
    auto zeroed = segment_;
    std::fill(zeroed.begin() + static_cast<std::ptrdiff_t>(starts_[group]),
              zeroed.begin() + static_cast<std::ptrdiff_t>(starts_[group + 1]), std::byte{});
    const auto found = scan(zeroed);
    EXPECT_EQ(found->damages, std::vector{DamageKind::group}) << group;
    auto closed_up = segment_;  // the groups behind it moved forward
    closed_up.erase(closed_up.begin() + static_cast<std::ptrdiff_t>(starts_[group]),
                    closed_up.begin() + static_cast<std::ptrdiff_t>(starts_[group + 1]));
    const auto moved = scan(closed_up);
    if (group > 0) EXPECT_EQ(moved->damages, std::vector{DamageKind::groups_missing}) << group;
    EXPECT_TRUE(contains_all(whole_->records, moved->records));
  }
}

TEST_F(SegmentBytes, H7_swapped_and_repeated_groups_are_noticed) {
  auto repeated = segment_;  // the second group again behind the last
  repeated.insert(repeated.begin() + static_cast<std::ptrdiff_t>(starts_[5]),
                  segment_.begin() + static_cast<std::ptrdiff_t>(starts_[1]),
                  segment_.begin() + static_cast<std::ptrdiff_t>(starts_[2]));
  EXPECT_EQ(scan(repeated)->records, whole_->records);
  auto swapped = segment_;
  std::rotate(swapped.begin() + static_cast<std::ptrdiff_t>(starts_[1]),
              swapped.begin() + static_cast<std::ptrdiff_t>(starts_[2]),
              swapped.begin() + static_cast<std::ptrdiff_t>(starts_[3]));
  const auto found = scan(swapped);
  EXPECT_FALSE(found->damages.empty());
  EXPECT_TRUE(contains_all(whole_->records, found->records));
}

TEST_F(SegmentBytes, H7_a_segment_of_another_partition_or_store_is_refused) {
  partition_.bytes[0] ^= std::byte{1};
  EXPECT_FALSE(scan(segment_));
  partition_.bytes[0] ^= std::byte{1};
  store_.bytes[0] ^= std::byte{1};
  EXPECT_FALSE(scan(segment_));
}

TEST_F(SegmentBytes, a_torn_tail_is_no_damage) {
  for (std::size_t cut = starts_[4]; cut < starts_[5]; cut += 512) {  // a power cut keeps whole sectors
    auto torn = segment_;
    std::fill(torn.begin() + static_cast<std::ptrdiff_t>(cut), torn.end(), std::byte{});
    const auto found = scan(torn);
    const bool nothing_lost = std::equal(torn.begin(), torn.end(), segment_.begin());
    EXPECT_TRUE(found->damages.empty());
    EXPECT_EQ(found->groups.size(), nothing_lost ? 5u : 4u);
    const bool nothing_there = cut == starts_[4];
    EXPECT_EQ(torn_, !nothing_lost && !nothing_there);
    EXPECT_EQ(torn_bytes_, torn_ ? starts_[5] - starts_[4] : 0u);
  }
}

TEST_F(SegmentBytes, an_abandoned_group_is_ignored_even_when_it_is_whole) {
  const auto found = scan(segment_, {whole_->groups[4]});
  EXPECT_EQ(found->groups.size(), 4u);
  EXPECT_TRUE(found->damages.empty());
  EXPECT_FALSE(torn_);
}

TEST_F(SegmentBytes, an_unreadable_group_is_damage_and_the_others_are_read) {
  unreadable_ = starts_[1] + 100;
  const auto found = scan(segment_);
  EXPECT_EQ(found->groups.size(), 4u);
  EXPECT_GT(std::ranges::count(found->damages, DamageKind::segment_unreadable), 0);
  EXPECT_FALSE(tail_unreadable_);
  unreadable_ = starts_[4] + 100;
  const auto tail = scan(segment_);
  EXPECT_EQ(tail->groups.size(), 4u);
  EXPECT_TRUE(tail_unreadable_);
}

TEST_F(SegmentBytes, groups_of_an_older_generation_are_not_ours) {
  // As in a recycled file: our first two groups, then what the generation before left behind.
  Machine machine({.seed = 99});
  ASSERT_TRUE(machine.open());
  machine.restart();  // its first segment gets a new generation
  ASSERT_TRUE(outcome_of(machine, machine.accept(make_mail(9, 300))));
  auto mixed = segment_;
  std::vector<std::byte> other = *machine.world.disk().content(machine.directory + "/00000002.seg");
  std::copy_n(other.begin() + crypto::kBlockBytes, crypto::kBlockBytes, mixed.begin() + static_cast<std::ptrdiff_t>(starts_[2]));
  const auto found = scan(mixed);
  EXPECT_TRUE(contains_all(whole_->records, found->records));
}

TEST_F(SegmentBytes, any_bytes_have_a_verdict) {
  Prng prng(3);
  for (int round = 0; round < 3000; ++round) {
    auto wild = segment_;
    for (std::uint64_t i = 0; i <= prng.below(200); ++i)
      wild[crypto::kBlockBytes + prng.below(wild.size() - crypto::kBlockBytes)] = static_cast<std::byte>(prng.next());
    const auto found = scan(wild);
    ASSERT_TRUE(found);
    EXPECT_TRUE(contains_all(whole_->records, found->records));
  }
}

}  // namespace
}  // namespace ringpost::spool
