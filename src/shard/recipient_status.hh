// One recipient's fate as the queue keeps it and as the spool and the index write it down.
#pragma once

#include <algorithm>
#include <span>

#include "ringpost/queue/message.hh"
#include "ringpost/spool/records.hh"

namespace ringpost::shard {

inline spool::RecipientStatus status_of(const queue::Recipient& recipient) {
  return {static_cast<spool::RecipientState>(recipient.state), recipient.attempts, recipient.reason, recipient.reply, recipient.host};
}

inline queue::Recipient recipient_of(const spool::RecipientStatus& status) {
  return {static_cast<queue::State>(status.state), status.attempts, status.reason, status.reply, status.host};
}

/// `due`: when it is due next.
inline spool::Waited waited_of(const queue::Message& message, Instant due) {
  const auto age = std::chrono::duration_cast<std::chrono::seconds>(due - message.born).count();
  return {static_cast<std::uint32_t>(std::clamp<std::int64_t>(age, 0, UINT32_MAX)), message.warned};
}

/// What is known of `message` now, and what of `recipients` changed; nobody's words, and no host.
inline spool::Outcome outcome_of(const queue::Message& message, std::uint32_t revision, std::span<const spool::Outcome::Recipient> recipients) {
  return {.message_generation = message.place.generation,
          .revision = revision,
          .held = message.held,
          .due = message.due_wall,
          .waited = waited_of(message, message.due),
          .host = {},
          .recipients = recipients};
}

}  // namespace ringpost::shard
