// When to try again, when to say that it takes long, when to give up: pure decisions about a message that was deferred.
#pragma once

#include <cstdint>

#include "ringpost/base/prng.hh"
#include "ringpost/base/units.hh"
#include "ringpost/event/event.hh"
#include "ringpost/spool/terms.hh"

namespace ringpost::queue {

struct RetrySchedule {
  Duration first{};  ///< after the first failed attempt
  Duration max{};    ///< never longer
};

/// Kinds of trouble that go away at different speeds.
enum class Trouble : std::uint8_t {
  ordinary,      ///< no connection, or an answer that says no more than "later"
  greylisted,    ///< it takes us for new and wants to see us again soon: 450, or 451 4.7.1
  mailbox_full,  ///< somebody must tidy up first: 452 4.2.2, or 422
  dns,           ///< the domain's servers or a resolver are in trouble
  rate_limited,  ///< we are too fast: 421 4.7.x
};
Trouble trouble_of(event::Reason reason, const event::ReplyCode& reply);

/// The wait after `attempts` failed attempts (from 1): first * 2^(attempts-1), at most max, shortened by up to a quarter so that
/// messages that failed together do not come back together. Never zero.
Duration retry_delay(const RetrySchedule& schedule, std::uint32_t attempts, Prng& prng);
/// The same by what went wrong: a greylisted message keeps to the first wait for four attempts; a full mailbox begins at four
/// times, DNS and a rate limit at twice the first wait; behind a rate limit messages are spread over half of it.
Duration retry_delay(const RetrySchedule& schedule, Trouble trouble, std::uint32_t attempts, Prng& prng);

struct Patience {
  Duration lifetime{};       ///< after that it fails for good
  Duration delay_warning{};  ///< after that the sender is told that it takes long; zero: never
  bool punctual = false;     ///< told then, and not only at the next attempt
};

/// A message of which a recipient was deferred.
struct Deferred {
  Duration age{};
  bool warned = false;
  Trouble trouble = Trouble::ordinary;
  std::uint32_t attempts = 1;
};

struct Verdict {
  bool expired = false;  ///< give up: nothing below counts
  bool warn = false;     ///< the sender is to be told now
  Duration wait{};       ///< until the next attempt; the last one falls on the end of the lifetime
};
/// The patience that a message with such terms is met with (RFC 2852).
Patience with_terms(const Patience& patience, const spool::Terms& terms);
Verdict decide(const Deferred& deferred, const RetrySchedule& schedule, const Patience& patience, Prng& prng);

/// The age of a message as a start finds it. Age is what it was to be at its due time, less the wait that is left, plus what passed
/// since: an hour at most, so that no jump of the wall clock makes mail expire.
///
/// Units: `until_due` may be negative; `longest_wait`: no honest wait is longer.
Duration age_after_start(Duration age_when_due, Duration until_due, Duration longest_wait);

}  // namespace ringpost::queue
