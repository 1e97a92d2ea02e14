// Whole seconds of UTC as text (RFC 3339).
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace ringpost {

/// "2026-11-22T18:35:15Z". Years 0 to 9999.
std::string format_utc(std::chrono::sys_seconds time);

/// That form only, of the years 1970 to 9999. Nothing: anything else, a day or second that never was among it.
std::optional<std::chrono::sys_seconds> parse_utc(std::string_view text);

/// Any date-time of RFC 3339 section 5.6, fractions of a second and offsets from UTC among it, of the years 1970 to 9999. A begun
/// second counts as over, and so does a leap second.
std::optional<std::chrono::sys_seconds> parse_date_time(std::string_view text);

}  // namespace ringpost
