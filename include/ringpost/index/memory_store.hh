// The simulator's store: rows in memory, and what a crash may leave of them.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "ringpost/base/prng.hh"
#include "ringpost/index/store.hh"

namespace ringpost::index {

/// What LMDB's file is after a crash. Real LMDB with full sync leaves `intact`; the index must live with all of them.
enum class CrashState : std::uint8_t {
  intact,  ///< the last commit, or the one that was in flight
  stale,   ///< an earlier commit
  gone,    ///< nothing
  wrong,   ///< rows changed, missing, swapped or of an earlier commit
};
inline constexpr std::size_t kCrashStates = 4;

/// The rows of one partition's index; outlives the processes that open it.
class MemoryRows {
 public:
  /// The process is gone: its rows become what `state` says.
  void crash(CrashState state, Prng& prng);
  /// The next `count` commits fail with `error` and change nothing.
  void fail_commits(std::uint64_t count, Error error) {
    failures_ = count;
    failure_ = error;
  }
  std::uint64_t commits() const { return commits_; }

 private:
  friend class MemoryStore;
  using Row = std::vector<std::byte>;
  using Rows = std::map<std::pair<Table, Row>, Row>;

  void damage(Prng& prng);

  Rows rows_;
  std::vector<Rows> earlier_;  // a few, oldest first
  bool exists_ = false, unproven_ = false;
  std::uint64_t commits_ = 0, failures_ = 0;
  Error failure_{};
};

/// Lifetime: `rows` must outlive it.
std::unique_ptr<IndexStore> make_memory_store(MemoryRows& rows);

}  // namespace ringpost::index
