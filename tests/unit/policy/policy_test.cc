#include <gtest/gtest.h>

#include "ringpost/policy/connections.hh"
#include "ringpost/policy/permits.hh"
#include "ringpost/policy/relay.hh"
#include "ringpost/policy/seats.hh"

namespace ringpost::policy {
namespace {

IpAddress ip(std::string_view text) { return *IpAddress::parse(text); }

TEST(Connections, a_client_at_its_limit_is_turned_away_and_others_are_not) {
  ConnectionBook book{7};
  ConnectionLimits limits{.total = 100, .per_client = 3, .per_prefix = 50};
  for (int i = 0; i < 3; ++i) EXPECT_EQ(book.admit(ip("192.0.2.1"), limits), Admission::admitted);
  EXPECT_EQ(book.admit(ip("192.0.2.1"), limits), Admission::too_many_of_client);
  EXPECT_EQ(book.admit(ip("192.0.2.2"), limits), Admission::admitted);
  book.release(ip("192.0.2.1"));
  EXPECT_EQ(book.admit(ip("192.0.2.1"), limits), Admission::admitted);
}

TEST(Attacks, C18_many_connections_from_one_prefix_leave_room_for_others) {
  ConnectionBook book{7};
  ConnectionLimits limits{.total = 1000, .per_client = 100, .per_prefix = 20};
  int admitted4 = 0, admitted6 = 0;
  for (int i = 1; i < 255; ++i) {
    admitted4 += book.admit(IpAddress::from_ipv4(0xc0000200u + i), limits) == Admission::admitted;
    IpAddress six = ip("2001:db8::1");
    six.bytes[15] = static_cast<std::byte>(i);
    admitted6 += book.admit(six, limits) == Admission::admitted;
  }
  EXPECT_EQ(admitted4, 20);
  EXPECT_EQ(admitted6, 20);
  EXPECT_EQ(book.admit(ip("198.51.100.1"), limits), Admission::admitted);
  EXPECT_EQ(book.open(), 41u);
}

TEST(Connections, refused_ones_leave_no_trace) {
  ConnectionBook book{1};
  ConnectionLimits limits{.total = 1, .per_client = 9, .per_prefix = 9};
  EXPECT_EQ(book.admit(ip("192.0.2.1"), limits), Admission::admitted);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(book.admit(ip("198.51.100.7"), limits), Admission::too_many);
  book.release(ip("192.0.2.1"));
  EXPECT_EQ(book.open(), 0u);
  EXPECT_EQ(book.admit(ip("198.51.100.7"), limits), Admission::admitted);
}

TEST(Connections, a_place_counts_as_one_client_at_a_time_and_is_given_back) {
  ConnectionBook book{1};
  const ConnectionLimits limits{.total = 9, .per_client = 1, .per_prefix = 9};
  {
    ConnectionPlace place{book};
    EXPECT_EQ(place.take(ip("192.0.2.1"), limits), Admission::admitted);
    EXPECT_EQ(place.take(ip("198.51.100.7"), limits), Admission::admitted);
    EXPECT_TRUE(place.is_of(ip("198.51.100.7")));
    EXPECT_EQ(book.open(), 1u);
    EXPECT_EQ(book.admit(ip("192.0.2.1"), limits), Admission::admitted);
    ConnectionPlace moved{std::move(place)};
    EXPECT_EQ(moved.take(ip("192.0.2.1"), limits), Admission::too_many_of_client);
    EXPECT_EQ(book.open(), 1u) << "the refused one is nobody's";
    EXPECT_EQ(moved.take(ip("198.51.100.7"), limits), Admission::admitted);
  }
  EXPECT_EQ(book.open(), 1u);
  book.release(ip("192.0.2.1"));
}

TEST(Relay, only_listed_networks_relay) {
  Network networks[] = {*Network::parse("127.0.0.0/8"), *Network::parse("2001:db8::/32")};
  EXPECT_TRUE(may_relay(ip("127.3.2.1"), networks));
  EXPECT_TRUE(may_relay(ip("2001:db8:1::2"), networks));
  EXPECT_FALSE(may_relay(ip("128.0.0.1"), networks));
  EXPECT_FALSE(may_relay(ip("::1"), networks));
  EXPECT_FALSE(may_relay(ip("127.0.0.1"), {}));
}

TEST(Relay, hosts_relay_by_the_names_of_their_certificate) {
  using Names = std::vector<std::string>;
  const Names listed{"*.hosts.example", "one.example"};
  EXPECT_TRUE(may_relay(Names{"other.example", "ONE.example"}, listed));
  EXPECT_TRUE(may_relay(Names{"a.b.hosts.example"}, listed));
  for (const char* name : {"hosts.example", "two.example", "one.example.evil.example", "evil-one.example", "*.hosts.example", "*.example", ""})
    EXPECT_FALSE(may_relay(Names{name}, listed)) << name;
  EXPECT_FALSE(may_relay(Names{}, listed));
  EXPECT_FALSE(may_relay(Names{"one.example"}, Names{}));
}

TEST(Permits, the_limit_holds_and_shares_are_even) {
  PermitBook book{4, 10};
  for (std::size_t shard = 0; shard < 4; ++shard) book.want(shard, 100);
  std::uint32_t total = 0;
  for (auto grant : book.distribute({})) {
    total += grant.count;
    EXPECT_GE(grant.count, 2u);
    EXPECT_LE(grant.count, 3u);
  }
  EXPECT_EQ(total, 10u);
  EXPECT_TRUE(book.distribute({}).empty());
  EXPECT_TRUE(book.contended());
}

TEST(Permits, with_fewer_permits_than_shards_every_shard_has_its_turn) {
  PermitBook book{3, 1};
  std::vector<std::size_t> served;
  for (std::size_t shard = 0; shard < 3; ++shard) book.want(shard, 1);
  for (int i = 0; i < 6; ++i) {
    auto grants = book.distribute({});
    ASSERT_EQ(grants.size(), 1u);
    served.push_back(grants[0].shard);
    book.release(grants[0].shard, 1);
  }
  EXPECT_EQ(served, (std::vector<std::size_t>{0, 1, 2, 0, 1, 2}));
}

TEST(Permits, a_suspended_destination_gives_nothing_until_its_time) {
  PermitBook book{1, 5};
  book.want(0, 2);
  book.suspend_until(Instant{Duration{100}});
  EXPECT_TRUE(book.distribute(Instant{Duration{99}}).empty());
  EXPECT_EQ(book.distribute(Instant{Duration{100}}).size(), 1u);
  EXPECT_EQ(book.held(), 2u);
}

TEST(Seats, shares_come_to_the_total_and_nobody_is_without) {
  for (const std::size_t total : {1, 2, 7, 64, 2000, 100'000}) {
    EXPECT_EQ(SeatShares::of(total, 1).own, total);
    EXPECT_EQ(SeatShares::of(total, 1).common, 0u);
    for (const std::size_t shards : {2, 3, 8, 256}) {
      const SeatShares shares = SeatShares::of(total, shards);
      EXPECT_GE(shares.own, 1u);
      EXPECT_EQ(std::max(total, shards), shares.own * shards + shares.common) << total << " by " << shards;
      EXPECT_GE(shares.own_of_strangers, 1u);
      EXPECT_EQ(std::max(total / 2, shares.own_of_strangers * shards), shares.own_of_strangers * shards + shares.common_of_strangers)
          << total << " by " << shards;
    }
  }
  EXPECT_EQ(SeatShares::of(2000, 8).own, 125u);
  EXPECT_EQ(SeatShares::of(2000, 8).common, 1000u);
}

TEST(Seats, no_more_are_lent_than_there_are) {
  SeatPool pool;
  EXPECT_FALSE(pool.borrow(0));
  EXPECT_TRUE(pool.borrow(2));
  EXPECT_TRUE(pool.borrow(2));
  EXPECT_FALSE(pool.borrow(2));
  EXPECT_FALSE(pool.borrow(1)) << "after a reload with less";
  pool.give_back();
  EXPECT_TRUE(pool.borrow(2));
}

}  // namespace
}  // namespace ringpost::policy
