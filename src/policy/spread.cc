#include "ringpost/policy/spread.hh"

#include <algorithm>
#include <cmath>
#include <utility>

namespace ringpost::policy {

std::size_t Spread::look(const Seen& seen) {
  passing_ = are_passing(seen);
  const std::size_t least = std::clamp<std::size_t>((seen.connections + kConnections - 1) / kConnections, 1, shards_);
  if (in_use_ < least) use(least);
  if (trying_) go_on_trying(seen);
  else follow_load(seen, least);
  return in_use();
}

// How long connections last, by Little's law: how many are open, by how many are closed in a second. Nothing is forgotten while there are none.
bool Spread::are_passing(const Seen& seen) {
  const double seconds = looked_ == kNever ? 0 : std::chrono::duration<double>(seen.now - looked_).count();
  // Two counters make it, which are not read at the same moment: it may seem to go back.
  const auto closed = static_cast<double>(std::max<std::int64_t>(0, static_cast<std::int64_t>(seen.closed - std::exchange(closed_so_far_, seen.closed))));
  looked_ = seen.now;
  if (seen.connections == 0 && closed == 0) return passing_;
  const double kept = std::exp(-seconds / kMemory);
  open_s_ = open_s_ * kept + static_cast<double>(seen.connections) * seconds;
  closed_ = closed_ * kept + closed;
  return open_s_ <= closed_ * kPassing;
}

void Spread::follow_load(const Seen& seen, std::size_t least) {
  const bool busy = seen.busy >= kBusy && in_use_ < shards_;
  if (!busy) busy_since_.at = kNever;
  else if (busy_since_.at == kNever) busy_since_ = {seen.now, seen.work};
  if (!busy || seen.idle < kIdle) idle_since_ = kNever;
  else if (idle_since_ == kNever) idle_since_ = seen.now;
  if (idle_since_ != kNever && seen.now - idle_since_ >= kIdleFor) {
    use(std::min(shards_, in_use_ * 2));
  } else if (busy && passing_ && seen.now - busy_since_.at >= kBusyFor && seen.now >= next_trial_) {
    rate_before_ = rate(busy_since_, seen);
    use(in_use_ + 1);
    trying_ = true;
    trial_ = {seen.now, seen.work};
  }

  const bool relaxed = in_use_ > least && seen.busy * static_cast<double>(in_use_) <= kRelaxed * static_cast<double>(in_use_ - 1);
  if (!relaxed) relaxed_since_ = kNever;
  else if (relaxed_since_ == kNever) relaxed_since_ = seen.now;
  else if (seen.now - relaxed_since_ >= kRelaxedFor) use(in_use_ - 1);
}

void Spread::go_on_trying(const Seen& seen) {
  if (seen.now - trial_.at < kSettle) return;
  if (settled_.at == kNever) settled_ = {seen.now, seen.work};
  if (seen.now - settled_.at < kMeasure) return;
  const double before = rate_before_, after = rate(settled_, seen);
  const auto count = static_cast<double>(in_use_ - 1);
  const bool enough = after >= before * (1 + kGain / count);
  use(enough ? in_use_ : in_use_ - 1);
  if (!enough) next_trial_ = seen.now + kNextTrial;
}

double Spread::rate(const Mark& from, const Seen& to) {
  return static_cast<double>(to.work - from.work) / std::chrono::duration<double>(to.now - from.at).count();
}

void Spread::use(std::size_t count) {
  in_use_ = count;
  busy_since_.at = idle_since_ = relaxed_since_ = settled_.at = kNever;
  trying_ = false;
}

}  // namespace ringpost::policy
