// How text of others is made fit for a report, and how its parts are written.
#pragma once

#include <string>
#include <string_view>

#include "ringpost/base/bytes.hh"
#include "ringpost/base/units.hh"

namespace ringpost::deliver {

inline constexpr std::size_t kLineBytesMax = 998;  // RFC 5322 section 2.1.1, without CRLF

bool is_seven_bit(std::string_view text);
bool is_utf8(std::string_view text);
/// One line of printable characters: controls become `?`, line ends a blank; octets above 127 stay only in well-formed UTF-8 that is
/// allowed. Cut to `bytes_max`.
std::string printable(std::string_view text, bool utf8_allowed, std::size_t bytes_max = 900);
/// A field with CRLF; folded at blanks where it grows long.
void append_field(std::string& out, std::string_view name, std::string_view value);
/// RFC 2045 section 6.7. `text` has CRLF line ends.
void append_quoted_printable(std::string& out, std::string_view text);
/// RFC 5322 section 3.3, UTC.
std::string mail_date(WallTime time);
std::string hex_text(Bytes bytes);

}  // namespace ringpost::deliver
