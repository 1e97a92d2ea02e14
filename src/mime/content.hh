// What the Content-* fields of one part say.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "ringpost/mime/structure.hh"

namespace ringpost::mime {

/// Notes about the part whose header is being read; `Part` has what outlives the header.
struct Content {
  bool type_seen = false;
  bool encoding_seen = false;
  bool disposition_seen = false;
  bool holds_message = false;  ///< message/rfc822 or message/global
  bool digest = false;         ///< multipart/digest: its children are messages unless they say otherwise
  std::uint32_t boundary_length = 0;
};

/// True for the fields `read_content_field` understands.
constexpr bool is_content_field(HeaderId id) {
  return id == HeaderId::content_type || id == HeaderId::content_transfer_encoding || id == HeaderId::content_disposition;
}

/// Reads one Content-* value, which begins at `value_begin` in the message, into `part` and `content`. The boundary, if
/// any, is written to `boundary`. A second field of the same name only sets a flag.
void read_content_field(HeaderId id, std::string_view value, std::uint64_t value_begin, Part& part, Content& content,
                        std::span<char> boundary);

}  // namespace ringpost::mime
