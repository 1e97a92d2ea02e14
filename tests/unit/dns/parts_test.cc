// The parts of the resolver by themselves: resolv.conf, cache, servers.
#include <gtest/gtest.h>

#include <algorithm>

#include "../drive.hh"
#include "cache.hh"
#include "gate.hh"
#include "ringpost/dns/resolv_conf.hh"
#include "servers.hh"

namespace ringpost::dns {
namespace {

using std::chrono::seconds;

constexpr Instant kStart{std::chrono::hours{1}};

std::vector<std::string> servers_in(std::string_view text) {
  std::vector<std::string> found;
  for (const SocketAddress& server : nameservers(text)) found.push_back(server.text());
  return found;
}

TEST(ResolvConf, nameservers_in_their_order_and_nothing_else) {
  using List = std::vector<std::string>;
  EXPECT_EQ(servers_in("# local\nsearch example\nnameserver 192.0.2.1\n  nameserver\t2001:db8::1  # comment\noptions edns0\n"),
            (List{"192.0.2.1:53", "[2001:db8::1]:53"}));
  EXPECT_EQ(servers_in("nameserver fe80::1%2"), (List{"[fe80::1%2]:53"}));
  EXPECT_EQ(servers_in("nameserver 192.0.2.1\r\nnameserver 192.0.2.1\n"), (List{"192.0.2.1:53"}));
  for (std::string_view text :
       {"", "nameserver", "nameserver here", "nameservers 192.0.2.1", "#nameserver 192.0.2.1", "nameserver fe80::1%eth0"})
    EXPECT_EQ(servers_in(text), (List{"127.0.0.1:53"})) << text;
  EXPECT_EQ(servers_in("nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4").size(), 3u);
}

Answer found(std::uint32_t ttl_s, std::size_t records = 1) {
  Answer answer{.outcome = Outcome::found, .name = "a.example", .ttl_s = ttl_s};
  for (std::size_t i = 0; i < records; ++i) answer.records.push_back({"a.example", Type::a, ttl_s, IpAddress::from_ipv4(1)});
  return answer;
}

TEST(DnsCache, an_answer_holds_for_what_is_left_of_its_time) {
  Cache cache(10, 1_MiB);
  const Question question{"a.example", Type::a};
  cache.put(question, found(60), kStart);
  ASSERT_TRUE(cache.find(question, kStart + seconds{59}));
  EXPECT_EQ(cache.find(question, kStart + seconds{59})->ttl_s, 1u);
  EXPECT_FALSE(cache.find({"a.example", Type::aaaa}, kStart));
  EXPECT_FALSE(cache.find(question, kStart + seconds{60}));
  EXPECT_EQ(cache.entries(), 0u);
  EXPECT_EQ(cache.bytes(), 0u);
  cache.put(question, found(0), kStart);
  EXPECT_EQ(cache.entries(), 0u) << "a ttl of 0 is for this moment";
  cache.put(question, found(UINT32_MAX >> 1), kStart);
  EXPECT_FALSE(cache.find(question, kStart + std::chrono::hours{24})) << "nothing holds for longer than a day";
}

TEST(DnsCache, a_no_is_kept_for_an_hour_at_most_and_failures_for_a_moment) {
  Cache cache(10, 1_MiB);
  const auto kept = [&](Answer answer) {
    cache.put({"x", Type::mx}, answer, kStart);
    for (int second : {4, 59, 3599, 86'399})
      if (!cache.find({"x", Type::mx}, kStart + seconds{second})) return second;
    return 0;
  };
  EXPECT_EQ(kept({.outcome = Outcome::no_data, .ttl_s = 50}), 59);
  EXPECT_EQ(kept({.outcome = Outcome::no_such_name, .ttl_s = 100'000}), 86'399);
  EXPECT_EQ(kept(Answer::failed_by(Failure::server_failure)), 59);
  EXPECT_EQ(kept(Answer::failed_by(Failure::malformed)), 59);
  EXPECT_EQ(kept(Answer::failed_by(Failure::timed_out)), 4);
  EXPECT_EQ(kept(Answer::failed_by(Failure::overloaded)), 4);
}

TEST(DnsCache, is_bounded_in_entries_and_bytes_and_keeps_what_is_used) {
  Cache cache(100, 64_KiB);
  const auto name = [](int i) { return Question{"host" + std::to_string(i) + ".with-a-name-of-some-length.example", Type::a}; };
  for (int i = 0; i < 1000; ++i) {
    cache.put(name(i), found(600), kStart);
    EXPECT_TRUE(cache.find(name(0), kStart)) << i;
    ASSERT_LE(cache.entries(), 100u);
    ASSERT_LE(cache.bytes(), 64_KiB);
  }
  EXPECT_FALSE(cache.find(name(1), kStart));
  EXPECT_TRUE(cache.find(name(999), kStart));
  const std::size_t before = cache.entries();
  cache.put({"vast", Type::a}, found(600, 2000), kStart);
  EXPECT_EQ(cache.entries(), before) << "one answer does not drive out all others";
  cache.set_limits(10, 64_KiB);
  EXPECT_EQ(cache.entries(), 10u);
  cache.clear();
  EXPECT_EQ(cache.bytes(), 0u);
}

TEST(DnsServers, take_turns_by_attempt_and_start_with_the_first) {
  Prng prng(1);
  const std::vector<SocketAddress> two = {*SocketAddress::parse("192.0.2.1:53"), *SocketAddress::parse("192.0.2.2:53")};
  Servers servers(two, prng);
  for (std::size_t attempt = 0; attempt < 4; ++attempt) EXPECT_EQ(servers.pick(attempt, kStart)->index, attempt % 2);
}

TEST(DnsServers, D5_a_silent_one_rests_ever_longer_and_is_tried_by_one_at_a_time) {
  Prng prng(1);
  Servers servers(std::vector{*SocketAddress::parse("192.0.2.1:53")}, prng);
  Instant now = kStart;
  for (int i = 0; i < 3; ++i) servers.silent(*servers.pick(0, now), now, false);
  Duration rest{};
  int trials = 0;
  while (now < kStart + std::chrono::minutes{10}) {
    ASSERT_FALSE(servers.pick(0, now));
    const Instant next = servers.next_trial();
    ASSERT_NE(next, kNever);
    rest = next - now;
    EXPECT_LE(rest, seconds{38});
    now = next;
    const auto trial = servers.pick(0, now);
    ASSERT_TRUE(trial);
    EXPECT_FALSE(servers.pick(0, now)) << "one is enough";
    EXPECT_EQ(servers.next_trial(), kNever);
    servers.silent(*trial, now, false);
    ++trials;
  }
  EXPECT_GT(rest, seconds{20});
  EXPECT_LT(trials, 40);
  now = servers.next_trial();
  servers.answered(*servers.pick(0, now));
  EXPECT_TRUE(servers.pick(0, now) && servers.pick(0, now));
}

TEST(DnsServers, a_refusal_counts_for_three_and_a_new_list_keeps_what_is_known) {
  Prng prng(1);
  const SocketAddress one = *SocketAddress::parse("192.0.2.1:53"), other = *SocketAddress::parse("192.0.2.2:53");
  Servers servers(std::vector{one, other}, prng);
  const auto pick = servers.pick(0, kStart);
  servers.silent(*pick, kStart, true);
  EXPECT_EQ(servers.pick(0, kStart)->index, 1u);
  servers.replace(std::vector{other, one});
  EXPECT_EQ(servers.at(*pick), nullptr);
  servers.answered(*pick);  // of the list before: no effect
  EXPECT_EQ(servers.pick(1, kStart)->index, 0u) << "the other one still rests";
  servers.replace({});
  EXPECT_FALSE(servers.pick(0, kStart));
}

runtime::Task<void> pass(FairGate& gate, std::uint64_t party, runtime::Ring& ring, std::vector<std::uint64_t>& order) {
  const bool admitted = co_await gate.enter(party, ring.now() + std::chrono::hours{1});
  order.push_back(admitted ? party : 1000 + party);
  if (!admitted) co_return;
  co_await ring.sleep_for(seconds{1});
  gate.leave();
}

runtime::Task<void> pass_all(FairGate& gate, runtime::Ring& ring, std::vector<std::uint64_t> parties,
                             std::vector<std::uint64_t>& order) {
  runtime::Scope scope(ring);
  for (std::uint64_t party : parties) scope.spawn(pass(gate, party, ring, order));
  co_await scope.join();
}

TEST(DnsGate, parties_take_turns_however_much_one_of_them_asks) {
  sim::World world(1);
  auto& ring = world.make_ring("one");
  FairGate gate(ring, 1, 100);
  std::vector<std::uint64_t> order;
  sim::drive(ring, pass_all(gate, ring, {1, 1, 1, 1, 1, 2, 3, 2}, order));
  EXPECT_EQ(order, (std::vector<std::uint64_t>{1, 1, 2, 3, 1, 2, 1, 1}));
}

TEST(DnsGate, H17_a_full_waiting_room_takes_from_who_has_most_in_it) {
  sim::World world(1);
  auto& ring = world.make_ring("one");
  FairGate gate(ring, 1, 3);
  std::vector<std::uint64_t> order;
  sim::drive(ring, pass_all(gate, ring, {1, 1, 1, 1, 1, 2, 3, 4}, order));
  // One inside, three wait; the next of party 1 is turned away, party 2 and 3 drive out one each, party 4 finds nobody with more.
  EXPECT_EQ(order.size(), 8u);
  EXPECT_EQ(std::ranges::count(order, 1001u), 3);
  EXPECT_EQ(std::ranges::count(order, 1004u), 1);
  EXPECT_EQ(std::ranges::count(order, 2u) + std::ranges::count(order, 3u), 2);
  EXPECT_EQ(gate.inside(), 0u);
  EXPECT_EQ(gate.waiting(), 0u);
}

}  // namespace
}  // namespace ringpost::dns
