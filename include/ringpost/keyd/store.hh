// The key store on disk: opening it under the KEK, and rewriting it whole whenever it grows.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ringpost/base/error.hh"
#include "ringpost/base/log.hh"
#include "ringpost/event/event.hh"
#include "ringpost/harden/locked.hh"
#include "ringpost/keyd/keystore.hh"
#include "ringpost/runtime/ring.hh"
#include "ringpost/runtime/signal.hh"
#include "ringpost/runtime/task.hh"

namespace ringpost::keyd {

/// Where keyd's audit events go: kek_created, key_created and key_leased with the key's id, key_budget_exceeded without.
class EventSink {
 public:
  virtual ~EventSink() = default;
  /// Never waits.
  virtual void key_event(event::Kind kind, std::optional<KeyId> key) = 0;
  /// Before the store's first key is used: its directory, open until Store::close(), and a key for a file of events in it.
  virtual runtime::Task<void> store_opened(Fd directory, Key256 key) { co_return; }
  /// Completes when all events so far are as durable as they get. Awaited before the fact of an event is used.
  virtual runtime::Task<void> settled() { co_return; }
};

struct StoreOptions {
  std::string directory;        ///< of keyd's user alone
  std::string kek_file;         ///< made only where it lies in `directory`
  std::string spool_directory;  ///< only its filesystem is looked at
  bool allow_same_filesystem = false;
  std::uint32_t user = 0;  ///< who must own directory and KEK
};

/// Errors of every operation are protocol statuses; each is logged where it is found, with the file it is about.
///
/// Lifetime: await close() before it dies.
class Store {
 public:
  using Status = keys::protocol::Status;

  Store(runtime::Ring& ring, Log& log, EventSink& events, StoreOptions options);
  Store(const Store&) = delete;

  /// Opens the store; harmless when it is open. `may_create`: there is no mail, so what is missing may be made.
  runtime::Task<Status> open(bool may_create);
  runtime::Task<void> close();

  bool is_open() const { return open_; }
  /// The last open() found no key store: a new installation, or a lost one.
  bool is_vacant() const { return vacant_; }
  /// The last open() made the KEK, the key store.
  bool kek_created() const { return kek_created_; }
  bool store_created() const { return store_created_; }
  const KeyTable& table() const { return table_; }

  /// Today's key for a scope and class, made and durable before it is handed out. The store must be open.
  /// Errors: unavailable when it could not be made durable; limit when the store is full.
  runtime::Task<Result<KeyId>> key_for(keys::Scope scope, keys::KeyClass key_class);

 private:
  runtime::Task<Status> try_open(bool may_create);
  runtime::Task<Status> open_directory();
  Status check_filesystem();
  runtime::Task<Status> lock();
  runtime::Task<Status> load_kek(bool& found);
  runtime::Task<Status> load_keystore(std::size_t& bytes);
  runtime::Task<Status> create_kek();
  runtime::Task<Status> create_keystore();
  runtime::Task<Result<>> rewrite();
  runtime::Task<void> acquire();
  void release();

  runtime::Ring& ring_;
  Log& log_;
  EventSink& events_;
  StoreOptions options_;
  Fd directory_, lock_;
  bool open_ = false, vacant_ = false, kek_created_ = false, store_created_ = false;
  bool told_same_filesystem_ = false;
  bool lock_waited_ = false;  // whoever still holds the lock then is not just dying
  bool busy_ = false;  // the file is being read or rewritten
  runtime::Signal idle_;
  KeyTable table_;
  harden::Locked<Key256> kek_;
  harden::LockedPages plaintext_;
  std::vector<std::byte> file_;
};

}  // namespace ringpost::keyd
