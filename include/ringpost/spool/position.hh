// Where a record lies in a partition's log.
#pragma once

#include <compare>
#include <cstdint>
#include <span>
#include <vector>

namespace ringpost::spool {

/// One record: its segment's generation, its first byte in that segment's file, and its length with header and tag.
/// A generation's counter never repeats within a partition, so a position never comes to mean another record.
struct Position {
  std::uint64_t generation = 0;  ///< 0: nowhere
  std::uint32_t offset = 0;
  std::uint32_t length = 0;

  explicit operator bool() const { return generation != 0; }
  friend bool operator==(const Position&, const Position&) = default;
  friend auto operator<=>(const Position&, const Position&) = default;
};

/// Some records of one message that lie in one generation: what liveness needs to know of its chunks.
struct Extent {
  std::uint64_t generation = 0;  ///< 0: none
  std::uint32_t records = 0;     ///< at least 1
  std::uint64_t bytes = 0;       ///< of the records, with header and tag
  friend bool operator==(const Extent&, const Extent&) = default;
};

/// The same positions by generation, ascending.
std::vector<Extent> extents_of(std::span<const Position> positions);

}  // namespace ringpost::spool
