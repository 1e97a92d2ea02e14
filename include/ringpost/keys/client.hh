// ringpostd's end of the data socket: one Client for each shard.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ringpost/base/error.hh"
#include "ringpost/base/id.hh"
#include "ringpost/base/log.hh"
#include "ringpost/base/secret.hh"
#include "ringpost/base/socket_address.hh"
#include "ringpost/base/units.hh"
#include "ringpost/crypto/message_key.hh"
#include "ringpost/harden/locked.hh"
#include "ringpost/keys/protocol.hh"
#include "ringpost/keys/scope.hh"
#include "ringpost/runtime/ring.hh"
#include "ringpost/runtime/scope.hh"
#include "ringpost/runtime/signal.hh"
#include "ringpost/runtime/task.hh"

namespace ringpost::keys {

using UnwrapItem = protocol::UnwrapItem;

/// What keyd tells a start of ringpostd. The caller keeps the keys for as long as it runs.
struct Hello {
  StoreId store;            ///< must match the spool's store file; a new spool takes it
  Key256 metadata_key;      ///< opens scheduling data, MACs the log
  Key256 address_hash_key;  ///< for crypto::keyed_hash of addresses in logs and audit
  bool kek_created = false;
  bool store_created = false;
};

struct ClientOptions {
  SocketAddress socket;       ///< keyd's data socket
  IncarnationId incarnation;  ///< of this start of this shard; leases are derived for it
  PartitionId partition;      ///< where this shard writes; may be zero for a client that only says hello
  /// Only at the first start of an empty spool, and only in the first client: an empty keys.directory may become a store.
  /// The client takes it back as soon as one hello has succeeded.
  bool spool_empty = false;
  /// How long a request waits for a connection, and then for its answer.
  Duration patience = std::chrono::seconds{5};
};

/// Leases keys, wraps and unwraps message keys; reconnects by itself, with back-off.
///
/// Lifetime: start() once; await stop() before it dies. Everything on the ring's own thread.
/// keyd away: running leases go on to their end; what needs keyd gets `unavailable` after `patience`.
/// Errors:   unavailable: keyd is away or cannot write its store; defer. limit: over keyd's budget; defer.
///           permission, detail = protocol::Status: keyd refuses to work, an operator must act (protocol::explain).
///           protocol: keyd answered with what its protocol does not allow. cancelled: stop() began.
class Client {
 public:
  Client(runtime::Ring& ring, Log& log, const ClientOptions& options);
  Client(const Client&) = delete;
  ~Client();

  void start();
  /// Gives the leases back and ends the connection. Idempotent.
  runtime::Task<void> stop();

  bool is_connected() const { return connected_; }

  /// Waits for the first hello that succeeds, and after that answers at once. A refusal ends it early.
  /// Errors: unavailable when `deadline` passed.
  runtime::Task<Result<Hello>> hello(Instant deadline = kNever);

  /// Makes sure of a lease. Suspends only when none is running; renews early, in the background.
  runtime::Task<Result<KeyId>> lease(Scope scope, KeyClass key_class);

  /// Wraps the key of the message that `sealer` seals, for its owner number `owner`, leasing first where needed.
  /// Lifetime: `sealer` stays where it is until completion.
  runtime::Task<Result<crypto::WrappedKey>> wrap(Scope scope, KeyClass key_class, const crypto::MessageSealer& sealer,
                                                 std::uint32_t owner = 0);
  /// The same without suspending. Errors: unavailable when no lease is running.
  Result<crypto::WrappedKey> wrap_now(const Scope& scope, KeyClass key_class, const crypto::MessageSealer& sealer,
                                      std::uint32_t owner = 0);

  /// Opens 1..kUnwrapItemsMax wrapped keys. Both spans must stay valid until completion; each of `keys` (as many as `items`)
  /// then holds its message key or that item's status: unknown_key or not_authentic.
  runtime::Task<Result<>> unwrap(std::span<const UnwrapItem> items, std::span<protocol::UnwrappedItem> keys);

 private:
  struct Lease {
    Scope scope;
    KeyClass key_class;
    KeyId key;
    crypto::AeadKey wrapping;  // of our partition in this incarnation
    Instant renew_at;
    Instant expires;
  };
  struct Fetch {  // a lease request under way
    Scope scope;
    KeyClass key_class;
  };
  struct Pending;
  struct Secrets {  // in locked pages
    Key256 metadata_key, address_hash_key;
    std::array<std::byte, protocol::kReplyBytesMax + 1> receive_buffer;
  };

  runtime::Task<void> run();
  runtime::Task<Result<>> connect();
  runtime::Task<Error> serve();
  runtime::Task<void> disconnect(Error why);
  Result<> take_hello(Bytes frame);
  Result<> dispatch(Bytes frame);
  void link(Pending& pending);
  void unlink(Pending& pending);

  runtime::Task<Result<>> wait_connected(Instant deadline);
  template <typename Encode>
  runtime::Task<Result<>> exchange(Pending& pending, Instant deadline, Encode encode);
  runtime::Task<Result<>> fetch(Scope scope, KeyClass key_class);
  runtime::Task<void> renew(Scope scope, KeyClass key_class);
  runtime::Task<void> release(KeyId key, Instant deadline);
  Lease* find(const Scope& scope, KeyClass key_class);
  Lease* running(const Scope& scope, KeyClass key_class);
  bool is_fetching(const Scope& scope, KeyClass key_class) const;
  void keep(const Scope& scope, KeyClass key_class, const protocol::LeaseReply& reply, Instant asked);

  runtime::Ring& ring_;
  Log& log_;
  ClientOptions options_;
  runtime::Scope scope_;
  harden::Locked<Secrets> secrets_;

  StoreId store_;
  bool greeted_ = false;  // one hello has succeeded
  bool kek_created_ = false, store_created_ = false;
  Error trouble_{Errc::unavailable};        // why there is no connection
  Error lease_trouble_{Errc::unavailable};  // of the latest lease request that failed
  LogLimit trouble_lines_{3, std::chrono::minutes{1}};

  Fd socket_;
  bool started_ = false, connected_ = false, stopping_ = false;
  bool sending_ = false;  // send_buffer_ is in use
  std::uint32_t next_id_ = 1;
  Pending* pending_ = nullptr;
  runtime::Signal changed_;   // connected, refused or stopping
  runtime::Signal sendable_;  // send_buffer_ is free
  runtime::Signal leased_;    // a Fetch has ended
  std::vector<Lease> leases_;
  std::vector<Fetch> fetches_;
  std::array<std::byte, protocol::kRequestBytesMax> send_buffer_;
};

}  // namespace ringpost::keys
