// A simulated machine with one partition, and a model of what must be in it.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "../drive.hh"
#include "ringpost/crypto/hash.hh"
#include "ringpost/crypto/observer.hh"
#include "ringpost/runtime/crash.hh"
#include "ringpost/runtime/scope.hh"
#include "ringpost/sim/disk.hh"
#include "ringpost/sim/sim_ring.hh"
#include "ringpost/sim/world.hh"
#include "ringpost/spool/log.hh"
#include "ringpost/spool/message_reader.hh"
#include "ringpost/spool/store.hh"

namespace ringpost::spool {

using runtime::Task;
using sim::Fault;

inline constexpr Duration kLong = std::chrono::hours{1};
inline constexpr std::string_view kPlanted = "PLANTED-WORD-THAT-NO-DISK-MAY-HOLD";

template <typename IdType>
IdType make_id(std::uint64_t number) {
  IdType id;
  store_le(id.bytes.data(), number);
  id.bytes[15] = std::byte{1};
  return id;
}

using sim::drive;

/// Fails the test when a (key, nonce) pair seals twice, over all crashes and restarts.
class NonceOracle : public crypto::SealObserver {
 public:
  NonceOracle() : before_(crypto::set_seal_observer(this)) {}
  ~NonceOracle() override { crypto::set_seal_observer(before_); }
  void sealed(const crypto::Digest256& key, const crypto::Nonce& nonce) override {
    ++count_;
    EXPECT_TRUE(seen_.insert({key, nonce}).second) << "a nonce was used twice";
  }
  std::size_t count() const { return count_; }

 private:
  crypto::SealObserver* before_;
  std::set<std::pair<crypto::Digest256, crypto::Nonce>> seen_;
  std::size_t count_ = 0;
};

/// One message as the tests know it.
struct Mail {
  MessageId id;
  std::string body, reverse_path = "anna@example.org";
  std::vector<std::string> recipients{"bert@example.net"};
};

inline Mail make_mail(std::uint64_t number, std::size_t body_bytes, std::size_t recipients = 1) {
  Mail mail{.id = make_id<MessageId>(number), .body = {}};
  mail.body = "Subject: " + std::string(kPlanted) + ' ' + std::to_string(number) + "\r\n\r\n";
  while (mail.body.size() < body_bytes) mail.body += std::to_string(mail.body.size() * 7919 + number) + ' ';
  mail.body.resize(body_bytes);
  mail.reverse_path = "sender-" + std::string(kPlanted) + "@example.org";
  mail.recipients.clear();
  for (std::size_t i = 0; i < recipients; ++i)
    mail.recipients.push_back("rcpt" + std::to_string(i) + '-' + std::string(kPlanted) + "@example.net");
  return mail;
}

/// Adds up what recovery reports, as RecoveryVisitor says one should.
struct Ledger : RecoveryVisitor {
  struct Known {
    Position place;
    std::uint32_t revision = 0;
    std::vector<RecipientStatus> recipients;
    std::uint64_t size = 0;
    std::vector<Extent> chunks;
    bool held = false;
    bool finished() const {
      for (const RecipientStatus& recipient : recipients)
        if (recipient.state == RecipientState::waiting) return false;
      return true;
    }
  };
  std::map<MessageId, Known> messages;
  std::map<std::pair<IncarnationId, std::uint64_t>, std::string> audit;
  std::map<IncarnationId, std::uint64_t> acknowledged;
  std::vector<Damage> damages;

