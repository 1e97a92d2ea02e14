// Mailboxes: bounds and order on one thread, and two to three real threads that sleep and wake each other.
#include "ringpost/runtime/mailbox.hh"

#include <gtest/gtest.h>

#include <deque>
#include <latch>
#include <thread>

#include "uring_world.hh"

namespace ringpost::runtime::contract {
namespace {

struct Message {
  std::uint64_t number = 0;
  std::uint64_t payload[3] = {};
};
using Exchange = MailboxExchange<Message>;
using Box = Mailbox<Message>;

Message message(std::uint64_t number) { return {number, {number * 3, number * 5, ~number}}; }
bool whole(const Message& m) { return m.payload[0] == m.number * 3 && m.payload[1] == m.number * 5 && m.payload[2] == ~m.number; }

struct Seen {
  std::size_t from;
  MessageKind kind;
  std::uint64_t number;
  friend bool operator==(const Seen&, const Seen&) = default;
};

struct Recorder : Box::Handler {
  void on_message(std::size_t from, MessageKind kind, const Message& m) override {
    EXPECT_TRUE(whole(m));
    seen.push_back({from, kind, m.number});
  }
  std::vector<Seen> seen;
};

class MailboxPair : public testing::Test {
 protected:
  UringWorld world_{{}};
  Exchange exchange_{2, {.requests = 3, .notes = 2}};
  Recorder first_, second_;
  Box a_{exchange_, 0, world_.ring(0), first_}, b_{exchange_, 1, world_.ring(1), second_};
};

TEST_F(MailboxPair, messages_arrive_in_order_whatever_their_kind) {
  EXPECT_TRUE(a_.tell(1, message(1)));
  EXPECT_TRUE(a_.request(1, message(2)));
  EXPECT_FALSE(a_.tell(1, message(3))) << "two entries: a note might take a request's place";
  EXPECT_TRUE(a_.request(1, message(4)));
  EXPECT_TRUE(b_.poll());
  EXPECT_FALSE(b_.poll());
  EXPECT_EQ(second_.seen,
            (std::vector<Seen>{{0, MessageKind::note, 1}, {0, MessageKind::request, 2}, {0, MessageKind::request, 4}}));
  EXPECT_TRUE(first_.seen.empty());
}

TEST_F(MailboxPair, credits_bound_requests_and_replies_always_fit) {
  for (int round = 0; round < 100; ++round) {
    // Both inboxes full: requests, then notes until they are refused.
    for (Box* box : {&a_, &b_}) {
      std::size_t peer = 1 - box->self();
      EXPECT_TRUE(box->tell(peer, message(0)));
      EXPECT_TRUE(box->tell(peer, message(0)));
      EXPECT_FALSE(box->tell(peer, message(0)));
      for (int i = 0; i < 3; ++i) EXPECT_TRUE(box->request(peer, message(1)));
      EXPECT_FALSE(box->request(peer, message(1)));
      EXPECT_EQ(box->credits(peer), 0u);
    }
    EXPECT_TRUE(a_.poll());
    for (int i = 0; i < 3; ++i) a_.reply(1, message(2));  // although b's inbox is full
    EXPECT_TRUE(b_.poll());
    EXPECT_EQ(b_.credits(0), 3u);
    EXPECT_EQ(a_.credits(1), 0u);
    for (int i = 0; i < 3; ++i) b_.reply(0, message(2));
    EXPECT_TRUE(a_.poll());
    EXPECT_EQ(a_.credits(1), 3u);
  }
  EXPECT_EQ(first_.seen.size(), 100u * 8);
  EXPECT_EQ(second_.seen.size(), 100u * 8);
}

TEST_F(MailboxPair, nobody_answers_what_was_not_asked) { EXPECT_DEATH(a_.reply(1, message(1)), "owed"); }

TEST_F(MailboxPair, a_box_with_mail_does_not_sleep) {
  EXPECT_TRUE(b_.may_sleep());
  b_.awake();
  a_.tell(1, message(1));
  EXPECT_FALSE(b_.may_sleep());
  b_.poll();
  EXPECT_TRUE(b_.may_sleep());
  b_.awake();
}

TEST_F(MailboxPair, a_shard_may_write_to_itself) {
  EXPECT_TRUE(a_.request(0, message(9)));
  EXPECT_FALSE(a_.may_sleep());
  EXPECT_TRUE(a_.poll());
  a_.reply(0, message(10));
  EXPECT_TRUE(a_.poll());
  EXPECT_EQ(first_.seen, (std::vector<Seen>{{0, MessageKind::request, 9}, {0, MessageKind::reply, 10}}));
}

// ---- real threads

/// A shard that asks every other one `count` things, answers what it is asked, and ends when all have been answered.
class AskingShard final : Box::Handler {
 public:
  AskingShard(Exchange& exchange, std::size_t self, std::uint64_t count)
      : ring_(started_ring({.entries = 64, .receive_buffers = 1, .nap_max = std::chrono::hours(1)})),
        box_(exchange, self, *ring_, *this),
        progress_(*ring_),
        count_(count),
        peers_(exchange.shards()) {}

