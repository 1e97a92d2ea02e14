// One partition's index: a cache of what the log says, so that a start need not read the log from its beginning.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ringpost/index/overlay.hh"
#include "ringpost/index/state.hh"
#include "ringpost/index/store.hh"
#include "ringpost/runtime/ring.hh"
#include "ringpost/runtime/task.hh"

namespace ringpost::index {

class Content;

struct Options {
  Duration commit_interval = std::chrono::seconds(1);
  std::uint64_t commit_log_bytes = 16_MiB;  ///< of log, after which a commit does not wait for the interval
  std::size_t overlay_bytes_max = 64_MiB;   ///< memory of changes that are not committed: see Index::is_full
  LmdbOptions lmdb;
};

enum class Health : std::uint8_t {
  good,
  behind,  ///< the last commit found no space or no memory: nothing is lost, the next one tries again
  broken,  ///< given up: reads fail, changes are dropped, and the next start rebuilds it from the log
};

struct Stats {
  std::uint64_t commits = 0;
  std::uint64_t commits_failed = 0;
  std::uint64_t changes_committed = 0;
  Totals totals;                ///< in the store, as of the last commit
  Duration last_commit_time{};  ///< from the decision to its completion
  std::optional<Error> last_error;
};

/// What is known of every live message of one partition: in memory what changed since the last commit, in the store the rest.
///
/// Threads:  the ring's own thread; what blocks runs as the ring's offloaded jobs, one after the other.
/// Lifetime: await every call before it dies (asserted); the ring must outlive it.
/// Errors:   of reads: corrupt, io: the index is broken from now on. no_memory: try again. unavailable: it is broken.
/// Trust:    the log is the truth. A place that an entry names may have been recycled when the index is older than the log:
///           whoever restores takes entries whose generation the log still has, and then what the log says behind `mark`.
class Index {
 public:
  struct Opened {
    std::unique_ptr<Index> index;
    Opening state = Opening::created;
    LogMark mark;  ///< replay the log from this generation on; zero: all of it. When it is restored: prove() it
  };

  /// The index in `directory`, with LMDB; made or made anew when it is not to be trusted. The partition must be locked.
  /// Errors: whatever keeps an empty index from being made.
  static runtime::Task<Result<Opened>> open(runtime::Ring& ring, std::string directory, StoreId store, PartitionId partition,
                                            Bytes metadata_key32, Options options = {});
  /// The same on another store.
  static runtime::Task<Result<Opened>> open(runtime::Ring& ring, std::unique_ptr<IndexStore> rows, StoreId store,
                                            PartitionId partition, Bytes metadata_key32, Options options = {});
  Index(const Index&) = delete;
  ~Index();

  /// Reads and authenticates every row of a restored index, which takes a microsecond or two for each. Reads and commits may go on
  /// beside it; but until it is done a death of the process has the next start make the index anew. False: the rows do not belong
  /// together, reset() it.
  runtime::Task<Result<bool>> prove();
  /// Throws everything away: the log does not have what the mark names (it was replaced, or is of another time).
  /// No commit may be in flight (asserted).
  runtime::Task<Result<>> reset();

  // ---- changes; each is seen by reads at once
  /// A message that was never in here. When it ends before the next commit, the store is never touched.
  void insert(Entry entry);
  /// The new state of a message.
  void put(Entry entry);
  /// Nothing is left to do for it.
  void erase(const MessageId& id);
  /// Changes take more memory than they may: take no new mail until a commit succeeded. Outcomes are never refused.
  bool is_full() const { return pending_.bytes() + flying_.bytes() >= options_.overlay_bytes_max; }

  // ---- commits
  /// Commits when it is time to. All changes that records older than `mark` bring about must have been made; those that were made
  /// must be durable in the log.
  /// `log_bytes`: bytes written to the log in this incarnation. Changes made meanwhile wait for the next commit.
  /// Returns true when there was one. Errors: no_space, no_memory: later; everything else: the index is broken.
  runtime::Task<Result<bool>> maybe_commit(LogMark mark, std::uint64_t log_bytes);
  /// Commits now, unless a commit is in flight or nothing has changed since the last.
  runtime::Task<Result<bool>> commit(LogMark mark);

  /// Takes in what a piece of log says of messages that insert(), put() and erase() do not know; in the log's order, durable on
  /// return. The mark stays: a start that finds it half done begins it again. Lifetime: `facts` must stay until then.
  runtime::Task<Result<>> merge(const std::vector<LogFact>& facts);

  // ---- reads
  runtime::Task<Result<std::optional<Entry>>> find(MessageId id);
  /// Those of `ids` that there are.
  runtime::Task<Result<std::vector<Entry>>> find_all(std::vector<MessageId> ids);
  /// About `limit` entries behind `after` (zero: from the first), ids ascending; none when there are no more. One that is there all
  /// the time is in exactly one page; of others some may be.
  runtime::Task<Result<std::vector<Entry>>> page(MessageId after, std::size_t limit);
  runtime::Task<Result<DuePage>> due(DueQuery query);
  /// Up to `limit` messages that are due before `time`.
  runtime::Task<Result<DuePage>> due_before(WallTime time, std::size_t limit) { return due({.before = time, .limit = limit}); }
  /// As of the last commit, generations ascending.
  runtime::Task<Result<std::vector<GenerationLive>>> live_by_generation();

  Health health() const { return health_; }
  const Stats& stats() const { return stats_; }
  /// What the last commit said.
  const LogMark& committed() const { return committed_; }

 private:
  Index(runtime::Ring& ring, std::unique_ptr<Content> content, const Options& options);

  bool is_time(const LogMark& mark, std::uint64_t log_bytes) const;
  const Overlay::Change* changed(const MessageId& id) const;
  template <typename Work>
  auto offload(Work work);
  /// Notes a failure; returns its error.
  std::unexpected<Error> failed(Error error);

  runtime::Ring& ring_;
  Options options_;
  std::unique_ptr<Content> content_;  // used by offloaded jobs only
  Overlay pending_;                   // since the last commit began
  Overlay flying_;                    // in the commit that is in flight: unchanged until it is over
  bool is_committing_ = false;
  std::size_t jobs_ = 0;
  LogMark committed_;
  Instant last_commit_{};
  std::uint64_t log_bytes_ = 0, log_bytes_committed_ = 0;
  Health health_ = Health::good;
  Stats stats_;
};

}  // namespace ringpost::index
