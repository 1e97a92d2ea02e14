// Messages between memory and index: none is lost, none comes twice, and memory holds no more than it should.
#include "shard/backlog.hh"

#include <gtest/gtest.h>

#include "../spool/support.hh"
#include "ringpost/index/memory_store.hh"
#include "shard/message_order.hh"

namespace ringpost::shard {
namespace {

using runtime::Task;
using spool::Machine;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr std::size_t kWindow = 64;
constexpr Duration kLongestWait = hours{1}, kLongestHold = hours{24 * 7};

/// A log, an index, a queue, and somebody who delivers whatever is due at once.
class Office {
 public:
  Office() {
    EXPECT_TRUE(machine_.open());
    EXPECT_TRUE(spool::outcome_of(machine_, machine_.accept(spool::make_mail(100'000, 300)))) << "the log is not a new one";
    sim::drive(ring(), open_index());
    backlog_ = std::make_unique<Backlog>(BacklogParts{ring(), log_, queue_, *machine_.log, *index_, metrics_},
                                         BacklogOptions{.number = 0, .window = kWindow, .longest_wait = kLongestWait, .longest_hold = kLongestHold});
    backlog_->complete([this] { deliver(); });
    scope_ = std::make_unique<runtime::Scope>(ring());
    scope_->spawn(backlog_->take_up());
  }
  ~Office() {
    backlog_->stop();
    sim::drive(ring(), [](runtime::Scope& scope) -> Task<void> { co_await scope.join(); }(*scope_));
    scope_.reset();
    backlog_.reset();
    index_.reset();
  }
  sim::SimRing& ring() { return *machine_.ring; }
  queue::Queue& queue() { return queue_; }
  Backlog& backlog() { return *backlog_; }
  index::Index& index() { return *index_; }
  const std::map<MessageId, Instant>& delivered() const { return delivered_; }
  const std::map<MessageId, Instant>& releases() const { return releases_; }
  const metrics::ShardMetrics& metrics() const { return metrics_; }

  /// A message that is to be tried `wait` from now.
  MessageId accept(std::uint64_t number, Duration wait) {
    const spool::Mail mail = spool::make_mail(number, 300);
    EXPECT_TRUE(spool::outcome_of(machine_, machine_.accept(mail)));
    auto message = std::make_unique<queue::Message>();
    message->id = mail.id;
    message->place = machine_.places.at(mail.id);
    message->size = 300;
    message->revision = 1;
    message->arrived = ring().wall_now();
    message->due = ring().now() + wait;
    message->due_wall = ring().wall_now() + wait;
    message->recipients.resize(1);
    const Backlog::Pin pin(*backlog_);
    backlog_->changed(queue_.add(std::move(message)));
    return mail.id;
  }
  /// One that its sender wants released `hold` from now.
  MessageId accept_for_later(std::uint64_t number, Duration hold, bool before_start = false) {
    spool::Mail mail = spool::make_mail(number, 300);
    put_order(mail.id, before_start ? 0 : machine_.log->newest_group());
    const Instant release = ring().now() + hold;
    const WallTime due = backlog_->due_wall(mail.id, release), arrived = ring().wall_now();
    EXPECT_TRUE(spool::outcome_of(machine_, machine_.accept(mail)));
    auto message = std::make_unique<queue::Message>();
    message->id = mail.id;
    message->place = machine_.places.at(mail.id);
    message->size = 300;
    message->arrived = arrived;
    message->born = message->due = release;
    message->due_wall = due;
    message->recipients.resize(1);
    message->mark_unreleased();
    releases_[mail.id] = message->due;
    const Backlog::Pin pin(*backlog_);
    backlog_->changed(queue_.add(std::move(message)));
    return mail.id;
  }
  void deliver() {
    while (queue::Message* message = queue_.take_due(ring().now())) {
      EXPECT_TRUE(delivered_.emplace(message->id, ring().now()).second) << "delivered twice";
      message->recipients[0].state = queue::State::delivered;
      backlog_->release(*message);
      queue_.remove(*message);
    }
  }
  /// What a partition does every second, for so long.
  void work(Duration time) {
    sim::drive(ring(), work_on(time), 2 * time + hours{1});
  }
  void write_down() {
    sim::drive(ring(), [](Backlog& backlog) -> Task<void> {
      Result<bool> written = co_await backlog.write_down(true);
      EXPECT_TRUE(written);
    }(*backlog_));
  }
  void jump(Duration by) { ring().world().jump_wall(by); }

 private:
  Task<void> open_index() {
    auto opened = co_await index::Index::open(ring(), index::make_memory_store(rows_), machine_.store, machine_.partition, machine_.metadata_key);
    EXPECT_TRUE(opened);
    index_ = std::move(opened->index);
  }
  Task<void> work_on(Duration time) {
    for (const Instant end = ring().now() + time; ring().now() < end;) {
      co_await ring().sleep_for(seconds{1});
      Result<bool> written = co_await backlog_->write_down(false);
      EXPECT_TRUE(written);
      backlog_->let_go();
      EXPECT_LE(queue_.size(), kWindow);
      deliver();
    }
  }

  Machine machine_;
  Log log_{LogLevel::error};
  metrics::ShardMetrics metrics_;
  queue::Queue queue_;
  index::MemoryRows rows_;
  std::unique_ptr<index::Index> index_;
  std::unique_ptr<Backlog> backlog_;
  std::unique_ptr<runtime::Scope> scope_;
  std::map<MessageId, Instant> delivered_, releases_;
};

TEST(Backlog, many_messages_pass_through_a_small_window_each_once_and_in_time) {
  Office office;
  Prng prng{5};
  std::map<MessageId, Instant> due;
  for (std::uint64_t i = 1; i <= 600; ++i) {
    const Duration wait = seconds{static_cast<std::int64_t>(prng.below(1800))};
    const Instant now = office.ring().now();
    due[office.accept(i, wait)] = now + wait;
  }
  office.work(minutes{40});
  EXPECT_GT(office.metrics().messages_taken_up.value(), 400u);
  EXPECT_EQ(office.delivered().size(), due.size());
  for (const auto& [id, when] : office.delivered()) {
    EXPECT_GE(when, due.at(id) - seconds{1});
    EXPECT_LE(when, due.at(id) + seconds{10});
  }
  office.write_down();
  EXPECT_EQ(office.queue().size(), 0u);
  EXPECT_EQ(office.index().stats().totals.entries, 0u);
}

TEST(Backlog, what_waits_is_in_the_index_and_the_window_is_for_what_is_next) {
  Office office;
  for (std::uint64_t i = 1; i <= 500; ++i) office.accept(i, hours{2});
  office.work(minutes{2});
  EXPECT_EQ(office.queue().size(), 0u) << "nothing is due for long";
  EXPECT_EQ(office.index().stats().totals.waiting_messages, 500u);
  const MessageId soon = office.accept(501, seconds{20});
  office.work(seconds{10});
  EXPECT_NE(office.queue().find(soon), nullptr);
  sim::drive(office.ring(), [](Office& office) -> Task<void> {
    auto brought = co_await office.backlog().bring(spool::make_mail(7, 0).id);
    EXPECT_TRUE(brought && *brought);
    std::size_t listed = 0;
    for (MessageId after{};;) {
      auto page = co_await office.backlog().page_behind(after, 50);
      EXPECT_TRUE(page);
      if (!page || page->empty()) break;
      for (const Backlog::Listed& one : *page) {
        EXPECT_GT(one.id, after);
        EXPECT_EQ(one.stored == nullptr, office.queue().find(one.id) != nullptr);
        after = one.id;
        ++listed;
      }
    }
    EXPECT_EQ(listed, 501u);
  }(office));
}

TEST(Backlog, what_is_over_has_no_row_though_somebody_has_it_in_hand) {
  Office office;
  const MessageId id = office.accept(1, minutes{20});
  (void)office.accept(2, minutes{20});
  office.write_down();
  EXPECT_EQ(office.index().stats().totals.entries, 2u);
  queue::Message& message = *office.queue().find(id);
  office.queue().unschedule(message);
  message.in_delivery = true;  // an operator's order looks at it
  message.recipients[0].state = queue::State::delivered;
  office.backlog().changed(message);
  office.write_down();
  EXPECT_EQ(office.index().stats().totals.entries, 1u);
  office.backlog().release(message);
  office.queue().remove(message);
  office.write_down();
  EXPECT_EQ(office.index().stats().totals.entries, 1u);
  office.work(minutes{21});
  EXPECT_EQ(office.delivered().size(), 1u);
}

TEST(Backlog, a_clock_that_was_ahead_leaves_nobody_waiting_for_years) {
  Office office;
  office.jump(hours{24 * 3650});
  for (std::uint64_t i = 1; i <= 200; ++i) office.accept(i, minutes{10});
  office.work(minutes{2});
  EXPECT_EQ(office.queue().size(), 0u);
  office.jump(-hours{24 * 3650});
  office.work(minutes{70});
  EXPECT_EQ(office.delivered().size(), 200u) << "the longest wait is an hour";
}

void expect_releases(const Office& office) {
  EXPECT_EQ(office.delivered().size(), office.releases().size());
  for (const auto& [id, when] : office.delivered()) {
    EXPECT_GE(when, office.releases().at(id));
    EXPECT_LE(when, office.releases().at(id) + minutes{2});
  }
}

TEST(Backlog, what_is_to_be_released_later_leaves_memory_and_comes_back_in_time) {
  Office office;
  for (std::uint64_t i = 1; i <= 300; ++i) office.accept_for_later(i, hours{3} + seconds{i});
  office.work(minutes{5});
  EXPECT_EQ(office.queue().size(), 0u);
  EXPECT_EQ(office.metrics().messages_taken_up.value(), 0u) << "it is not fetched for nothing";
  sim::drive(office.ring(), [](Office& office) -> Task<void> {
    const auto& [id, release] = *office.releases().begin();
    auto found = co_await office.backlog().look_up(id);
    EXPECT_TRUE(found && *found && (*found)->awaits_release(office.ring().now()));
    EXPECT_EQ((*found)->born, release) << "its age begins there";
    EXPECT_EQ((*found)->recipients[0].reason, event::Reason::future_release);
  }(office));
  office.work(hours{3} + minutes{10});
  expect_releases(office);
}

TEST(Attacks, H10_jumps_of_the_clock_release_nothing_early_and_nothing_late) {
  for (const Duration jump : {Duration{hours{24 * 3650}}, -Duration{hours{24 * 3650}}, Duration{hours{1}}, -Duration{hours{1}}}) {
    Office office;
    const auto accept = [&](std::uint64_t from, Duration hold) {
      for (std::uint64_t i = from; i < from + 100; ++i) office.accept_for_later(i, hold);
    };
    accept(1, hours{6});
    office.work(minutes{5});
    office.jump(jump);
    accept(101, hours{5});
    office.work(hours{1});
    EXPECT_TRUE(office.delivered().empty());
    EXPECT_EQ(office.queue().size(), 0u);
    office.jump(-jump / 2);
    accept(201, hours{3});
    office.work(hours{6});
    expect_releases(office);
  }
}

TEST(Attacks, H10_a_clock_that_was_ahead_at_the_last_start_holds_nothing_for_years) {
  Office office;
  const MessageId id = office.accept_for_later(1, hours{2}, true);
  office.write_down();
  sim::drive(office.ring(), [](Office& office, MessageId id) -> Task<void> {
    // As a start finds it whose clock has gone back by ten years.
    auto entry = co_await office.index().find(id);
    EXPECT_TRUE(entry && *entry);
    (*entry)->arrived += hours{24 * 3650};
    (*entry)->due += hours{24 * 3650};
    queue::Message& message = *office.queue().find(id);
    office.queue().remove(message);
    office.index().put(std::move(**entry));
  }(office, id));
  office.work(hours{2} + minutes{5});
  EXPECT_EQ(office.delivered().size(), 1u);
}

}  // namespace
}  // namespace ringpost::shard
