#include "ringpost/policy/rates.hh"

#include <algorithm>
#include <chrono>

namespace ringpost::policy {

namespace {
using Seconds = std::chrono::duration<double>;
}

double per_second(const config::Rate& rate) { return static_cast<double>(rate.messages) / Seconds(rate.per).count(); }
double kept_most(const config::Rate& rate) { return std::max(per_second(rate), 1.0); }

void RateBook::fill(Instant now) {
  tokens_ = std::min(kept_most(rate_), tokens_ + Seconds(now - filled_).count() * per_second(rate_));
  filled_ = now;
}

void RateBook::set_rate(const config::Rate& rate, Instant now) {
  if (rate == rate_) return;
  fill(now);
  rate_ = rate;
}

Instant RateBook::when(double tokens) const {
  if (tokens_ >= tokens) return filled_;
  return filled_ + std::chrono::duration_cast<Duration>(Seconds((tokens - tokens_) / per_second(rate_))) + Duration{1};
}

bool RateBook::is_wanted() const {
  return std::ranges::any_of(wanted_, [](std::uint64_t wanted) { return wanted > 0; });
}

std::vector<RateBook::Grant> RateBook::distribute(Instant now) {
  fill(now);
  std::vector<Grant> grants;
  for (std::size_t passed_over = 0; tokens_ >= 1 && passed_over < wanted_.size();) {
    const std::size_t shard = next_;
    next_ = (next_ + 1) % wanted_.size();
    if (wanted_[shard] == 0) {
      ++passed_over;
      continue;
    }
    passed_over = 0;
    --wanted_[shard];
    tokens_ -= 1;
    auto found = std::ranges::find(grants, shard, &Grant::shard);
    if (found == grants.end()) grants.push_back({shard, 1});
    else ++found->count;
  }
  return grants;
}

}  // namespace ringpost::policy
