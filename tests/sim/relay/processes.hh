// The three processes of one installation, each as the object graph its program builds, on simulated rings.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ringpost/auditd/journal.hh"
#include "ringpost/auditd/server.hh"
#include "ringpost/base/log.hh"
#include "ringpost/config/settings.hh"
#include "ringpost/index/memory_store.hh"
#include "ringpost/keyd/server.hh"
#include "ringpost/keyd/store.hh"
#include "ringpost/runtime/scope.hh"
#include "ringpost/shard/shard.hh"
#include "ringpost/sim/sim_ring.hh"
#include "ringpost/sim/world.hh"

namespace ringpost::sim::relay {

inline constexpr std::size_t kShards = 2;
inline constexpr char kSpoolDirectory[] = "/spool", kKeysDirectory[] = "/keys", kAuditDirectory[] = "/audit";

/// Where everything is.
struct Places {
  SocketAddress smtp, hop, keyd, auditd, control;
};

enum class State : std::uint8_t { starting, running, failed, stopped };

/// A process: started by its constructor; ends by stop() and then stopped(), or by Installation::kill.
class Program {
 public:
  virtual ~Program() = default;
  virtual void stop() = 0;
  virtual std::vector<SimRing*> rings() const = 0;
  State state() const { return state_; }
  const std::string& failure() const { return failure_; }

 protected:
  void fail(std::string why) {
    failure_ = std::move(why);
    state_ = State::failed;
  }
  State state_ = State::starting;
  std::string failure_;
};

class Keyd final : public Program, public keyd::EventSink {
 public:
  Keyd(World& world, Log& log, const Places& places);
  void stop() override { scope_.spawn(shut_down()); }
  std::vector<SimRing*> rings() const override { return {&ring_}; }

  void key_event(event::Kind, std::optional<KeyId>) override {}

 private:
  runtime::Task<void> live();
  runtime::Task<void> shut_down();

  SimRing& ring_;
  runtime::Scope scope_, serving_;
  keyd::Store store_;
  Fd listener_;
  std::optional<keyd::Server> server_;
};

class Auditd final : public Program {
 public:
  Auditd(World& world, Log& log, const Places& places, const Deceit& deceit);
  void stop() override { scope_.spawn(shut_down()); }
  std::vector<SimRing*> rings() const override { return {&ring_}; }

 private:
  runtime::Task<void> live();
  runtime::Task<void> shut_down();

  SimRing& ring_;
  Log& log_;
  runtime::Scope scope_;
  auditd::Journal journal_;
  Fd listener_;
  std::optional<auditd::Server> server_;
};

/// What ringpostd's main thread is to its shards: operators of this world ask about the queue only.
class NoOperators final : public control::Daemon {
 public:
  std::size_t shards() const override { return kShards; }
  std::string status() override { return "{}"; }
  std::string metrics() override { return {}; }
  std::string bans() override { return {}; }
  control::Answer get(std::string_view) override { return std::string{}; }
  control::Answer set(std::string_view, std::uint32_t) override { return std::unexpected(std::string{"not here"}); }
  control::Answer reload(std::uint32_t) override { return std::unexpected(std::string{"not here"}); }
  void stop() override {}
};

/// What the indexes hold; outlives the processes, unlike LMDB's files it lies outside of the simulated disk.
using IndexRows = std::map<PartitionId, index::MemoryRows>;

class Ringpostd final : public Program {
 public:
  Ringpostd(World& world, Log& log, const Places& places, std::shared_ptr<const config::Settings> settings, IndexRows& index_rows,
            const Deceit& deceit);
  ~Ringpostd() override;
  void stop() override;
  std::vector<SimRing*> rings() const override;

  /// Nothing waits for delivery, and auditd has every event.
  bool is_drained() const;
  std::int64_t messages_queued() const;
  /// Messages that have come back into memory from the index.
  std::uint64_t messages_taken_up() const;
  /// Messages copied to make space.
  std::uint64_t messages_copied() const;
  /// All that was there before is known.
  bool is_recovered() const;
  std::int64_t events_pending() const;
  /// Of the shard that has most of them.
  std::int64_t staging_buffers_in_use() const;
  std::int64_t sessions_open() const;
  /// Messages it believes to be damaged, since its start.
  std::uint64_t messages_set_aside() const;

 private:
  struct Seat {
    SimRing* ring = nullptr;
    std::unique_ptr<runtime::Scope> scope;
    std::unique_ptr<metrics::ShardMetrics> metrics;
    std::unique_ptr<shard::Shard> shard;
    shard::ShardOptions options;
    Fd listener, control;  // control: of the first one only
    bool open = false, stopped = false;
  };

  runtime::Task<void> prepare();
  runtime::Task<void> open(Seat& seat);
  runtime::Task<void> shut_down(Seat& seat);

  Log& log_;
  Places places_;
  std::shared_ptr<const config::Settings> settings_;
  policy::ConnectionBook connections_;
  policy::LoginGuard logins_;
  policy::RecipientBudgets budgets_;
  policy::SeatPool hop_seats_;
  shard::TransportMemory transport_;
  NoOperators operators_;
  shard::Mesh mesh_;
  shard::Shared shared_;
  Seat seats_[kShards];
};

}  // namespace ringpost::sim::relay
