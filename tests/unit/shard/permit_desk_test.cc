#include "shard/permit_desk.hh"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "ringpost/base/prng.hh"
#include "ringpost/sim/sim_ring.hh"
#include "ringpost/sim/world.hh"

namespace ringpost::shard {
namespace {

constexpr std::uint64_t kPlace = 7, kOtherPlace = 8;

/// One shard's desk, and what its deliverer would do with it.
struct Seat final : MeshBox::Handler {
  Seat(sim::World& world, Mesh& mesh, std::size_t index)
      : ring(world.make_ring("shard" + std::to_string(index), {.process = "ringpostd"})), box(mesh, index, ring, *this), desk(ring, box) {}
  void on_message(std::size_t from, runtime::MessageKind, const MeshMessage& message) override { desk.take(from, message); }
  sim::SimRing& ring;
  MeshBox box;
  PermitDesk desk;
};

class Permits : public testing::Test {
 protected:
  void make(std::size_t shards, std::uint32_t limit, std::uint32_t notes = 256) {
    limit_ = limit;
    mesh_ = std::make_unique<Mesh>(shards, runtime::MailboxSizes{.requests = 1, .notes = notes});
    for (std::size_t i = 0; i < shards; ++i) seats_.push_back(std::make_unique<Seat>(world_, *mesh_, i));
  }
  ~Permits() override { take_down(); }
  void take_down() {
    for (auto& seat : seats_) {
      runtime::Scope scope(seat->ring);
      scope.spawn(seat->desk.stop());
      EXPECT_EQ(world_.run_until([&] { return scope.running() == 0; }, std::chrono::minutes(1)), sim::Stop::reached);
    }
    std::vector<sim::SimRing*> rings;
    for (auto& seat : seats_) rings.push_back(&seat->ring);
    seats_.clear();
    for (sim::SimRing* ring : rings) world_.retire(*ring);
  }
  void settle() { world_.run_for(std::chrono::seconds(1)); }
  void want(std::size_t i, std::uint32_t connections, std::uint64_t place = kPlace) { desk(i).want(place, connections, limit_); }
  std::uint32_t held(std::uint64_t place = kPlace) const {
    std::uint32_t sum = 0;
    for (const auto& seat : seats_) sum += seat->desk.held(place);
    return sum;
  }
  std::size_t books() const {
    std::size_t sum = 0;
    for (const auto& seat : seats_) sum += seat->desk.books();
    return sum;
  }
  /// What each shard sends in this time when so many messages wait there, always.
  std::vector<std::uint64_t> send_for(Duration time, const config::Rate& rate, const std::vector<std::size_t>& waiting, std::uint64_t place = kPlace) {
    std::vector<std::uint64_t> sent(waiting.size());
    for (const Instant end = world_.now() + time; world_.now() < end; world_.run_for(std::chrono::milliseconds(1)))
      for (std::size_t i = 0; i < waiting.size(); ++i)
        while (waiting[i] > 0 && desk(i).take_token(place, rate, waiting[i])) ++sent[i];
    return sent;
  }
  PermitDesk& desk(std::size_t i) { return seats_[i]->desk; }

