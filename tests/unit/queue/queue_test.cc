#include "ringpost/queue/queue.hh"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "ringpost/queue/schedule.hh"

namespace ringpost::queue {
namespace {

Instant at(std::int64_t ns) { return Instant{Duration{ns}}; }

std::unique_ptr<Message> message(std::uint8_t id, Instant due) {
  auto made = std::make_unique<Message>();
  made->id.bytes[0] = std::byte{id};
  made->id.bytes[8] = std::byte{1};
  made->recipients.resize(1);
  made->due = due;
  return made;
}

TEST(Queue, takes_messages_in_the_order_they_are_due) {
  Queue queue;
  Prng prng{3};
  std::vector<std::int64_t> dues;
  for (int i = 0; i < 200; ++i) {
    dues.push_back(static_cast<std::int64_t>(prng.below(1000)));
    queue.add(message(static_cast<std::uint8_t>(i), at(dues.back())));
  }
  std::sort(dues.begin(), dues.end());
  for (std::int64_t due : dues) {
    EXPECT_EQ(queue.next_due(), at(due));
    if (due > 0) { EXPECT_EQ(queue.take_due(at(due - 1)), nullptr); }
    Message* taken = queue.take_due(at(due));
    ASSERT_NE(taken, nullptr);
    EXPECT_TRUE(taken->in_delivery);
    queue.remove(*taken);
  }
  EXPECT_EQ(queue.size(), 0u);
  EXPECT_EQ(queue.next_due(), kNever);
}

TEST(Queue, messages_due_together_keep_their_order) {
  Queue queue;
  for (int i = 0; i < 50; ++i) queue.add(message(static_cast<std::uint8_t>(i), at(5)));
  for (int i = 0; i < 50; ++i) EXPECT_EQ(std::to_integer<int>(queue.take_due(at(5))->id.bytes[0]), i);
}

std::unique_ptr<Message> from(Sender sender, std::size_t number, Instant due) {
  auto made = message(0, due);
  for (std::size_t i = 0; i < 4; ++i) made->id.bytes[i] = static_cast<std::byte>(number >> (8 * i));
  made->sender = sender;
  return made;
}

TEST(Queue, senders_take_turns_however_much_each_has) {
  Queue queue;
  std::size_t number = 0;
  for (int i = 0; i < 10'000; ++i) queue.add(from(1, ++number, at(i)));
  ASSERT_EQ(queue.take_due(at(20'000))->sender, 1);
  queue.add(from(2, ++number, at(20'000)));
  for (int i = 0; i < 50; ++i) queue.add(from(3, ++number, at(20'000 + i)));
  // Within a few turns each has been served as often as it could be, and what is due first of each comes first.
  std::vector<int> served(4);
  Instant last{};
  for (int i = 0; i < 500; ++i) {
    Message* taken = queue.take_due(at(30'000));
    ASSERT_NE(taken, nullptr);
    ++served[taken->sender];
    if (taken->sender != 1) continue;
    EXPECT_GT(taken->due, last);
    last = taken->due;
    if (served[1] == 260) { EXPECT_EQ(served[2], 1) << "nobody waits for all that were due before"; }
  }
  EXPECT_EQ(served[2], 1);
  EXPECT_EQ(served[3], 50);
}

std::unique_ptr<Message> with_priority(int priority, Sender sender, std::size_t number, Instant due) {
  auto made = from(sender, number, due);
  made->terms.priority = static_cast<std::int8_t>(priority);
  return made;
}

TEST(Queue, what_has_priority_comes_first_and_nothing_is_held_up_for_good) {
  Queue queue;
  std::size_t number = 0;
  // Each class has more than enough, from many senders.
  for (int i = 0; i < 1000; ++i)
    for (int priority : {-1, 0, 1}) queue.add(with_priority(priority, static_cast<Sender>(1 + i % 50), ++number, at(i)));
  std::map<int, int> served;
  for (int i = 0; i < 130; ++i) {
    Message* taken = queue.take_due(at(10'000));
    ASSERT_NE(taken, nullptr);
    ++served[taken->terms.priority];
    queue.remove(*taken);
  }
  EXPECT_EQ(served, (std::map<int, int>{{-1, 10}, {0, 30}, {1, 90}}));
  queue.add(with_priority(9, 999, ++number, at(10'000)));
  int before = 0;
  while (queue.take_due(at(10'000))->sender != 999) ++before;
  EXPECT_LT(before, 600) << "lined up soon, and behind one of each other urgent sender then";
}

TEST(Queue, of_one_sender_priority_counts_as_waiting_and_no_more) {
  Queue queue;
  const auto after = [](std::int64_t seconds) { return Instant{std::chrono::seconds{seconds}}; };
  queue.add(with_priority(1, 1, 1, after(100)));
  queue.add(with_priority(5, 1, 2, after(150)));
  queue.add(with_priority(9, 1, 3, after(400)));
  std::vector<int> order;
  for (int i = 0; i < 3; ++i) order.push_back(queue.take_due(after(500))->terms.priority);
  EXPECT_EQ(order, (std::vector<int>{5, 1, 9})) << "what has waited for long enough is not overtaken";
}

// Whatever comes, leaves and waits again in whatever order: each is taken once, when it is due, and nothing is left.
TEST(Queue, turns_lose_nobody) {
  Prng prng{5};
  Queue queue;
  std::vector<MessageId> known;
  std::vector<Message*> taken;
  std::int64_t now = 0;
  for (std::size_t number = 1; number < 20'000; ++number) {
    switch (prng.below(5)) {
      case 0:
      case 1: {
        const auto sender = static_cast<Sender>(prng.below(3) ? prng.below(5) : prng.below(3000));
        const int priority = prng.one_in(3) ? static_cast<int>(prng.below(19)) - 9 : 0;
        known.push_back(queue.add(with_priority(priority, sender, number, at(now + static_cast<std::int64_t>(prng.below(100))))).id);
        break;
      }
      case 2:
        if (Message* message = queue.take_due(at(now))) {
          ASSERT_LE(message->due, at(now));
          taken.push_back(message);
        }
        break;
      case 3:
        if (taken.empty()) break;
        if (prng.one_in(2)) queue.schedule(*taken.back(), at(now + static_cast<std::int64_t>(prng.below(50))));
        else queue.remove(*taken.back());
        taken.pop_back();
        break;
      default:
        now += static_cast<std::int64_t>(prng.below(20));
        if (known.empty()) break;
        if (Message* some = queue.find(known[prng.below(known.size())]); some && !some->in_delivery) queue.remove(*some);
    }
    ASSERT_EQ(queue.scheduled() + taken.size(), queue.size());
  }
  while (Message* message = queue.take_due(at(now + 1000))) queue.remove(*message);
  EXPECT_EQ(queue.size(), taken.size());
  EXPECT_EQ(queue.next_due(), kNever);
}

TEST(Queue, held_and_finished_messages_are_never_due) {
  Queue queue;
  auto held = message(1, at(0));
  held->held = true;
  Message& kept = queue.add(std::move(held));
  auto done = message(2, at(0));
  done->recipients[0].state = State::told;
  queue.add(std::move(done));
  EXPECT_EQ(queue.take_due(at(100)), nullptr);
  kept.held = false;
  queue.schedule(kept, at(1));
  EXPECT_EQ(queue.take_due(at(100)), &kept);
}

TEST(Queue, every_message_is_visited_once) {
  Queue queue;
  std::set<MessageId> ids;
  for (int i = 0; i < 100; ++i) ids.insert(queue.add(message(static_cast<std::uint8_t>(i), at(i))).id);
  std::set<MessageId> visited;
  queue.for_each([&](const Message& message) { EXPECT_TRUE(visited.insert(message.id).second); });
  EXPECT_EQ(visited, ids);
}

TEST(Schedule, doubles_up_to_the_longest_wait_and_never_exceeds_it) {
  Prng prng{1};
  using namespace std::chrono_literals;
  RetrySchedule schedule{.first = 60s, .max = 3600s};
  for (std::uint32_t attempts = 1; attempts < 40; ++attempts) {
    Duration full = std::min<Duration>(60s * (std::int64_t{1} << std::min(attempts - 1, 20u)), 3600s);
    for (int i = 0; i < 50; ++i) {
      Duration delay = retry_delay(schedule, attempts, prng);
      EXPECT_LE(delay, full);
      EXPECT_GE(delay, full * 3 / 4);
    }
  }
  EXPECT_GT(retry_delay({}, 1, prng), Duration{0});
}

Message& owing(Queue& queue, std::uint8_t number) {
  auto owed = message(number, at(0));
  owed->recipients[0].state = State::failed;
  return queue.add(std::move(owed));
}

TEST(Queue, a_message_that_owes_a_report_is_for_who_makes_it_and_is_delivered_later) {
  Queue queue;
  Message& message = owing(queue, 1);
  message.recipients.push_back({});
  EXPECT_EQ(queue.take_due(at(100)), nullptr);
  EXPECT_EQ(queue.take_owing(), &message);
  EXPECT_EQ(queue.take_owing(), nullptr);
  message.recipients[0].state = State::told;
  queue.schedule(message, at(50));
  EXPECT_EQ(queue.take_owing(), nullptr);
  EXPECT_EQ(queue.take_due(at(50)), &message);
}

TEST(Queue, a_report_waits_for_the_outcomes_it_tells_of) {
  Queue queue;
  auto fresh = message(1, at(0));
  fresh->recipients[0].state = State::failed;
  fresh->outcomes_in_flight = 1;
  Message& message = queue.add(std::move(fresh));
  EXPECT_EQ(queue.take_owing(), nullptr);
  message.outcomes_in_flight = 0;
  queue.schedule(message, at(0));
  EXPECT_EQ(queue.take_owing(), &message);
}

TEST(Queue, who_left_or_is_held_owes_nothing_now) {
  Queue queue;
  queue.remove(owing(queue, 1));
  Message& held = owing(queue, 2);
  held.held = true;
  EXPECT_EQ(queue.take_owing(), nullptr);
  held.held = false;
  queue.schedule(held, at(0));
  EXPECT_EQ(queue.take_owing(), &held);
}

constexpr RetrySchedule kHours{std::chrono::minutes(1), std::chrono::hours(1)};
constexpr Patience kPatience{std::chrono::hours(120), std::chrono::hours(4)};

TEST(Schedule, what_went_wrong_decides_how_soon_to_come_back) {
  using event::Reason;
  EXPECT_EQ(trouble_of(Reason::timed_out, {}), Trouble::ordinary);
  EXPECT_EQ(trouble_of(Reason::next_hop_deferred, {450, 4, 2, 0}), Trouble::greylisted);
  EXPECT_EQ(trouble_of(Reason::next_hop_deferred, {451, 4, 7, 1}), Trouble::greylisted);
  EXPECT_EQ(trouble_of(Reason::next_hop_deferred, {451, 4, 3, 0}), Trouble::ordinary);
  EXPECT_EQ(trouble_of(Reason::next_hop_deferred, {452, 4, 2, 2}), Trouble::mailbox_full);
  EXPECT_EQ(trouble_of(Reason::next_hop_deferred, {450, 4, 2, 2}), Trouble::mailbox_full);
  EXPECT_EQ(trouble_of(Reason::next_hop_deferred, {452, 4, 3, 1}), Trouble::ordinary);
  EXPECT_EQ(trouble_of(Reason::next_hop_deferred, {421, 4, 7, 28}), Trouble::rate_limited);
  EXPECT_EQ(trouble_of(Reason::next_hop_deferred, {421, 4, 3, 2}), Trouble::ordinary);
  EXPECT_EQ(trouble_of(Reason::dns_temporary, {}), Trouble::dns);
  Prng prng{1};
  for (int i = 0; i < 100; ++i) {
    const auto wait = [&](Trouble trouble, std::uint32_t attempts) { return retry_delay(kHours, trouble, attempts, prng); };
    EXPECT_LE(wait(Trouble::greylisted, 4), std::chrono::minutes(1));
    EXPECT_GT(wait(Trouble::greylisted, 5), std::chrono::seconds(89));
    EXPECT_GE(wait(Trouble::mailbox_full, 1), std::chrono::minutes(3));
    EXPECT_GE(wait(Trouble::dns, 1), std::chrono::seconds(90));
    EXPECT_GE(wait(Trouble::rate_limited, 1), std::chrono::minutes(1));
    for (auto trouble : {Trouble::ordinary, Trouble::greylisted, Trouble::mailbox_full, Trouble::dns, Trouble::rate_limited}) {
      const Duration last = wait(trouble, 1000);
      EXPECT_LE(last, std::chrono::hours(1));
      EXPECT_GE(last, std::chrono::minutes(30));
      EXPECT_GT(retry_delay({}, trouble, 1, prng), Duration{});
    }
  }
}

TEST(Schedule, gives_up_at_the_end_of_the_lifetime_and_not_before) {
  Prng prng{2};
  for (int i = 0; i < 100; ++i) {
    const Verdict last = decide({.age = kPatience.lifetime - std::chrono::seconds(5), .attempts = 20}, kHours, kPatience, prng);
    EXPECT_FALSE(last.expired);
    EXPECT_LE(last.wait, std::chrono::seconds(5)) << "the last attempt falls on the end";
  }
  EXPECT_TRUE(decide({.age = kPatience.lifetime}, kHours, kPatience, prng).expired);
}

TEST(Schedule, warns_once_and_only_where_that_is_wanted) {
  Prng prng{3};
  const Duration late = std::chrono::hours(4);
  EXPECT_FALSE(decide({.age = late - Duration{1}}, kHours, kPatience, prng).warn);
  EXPECT_TRUE(decide({.age = late}, kHours, kPatience, prng).warn);
  EXPECT_FALSE(decide({.age = late, .warned = true}, kHours, kPatience, prng).warn);
  EXPECT_FALSE(decide({.age = late}, kHours, {kPatience.lifetime, {}}, prng).warn);
}

TEST(Attacks, H10_no_jump_of_the_wall_clock_makes_mail_old) {
  const Duration day = std::chrono::hours(24), hour = std::chrono::hours(1), minute = std::chrono::minutes(1);
  EXPECT_EQ(age_after_start(day, 20 * minute, hour), day - 20 * minute) << "an honest clock: what is left of the wait is not spent yet";
  EXPECT_EQ(age_after_start(day, -10 * minute, hour), day + 10 * minute);
  EXPECT_EQ(age_after_start(day, -3650 * day, hour), day + hour) << "ten years ahead";
  EXPECT_EQ(age_after_start(day, 3650 * day, hour), day - hour) << "ten years back";
  EXPECT_EQ(age_after_start(Duration{}, hour, hour), Duration{});
  // One hour back each minute, with a start each time: the age neither runs away nor below what one wait can hide.
  Duration age = day;
  for (int i = 0; i < 1000; ++i) {
    const Duration now = age_after_start(age, hour, hour);
    EXPECT_LE(now, age);
    age = now + hour;  // the next attempt fails, and is due again in an hour
  }
  EXPECT_EQ(age, day);
}

TEST(Schedule, who_named_a_time_is_not_met_with_more_patience) {
  using std::chrono::hours;
  using std::chrono::seconds;
  const Patience usual{.lifetime = hours{120}, .delay_warning = hours{4}};
  const Patience back = with_terms(usual, {.by_s = 600, .when_late = spool::WhenLate::give_back});
  EXPECT_EQ(back.lifetime, seconds{600});
  EXPECT_EQ(with_terms(usual, {.by_s = 999'999'999, .when_late = spool::WhenLate::give_back}).lifetime, usual.lifetime);
  const Patience told = with_terms(usual, {.by_s = 600, .when_late = spool::WhenLate::notify});
  EXPECT_EQ(told.lifetime, usual.lifetime);
  EXPECT_EQ(told.delay_warning, seconds{600});
  const Patience late_before = with_terms(usual, {.by_s = 0, .when_late = spool::WhenLate::notify});
  EXPECT_EQ(late_before.delay_warning, usual.delay_warning) << "the server before has said so";

  Prng prng{1};
  const RetrySchedule schedule{.first = hours{1}, .max = hours{2}};
  EXPECT_EQ(decide({.age = seconds{100}}, schedule, back, prng).wait, seconds{500});
  EXPECT_TRUE(decide({.age = seconds{600}}, schedule, back, prng).expired);
  EXPECT_EQ(decide({.age = seconds{100}}, schedule, told, prng).wait, seconds{500});
  const Verdict now = decide({.age = seconds{600}}, schedule, told, prng);
  EXPECT_TRUE(now.warn && !now.expired);
  EXPECT_GT(decide({.age = seconds{100}, .warned = true}, schedule, told, prng).wait, seconds{500});
}

}  // namespace
}  // namespace ringpost::queue
