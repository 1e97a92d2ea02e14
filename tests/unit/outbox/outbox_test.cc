#include "../drive.hh"
#include "ringpost/outbox/outbox.hh"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <functional>
#include <memory>

#include "ringpost/sim/network.hh"
#include "ringpost/sim/sim_ring.hh"
#include "ringpost/sim/world.hh"

namespace ringpost::outbox {
namespace {

using runtime::Task;

IncarnationId incarnation(unsigned which) {
  IncarnationId id;
  id.bytes[0] = std::byte{0xbb};
  id.bytes[15] = static_cast<std::byte>(which);
  return id;
}
const IncarnationId kFirst = incarnation(1), kSecond = incarnation(2);

struct Marks final : Listener {
  std::map<IncarnationId, std::uint64_t> all;
  void acknowledged(const IncarnationId& of, std::uint64_t sequence) override { all[of] = sequence; }
};

/// The other end. `answer` says what to acknowledge for a batch; nothing: the connection is closed.
class FakeAuditd {
 public:
  using Answer = std::function<std::optional<event::Ack>(const event::Batch&)>;
  FakeAuditd(sim::SimRing& ring, const SocketAddress& address) : ring_(ring), acceptor_(ring, listen(ring, address)), scope_(ring) {
    scope_.spawn(accept());
  }
  Task<void> stop() {
    co_await acceptor_.stop();
    for (Fd fd : std::vector<Fd>{open_}) (void)co_await ring_.shutdown(fd, SHUT_RDWR);
    co_await scope_.join();
    (void)co_await ring_.close(listener_);
  }

  Answer answer = [](const event::Batch& batch) { return event::Ack{batch.incarnation(), batch.last_sequence()}; };
  std::vector<std::pair<IncarnationId, std::uint64_t>> seen;
  unsigned connections = 0, batches = 0;
  bool silent = false;  ///< takes everything, and says nothing

 private:
  Fd listen(sim::SimRing& ring, const SocketAddress& address) {
    listener_ = *ring.listen(address, runtime::SocketKind::seqpacket, {});
    return listener_;
  }
  Task<void> accept() {
    for (;;) {
      auto accepted = co_await acceptor_.next();
      if (!accepted) co_return;
      ++connections;
      open_.push_back(*accepted);
      scope_.spawn(serve(*accepted));
    }
  }
  Task<void> serve(Fd fd) {
    std::vector<std::byte> packet(event::kBatchBytesMax + 1);
    for (;;) {
      auto received = co_await ring_.receive(fd, packet);
      if (!received || *received == 0) break;
      auto batch = event::Batch::decode(Bytes{packet}.first(*received));
      ++batches;
      EXPECT_TRUE(batch);
      if (!batch) break;
      for (std::uint64_t s = batch->first_sequence(); s <= batch->last_sequence(); ++s) seen.emplace_back(batch->incarnation(), s);
      if (silent) continue;
      auto ack = answer(*batch);
      if (!ack) break;
      auto bytes = event::encode(*ack);
      (void)co_await ring_.send(fd, bytes);
    }
    std::erase(open_, fd);
    (void)co_await ring_.close(fd);
  }
  sim::SimRing& ring_;
  Fd listener_;
  runtime::Acceptor acceptor_;
  runtime::Scope scope_;
  std::vector<Fd> open_;
};

class OutboxTest : public testing::Test {
 protected:
  OutboxTest() : outbox_(std::make_unique<Outbox>(ring_, log_, metrics_, address_, marks_)) {}
  ~OutboxTest() override {
    if (started_) sim::drive(ring_, outbox_->stop(ring_.now() + std::chrono::seconds(1)));
    if (auditd_) sim::drive(other_, auditd_->stop());
    auditd_.reset();
    outbox_.reset();
    world_.retire(ring_);
    world_.retire(other_);
  }
  void start() {
    outbox_->start();
    started_ = true;
  }
  void start_auditd() { auditd_ = std::make_unique<FakeAuditd>(other_, address_); }
  void add(const IncarnationId& of, std::uint64_t first, std::uint64_t last) {
    for (std::uint64_t sequence = first; sequence <= last; ++sequence) {
      event::Event event{.kind = event::Kind::process_started};
      event.stamp = {of, sequence, WallTime{std::chrono::seconds{1}}, event::Process::ringpostd, 0};
      std::array<std::byte, event::kEventBytesMax> bytes;
      outbox_->add(of, sequence, Bytes{bytes}.first(event::encode(event, bytes)));
    }
  }
  bool drained() {
    return world_.run_until([&] { return outbox_->pending() == 0; }, std::chrono::minutes(2)) == sim::Stop::reached;
  }

