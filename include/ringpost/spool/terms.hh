// What the sender of a message asked for beside its delivery.
#pragma once

#include <array>
#include <cstdint>

#include "ringpost/base/bytes.hh"
#include "ringpost/base/error.hh"
#include "ringpost/base/units.hh"

namespace ringpost::spool {

/// When its time is over (RFC 2852). Numbers are part of the format.
enum class WhenLate : std::uint8_t {
  nothing = 0,    ///< there is no such time
  notify = 1,     ///< the sender is told, and it goes on (mode N)
  give_back = 2,  ///< it is not delivered any more, and the sender is told (mode R)
};

/// Mostly there are none; then they take no room in any record.
struct Terms {
  std::int32_t by_s = 0;  ///< the age at which it is late; negative or 0: it was when it came
  WhenLate when_late = WhenLate::nothing;
  bool trace = false;     ///< the sender is told of each server that takes it over
  std::int8_t priority = 0;  ///< -9..9, of the next ones the greater first, within bounds (RFC 6710)
  friend bool operator==(const Terms&, const Terms&) = default;

  bool any() const { return *this != Terms{}; }
  /// The age after which it is not to be delivered any more.
  bool forbids(Duration age) const { return when_late == WhenLate::give_back && age >= std::chrono::seconds(by_s); }
};
inline constexpr int kPriorityMax = 9;
inline constexpr std::int32_t kBySecondsMax = 999'999'999;

/// As they stand in records and rows (docs/formats/records.md).
inline constexpr std::size_t kTermsBytes = 8;
std::array<std::byte, kTermsBytes> encode(const Terms& terms);
/// Terms that say nothing have no encoding. Errors: corrupt.
Result<Terms> decode_terms(std::span<const std::byte, kTermsBytes> encoded);

}  // namespace ringpost::spool
