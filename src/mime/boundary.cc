#include "boundary.hh"

#include <algorithm>
#include <cstring>

namespace ringpost::mime {
namespace {

constexpr std::uint64_t kHashStart = 14695981039346656037U;
constexpr std::uint64_t hash_step(std::uint64_t hash, char c) { return (hash ^ static_cast<unsigned char>(c)) * 1099511628211U; }

}  // namespace

void BoundarySet::open(std::size_t level, std::size_t length) {
  close(level);
  std::uint64_t hash = kHashStart;
  for (const char c : storage(level).first(length)) hash = hash_step(hash, c);
  slots_[level] = {static_cast<std::uint32_t>(length), hash};
  ++of_length_[length];
  ++open_;
  levels_used_ = std::max(levels_used_, level + 1);
}

void BoundarySet::close(std::size_t level) {
  Slot& slot = slots_[level];
  if (slot.length == 0) return;
  --of_length_[slot.length];
  --open_;
  slot.length = 0;
  while (levels_used_ > 0 && slots_[levels_used_ - 1].length == 0) --levels_used_;
}

void BoundarySet::close_all() {
  while (levels_used_ > 0) close(levels_used_ - 1);
}

std::optional<BoundarySet::Match> BoundarySet::match(std::string_view text) const {
  std::optional<Match> best;
  std::uint64_t hash = kHashStart;
  const std::size_t reach = std::min(text.size(), bytes_max_);
  for (std::size_t length = 1; length <= reach; ++length) {
    hash = hash_step(hash, text[length - 1]);
    if (of_length_[length] == 0) continue;
    for (std::size_t level = levels_used_; level-- > 0;) {
      const Slot& slot = slots_[level];
      if (slot.length != length || slot.hash != hash) continue;
      if (std::memcmp(&storage_[level * bytes_max_], text.data(), length) != 0) continue;  // colliding hash
      best = Match{.level = level, .length = length};
      break;
    }
  }
  return best;
}

}  // namespace ringpost::mime
