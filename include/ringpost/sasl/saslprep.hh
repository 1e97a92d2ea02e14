// How names and passwords are made comparable: SASLprep (RFC 4013).
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "ringpost/base/secret.hh"

namespace ringpost::sasl {

/// Octets of a name or a password that are looked at at all; RFC 4616 wants 255 at least.
inline constexpr std::size_t kPreparedBytesMax = 1024;

/// The prepared form, with unassigned code points refused as RFC 3454 has it for stored strings; printable ASCII is its own.
/// Nothing: not UTF-8, a prohibited character (controls are), bidirectional nonsense, longer than kPreparedBytesMax before or
/// after, or nothing is left.
std::optional<SecretBytes> saslprep(std::string_view text);

}  // namespace ringpost::sasl
