// What the mime tests share: ways to feed a message, a printable form of an index, and its invariants.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ringpost/mime/index.hh"

namespace ringpost::mime::testing {

/// The index of `message`, fed at once.
Index index_of(std::string_view message, const Limits& limits = {});
/// Same, fed in pieces that end at each of `cuts` (ascending offsets).
Index index_of_pieces(std::string_view message, const std::vector<std::size_t>& cuts, const Limits& limits = {});
/// LF line ends made CRLF, as on the wire; CRLF stays.
std::string with_crlf(std::string_view text);

/// One line per part and field, indented by depth; what golden files hold.
std::string describe(const Index& index, std::string_view message);
/// The names of the flags set, blank separated.
std::string flag_names(Flags flags);

/// Empty if the offsets are ordered and nested as structure.hh promises, else what is wrong.
std::string broken_invariant(const Index& index, std::uint64_t message_bytes);

}  // namespace ringpost::mime::testing
