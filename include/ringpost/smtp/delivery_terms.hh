// When a message is to be delivered, as SMTP asks for it with parameters of MAIL.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ringpost::smtp {

/// Longest interval that HOLDFOR can name (RFC 4865 section 3).
inline constexpr std::uint32_t kHoldSecondsMax = 999'999'999;

/// Of HOLDUNTIL; RFC 4865 section 3 lets MAIL grow by 34 for it, with its keyword.
inline constexpr std::size_t kHoldUntilBytesMax = 34;

/// FUTURERELEASE (RFC 4865 section 3): the message is kept that long, or until then.
struct FutureRelease {
  std::uint32_t hold_s = 0;            ///< HOLDFOR, 1..kHoldSecondsMax; 0: it is HOLDUNTIL
  std::chrono::sys_seconds until{};    ///< HOLDUNTIL
  std::string_view value;              ///< as sent
};
/// A number without leading zeros, 1..kHoldSecondsMax.
std::optional<FutureRelease> parse_hold_for(std::string_view value);
/// A date-time of RFC 3339 (erratum 2040).
std::optional<FutureRelease> parse_hold_until(std::string_view value);

/// DELIVERBY (RFC 2852 section 4): it is to be delivered within that time.
struct DeliverBy {
  std::int32_t seconds = 0;  ///< -999,999,999..999,999,999; what is not above 0 is over
  bool give_back = false;    ///< mode R: then it comes back; else mode N: then its sender hears of it
  bool trace = false;        ///< T: its sender hears of each server that takes it over
};
std::optional<DeliverBy> parse_deliver_by(std::string_view value);
/// As parse_deliver_by() reads it.
std::string deliver_by_text(const DeliverBy& deliver_by);

/// priority-value of RFC 6710 section 4.1, in its one form: -9..9, and 0 has no sign.
std::optional<int> parse_priority(std::string_view value);

/// Of MAIL. Views of the command line, or of what was kept of it.
struct DeliveryTerms {
  std::optional<FutureRelease> release;
  std::optional<DeliverBy> deliver_by;
  std::optional<int> priority;  ///< MT-PRIORITY (RFC 6710): -9..9
};

/// Appends them as they are kept, behind the parameters of notification.hh.
void append_parameters(const DeliveryTerms& terms, std::string& out);
/// The other way round. What is not understood is ignored: it was checked when it came.
DeliveryTerms read_delivery_terms(std::string_view kept);

}  // namespace ringpost::smtp
