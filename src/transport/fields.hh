// The TXT records of both standards: "v=NAME; key=value; ..." (RFC 8461 section 3.1, RFC 8460 section 3).
#pragma once

#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ringpost/transport/mta_sts.hh"

namespace ringpost::transport {

struct Field {
  std::string_view key, value;  ///< views of the record
};

/// The fields behind the version of the one record that begins with `version`, blanks, and a semicolon. None of them may be
/// missing its value; there is at least one.
std::expected<std::vector<Field>, RecordFault> only_record(std::span<const std::string> records, std::string_view version);

/// A letter or digit, then up to 31 of those, "_", "-" and ".".
bool is_key(std::string_view text);

/// Cuts what stands before `separator` off `text`, with the separator; all of it when there is none.
std::string_view cut(std::string_view& text, char separator);
/// Without blanks and tabs at its ends.
std::string_view trimmed(std::string_view text);

}  // namespace ringpost::transport
