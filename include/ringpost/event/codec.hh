// Audit events as bytes (AUDIT records, the socket to auditd) and as JSON lines. Format: docs/formats/audit-event.md.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "ringpost/base/bytes.hh"
#include "ringpost/base/error.hh"
#include "ringpost/event/event.hh"

namespace ringpost::event {

inline constexpr std::uint8_t kEventVersion = 1;
/// No encoded event is longer.
inline constexpr std::size_t kEventBytesMax = 256;

/// Why bytes are no event: `Error::detail` of a failed decode, beside Errc::corrupt.
enum class Malformed : std::int32_t {
  truncated = 1,
  version,
  kind,
  fields,    ///< a field the kind does not allow, one it requires missing, or an unknown one
  value,     ///< a field out of its range
  trailing,  ///< bytes after the end
  magic,
  count,  ///< a batch of no events, of too many, or whose sequences do not follow each other
};

/// Writes `event`, which must be valid, to the start of `out` (at least kEventBytesMax) and returns its length.
std::size_t encode(const Event& event, MutableBytes out);
/// Exactly one event. Any byte string has a verdict. Errors: corrupt, detail a Malformed.
Result<Event> decode(Bytes bytes);

/// Names a setting for JSON; an empty answer leaves the number. `config::key_name` fits.
using SettingName = std::string_view (*)(std::uint32_t id);
/// Appends one JSON object without a newline. Field order is stable; absent fields are left out.
void append_json(const Event& event, std::string& out, SettingName setting_name = nullptr);

}  // namespace ringpost::event
