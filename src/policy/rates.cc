#include "ringpost/policy/rates.hh"

#include <algorithm>
#include <chrono>

namespace ringpost::policy {

namespace {
using Seconds = std::chrono::duration<double>;
}

double RateBook::per_s() const { return static_cast<double>(rate_.messages) / Seconds(rate_.per).count(); }
double RateBook::most() const { return std::max(per_s(), 1.0); }

void RateBook::fill(Instant now) {
  tokens_ = std::min(most(), tokens_ + Seconds(now - filled_).count() * per_s());
  filled_ = now;
}

void RateBook::set_rate(const config::Rate& rate, Instant now) {
  if (rate == rate_) return;
  fill(now);
  rate_ = rate;
}

Instant RateBook::when(double tokens) const {
  if (tokens_ >= tokens) return filled_;
  return filled_ + std::chrono::duration_cast<Duration>(Seconds((tokens - tokens_) / per_s())) + Duration{1};
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