  void on_message(const RecoveredMessage& message) override {
    Known& known = messages[message.id];
    const Scheduling& scheduling = message.scheduling;
    if (known.recipients.empty() || scheduling.revision >= known.revision) {
      known.recipients.assign(scheduling.recipients.begin(), scheduling.recipients.end());
      known.revision = scheduling.revision;
      known.held = scheduling.held;
    }
    known.place = message.place;
    known.size = scheduling.size;
    known.chunks = extents_of(scheduling.chunks);
  }
  void on_outcome(const RecoveredOutcome& recovered) override {
    const auto found = messages.find(recovered.message);
    if (found == messages.end() || recovered.outcome.revision <= found->second.revision) return;
    found->second.revision = recovered.outcome.revision;
    found->second.held = recovered.outcome.held;
    for (const Outcome::Recipient& recipient : recovered.outcome.recipients)
      if (recipient.index < found->second.recipients.size()) found->second.recipients[recipient.index] = recipient.status;
  }
  void on_audit(const IncarnationId& incarnation, std::uint64_t sequence, Bytes encoded) override {
    audit[{incarnation, sequence}] = std::string(as_text(encoded));
  }
  void on_audit_acknowledged(const AuditMark& mark) override { acknowledged[mark.incarnation] = mark.sequence; }
  void on_damage(const Damage& damage) override { damages.push_back(damage); }
  std::string describe() const {
    std::string text;
    for (const Damage& damage : damages)
      text += "damage " + std::to_string(static_cast<int>(damage.kind)) + " in segment " + std::to_string(damage.segment) +
              ", generation " + std::to_string(damage.generation) + " at " + std::to_string(damage.offset) + '+' +
              std::to_string(damage.bytes) + '\n';
    return text;
  }
  std::size_t count(DamageKind kind) const {
    std::size_t count = 0;
    for (const Damage& damage : damages) count += damage.kind == kind;
    return count;
  }
};

struct MachineOptions {
  std::uint64_t seed = 1;
  std::uint64_t segment_bytes = 512_KiB;
  std::size_t group_bytes = 128_KiB;
  std::uint64_t disk_reserve_bytes = 0;
};

/// A world, a disk with one partition, and at times a running log.
class Machine {
 public:
  explicit Machine(MachineOptions options = {}) : world(options.seed), options_(options) {
    world.disk().make_directory("/spool");
    world.disk().make_directory(directory);
    world.disk().watch(as_bytes(kPlanted));
    boot();
  }
  ~Machine() {
    EXPECT_EQ(world.disk().watched_hits(), 0u) << "plaintext reached the disk";
    if (log) stop();
  }

  void boot() {
    ring = &world.make_ring("mta");
    for (MutableBytes& buffer : buffers_) buffer = *ring->make_io_buffer(options_.group_bytes);
    ++incarnation_;
  }
  IncarnationId incarnation() const { return make_id<IncarnationId>(incarnation_); }

  LogOptions log_options() const {
    LogOptions log;
    log.directory = directory;
    log.store = store;
    log.partition = partition;
    log.incarnation = incarnation();
    log.segment_bytes = options_.segment_bytes;
    log.disk_reserve_bytes = options_.disk_reserve_bytes;
    log.buffers[0] = buffers_[0];
    log.buffers[1] = buffers_[1];
    log.start = start;
    return log;
  }

  /// Opens and starts the log; what is not finished is retained.
  Result<> open() {
    ledger = known;
    Result<> result;
    drive(*ring, open_into(result));
    return result;
  }
  void stop() {
    drive(*ring, log->stop());
    log.reset();
    world.retire(*ring);
  }
  void restart() {
    stop();
    boot();
    const Result<> opened = open();
    ASSERT_TRUE(opened) << error_name(opened.error().code);
  }
  /// Kills the process and takes its objects away.
  void kill(sim::Death death = sim::Death::crash) {
    world.kill(*ring, death);
    {
      runtime::CrashGuard guard;
      log.reset();
    }
    world.bury();
    if (death == sim::Death::power_loss) world.disk().power_cut();
  }
  void crash(sim::Death death = sim::Death::crash) {
    kill(death);
    boot();
    const Result<> opened = open();
    ASSERT_TRUE(opened) << error_name(opened.error().code);
  }

  /// Until background work (spares, closing) has come to rest.
  void settle() { ASSERT_EQ(world.run_idle(kLong), sim::Stop::idle); }

  // ---- coroutines

