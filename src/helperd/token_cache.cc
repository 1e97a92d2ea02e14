#include "ringpost/helperd/token_cache.hh"

#include <algorithm>

namespace ringpost::helperd {

std::optional<std::string> TokenCache::find(std::string_view token, std::chrono::sys_seconds now) {
  const crypto::Digest256 hash = hash_of(token);
  std::lock_guard lock{mutex_};
  const auto found = entries_.find(hash);
  if (found == entries_.end() || !found->second.holds(now)) return std::nullopt;
  return found->second.login;
}

void TokenCache::put(std::string_view token, const tokens::Owner& owner, std::chrono::sys_seconds asked) {
  Entry entry{owner.login, asked, asked + kHoldsFor};
  if (owner.expires) entry.until = std::min(entry.until, *owner.expires);
  if (!entry.holds(asked)) return;
  const crypto::Digest256 hash = hash_of(token);
  std::lock_guard lock{mutex_};
  if (entries_.size() >= kTokensMax) std::erase_if(entries_, [&](const auto& each) { return !each.second.holds(asked); });
  if (entries_.size() >= kTokensMax) entries_.clear();
  entries_.insert_or_assign(hash, std::move(entry));
}

}  // namespace ringpost::helperd
