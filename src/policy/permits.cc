#include "ringpost/policy/permits.hh"

#include <algorithm>

#include "ringpost/base/assert.hh"

namespace ringpost::policy {

void PermitBook::release(std::size_t shard, std::uint32_t count) {
  RP_ASSERT(lines_[shard].held >= count && held_ >= count);
  lines_[shard].held -= count;
  held_ -= count;
}

void PermitBook::forget(std::size_t shard) { release(shard, lines_[shard].held); }

bool PermitBook::contended() const {
  return std::any_of(lines_.begin(), lines_.end(), [](const Line& line) { return line.wanted > line.held; });
}

std::vector<PermitBook::Grant> PermitBook::distribute(Instant now) {
  std::vector<Grant> grants;
  if (now < suspended_until_) return grants;
  std::size_t passed_over = 0;
  while (held_ < limit_ && passed_over < lines_.size()) {
    std::size_t shard = next_;
    next_ = (next_ + 1) % lines_.size();
    Line& line = lines_[shard];
    if (line.wanted <= line.held) {
      ++passed_over;
      continue;
    }
    passed_over = 0;
    ++line.held;
    ++held_;
    auto found = std::find_if(grants.begin(), grants.end(), [&](const Grant& grant) { return grant.shard == shard; });
    if (found == grants.end()) {
      grants.push_back({shard, 1});
    } else {
      ++found->count;
    }
  }
  return grants;
}

}  // namespace ringpost::policy
