#include "deliver/callout_memory.hh"

namespace ringpost::deliver {

const CalloutMemory::Entry* CalloutMemory::find(const Hash& hash) {
  const auto found = by_hash_.find(hash);
  if (found == by_hash_.end()) return nullptr;
  std::list<Entry>& by_use = shelf_of(*found->second).by_use;
  by_use.splice(by_use.begin(), by_use, found->second);
  return &*found->second;
}

void CalloutMemory::put(const Entry& entry) {
  if (const auto found = by_hash_.find(entry.hash); found != by_hash_.end()) drop(found->second);
  Shelf& shelf = shelf_of(entry);
  shelf.by_use.push_front(entry);
  by_hash_.emplace(entry.hash, shelf.by_use.begin());
  if (shelf.by_use.size() > shelf.max) drop(std::prev(shelf.by_use.end()));
}

void CalloutMemory::drop(std::list<Entry>::iterator place) {
  by_hash_.erase(place->hash);
  shelf_of(*place).by_use.erase(place);
}

}  // namespace ringpost::deliver
