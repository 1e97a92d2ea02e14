// One partition as its shard keeps it: the log, the index that spares the next start from reading it, and the upkeep of both.
#pragma once

#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ringpost/base/log.hh"
#include "ringpost/index/index.hh"
#include "ringpost/index/memory_store.hh"
#include "ringpost/metrics/shard_metrics.hh"
#include "ringpost/outbox/outbox.hh"
#include "ringpost/queue/queue.hh"
#include "ringpost/runtime/ring.hh"
#include "ringpost/runtime/scope.hh"
#include "ringpost/runtime/signal.hh"
#include "ringpost/spool/log.hh"
#include "shard/backlog.hh"
#include "shard/recovered.hh"

namespace ringpost::shard {

/// What a partition works with. Everything outlives it.
struct PartitionParts {
  runtime::Ring& ring;
  Log& log;
  queue::Queue& queue;
  outbox::Outbox& outbox;
  metrics::ShardMetrics& metrics;
};

/// Where a partition is and how to open it.
struct PartitionPlan {
  std::uint16_t number = 0;  ///< queue::Message::partition of its messages
  spool::LogOptions log;
  std::unique_ptr<index::IndexStore> rows;  ///< of its index
  Duration longest_wait{};                  ///< no message that was tried is due later than this after a start
  Duration longest_hold{};                  ///< nor are most others: that long a user may ask for now
  std::size_t window = 0;                   ///< messages of the shard in memory, about
};

/// It takes mail as soon as it is open; what was there before is found out beside that (`recover`), and delivered when all of it is
/// known: no message is taken up whose outcome may lie further on in the log.
///
/// Lifetime: open(), start(), then await stop() before it dies.
class Partition {
 public:
  /// Opens log and index for use. The lock of a process that is just dying is waited for. Errors: text for the operator.
  static runtime::Task<std::expected<std::unique_ptr<Partition>, std::string>> open(const PartitionParts& parts, PartitionPlan plan,
                                                                                    Bytes metadata_key32);
  Partition(const Partition&) = delete;

  spool::Log& log() { return *log_; }
  const PartitionId& id() const { return log_->options().partition; }
  Backlog& backlog() { return *backlog_; }
  /// queue::Message::partition of its messages.
  std::uint16_t number() const { return number_; }
  /// Begins to find out what it holds, and upkeep. `on_queued`: there is something new in the queue.
  void start(std::function<void()> on_queued);
  /// Writes down what the index does not know yet, then ends both.
  runtime::Task<void> stop();

  /// The index cannot take more: no new mail.
  bool is_full() const { return index_->is_full(); }

 private:
  class Opener;
  Partition(const PartitionParts& parts, std::uint16_t number);

  runtime::Task<void> recover();
  runtime::Task<Result<>> replay();
  runtime::Task<Result<>> begin_anew();
  runtime::Task<Result<>> settle_generations();
  runtime::Task<Result<>> drop_dead_rows(const std::vector<std::uint64_t>& generations);
  void count_messages();
  void report();
  runtime::Task<void> keep_index();
  runtime::Task<void> clean();
  runtime::Task<Result<std::size_t>> empty(std::uint64_t generation);
  runtime::Task<Result<bool>> move(queue::Message& message, std::uint64_t generation);

  PartitionParts parts_;
  std::uint16_t number_;
  std::unique_ptr<spool::Log> log_;
  std::unique_ptr<index::MemoryRows> memory_rows_;  // of the index, where no directory can hold it
  std::unique_ptr<index::Index> index_;
  bool index_restored_ = false;
  bool begun_anew_ = false;               // the index is being emptied, and the log told to forget what it knew
  std::unique_ptr<Backlog> backlog_;
  std::unique_ptr<Recovered> recovered_;  // while recover() runs
  std::size_t unreachable_ = 0;           // messages in segments that cannot be read now, or are lost
  std::function<void()> on_queued_;
  LogLimit cleaning_log_;
  runtime::Signal stop_;
  runtime::Scope scope_;
  bool stopping_ = false;
};

}  // namespace ringpost::shard
