// Key events on their way to auditd: kept in the key directory, sealed, until it has acknowledged them.
#pragma once

#include <deque>
#include <optional>

#include "ringpost/base/log.hh"
#include "ringpost/event/event.hh"
#include "ringpost/harden/locked.hh"
#include "ringpost/keyd/event_file.hh"
#include "ringpost/keyd/store.hh"
#include "ringpost/metrics/shard_metrics.hh"
#include "ringpost/outbox/outbox.hh"
#include "ringpost/runtime/ring.hh"
#include "ringpost/runtime/scope.hh"
#include "ringpost/runtime/signal.hh"
#include "ringpost/runtime/task.hh"

namespace ringpost::keyd {

/// What happens before the store is open (the first event, process_started, does) is only in memory until then. From then on each
/// event is durable before its fact is used: the store and the server wait for settled(). A file that cannot be written is an
/// error in the log and no reason to stop: keys are handed out all the same.
///
/// Lifetime: start() once; await stop() before it dies, and before the store is closed, whose directory it uses.
class Reporter final : public EventSink, private outbox::Listener {
 public:
  Reporter(runtime::Ring& ring, Log& log, const SocketAddress& auditd);
  Reporter(const Reporter&) = delete;

  /// Reports process_started and begins to send.
  void start();
  /// Reports process_stopped; what auditd does not take within `patience` waits in the file for the next start.
  runtime::Task<void> stop(Duration patience);

  void key_event(event::Kind kind, std::optional<KeyId> key) override { report({.kind = kind, .key = key}); }
  runtime::Task<void> store_opened(Fd directory, Key256 key) override;
  runtime::Task<void> settled() override;

  std::size_t pending() const { return pending_.size(); }

 private:
  void acknowledged(const IncarnationId& incarnation, std::uint64_t sequence) override;
  void report(event::Event event);
  void changed();
  runtime::Task<void> keep_file();
  runtime::Task<Result<>> write_file();
  runtime::Task<std::vector<PendingEvent>> read_predecessors();

  runtime::Ring& ring_;
  Log& log_;
  metrics::ShardMetrics metrics_;
  runtime::Scope scope_;
  runtime::Signal changed_, tried_;
  outbox::Outbox outbox_;
  IncarnationId incarnation_;
  std::uint64_t sequence_ = 0;
  std::deque<PendingEvent> pending_;             // oldest first; auditd has not acknowledged them
  std::uint64_t change_ = 0, tried_change_ = 0;  // of pending_: how often it changed, up to where the file was tried
  bool stopping_ = false, file_exists_ = false;
  Fd directory_;  // the store's, once it is open
  harden::Locked<Key256> key_;
  std::vector<std::byte> file_;
  LogLimit dropped_lines_{1, std::chrono::minutes{1}}, failed_lines_{1, std::chrono::minutes{1}};
};

}  // namespace ringpost::keyd
