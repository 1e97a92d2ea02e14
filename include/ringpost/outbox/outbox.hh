// Events on their way to auditd: kept until it says that it has them durably.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <vector>

#include "ringpost/base/log.hh"
#include "ringpost/base/socket_address.hh"
#include "ringpost/event/codec.hh"
#include "ringpost/event/frame.hh"
#include "ringpost/metrics/shard_metrics.hh"
#include "ringpost/runtime/receiver.hh"
#include "ringpost/runtime/ring.hh"
#include "ringpost/runtime/scope.hh"
#include "ringpost/runtime/signal.hh"
#include "ringpost/runtime/task.hh"

namespace ringpost::outbox {

/// Who is told that auditd has everything of `incarnation` up to `sequence`: the log may let those AUDIT records go.
class Listener {
 public:
  virtual ~Listener() = default;
  virtual void acknowledged(const IncarnationId& incarnation, std::uint64_t sequence) = 0;
};

struct Limits {
  std::uint64_t bytes_max = 0;  ///< of events not yet acknowledged
  Duration age_max{};           ///< of the oldest of them
};

/// Streams events to auditd in order, re-sends what a crash or a broken connection left open. At least once; auditd keeps once.
///
/// Lifetime: start() once, await stop() before it dies. Nothing is lost when it dies: what is not acknowledged is in the log.
class Outbox {
 public:
  Outbox(runtime::Ring& ring, Log& log, metrics::ShardMetrics& metrics, const SocketAddress& auditd, Listener& listener);
  Outbox(const Outbox&) = delete;
  ~Outbox();

  void start();
  runtime::Task<void> stop(Instant deadline);

  /// An encoded event that is durable in the log. Sequences of one incarnation must come in order, from any start.
  void add(const IncarnationId& incarnation, std::uint64_t sequence, Bytes encoded);

  /// False when auditd is so far behind that mail must wait.
  bool within(const Limits& limits) const;
  std::uint64_t pending() const { return pending_; }
  /// False while auditd is away, and behind that until it has acknowledged something, where there is something to acknowledge: a
  /// connection may be one to a socket that nobody reads yet.
  bool is_connected() const { return connected_ && (!doubted_ || pending_ == 0); }

 private:
  struct Entry {
    std::uint64_t sequence;
    Instant since;
    std::uint16_t size;
    std::array<std::byte, event::kEventBytesMax> bytes;
  };
  /// The events of one incarnation, oldest first. `sent` of them are under way.
  struct Line {
    std::deque<Entry> entries;
    std::size_t sent = 0;
    std::size_t unsent() const { return entries.size() - sent; }
  };

  runtime::Task<void> run();
  runtime::Task<void> converse();
  runtime::Task<void> read_acks();
  bool take(const event::Ack& ack);
  bool has_gathered() const;
  Bytes next_batch();

  runtime::Ring& ring_;
  Log& log_;
  metrics::ShardMetrics& metrics_;
  SocketAddress auditd_;
  Listener& listener_;
  runtime::Scope scope_, readers_;
  runtime::Signal changed_;
  std::map<IncarnationId, Line> lines_;
  std::uint64_t pending_ = 0, pending_bytes_ = 0;
  Fd socket_;
  bool connected_ = false, doubted_ = false, broken_ = false, stopping_ = false;
  LogLimit away_log_;
  std::vector<std::byte> batch_;
};

}  // namespace ringpost::outbox