  void run() { run_task(*ring_, ask_everybody()); }
  std::uint64_t notes_seen() const { return notes_seen_; }
  std::uint64_t wakes() const { return ring_->stats().wakes_received; }

 private:
  struct Peer {
    std::uint64_t asked = 0, answered = 0, questions = 0, notes = 0;
    bool finished = false;
  };
  static constexpr std::uint64_t kFinished = ~std::uint64_t{0} >> 8;

  void on_message(std::size_t from, MessageKind kind, const Message& m) override {
    Peer& peer = peers_[from];
    EXPECT_TRUE(whole(m));
    switch (kind) {
      case MessageKind::request:
        if (m.number == kFinished) {
          peer.finished = true;
        } else {
          EXPECT_EQ(m.number, peer.questions++);
        }
        box_.reply(from, m);
        break;
      case MessageKind::reply:
        if (m.number != kFinished) EXPECT_EQ(m.number, peer.answered);
        ++peer.answered;
        break;
      case MessageKind::note:
        EXPECT_GT(m.number, peer.notes) << "notes came out of order";
        peer.notes = m.number;
        ++notes_seen_;
        break;
    }
    progress_.notify_all();
  }

  Task<void> ask(std::size_t to) {
    std::uint64_t note = 0;
    for (std::uint64_t i = 0; i <= count_; ++i) {
      Message question = message(i < count_ ? i : kFinished);
      if (i % 7 == 0) box_.tell(to, message(++note));  // some are refused
      bool sent = box_.request(to, question);
      while (!sent) {
        co_await progress_.wait();
        sent = box_.request(to, question);
      }
      // Now and then all is answered before the next question, so that both ends fall asleep.
      bool pause = i % 50 == 0;
      while (pause && peers_[to].answered <= i) co_await progress_.wait();
    }
    while (peers_[to].answered <= count_ || !peers_[to].finished) co_await progress_.wait();
  }

  Task<void> ask_everybody() {
    Scope scope(*ring_);
    for (std::size_t to = 0; to < peers_.size(); ++to) {
      if (to != box_.self()) scope.spawn(ask(to));
    }
    co_await scope.join();
    // The last reply may still be in a peer's inbox; the loop's last turns carry the wake that announces it.
    co_await ring_->sleep_for(std::chrono::milliseconds(1));
  }

  std::unique_ptr<UringRing> ring_;
  Box box_;
  Signal progress_;
  std::uint64_t count_, notes_seen_ = 0;
  std::vector<Peer> peers_;
};

void converse(std::size_t shards, std::uint64_t count, const MailboxSizes& sizes) {
  Exchange exchange(shards, sizes);
  std::latch made(static_cast<std::ptrdiff_t>(shards)), ended(static_cast<std::ptrdiff_t>(shards));
  std::uint64_t notes = 0, wakes = 0;
  std::mutex mutex;
  std::vector<std::thread> threads;
  for (std::size_t self = 0; self < shards; ++self) {
    threads.emplace_back([&, self] {
      AskingShard shard(exchange, self, count);
      made.arrive_and_wait();
      shard.run();
      {
        std::lock_guard lock(mutex);
        notes += shard.notes_seen();
        wakes += shard.wakes();
      }
      ended.arrive_and_wait();  // rings outlive the wakes sent to them
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_GT(notes, 0u);
  EXPECT_GT(wakes, 0u);
}

// Their naps are an hour long: a lost wake hangs the test.
TEST(MailboxThreads, two_shards_never_miss_a_wake) { converse(2, 20'000, {.requests = 1, .notes = 1}); }
TEST(MailboxThreads, two_busy_shards_with_full_inboxes_go_on) { converse(2, 100'000, {.requests = 4, .notes = 2}); }
TEST(MailboxThreads, three_shards_converse) { converse(3, 20'000, {.requests = 8, .notes = 8}); }

}  // namespace
}  // namespace ringpost::runtime::contract
