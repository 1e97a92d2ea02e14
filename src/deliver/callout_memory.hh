// What next hops said of recipients, bounded in number; the least recently used goes first.
#pragma once

#include <array>
#include <cstddef>
#include <list>
#include <map>

#include "ringpost/base/units.hh"
#include "ringpost/smtp/reply.hh"

namespace ringpost::deliver {

class CalloutMemory {
 public:
  using Hash = std::array<std::byte, 16>;
  struct Entry {
    Hash hash;
    Instant asked{};
    bool exists = false;
    smtp::EnhancedCode enhanced{};
  };

  /// About 200 octets for each entry. Those that exist have a place of their own: whoever guesses at addresses drives none of them out.
  CalloutMemory(std::size_t existing_max, std::size_t others_max) : existing_{existing_max}, others_{others_max} {}

  /// Lifetime: until the next call.
  const Entry* find(const Hash& hash);
  void put(const Entry& entry);
  std::size_t entries() const { return by_hash_.size(); }

 private:
  struct Shelf {
    std::size_t max;
    std::list<Entry> by_use{};  // the latest first
  };
  Shelf& shelf_of(const Entry& entry) { return entry.exists ? existing_ : others_; }
  void drop(std::list<Entry>::iterator place);

  Shelf existing_, others_;
  std::map<Hash, std::list<Entry>::iterator> by_hash_;
};

}  // namespace ringpost::deliver
