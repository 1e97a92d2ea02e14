#include "ringpost/index/snapshot.hh"

#include <algorithm>
#include <utility>

namespace ringpost::index {

namespace {

constexpr std::unexpected kUnsupported{Error{Errc::unsupported}};

class SnapshotStore final : public IndexStore {
 public:
  explicit SnapshotStore(Snapshot snapshot) : snapshot_(std::move(snapshot)) {}

  /// What is found wrong with it is removed from memory, after which it is empty.
  Result<Found> open() override {
    switch (std::exchange(snapshot_.state, Snapshot::State::absent)) {
      case Snapshot::State::absent: return Found::nothing;
      case Snapshot::State::unproven: return Found::unproven;
      case Snapshot::State::unreadable: return std::unexpected(Error{Errc::corrupt});
      case Snapshot::State::read: return Found::content;
    }
    return Found::nothing;
  }
  Result<> settle() override { return {}; }
  void condemn() override {}
  Result<> remove() override {
    snapshot_ = {};
    return {};
  }
  Result<> commit(const std::vector<Write>&) override { return kUnsupported; }

  Result<bool> get(Table table, Bytes key, std::vector<std::byte>& value) override {
    const auto row = behind(table, key, false);
    const bool found = row != snapshot_.rows.end() && row->table == table && std::ranges::equal(row->key, key);
    if (found) value = row->value;
    return found;
  }
  Result<> scan(Table table, Bytes after, RowVisitor& visitor) override {
    auto row = behind(table, after, !after.empty());
    while (row != snapshot_.rows.end() && row->table == table && visitor.on_row(row->key, row->value)) ++row;
    return {};
  }

 private:
  /// The first row of the table that is not before `key`, or that is behind it.
  std::vector<Snapshot::Row>::const_iterator behind(Table table, Bytes key, bool strictly) const {
    const auto precedes = [&](const Snapshot::Row& row) {
      if (row.table != table) return row.table < table;
      const auto order = std::lexicographical_compare_three_way(row.key.begin(), row.key.end(), key.begin(), key.end());
      return strictly ? order <= 0 : order < 0;
    };
    return std::ranges::partition_point(snapshot_.rows, precedes);
  }

  Snapshot snapshot_;
};

}  // namespace

std::unique_ptr<IndexStore> make_snapshot_store(Snapshot snapshot) {
  // LMDB gave each table in order; one that is damaged may not have.
  std::ranges::sort(snapshot.rows, [](const Snapshot::Row& a, const Snapshot::Row& b) {
    return a.table != b.table ? a.table < b.table : a.key < b.key;
  });
  return std::make_unique<SnapshotStore>(std::move(snapshot));
}

}  // namespace ringpost::index