  /// Puts a message in and waits until it is durable. `place` and `key_of` know it afterwards.
  Task<Result<>> accept(Mail mail, Bytes audit_event = {}, std::uint64_t audit_sequence = 0) {
    Key256 key;
    ring->random(key.mutable_view());
    keys_[mail.id] = key.duplicate();
    crypto::MessageSealer sealer(std::move(key), store, mail.id);
    crypto::Nonce nonce;
    ring->random(nonce);
    const crypto::WrappedKey wrapped =
        sealer.wrap(wrap_key(), {.scope_key = make_id<KeyId>(1), .partition = partition, .incarnation = incarnation()}, nonce);

    Chunks chunks;
    std::string_view rest = mail.body;
    while (rest.size() > chunk_bytes) {
      Result<Room> room = co_await log->reserve(bytes_of_chunk(chunk_bytes), Use::mail);
      if (!room) co_return std::unexpected(room.error());
      Result<Position> added = room->add_chunk(chunks, sealer, as_bytes(rest.substr(0, chunk_bytes)));
      if (!added) co_return std::unexpected(added.error());
      room->commit();
      rest.remove_prefix(chunk_bytes);
    }
    std::vector<RecipientStatus> statuses(mail.recipients.size());
    std::vector<Envelope::Recipient> recipients;
    for (const std::string& address : mail.recipients) recipients.push_back({.address = address, .parameters = {}});
    MessageDraft draft;
    draft.sealer = &sealer;
    draft.keys = {&wrapped, 1};
    draft.scheduling.arrived = ring->wall_now();
    draft.scheduling.due = ring->wall_now();
    draft.scheduling.size = mail.body.size();
    draft.scheduling.recipients = statuses;
    draft.envelope.reverse_path = mail.reverse_path;
    draft.envelope.helo = "client.example";
    draft.envelope.client = IpAddress::from_ipv4(0xc0000201);
    draft.envelope.recipients = recipients;
    draft.last_piece = as_bytes(rest);
    draft.chunks = &chunks;
    const std::size_t audit_bytes = audit_event.empty() ? 0 : bytes_of_audit(audit_event.size());
    Result<Room> room = co_await log->reserve(bytes_of(draft) + audit_bytes, Use::mail);
    if (!room) co_return std::unexpected(room.error());
    if (!audit_event.empty()) room->add_audit(incarnation(), audit_sequence, audit_event);
    Result<Position> place = room->add_message(draft);
    if (!place) co_return std::unexpected(place.error());
    const Ticket ticket = room->commit();
    Result<> done = co_await log->durable(ticket);
    if (done)
      places[mail.id] = *place;
    else
      log->release(mail.id, *place);
    co_return done;
  }

  /// Records that the message was delivered to all of its recipients, and lets it go.
  Task<Result<>> deliver(MessageId id, std::size_t recipients, std::uint32_t revision = 1) {
    std::vector<Outcome::Recipient> changed;
    for (std::uint32_t i = 0; i < recipients; ++i)
      changed.push_back({i, {.state = RecipientState::delivered, .attempts = 1, .reply = {250, 2, 0, 0}}, "250 thanks"});
    Result<> done = co_await record(id, changed, revision);
    if (done) {
      log->release(id, places[id]);
      places.erase(id);
    }
    co_return done;
  }
  Task<Result<>> record(MessageId id, std::vector<Outcome::Recipient> changed, std::uint32_t revision) {
    const Key256 detail = crypto::MessageOpener(keys_[id].duplicate(), store, id).detail_key();
    OutcomeDraft draft;
    draft.message = id;
    draft.outcome.message_generation = places[id].generation;
    draft.outcome.revision = revision;
    draft.outcome.recipients = changed;
    draft.detail_key = &detail;
    Result<Room> room = co_await log->reserve(bytes_of(draft), Use::upkeep);
    if (!room) co_return std::unexpected(room.error());
    room->add_outcome(draft);
    const Ticket ticket = room->commit();
    Result<> done = co_await log->durable(ticket);
    co_return done;
  }

