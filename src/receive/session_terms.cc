// What senders ask for beside delivery: when, by when, and how urgently.
#include <algorithm>

#include "receive/session.hh"

namespace ringpost::receive {

// Of what was allowed to be asked; answers MAIL.
void Session::grant(const smtp::DeliveryTerms& terms) {
  if (const auto& by = terms.deliver_by)
    envelope_.terms = {.by_s = by->seconds, .when_late = by->give_back ? spool::WhenLate::give_back : spool::WhenLate::notify, .trace = by->trace};
  const int asked = terms.priority.value_or(0), granted = std::min(asked, priority_max());
  envelope_.terms.priority = static_cast<std::int8_t>(granted);
  if (granted == asked) return answer(smtp::replies::kSenderOk);
  // RFC 6710 section 4.2.
  const std::string text = std::to_string(granted) + " is the new priority assigned to the message";
  answer({250, {2, 3, 6}, text});
}

int Session::priority_max() const {
  return config::is_submission(listener_.role) ? static_cast<int>(settings_->submission.priority_max) : spool::kPriorityMax;
}

std::uint32_t Session::deliver_by_min_s() const {
  return static_cast<std::uint32_t>(settings_->submission.deliver_by_min / std::chrono::seconds(1));
}

Duration Session::future_release_max() const {
  return config::is_submission(listener_.role) ? settings_->submission.future_release_max : Duration{};
}

// From now; a release that is over is none. What the client calls a time is one of the wall clock, and asked for once.
Duration Session::hold_of(const smtp::FutureRelease& release) const {
  if (release.hold_s != 0) return std::chrono::seconds(release.hold_s);
  const WallTime now = ring_.wall_now();
  // In seconds, for nanoseconds do not reach the year 9999.
  const std::chrono::seconds longest = std::chrono::ceil<std::chrono::seconds>(settings_->submission.future_release_max);
  if (release.until - std::chrono::floor<std::chrono::seconds>(now) > longest + std::chrono::seconds(1)) return Duration::max();
  return std::max(WallTime{release.until} - now, Duration{});
}

}  // namespace ringpost::receive
