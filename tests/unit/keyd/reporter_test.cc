// Key events reach auditd whatever dies meanwhile, and nobody reads or changes them on the way.
#include "../drive.hh"
#include "ringpost/keyd/reporter.hh"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <memory>

#include "ringpost/event/frame.hh"
#include "ringpost/runtime/receiver.hh"
#include "support.hh"

namespace ringpost::keyd {
namespace {

using event::Kind;

constexpr char kEvents[] = "/keys/events";

/// auditd: takes every batch and acknowledges it.
class Auditd {
 public:
  Auditd(sim::World& world, const SocketAddress& address)
      : ring_(world.make_ring("auditd")),
        listener_(*ring_.listen(address, runtime::SocketKind::seqpacket, {})),
        acceptor_(ring_, listener_),
        scope_(ring_) {
    scope_.spawn(accept());
  }
  sim::SimRing& ring() { return ring_; }
  Task<void> stop() {
    co_await acceptor_.stop();
    for (Fd fd : std::vector<Fd>{open_}) (void)co_await ring_.shutdown(fd, SHUT_RDWR);
    co_await scope_.join();
    (void)co_await ring_.close(listener_);
  }
  std::size_t count(Kind kind) const { return static_cast<std::size_t>(std::ranges::count(seen, kind, &event::Event::kind)); }
  std::vector<event::Event> seen;

