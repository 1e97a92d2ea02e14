// What the index says about a partition besides the messages themselves.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <vector>

#include "ringpost/index/entry.hh"

namespace ringpost::index {

/// How far the log is reflected.
struct LogMark {
  std::uint64_t generation = 0;  ///< the rows say what all older ones do; 0: nothing is known
  std::uint64_t group = 0;       ///< was durable then: a log that does not reach it is another one
  friend bool operator==(const LogMark&, const LogMark&) = default;
};

/// What of one generation is alive.
struct GenerationLive {
  std::uint64_t generation = 0;
  std::uint64_t records = 0;  ///< MESSAGE and CHUNK records of live messages
  std::uint64_t bytes = 0;    ///< of these records, in the log
  friend bool operator==(const GenerationLive&, const GenerationLive&) = default;
};

/// Sums over all messages.
struct Totals {
  std::uint64_t entries = 0;
  std::uint64_t waiting_messages = 0;    ///< that are not over
  std::uint64_t waiting_recipients = 0;
};

/// The order of due times is kept in clear, so it is kept coarse: in units of 2^36 ns, about 69 s.
using DueBucket = std::uint64_t;
inline constexpr unsigned kDueBucketBits = 36;
constexpr DueBucket due_bucket(WallTime due) {
  constexpr std::uint64_t kSign = std::uint64_t{1} << 63;  // times before 1970 sort first
  return (static_cast<std::uint64_t>(due.time_since_epoch().count()) ^ kSign) >> kDueBucketBits;
}

/// A place in the order of due messages: by bucket, then by id.
struct DueCursor {
  DueBucket bucket = 0;
  MessageId id;
  friend auto operator<=>(const DueCursor&, const DueCursor&) = default;
};

/// Scheduled messages with from <= due < before.
struct DueQuery {
  WallTime from = WallTime::min();
  WallTime before{};
  std::size_t limit = 1000;        ///< at most so many in one page, at least 1
  std::optional<DueCursor> after;  ///< DuePage::next of the page before, of the same query
};
struct DuePage {
  std::vector<Entry> entries;     ///< in the order of DueCursor: exact to a bucket; may be empty although there are more
  std::optional<DueCursor> next;  ///< empty: that was the last page
};

/// What an open found.
enum class Opening : std::uint8_t {
  restored,    ///< the content of the last commit
  created,     ///< fresh: there was nothing
  unproven,    ///< fresh: a process died while opening it, or gave it up
  unreadable,  ///< fresh: the store's own files are damaged
  foreign,     ///< fresh: of another store, partition or version
  wrong,       ///< fresh: rows that do not authenticate, or do not belong together
};

}  // namespace ringpost::index
