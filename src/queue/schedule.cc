#include "ringpost/queue/schedule.hh"

#include <algorithm>

namespace ringpost::queue {

namespace {

constexpr Duration kAdvanceMax = std::chrono::hours(1);
constexpr std::uint32_t kGreylistAttempts = 4;

/// `first` doubled `times` times, at most `max`.
Duration doubled(const RetrySchedule& schedule, std::uint32_t times) {
  Duration delay = std::max(schedule.first, Duration{1});
  for (std::uint32_t i = 0; i < times && delay < schedule.max; ++i) delay *= 2;
  return std::max(std::min(delay, schedule.max), Duration{4});
}

/// Shortened by up to one `part`-th.
Duration shortened(Duration delay, std::uint64_t part, Prng& prng) {
  return delay - Duration{static_cast<Duration::rep>(prng.below(static_cast<std::uint64_t>(delay.count()) / part))};
}

}  // namespace

Trouble trouble_of(event::Reason reason, const event::ReplyCode& reply) {
  if (reason == event::Reason::dns_temporary || reason == event::Reason::dns_no_such_domain || reason == event::Reason::no_mail_host ||
      reason == event::Reason::tlsa_unavailable)
    return Trouble::dns;
  const bool is_policy = reply.enhanced_subject == 7;
  const bool is_full = reply.enhanced_subject == 2 && reply.enhanced_detail == 2;
  if (reply.code == 421 && is_policy) return Trouble::rate_limited;
  if (reply.code == 422 || (reply.code / 100 == 4 && is_full)) return Trouble::mailbox_full;
  if ((reply.code == 450 && !is_full) || (reply.code == 451 && is_policy && reply.enhanced_detail == 1)) return Trouble::greylisted;
  return Trouble::ordinary;
}

Duration retry_delay(const RetrySchedule& schedule, std::uint32_t attempts, Prng& prng) {
  return shortened(doubled(schedule, std::max(attempts, 1u) - 1), 4, prng);
}

Duration retry_delay(const RetrySchedule& schedule, Trouble trouble, std::uint32_t attempts, Prng& prng) {
  const std::uint32_t times = std::max(attempts, 1u) - 1;
  switch (trouble) {
    case Trouble::greylisted:
      return shortened(doubled(schedule, times < kGreylistAttempts ? 0 : times - kGreylistAttempts + 1), 4, prng);
    case Trouble::mailbox_full: return shortened(doubled(schedule, times + 2), 4, prng);
    case Trouble::dns: return shortened(doubled(schedule, times + 1), 4, prng);
    case Trouble::rate_limited: return shortened(doubled(schedule, times + 1), 2, prng);
    case Trouble::ordinary: break;
  }
  return retry_delay(schedule, attempts, prng);
}

Patience with_terms(const Patience& patience, const spool::Terms& terms) {
  Patience changed = patience;
  const Duration by = std::chrono::seconds(terms.by_s);
  if (terms.when_late == spool::WhenLate::give_back) changed.lifetime = std::min(patience.lifetime, by);
  // Whoever names a time wants to hear then, and once. If it was over when it came, the server before has said so.
  if (terms.when_late == spool::WhenLate::notify && terms.by_s > 0) {
    changed.delay_warning = by;
    changed.punctual = true;
  }
  return changed;
}

Verdict decide(const Deferred& deferred, const RetrySchedule& schedule, const Patience& patience, Prng& prng) {
  if (deferred.age >= patience.lifetime) return {.expired = true};
  Duration wait = retry_delay(schedule, deferred.trouble, deferred.attempts, prng);
  if (patience.punctual && !deferred.warned && deferred.age < patience.delay_warning) wait = std::min(wait, patience.delay_warning - deferred.age);
  return {.warn = patience.delay_warning > Duration{} && !deferred.warned && deferred.age >= patience.delay_warning,
          .wait = std::min(wait, patience.lifetime - deferred.age)};
}

Duration age_after_start(Duration age_when_due, Duration until_due, Duration longest_wait) {
  const Duration left = std::clamp(until_due, Duration{}, longest_wait);
  const Duration overdue = std::clamp(-until_due, Duration{}, kAdvanceMax);
  return std::max(age_when_due - left + overdue, Duration{});
}

}  // namespace ringpost::queue