  sim::World world_{1};
  std::uint32_t limit_ = 0;
  std::unique_ptr<Mesh> mesh_;
  std::vector<std::unique_ptr<Seat>> seats_;
};

TEST_F(Permits, together_the_shards_never_hold_more_than_the_limit) {
  make(3, 8);
  for (std::size_t i = 0; i < 3; ++i) want(i, 8);
  settle();
  EXPECT_EQ(held(), 8u);
  auto holder = std::ranges::find_if(seats_, [](const auto& seat) { return seat->desk.held(kPlace) > 0; });
  ASSERT_TRUE((*holder)->desk.contended(kPlace)) << "who holds them learns that others wait";
  for (int i = 0; i < 4 && (*holder)->desk.held(kPlace) > 0; ++i) (*holder)->desk.release_one(kPlace);
  settle();
  EXPECT_EQ(held(), 8u);
  for (auto& seat : seats_) EXPECT_GE(seat->desk.held(kPlace), 1u);
}

TEST_F(Permits, what_one_gives_back_another_gets) {
  make(2, 4);
  want(0, 4);
  settle();
  ASSERT_EQ(desk(0).held(kPlace), 4u);
  want(1, 2);
  settle();
  EXPECT_EQ(desk(1).held(kPlace), 0u);
  EXPECT_TRUE(desk(0).contended(kPlace));
  desk(0).release_one(kPlace);
  desk(0).release_one(kPlace);
  settle();
  EXPECT_EQ(desk(0).held(kPlace), 2u);
  EXPECT_EQ(desk(1).held(kPlace), 2u);
  EXPECT_FALSE(desk(0).contended(kPlace));
}

TEST_F(Permits, one_busy_shard_gets_the_whole_rate) {
  make(2, 4);
  for (std::size_t busy : {0uz, 1uz}) {  // one of them is at home, the other is not
    std::vector<std::size_t> waiting(2);
    waiting[busy] = 1000;
    for (const config::Rate& rate : {config::Rate{5, std::chrono::seconds(1)}, {600, std::chrono::minutes(1)}, {2000, std::chrono::seconds(1)}}) {
      const double whole = static_cast<double>(rate.messages) * (20.0 / std::chrono::duration<double>(rate.per).count());
      const std::uint64_t place = rate.messages * 2 + busy;
      const auto sent = static_cast<double>(send_for(std::chrono::seconds(20), rate, waiting, place)[busy]);
      EXPECT_GE(sent, whole * 0.95) << rate.messages << busy;
      EXPECT_LE(sent, whole * 1.05 + 1) << rate.messages << busy;
    }
  }
}

TEST_F(Permits, busy_shards_share_the_rate_and_never_have_more_together) {
  make(2, 4);
  const config::Rate rate{100, std::chrono::seconds(1)};
  std::uint64_t sum = 0;
  for (const auto& waiting : std::vector<std::vector<std::size_t>>{{1000, 1000}, {0, 1000}, {1000, 1}, {0, 0}, {1000, 0}, {1000, 1000}}) {
    const auto sent = send_for(std::chrono::seconds(10), rate, waiting);
    EXPECT_LE(sent[0] + sent[1], 1100u) << "ten seconds, and one of silence before them";
    sum += sent[0] + sent[1];
    if (waiting[0] == waiting[1] && waiting[0] > 0) {
      EXPECT_NEAR(static_cast<double>(sent[0]), static_cast<double>(sent[1]), 60);
    }
    if (waiting[0] + waiting[1] > 0) { EXPECT_GE(sent[0] + sent[1], 950u); }
  }
  EXPECT_LE(sum, 5200u);
}

// Whatever is wanted and forgotten, with room for one note or many, and with a rate that changes: over any time nobody sends more than the
// rate and a second's worth, and a shard that wants tokens gets them.
TEST_F(Permits, a_rate_holds_in_any_order_of_events) {
  for (std::uint32_t notes : {1u, 256u}) {
    make(3, 4, notes);
    Prng prng{notes};
    const config::Rate rate{50, std::chrono::seconds(1)};
    std::vector<Instant> sent;
    for (int step = 0; step < 20'000; ++step) {
      const std::size_t some = prng.below(3);
      if (prng.one_in(50)) desk(some).forget_tokens(kPlace);
      else if (desk(some).take_token(kPlace, rate, 1 + prng.below(20))) sent.push_back(world_.now());
      world_.run_for(std::chrono::microseconds(prng.below(5'000)));
    }
    EXPECT_GT(sent.size(), 1'000u);
    for (std::size_t from = 0; from < sent.size(); from += 7)
      for (std::size_t to = from; to < sent.size(); to += 13) {
        const double seconds = std::chrono::duration<double>(sent[to] - sent[from]).count();
        ASSERT_LE(static_cast<double>(to - from + 1), 50 * (seconds + 1.5) + 1) << from;
      }
    for (auto& seat : seats_) seat->desk.forget_tokens(kPlace);
    world_.run_for(std::chrono::seconds(5));
    for (auto& seat : seats_) {
      EXPECT_EQ(seat->desk.tokens().books(), 0u);
      EXPECT_EQ(seat->desk.tokens().purses(), 0u);
    }
    take_down();
  }
}

TEST_F(Permits, destinations_have_books_of_their_own_which_vanish_when_nobody_wants_anything) {
  make(3, 4);
  for (std::uint64_t place = 1; place <= 100; ++place)
    for (std::size_t i = 0; i < 3; ++i) want(i, 2, place);
  settle();
  for (std::uint64_t place = 1; place <= 100; ++place) EXPECT_EQ(held(place), 4u);
  EXPECT_EQ(books(), 100u);
  for (std::uint64_t place = 1; place <= 100; ++place)
    for (auto& seat : seats_) {
      while (seat->desk.held(place) > 0) seat->desk.release_one(place);
      seat->desk.want(place, 0, limit_);
    }
  settle();
  for (std::uint64_t place = 1; place <= 100; ++place)
    for (auto& seat : seats_) {
      while (seat->desk.held(place) > 0) seat->desk.release_one(place);  // what came meanwhile
      seat->desk.forget(place);
    }
  settle();
  EXPECT_EQ(books(), 0u);
  for (auto& seat : seats_) EXPECT_EQ(seat->desk.lines(), 0u);
  want(1, 4, 50);
  settle();
  EXPECT_EQ(desk(1).held(50), 4u);
}

// Whatever is asked, given back and forgotten in whatever order, with room for one note or many: no book is ever overdrawn (it would
// assert), the limit holds, and in the end nothing is lost.
TEST_F(Permits, any_order_of_events_ends_with_nothing_held) {
  for (std::uint32_t notes : {1u, 3u, 256u}) {
    make(3, 5, notes);
    Prng prng{notes};
    for (int step = 0; step < 3000; ++step) {
      const std::uint64_t place = prng.below(4);
      PermitDesk& some = desk(prng.below(3));
      switch (prng.below(4)) {
        case 0: some.want(place, static_cast<std::uint32_t>(prng.below(6)), limit_); break;
        case 1:
          if (some.held(place) > 0) some.release_one(place);
          break;
        case 2:
          if (prng.one_in(4)) some.forget(place);
          break;
        default: world_.run_for(std::chrono::microseconds(prng.below(20'000)));
      }
      ASSERT_LE(held(place), 5u + 5u) << "grants on their way to a line that is over may stand beside new ones";
    }
    settle();
    for (std::uint64_t place = 0; place < 4; ++place) {
      for (auto& seat : seats_) seat->desk.forget(place);
      settle();
      want(1, 5, place);
      settle();
      EXPECT_EQ(desk(1).held(place), 5u) << "nothing was lost";
      desk(1).forget(place);
    }
    settle();
    EXPECT_EQ(books(), 0u);
    take_down();
  }
}

// Room for one note: most of what is said at once cannot be said. Nobody may be left waiting.
TEST_F(Permits, notes_that_found_no_room_are_made_up_for) {
  make(3, 6, 1);
  for (std::uint32_t round = 0; round < 20; ++round) {
    for (std::size_t i = 0; i < 3; ++i) {
      for (std::uint32_t wanted = 1; wanted <= 6; ++wanted) want(i, wanted);
    }
    settle();
    EXPECT_EQ(held(), 6u);
    for (std::size_t i = 0; i < 3; ++i) want(i, 0);
    settle();
    for (auto& seat : seats_) {
      while (seat->desk.held(kPlace) > 0) seat->desk.release_one(kPlace);
    }
    settle();
    EXPECT_EQ(held(), 0u);
  }
}

TEST_F(Permits, grants_that_come_after_a_line_ended_go_back) {
  make(2, 4);
  for (std::uint64_t place : {kPlace, kOtherPlace}) {
    want(0, 4, place);
    want(1, 4, place);
    for (auto& seat : seats_) seat->desk.forget(place);
    settle();
    EXPECT_EQ(held(place), 0u);
    EXPECT_EQ(books(), 0u);
    want(1, 3, place);
    settle();
    EXPECT_EQ(desk(1).held(place), 3u);
    desk(1).forget(place);
    settle();
    want(0, 4, place);
    settle();
    EXPECT_EQ(desk(0).held(place), 4u) << "all of the first line's came back";
    desk(0).forget(place);
    settle();
  }
}

}  // namespace
}  // namespace ringpost::shard
