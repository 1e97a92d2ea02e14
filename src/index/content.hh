// The content of an index: what its rows say, and that they belong together. Everything here blocks.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "ringpost/index/overlay.hh"
#include "ringpost/index/state.hh"
#include "ringpost/index/store.hh"
#include "row_cipher.hh"

namespace ringpost::index {

/// Sums over all rows, kept with each commit, so that rows that are missing, foreign or of another time are noticed.
struct Head {
  LogMark mark;
  std::uint64_t entries = 0;
  std::array<std::uint64_t, 2> tag_sum{};  ///< of the tags of all message rows
  std::uint64_t scheduled = 0;             ///< rows of table due
  std::uint64_t scheduled_sum = 0;
  Epoch epoch = 0;
  std::uint64_t seals = 0;  ///< in this epoch
  std::uint64_t waiting_messages = 0, waiting_recipients = 0;
};

/// Threads: the ring's helper thread only, but for construction and destruction.
/// Errors:  corrupt, io: the content is in doubt and condemned (the next open() starts afresh); no_space, no_memory: try later.
class Content {
 public:
  Content(std::unique_ptr<IndexStore> store, RowCipher cipher, const StoreId& store_id, const PartitionId& partition);

  struct Opened {
    Opening state = Opening::created;
    LogMark mark;
    Totals totals;
  };
  /// `salt`: random, for a fresh index. What is `restored` is not proven good yet.
  Result<Opened> open(const Salt& salt);
  /// Reads and authenticates every row. False: they do not belong together, reset() it.
  Result<bool> prove();
  /// Throws everything away.
  Result<Opened> reset(const Salt& salt);
  void condemn() { store_->condemn(); }

  /// One transaction; returns what there is now. `changes` is only read.
  Result<Totals> apply(const Overlay::Changes& changes, const LogMark& mark, Nonces& nonces);
  /// The same with what a piece of log says, in its order; the mark stays.
  Result<Totals> merge(const std::vector<LogFact>& facts, Nonces& nonces);

  Result<std::optional<Entry>> find(const MessageId& id);
  /// Those there are, in the order of `ids`.
  Result<std::vector<Entry>> find_all(const std::vector<MessageId>& ids);
  /// Entries behind `after` (none: all) by id.
  Result<std::vector<Entry>> next_entries(const std::optional<MessageId>& after, std::size_t limit);
  Result<DuePage> due(const DueQuery& query);
  Result<std::vector<GenerationLive>> generations();

 private:
  struct Row {
    Entry entry;
    std::array<std::uint64_t, 2> tag{};
  };
  class Changes;
  class EntryReader;
  class RowCheck;

  Result<Opened> start_afresh(const Salt& salt, Opening why, bool is_empty);
  /// `restored` when the content is good.
  Result<Opening> check();
  Opening read_head(Bytes value);
  Opening check_all_rows();
  Result<std::optional<Row>> read(const MessageId& id);
  std::optional<Row> open_row(Bytes key, Bytes value);
  std::optional<GenerationLive> open_generation(Bytes key, Bytes value);
  SealedValue seal_head(const Head& head, const crypto::Nonce& nonce);
  Totals totals() const { return {head_.entries, head_.waiting_messages, head_.waiting_recipients}; }
  Result<Totals> commit(Changes& changes, const LogMark& mark);
  template <typename T>
  Result<T> doubted(Result<T> result);

  std::unique_ptr<IndexStore> store_;
  RowCipher cipher_;
  StoreId store_id_;
  PartitionId partition_;
  Salt salt_{};
  Head head_;
  std::vector<std::byte> value_, plaintext_;  // reused
};

}  // namespace ringpost::index