 private:
  Task<void> accept() {
    for (;;) {
      auto accepted = co_await acceptor_.next();
      if (!accepted) co_return;
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
      EXPECT_TRUE(batch);
      if (!batch) break;
      batch->for_each([&](const event::Event& event, Bytes) { seen.push_back(event); });
      auto bytes = event::encode(event::Ack{batch->incarnation(), batch->last_sequence()});
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

/// keyd's store and reporter: one life of them.
struct Life {
  Life(sim::World& world, const SocketAddress& auditd)
      : ring(world.make_ring("keyd")),
        log(LogLevel::error),
        reporter(ring, log, auditd),
        store(ring, log, reporter, store_options()) {
    reporter.start();
  }
  sim::SimRing& ring;
  Log log;
  Reporter reporter;
  Store store;
};

class ReporterTest : public testing::Test {
 protected:
  ReporterTest() {
    world_.disk().make_directory(kDirectory);
    world_.disk().set_owner(kDirectory, 0, 0700);
    world_.disk().make_directory("/spool");
  }
  ~ReporterTest() override {
    if (life_) stop();
    if (auditd_) sim::drive(auditd_->ring(), auditd_->stop());
  }

  /// keyd starts and opens its store, which it makes when there is none.
  void start() {
    life_ = std::make_unique<Life>(world_, address_);
    Status status = Status::unavailable;
    sim::drive(life_->ring, open(*life_, status));
    EXPECT_EQ(status, Status::ok);
  }
  void stop() {
    sim::drive(life_->ring, end(*life_));
    sim::SimRing& ring = life_->ring;
    life_.reset();
    world_.retire(ring);
  }
  /// SIGKILL, and the power goes as well: only what was synced is there afterwards.
  void kill() {
    world_.kill(life_->ring);
    {
      runtime::CrashGuard guard;
      life_.reset();
    }
    world_.bury();
    world_.disk().power_cut();
  }
  KeyId make_key() {
    Result<KeyId> key = std::unexpected(Error{});
    sim::drive(life_->ring, ask(*life_, key));
    EXPECT_TRUE(key);
    return key ? *key : KeyId{};
  }
  void start_auditd() { auditd_ = std::make_unique<Auditd>(world_, address_); }
  /// Nothing is pending, and the file is gone for good: a power cut would bring back one whose removal is not synced.
  bool all_handed_over() {
    const bool gone = world_.run_until([&] { return life_->reporter.pending() == 0 && !world_.disk().exists(kEvents); }, kLong) ==
                      sim::Stop::reached;
    world_.run_for(std::chrono::seconds{1});
    return gone;
  }

  static Task<void> open(Life& life, Status& status) { status = co_await life.store.open(true); }
  static Task<void> ask(Life& life, Result<KeyId>& key) {
    key = co_await life.store.key_for({keys::ScopeKind::shared, {}}, KeyClass::outgoing);
  }
  static Task<void> end(Life& life) {
    co_await life.reporter.stop(std::chrono::milliseconds{200});
    co_await life.store.close();
  }

  sim::World world_{1};
  SocketAddress address_ = *SocketAddress::from_path("/run/audit.sock");
  std::unique_ptr<Life> life_;
  std::unique_ptr<Auditd> auditd_;
};

TEST_F(ReporterTest, what_a_keyd_reports_and_dies_arrives_from_the_next_one) {
  start();
  const KeyId key = make_key();
  kill();  // auditd was away all the time
  start();
  kill();  // a second one in between changes nothing
  start();
  start_auditd();
  ASSERT_TRUE(all_handed_over());
  EXPECT_EQ(auditd_->count(Kind::kek_created), 1u);
  ASSERT_EQ(auditd_->count(Kind::key_created), 1u);
  EXPECT_EQ(auditd_->count(Kind::process_started), 3u);
  const auto created = std::ranges::find(auditd_->seen, Kind::key_created, &event::Event::kind);
  EXPECT_EQ(created->key, key);
  // The first life's events under its own name, without a hole.
  const IncarnationId first = created->stamp.incarnation;
  std::uint64_t expected = 1;
  for (const event::Event& event : auditd_->seen)
    if (event.stamp.incarnation == first) EXPECT_EQ(event.stamp.sequence, expected++);
  EXPECT_EQ(expected, 4u);
}

TEST_F(ReporterTest, what_auditd_has_is_not_sent_again) {
  start_auditd();
  start();
  (void)make_key();
  ASSERT_TRUE(all_handed_over());
  const std::size_t seen = auditd_->seen.size();
  kill();
  start();
  ASSERT_TRUE(all_handed_over());
  EXPECT_EQ(auditd_->seen.size(), seen + 1);  // process_started of the second life
}

TEST_F(ReporterTest, an_orderly_end_without_auditd_keeps_the_last_event_too) {
  start();
  stop();
  EXPECT_TRUE(world_.disk().exists(kEvents));
  start();
  start_auditd();
  ASSERT_TRUE(all_handed_over());
  EXPECT_EQ(auditd_->count(Kind::process_stopped), 1u);
  EXPECT_EQ(auditd_->count(Kind::process_started), 2u);
}

TEST_F(ReporterTest, a_changed_file_is_not_believed_and_keyd_goes_on) {
  start();
  kill();
  world_.disk().flip_bit(kEvents, kEventFileHeaderBytes, 0);
  start();
  start_auditd();
  ASSERT_TRUE(all_handed_over());
  EXPECT_EQ(auditd_->count(Kind::kek_created), 0u);
  EXPECT_EQ(auditd_->count(Kind::process_started), 1u);
}

// ---- the file

Key256 file_key(unsigned char seed) {
  std::array<std::byte, 32> bytes;
  bytes.fill(std::byte{seed});
  return event_file_key(Key256{bytes});
}

std::vector<PendingEvent> some_events() {
  std::vector<PendingEvent> events;
  for (std::uint64_t sequence = 1; sequence <= 3; ++sequence) {
    event::Event event{.kind = sequence == 1 ? Kind::process_started : Kind::key_leased};
    if (sequence > 1) event.key.emplace().bytes.fill(std::byte{0x5a});
    event.stamp = {{}, sequence, WallTime{std::chrono::seconds{1}}, event::Process::keyd, 0};
    event.stamp.incarnation.bytes.fill(std::byte{0x77});
    std::vector<std::byte> bytes(event::kEventBytesMax);
    bytes.resize(event::encode(event, bytes));
    events.push_back({event.stamp.incarnation, sequence, bytes});
  }
  return events;
}

TEST(EventFile, opens_what_it_sealed_and_shows_nothing) {
  const crypto::Nonce nonce{std::byte{9}};
  std::vector<std::byte> file;
  (void)seal_events(some_events(), file_key(1), nonce, file);
  const auto events = open_events(file, file_key(1));
  ASSERT_TRUE(events);
  ASSERT_EQ(events->size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ((*events)[i].sequence, i + 1);
    EXPECT_EQ((*events)[i].encoded, some_events()[i].encoded);
  }
  EXPECT_EQ(text_of(file).find(std::string(8, '\x5a')), std::string::npos);
  EXPECT_EQ(text_of(file).find(std::string(8, '\x77')), std::string::npos);
  EXPECT_FALSE(open_events(file, file_key(2)));
}

TEST(EventFile, each_changed_bit_and_each_cut_is_noticed) {
  std::vector<std::byte> file;
  (void)seal_events(some_events(), file_key(1), crypto::Nonce{}, file);
  for (std::size_t at = 0; at < file.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      file[at] ^= std::byte(1 << bit);
      EXPECT_FALSE(open_events(file, file_key(1))) << at;
      file[at] ^= std::byte(1 << bit);
    }
    EXPECT_FALSE(open_events(Bytes{file}.first(at), file_key(1))) << at;
  }
  file[8] = std::byte{2};
  EXPECT_EQ(open_events(file, file_key(1)).error().code, Errc::unsupported);
}

}  // namespace
}  // namespace ringpost::keyd
