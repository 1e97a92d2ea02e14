// What changed since the index was last committed.
#pragma once

#include <cstddef>
#include <map>
#include <optional>

#include "ringpost/index/entry.hh"

namespace ringpost::index {

/// Changes by message, the last one counts. A message that comes and goes between two commits leaves nothing behind.
class Overlay {
 public:
  struct Change {
    std::optional<Entry> entry;  ///< empty: erased
    bool stored = true;          ///< the store may have a row of it
  };
  using Changes = std::map<MessageId, Change>;

  /// A message that never was in the index.
  void insert(Entry entry);
  /// A message that may be in the index: its state is replaced.
  void put(Entry entry);
  /// Harmless for an unknown message.
  void erase(const MessageId& id);
  /// Takes over what `older` has and this has not; its changes may or may not have reached the store.
  void merge_older(Overlay&& older);
  void clear();

  /// Null: no change of it is known. Lifetime: until the next change.
  const Change* find(const MessageId& id) const;
  const Changes& changes() const { return changes_; }
  bool empty() const { return changes_.empty(); }
  std::size_t size() const { return changes_.size(); }
  /// Memory of all changes, about.
  std::size_t bytes() const { return bytes_; }

 private:
  void set(const MessageId& id, std::optional<Entry> entry, bool stored_before);

  Changes changes_;
  std::size_t bytes_ = 0;
};

}  // namespace ringpost::index
