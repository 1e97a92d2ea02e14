// Sums over the messages that wait: by state, by reason, by domain.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "shard/selection.hh"

namespace ringpost::shard {

class QueueSummary {
 public:
  struct Domain {
    std::string name;  ///< empty: not known
    MessageId sample;  ///< one of its messages
    std::uint64_t messages = 0, recipients = 0, bytes = 0;
    WallTime oldest = WallTime::max();
  };

  /// Counts the recipients that `filter` means. Lifetime: it outlives this.
  explicit QueueSummary(const control::QueueFilter& filter) : filter_(filter) {}

  void add(const Seen& seen);
  /// The domains with the most messages, the largest first. Names are for the caller to fill in.
  std::vector<Domain*> largest();
  /// One object, without a newline.
  std::string json();

 private:
  const control::QueueFilter& filter_;
  Domain total_, others_, several_;  // others: domains beyond the number that is kept; several: messages to more than one
  std::map<std::string, std::uint64_t, std::less<>> states_, reasons_;
  std::map<queue::Destination, Domain> domains_;
};

}  // namespace ringpost::shard
