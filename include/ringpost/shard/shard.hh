// One core's world: its log, its queue, its sessions, its connections. Nothing in it is shared but what the constructor names.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ringpost/base/log.hh"
#include "ringpost/config/settings.hh"
#include "ringpost/control/backend.hh"
#include "ringpost/event/event.hh"
#include "ringpost/index/store.hh"
#include "ringpost/metrics/shard_metrics.hh"
#include "ringpost/policy/budgets.hh"
#include "ringpost/policy/connections.hh"
#include "ringpost/policy/logins.hh"
#include "ringpost/policy/seats.hh"
#include "ringpost/receive/server.hh"
#include "ringpost/runtime/ring.hh"
#include "ringpost/runtime/task.hh"
#include "ringpost/shard/mesh.hh"
#include "ringpost/shard/transport_memory.hh"
#include "ringpost/spool/store.hh"

namespace ringpost::shard {

/// Where a spool is and what it holds: what every shard must know before it starts.
struct SpoolPlan {
  StoreId store;
  std::vector<PartitionId> partitions;  ///< at least as many as shards; partition i belongs to shard i modulo shards
  bool kek_created = false;
};

/// Finds out whose spool it is and makes what is missing: the store file, a partition for each shard.
/// Errors: text for the operator.
runtime::Task<std::expected<SpoolPlan, std::string>> prepare_spool(runtime::Ring& ring, Log& log, const config::Settings& settings,
                                                                   std::size_t shards, const SocketAddress& keyd);

struct ShardOptions {
  std::size_t index = 0;
  std::size_t count = 1;
  SpoolPlan spool;
  SocketAddress keyd, auditd, helperd;
  bool separated = true;         ///< false: all processes run as one user, which the audit log is told
  std::uint32_t user = 0;
  MutableBytes group_buffers[2]; ///< of Ring::make_io_buffer, for the partition that takes new mail
  MutableBytes work_table;       ///< of a WorkTable; empty: there is none
  /// Where a partition's index has its rows; empty: LMDB in the partition's directory.
  std::function<std::unique_ptr<index::IndexStore>(const PartitionId&)> index_rows;
};

/// What shards share.
struct Shared {
  policy::ConnectionBook& connections;
  policy::LoginGuard& logins;
  policy::RecipientBudgets& budgets;
  policy::SeatPool& hop_seats;
  TransportMemory& transport;
  control::Daemon& daemon;
  Log& log;
  Mesh* mesh;  ///< never null
  tls::TicketRoot tickets = {};  ///< the view is needed for as long as the shards live
};

/// Lifetime: open() once, then listen(); await stop() before it dies. Everything on the ring's own thread.
class Shard {
 public:
  Shard(runtime::Ring& ring, const ShardOptions& options, const Shared& shared, metrics::ShardMetrics& metrics,
        std::shared_ptr<const config::Settings> settings);
  Shard(const Shard&) = delete;
  ~Shard();

  /// Recovers what the log holds, begins to deliver it. Errors: text for the operator; nothing is started then.
  runtime::Task<std::expected<void, std::string>> open();
  /// Begins to accept mail.
  void listen(const std::vector<receive::ListeningSocket>& sockets);
  /// Begins to serve operators; for one shard.
  void listen_control(Fd listener);
  void reconfigure(std::shared_ptr<const config::Settings> settings);
  /// Events without stamps, which this shard says as its own; `durable` is called when they are.
  void report(std::vector<event::Event> events, std::function<void()> durable);
  /// Memory is short: gives back what lies idle.
  void trim();
  /// Ends sessions, deliveries, and the log, in this order, within about `patience`.
  runtime::Task<void> stop(Duration patience);

 private:
  struct World;
  std::unique_ptr<World> world_;
};

}  // namespace ringpost::shard
