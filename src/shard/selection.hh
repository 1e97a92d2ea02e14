// Which recipients of a message an operator's filter means.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ringpost/control/filter.hh"
#include "ringpost/deliver/view.hh"
#include "ringpost/queue/message.hh"
#include "ringpost/spool/records.hh"

namespace ringpost::shard {

/// Addresses of a message, wherever they are now.
struct Addresses {
  std::string sender;
  std::vector<std::string> recipients;
};

/// Those of an opened message.
Addresses addresses_in(const spool::Envelope& envelope);

/// What there is to look at. Lifetime: for the call.
struct Seen {
  const queue::Message& message;
  const Addresses* addresses = nullptr;         ///< null: not opened, or they cannot be had
  const deliver::SiteView* site = nullptr;      ///< where it goes, if that is known
  bool route_holds = false;                     ///< no route leads anywhere
  Instant now{};
  bool is_ours = false;  ///< who looks has it in delivery: for operators it is not

  bool in_delivery() const { return message.in_delivery && !is_ours; }
};

/// "queued", "delivering", "deferred", "held", "delivered", "failed".
std::string_view state_of(const Seen& seen, std::size_t recipient);
/// Why it waits, or failed: never empty for one that waits, empty for one that is delivered.
std::string_view reason_of(const Seen& seen, std::size_t recipient);

/// Indices of the recipients that `filter` means, ascending. Without addresses, filters that name some are taken to fit.
std::vector<std::uint32_t> select(const control::QueueFilter& filter, const Seen& seen);

}  // namespace ringpost::shard