  /// Reads a message back and compares it. Errors: what reading said.
  Task<Result<>> check(Mail mail, Position place) {
    MessageReader reader(*log, mail.id, place);
    Result<> loaded = co_await reader.load();
    if (!loaded) co_return loaded;
    const auto wrapped = reader.wrapped_keys();
    Result<Key256> key = crypto::unwrap_message_key(wrap_key(wrapped.at(0).incarnation), store, mail.id, wrapped.at(0));
    if (!key) co_return std::unexpected(key.error());
    Result<> unlocked = reader.unlock(std::move(*key));
    if (!unlocked) co_return unlocked;
    EXPECT_EQ(reader.envelope().reverse_path, mail.reverse_path);
    EXPECT_EQ(reader.envelope().recipients.size(), mail.recipients.size());
    for (std::size_t i = 0; i < mail.recipients.size(); ++i)
      EXPECT_EQ(reader.envelope().recipients[i].address, mail.recipients[i]);
    std::string body;
    while (true) {
      Result<Bytes> piece = co_await reader.next();
      if (!piece) co_return std::unexpected(piece.error());
      if (piece->empty()) break;
      body += as_text(*piece);
    }
    EXPECT_TRUE(body == mail.body) << "message " << hex(mail.id) << " came back changed";
    co_return Result<>{};
  }

  /// As keyd and its client derive it (docs/formats/keystore.md).
  crypto::AeadKey wrap_key() const { return wrap_key(incarnation()); }
  crypto::AeadKey wrap_key(const IncarnationId& incarnation) const {
    const KeyId key = make_id<KeyId>(1);
    const Key256 lease = crypto::derive_key(scope_key.view(), store.bytes, "ringpost lease", {key.bytes, incarnation.bytes});
    return crypto::AeadKey(crypto::derive_wrap_key(lease.view(), store, partition, incarnation).view());
  }

  sim::World world;
  sim::SimRing* ring = nullptr;
  StoreId store = make_id<StoreId>(11);
  PartitionId partition = make_id<PartitionId>(12);
  std::string directory = "/spool/" + hex(partition);
  std::vector<std::byte> metadata_key = std::vector<std::byte>(32, std::byte{0x42});
  Key256 scope_key{std::vector<std::byte>(32, std::byte{0x43})};
  std::size_t chunk_bytes = 16_KiB;
  std::unique_ptr<Log> log;
  Ledger ledger;                         // of the last open
  LogStart start;                        // for the next one, and
  Ledger known;                          // what it starts from
  std::map<MessageId, Position> places;  // of what is durable

  /// Every other machine starts before it reads.
  Task<void> open_into(Result<>& result) {
    const bool late = options_.seed % 2 == 0;
    auto opened = late ? co_await Log::open(*ring, log_options(), metadata_key)
                       : co_await Log::open(*ring, log_options(), metadata_key, ledger);
    if (!opened) {
      result = std::unexpected(opened.error());
      co_return;
    }
    log = std::move(*opened);
    places.clear();
    if (late) {
      result = co_await log->start();
      Result<> replayed = co_await log->replay(ledger);
      EXPECT_TRUE(replayed);
    }
    for (const auto& [id, known] : ledger.messages) {
      if (known.finished()) continue;
      log->retain(id, known.place, known.chunks);
      places[id] = known.place;
    }
    if (late) log->recovered();
    else result = co_await log->start();
  }

 private:
  MachineOptions options_;
  MutableBytes buffers_[2];
  std::uint64_t incarnation_ = 0;
  std::map<MessageId, Key256> keys_;
};

/// Runs a coroutine that gives a result, and hands that out.
inline Result<> outcome_of(Machine& machine, Task<Result<>> task) {
  Result<> result;
  struct Into {
    static Task<void> run(Task<Result<>> task, Result<>& result) { result = co_await task; }
  };
  drive(*machine.ring, Into::run(std::move(task), result));
  return result;
}

}  // namespace ringpost::spool
