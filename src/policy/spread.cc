#include "ringpost/policy/spread.hh"

#include <algorithm>
#include <cmath>
#include <utility>

namespace ringpost::policy {

namespace {

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

/// Whether `condition` has held for `span`, in looks one after the other; `since` remembers when that began.
bool holds_for(Duration span, bool condition, Instant& since, Instant now) {
  if (!condition) since = kNever;
  else if (since == kNever) since = now;
  return condition && now - since >= span;
}

}  // namespace

std::size_t Spread::look(const Seen& seen) {
  if (looked_ == kNever) {  // what counters had when it began is nobody's doing
    looked_ = seen.now;
    closed_so_far_ = seen.closed;
    return in_use_;
  }
  const std::size_t least = std::clamp<std::size_t>((seen.connections + kConnections - 1) / kConnections, 1, shards_);
  const bool were_short = std::exchange(short_, are_short(seen));
  if (!short_) {
    if (in_use_ != shards_) use(shards_);
  } else if (!were_short) {
    const double enough = std::ceil(seen.busy * static_cast<double>(in_use_) / kRelaxed);
    use(std::clamp(static_cast<std::size_t>(enough), least, shards_));
  } else if (in_use_ < least) {
    use(least);
  } else if (trial_ != Trial::none) {
    go_on_trying(seen, least);
  } else {
    follow_load(seen, least);
  }
  return in_use_;
}

// How long connections last, by Little's law: how many are open, by how many are closed in a second. Nothing is forgotten while there are none.
bool Spread::are_short(const Seen& seen) {
  const double passed = seconds(seen.now - std::exchange(looked_, seen.now));
  // Two counters make it, which are not read at the same moment: it may seem to go back.
  const auto closed = static_cast<double>(std::max<std::int64_t>(0, static_cast<std::int64_t>(seen.closed - std::exchange(closed_so_far_, seen.closed))));
  if (seen.connections == 0 && closed == 0) return short_;
  const double kept = std::exp(-passed / seconds(kMemory));
  open_s_ = open_s_ * kept + static_cast<double>(seen.connections) * passed;
  closed_ = closed_ * kept + closed;
  if (!short_) {
    long_since_ = kNever;
    return closed_ >= kFew && open_s_ <= closed_ * seconds(kShort);
  }
  return !holds_for(kLongFor, open_s_ >= closed_ * seconds(kLong), long_since_, seen.now);
}

void Spread::follow_load(const Seen& seen, std::size_t least) {
  const double busiest = std::max(seen.busy, seen.busiest);
  const bool busy = busiest >= kBusy && in_use_ < shards_;
  const bool busy_for_long = holds_for(kBusyFor, busy, busy_since_, seen.now);
  if (holds_for(kIdleFor, busy && seen.idle >= kIdle, idle_since_, seen.now)) {
    use(next());
  } else if (busy_for_long && seen.now >= next_trial_) {
    trial_ = Trial::before;
    mark_ = {seen.now, seen.work};
  }
  const bool relaxed = in_use_ > least && busiest < kBusy && seen.busy * static_cast<double>(in_use_) <= kRelaxed * static_cast<double>(in_use_ - 1);
  if (holds_for(kRelaxedFor, relaxed, relaxed_since_, seen.now)) use(in_use_ - 1);
}

void Spread::go_on_trying(const Seen& seen, std::size_t least) {
  const Trial step = trial_;
  if (seen.now - mark_.at < (step == Trial::settling ? kSettle : kMeasure)) return;
  const double rate_now = rate(mark_, seen);
  mark_ = {seen.now, seen.work};
  if (step == Trial::before) {
    rate_before_ = rate_now;
    use(in_use_ + 1);
    trial_ = Trial::settling;
  } else if (step == Trial::settling) {
    trial_ = Trial::measuring;
  } else {
    const std::size_t before = in_use_ - 1;
    const bool enough = rate_now >= rate_before_ * (1 + kGain / static_cast<double>(before));
    if (!enough) next_trial_ = seen.now + kNextTrial;
    use(enough ? in_use_ : std::max(before, least));
  }
}

double Spread::rate(const Mark& from, const Seen& to) { return static_cast<double>(to.work - from.work) / seconds(to.now - from.at); }

void Spread::use(std::size_t count) {
  in_use_ = count;
  busy_since_ = idle_since_ = relaxed_since_ = kNever;
  trial_ = Trial::none;
}

}  // namespace ringpost::policy