  sim::World world_{1};
  sim::SimRing& ring_ = world_.make_ring("ringpostd");
  sim::SimRing& other_ = world_.make_ring("auditd");
  Log log_{LogLevel::error};
  metrics::ShardMetrics metrics_;
  SocketAddress address_ = *SocketAddress::from_path("/run/audit.sock");
  Marks marks_;
  std::unique_ptr<FakeAuditd> auditd_;
  std::unique_ptr<Outbox> outbox_;
  bool started_ = false;
};

TEST_F(OutboxTest, behind_an_outage_a_connection_counts_once_somebody_answers) {
  const IncarnationId one = kFirst;
  start_auditd();
  start();
  const auto connected = [&](bool wanted) {
    return world_.run_until([&] { return outbox_->is_connected() == wanted; }, std::chrono::minutes(2)) == sim::Stop::reached;
  };
  EXPECT_TRUE(connected(true));
  add(one, 1, 1);
  EXPECT_TRUE(outbox_->is_connected()) << "there was no outage";
  ASSERT_TRUE(drained());
  sim::drive(other_, auditd_->stop());
  EXPECT_TRUE(connected(false));
  start_auditd();
  auditd_->silent = true;
  EXPECT_TRUE(connected(true)) << "there is nothing to answer";
  add(one, 2, 2);
  EXPECT_FALSE(outbox_->is_connected());
  ASSERT_EQ(world_.run_until([&] { return auditd_->seen.size() == 1; }, std::chrono::minutes(2)), sim::Stop::reached);
  EXPECT_FALSE(outbox_->is_connected());
  auditd_->silent = false;
  add(one, 3, 3);
  ASSERT_TRUE(drained());
  add(one, 4, 4);
  EXPECT_TRUE(outbox_->is_connected());
  ASSERT_TRUE(drained());
}

TEST_F(OutboxTest, events_of_each_incarnation_arrive_in_order) {
  start_auditd();
  start();
  add(kFirst, 1, 700);  // more than one batch
  add(kSecond, 5, 7);
  ASSERT_TRUE(drained());
  EXPECT_EQ(marks_.all[kFirst], 700u);
  EXPECT_EQ(marks_.all[kSecond], 7u);
  std::map<IncarnationId, std::uint64_t> last{{kFirst, 0}, {kSecond, 4}};
  for (const auto& [of, sequence] : auditd_->seen) EXPECT_EQ(sequence, ++last[of]);
  EXPECT_EQ(metrics_.audit_pending.value(), 0);
}

TEST_F(OutboxTest, the_first_event_goes_at_once_and_what_follows_it_goes_together) {
  start_auditd();
  start();
  ASSERT_TRUE(drained());
  add(kFirst, 1, 1);
  world_.run_for(std::chrono::milliseconds(5));
  EXPECT_EQ(auditd_->batches, 1u);
  for (std::uint64_t sequence = 2; sequence <= 5; ++sequence) {
    add(kFirst, sequence, sequence);
    world_.run_for(std::chrono::milliseconds(1));
  }
  ASSERT_TRUE(drained());
  EXPECT_EQ(auditd_->batches, 2u);
  // What fills a batch does not wait.
  add(kFirst, 6, 5 + event::kBatchBytesMax / event::kEventBytesMax);
  world_.run_for(std::chrono::milliseconds(5));
  EXPECT_EQ(outbox_->pending(), 0u);
}

TEST_F(OutboxTest, a_hole_begins_a_new_batch) {
  start_auditd();
  add(kFirst, 1, 2);
  add(kFirst, 5, 6);
  start();
  ASSERT_TRUE(drained());
  EXPECT_EQ(auditd_->seen.size(), 4u);
  EXPECT_EQ(marks_.all[kFirst], 6u);
}

TEST_F(OutboxTest, what_was_not_acknowledged_is_sent_again_after_a_break) {
  start_auditd();
  unsigned breaks = 3;
  auditd_->answer = [&](const event::Batch& batch) -> std::optional<event::Ack> {
    if (breaks > 0 && breaks--) return std::nullopt;
    return event::Ack{batch.incarnation(), batch.last_sequence()};
  };
  start();
  add(kFirst, 1, 3);
  ASSERT_TRUE(drained());
  EXPECT_EQ(auditd_->connections, 4u);
  EXPECT_EQ(auditd_->seen.size(), 12u);
}

TEST_F(OutboxTest, it_waits_for_an_auditd_that_is_not_there_yet) {
  start();
  add(kFirst, 1, 3);
  world_.run_for(std::chrono::seconds(5));
  EXPECT_EQ(outbox_->pending(), 3u);
  start_auditd();
  EXPECT_TRUE(drained());
}

TEST_F(OutboxTest, an_acknowledgement_of_more_than_was_sent_is_not_believed) {
  start_auditd();
  bool lying = true;
  auditd_->answer = [&](const event::Batch& batch) {
    return event::Ack{batch.incarnation(), std::exchange(lying, false) ? batch.last_sequence() + 1 : batch.last_sequence()};
  };
  start();
  add(kFirst, 1, 3);
  ASSERT_TRUE(drained());
  EXPECT_EQ(auditd_->connections, 2u);
  EXPECT_EQ(marks_.all[kFirst], 3u) << "the log may only let go of what is stored";
}

TEST_F(OutboxTest, limits_look_at_bytes_and_at_the_oldest_event) {
  Limits limits{.bytes_max = 100, .age_max = std::chrono::minutes(1)};
  EXPECT_TRUE(outbox_->within(limits));
  add(kFirst, 1, 1);
  EXPECT_TRUE(outbox_->within(limits));
  add(kFirst, 2, 4);
  EXPECT_FALSE(outbox_->within(limits));
  limits.bytes_max = 1_MiB;
  EXPECT_TRUE(outbox_->within(limits));
  start();
  world_.run_for(std::chrono::minutes(2));
  EXPECT_FALSE(outbox_->within(limits)) << "too old";
  start_auditd();
  ASSERT_TRUE(drained());
  EXPECT_TRUE(outbox_->within(limits));
}

}  // namespace
}  // namespace ringpost::outbox
