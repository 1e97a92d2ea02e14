// keyd's data socket: serves the key store to ringpostd, within budgets. Runs on any Ring.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "ringpost/base/log.hh"
#include "ringpost/keyd/store.hh"
#include "ringpost/keys/protocol.hh"
#include "ringpost/runtime/receiver.hh"
#include "ringpost/runtime/ring.hh"
#include "ringpost/runtime/scope.hh"
#include "ringpost/runtime/task.hh"

namespace ringpost::keyd {

/// How much of one kind a minute allows, all connections together.
class Budget {
 public:
  enum class Verdict : std::uint8_t { within, exceeded_first, exceeded };

  explicit Budget(std::uint32_t per_minute) : per_minute_(per_minute) {}
  /// Takes `count` or nothing. exceeded_first: for the first time in this minute, so raise an alarm.
  Verdict take(Instant now, std::uint32_t count);

 private:
  std::uint32_t per_minute_;
  std::uint32_t used_ = 0;
  bool alarmed_ = false;
  Instant minute_began_{};
  bool began_ = false;
};

struct ServerOptions {
  Fd listener;                    ///< SOCK_SEQPACKET, listening; stays its owner's
  std::uint32_t client_user = 0;  ///< only this user's processes are served
  /// Whether the process at the other end belongs to `user`. The kernel knows (harden::peer_is); a simulator decides itself.
  bool (*peer_is)(Fd connection, std::uint32_t user) = nullptr;
  std::uint32_t lease_s = 600;  ///< how long a lease is valid, 1..keys::protocol::kLeaseSecondsMax
  std::uint32_t hellos_per_minute = 3000;
  std::uint32_t leases_per_minute = 3000;
  std::uint32_t unwraps_per_minute = 600'000;  ///< items
  std::uint32_t releases_per_minute = 6000;
};

struct ServerCounters {
  std::uint64_t hellos = 0, leases = 0, unwrapped = 0, releases = 0;
  std::uint64_t refused = 0;    ///< requests with any status but ok
  std::uint64_t strangers = 0;  ///< connections of another user
  std::uint64_t budget_alarms = 0;
};

/// Lifetime: run() once; await stop() and then run()'s end before it dies. `store` outlives it.
class Server {
 public:
  Server(runtime::Ring& ring, Log& log, Store& store, EventSink& events, const ServerOptions& options);
  Server(const Server&) = delete;

  /// Opens the store and serves until stop(). A store that does not open is tried again at each hello, so that what an
  /// operator puts right counts without a restart.
  runtime::Task<void> run();
  /// Ends all connections.
  runtime::Task<void> stop();

  const ServerCounters& counters() const { return counters_; }

 private:
  struct Session;
  runtime::Task<void> serve(Fd connection);
  runtime::Task<void> converse(Session& session);
  runtime::Task<Bytes> answer(Session& session, Bytes frame);
  runtime::Task<Bytes> hello(Session& session, std::uint32_t id, keys::protocol::HelloRequest request);
  runtime::Task<Bytes> lease(Session& session, std::uint32_t id, keys::protocol::LeaseRequest request);
  Bytes unwrap(Session& session, std::uint32_t id);
  Bytes refuse(Session& session, std::uint32_t id, keys::protocol::Kind kind, keys::protocol::Status status);
  bool within_budget(keys::protocol::Kind kind, std::uint32_t count);

  runtime::Ring& ring_;
  Log& log_;
  Store& store_;
  EventSink& events_;
  ServerOptions options_;
  runtime::Acceptor acceptor_;
  runtime::Scope scope_;
  std::array<Budget, keys::protocol::kKindCount> budgets_;
  std::vector<Fd> connections_;
  bool stopping_ = false;
  ServerCounters counters_;
};

}  // namespace ringpost::keyd
