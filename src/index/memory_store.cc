#include "ringpost/index/memory_store.hh"

#include <algorithm>
#include <iterator>
#include <utility>

namespace ringpost::index {

namespace {

constexpr std::size_t kEarlierMax = 4;
constexpr std::uint64_t kCommitsPerCopy = 4;

std::vector<std::byte> copy_of(Bytes bytes) { return {bytes.begin(), bytes.end()}; }

}  // namespace

class MemoryStore final : public IndexStore {
 public:
  explicit MemoryStore(MemoryRows& rows) : rows_(rows) {}

  Result<Found> open() override {
    const Found found = rows_.unproven_ ? Found::unproven : rows_.exists_ ? Found::content : Found::nothing;
    if (rows_.unproven_) rows_.rows_.clear();
    rows_.exists_ = rows_.unproven_ = true;
    return found;
  }
  Result<> settle() override {
    rows_.unproven_ = false;
    return {};
  }
  void condemn() override { rows_.unproven_ = true; }
  Result<> remove() override {
    rows_.rows_.clear();
    rows_.earlier_.clear();
    rows_.exists_ = rows_.unproven_ = false;
    return {};
  }

  Result<> commit(const std::vector<Write>& writes) override {
    if (rows_.failures_ > 0) {
      --rows_.failures_;
      return std::unexpected(rows_.failure_);
    }
    if (rows_.commits_++ % kCommitsPerCopy == 0) {
      if (rows_.earlier_.size() == kEarlierMax) rows_.earlier_.erase(rows_.earlier_.begin());
      rows_.earlier_.push_back(rows_.rows_);
    }
    for (const Write& write : writes) {
      auto key = std::pair{write.table, copy_of(write.key.view())};
      if (write.value)
        rows_.rows_.insert_or_assign(std::move(key), copy_of(write.value->view()));
      else
        rows_.rows_.erase(key);
    }
    return {};
  }

  Result<bool> get(Table table, Bytes key, std::vector<std::byte>& value) override {
    const auto found = rows_.rows_.find({table, copy_of(key)});
    if (found == rows_.rows_.end()) return false;
    value = found->second;
    return true;
  }

  Result<> scan(Table table, Bytes after, RowVisitor& visitor) override {
    auto row = rows_.rows_.upper_bound({table, copy_of(after)});
    while (row != rows_.rows_.end() && row->first.first == table && visitor.on_row(row->first.second, row->second)) ++row;
    return {};
  }

 private:
  MemoryRows& rows_;
};

void MemoryRows::crash(CrashState state, Prng& prng) {
  switch (state) {
    case CrashState::intact: break;
    case CrashState::stale:
      if (!earlier_.empty()) rows_ = earlier_[prng.below(earlier_.size())];
      break;
    case CrashState::gone:
      rows_.clear();
      exists_ = unproven_ = false;
      break;
    case CrashState::wrong: damage(prng); break;
  }
  earlier_.clear();
}

void MemoryRows::damage(Prng& prng) {
  if (rows_.empty()) return;
  const auto any_row = [&] { return std::next(rows_.begin(), static_cast<std::ptrdiff_t>(prng.below(rows_.size()))); };
  const auto row = any_row();
  const std::uint64_t kind = prng.below(4);
  if (kind == 0 && !row->second.empty()) {
    row->second[prng.below(row->second.size())] ^= static_cast<std::byte>(1 + prng.below(255));
  } else if (kind == 1) {
    std::swap(row->second, any_row()->second);
  } else if (kind == 2 && !earlier_.empty()) {
    const Rows& old = earlier_[prng.below(earlier_.size())];
    if (const auto before = old.find(row->first); before != old.end()) row->second = before->second;
  } else {
    rows_.erase(row);
  }
}

std::unique_ptr<IndexStore> make_memory_store(MemoryRows& rows) { return std::make_unique<MemoryStore>(rows); }

}  // namespace ringpost::index
