#include "ringpost/index/overlay.hh"

#include <utility>

namespace ringpost::index {

namespace {

std::size_t memory_of(const Overlay::Change& change) {
  constexpr std::size_t kNodeBytes = sizeof(Overlay::Changes::value_type) + 4 * sizeof(void*);
  if (!change.entry) return kNodeBytes;
  return kNodeBytes + change.entry->recipients.size() * sizeof(spool::RecipientStatus) + change.entry->chunks.size() * sizeof(spool::Extent);
}

}  // namespace

void Overlay::set(const MessageId& id, std::optional<Entry> entry, bool stored_before) {
  auto [place, is_new] = changes_.try_emplace(id);
  Change& change = place->second;
  if (is_new)
    change.stored = stored_before;
  else
    bytes_ -= memory_of(change);
  change.entry = std::move(entry);
  if (!change.entry && !change.stored) {
    changes_.erase(place);
    return;
  }
  bytes_ += memory_of(change);
}

void Overlay::insert(Entry entry) {
  const MessageId id = entry.id;
  set(id, std::move(entry), false);
}

void Overlay::put(Entry entry) {
  const MessageId id = entry.id;
  set(id, std::move(entry), true);
}

void Overlay::erase(const MessageId& id) { set(id, std::nullopt, true); }

void Overlay::merge_older(Overlay&& older) {
  for (auto& [id, change] : older.changes_) {
    auto known = changes_.find(id);
    if (known != changes_.end())
      known->second.stored = true;
    else
      set(id, std::move(change.entry), true);
  }
  older.clear();
}

void Overlay::clear() {
  changes_.clear();
  bytes_ = 0;
}

const Overlay::Change* Overlay::find(const MessageId& id) const {
  auto found = changes_.find(id);
  return found == changes_.end() ? nullptr : &found->second;
}

}  // namespace ringpost::index
