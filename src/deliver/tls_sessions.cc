#include "deliver/tls_sessions.hh"

#include <iterator>
#include <utility>

namespace ringpost::deliver {

namespace {

// What was verified is to be looked at again: certificates end, and TLSA records change.
constexpr Duration kKept = std::chrono::minutes(30);

}  // namespace

std::optional<tls::ClientSession> TlsSessions::take(const std::string& key, Instant now) {
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return std::nullopt;
  Kept kept = std::move(*found->second);
  by_age_.erase(found->second);
  by_key_.erase(found);
  if (kept.until <= now) return std::nullopt;
  return std::move(kept.session);
}

void TlsSessions::put(std::string key, tls::ClientSession session, Instant now) {
  if (!session || sessions_max_ == 0) return;
  (void)take(key, now);
  if (by_age_.size() == sessions_max_) {
    by_key_.erase(by_age_.front().key);
    by_age_.pop_front();
  }
  by_age_.push_back({key, std::move(session), now + kKept});
  by_key_.emplace(std::move(key), std::prev(by_age_.end()));
}

void TlsSessions::clear() {
  by_key_.clear();
  by_age_.clear();
}

}  // namespace ringpost::deliver
