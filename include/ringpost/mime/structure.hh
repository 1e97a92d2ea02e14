// What the indexer finds: header fields and parts of a message, as offsets into it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "ringpost/base/bytes.hh"
#include "ringpost/mime/header.hh"

namespace ringpost::mime {

/// A stretch of the message: offset of its first byte, and its length. Length 0 means "absent or empty".
struct Extent {
  std::uint64_t begin = 0;
  std::uint32_t length = 0;
  constexpr std::uint64_t end() const { return begin + length; }
  explicit constexpr operator bool() const { return length != 0; }
  friend bool operator==(const Extent&, const Extent&) = default;
};

/// What is odd about a part or a message. No flag makes indexing fail; the caller decides what to refuse.
enum class Flag : std::uint32_t {
  // A limit was passed: what follows (or, for over_depth, this part's body) is not looked into.
  over_depth = 1U << 0,       ///< a container nested deeper than `depth_max`; its body is one opaque stretch
  over_parts = 1U << 1,       ///< more than `parts_max` parts; the rest of the message is opaque
  over_fields = 1U << 2,      ///< more than `fields_max` fields; the rest of the message is opaque
  header_too_long = 1U << 3,  ///< a header section above `header_bytes_max`; the rest of the message is opaque
  field_too_long = 1U << 4,   ///< a Content-* value above `field_bytes_max`: only its beginning was read
  boundary_too_long = 1U << 5,
  // The header is malformed.
  no_colon = 1U << 6,            ///< a line that is no field ended the header without an empty line
  space_before_colon = 1U << 7,  ///< "From : x" (obsolete syntax, RFC 5322 section 4.5)
  leading_fold = 1U << 8,        ///< the header begins with a continuation line, which was ignored
  mbox_from = 1U << 9,           ///< the message begins with an mbox "From " line, which was ignored
  long_line = 1U << 10,          ///< a header line above 998 bytes (RFC 5322 section 2.1.1)
  nul = 1U << 11,                ///< a NUL in the header
  eight_bit = 1U << 12,          ///< a byte above 127 in the header
  // The structure is malformed or ambiguous.
  missing_end = 1U << 13,    ///< a multipart without its close delimiter
  no_boundary = 1U << 14,    ///< a multipart without a usable boundary parameter: its body is opaque
  boundary_junk = 1U << 15,  ///< a delimiter line of this multipart goes on after the boundary
  header_cut = 1U << 16,     ///< a delimiter stands in the header of this part
  duplicate_content_type = 1U << 17,
  duplicate_encoding = 1U << 18,
  duplicate_disposition = 1U << 19,
  duplicate_parameter = 1U << 20,  ///< boundary, charset, name or filename given twice: the first counts
  bad_content_type = 1U << 21,     ///< a Content-Type that is not type "/" subtype
  encoded_container = 1U << 22,    ///< base64 or quoted-printable on a multipart (ignored) or message (opaque)
};

/// A set of flags.
struct Flags {
  std::uint32_t bits = 0;
  constexpr bool has(Flag flag) const { return (bits & static_cast<std::uint32_t>(flag)) != 0; }
  constexpr void set(Flag flag) { bits |= static_cast<std::uint32_t>(flag); }
  constexpr void add(Flags other) { bits |= other.bits; }
  friend bool operator==(Flags, Flags) = default;
};

/// The name of one flag, for logs, rules and golden files.
std::string_view flag_name(Flag flag) noexcept;

enum class MediaType : std::uint8_t { text, multipart, message, image, audio, video, application, other };
enum class Encoding : std::uint8_t { identity, seven_bit, eight_bit, binary, quoted_printable, base64, uuencode, unknown };
enum class Disposition : std::uint8_t { none, inline_, attachment, form_data, other };

/// What the body of a part turned out to be.
enum class Body : std::uint8_t {
  leaf,       ///< content, or an opaque stretch when a flag says so
  multipart,  ///< its children are the parts between the delimiters
  message,    ///< message/rfc822 or message/global: exactly one child, which starts at `body_begin`
};

/// One header field. Its bytes are [begin, begin + name_length) for the name and `value()` for the value, which starts
/// right after the colon and includes every fold but not the final line end.
struct Field {
  std::uint64_t begin = 0;
  std::uint32_t name_length = 0;
  std::uint32_t value_offset = 0;  ///< from `begin`
  std::uint32_t value_length = 0;
  std::uint32_t name_hash = 0;  ///< header_name_hash of the name
  std::uint16_t part = 0;
  HeaderId id = HeaderId::other;

  constexpr Extent name() const { return {begin, name_length}; }
  constexpr Extent value() const { return {begin + value_offset, value_length}; }
  friend bool operator==(const Field&, const Field&) = default;
};

/// Part number 0 is the message itself; `kNoPart` is the parent of it.
inline constexpr std::uint16_t kNoPart = 0xffff;

/// One part: header_begin <= header_end <= body_begin <= body_end, all inside the parent's body. Parts are numbered in
/// the order they begin, so a parent comes before its children.
struct Part {
  std::uint64_t header_begin = 0;
  std::uint64_t header_end = 0;  ///< where the empty line begins
  std::uint64_t body_begin = 0;
  std::uint64_t body_end = 0;  ///< without the line end that belongs to the delimiter (RFC 2046 section 5.1.1)
  std::uint32_t first_field = 0;
  std::uint32_t field_count = 0;
  std::uint16_t parent = kNoPart;
  std::uint16_t depth = 0;
  MediaType type = MediaType::text;
  Encoding encoding = Encoding::identity;
  Disposition disposition = Disposition::none;
  Body body = Body::leaf;
  Flags flags;
  // Where the words stand, raw: quotes left out, but escapes, folds and encodings still in. Absent: length 0. For a
  // continued parameter (RFC 2231) the extent is that of the first piece seen; `decode_parameter` gives the whole.
  Extent type_name, subtype, boundary, charset, name, filename;

  friend bool operator==(const Part&, const Part&) = default;
};

/// The bytes of a message, or the stretch of it the caller has at hand (for example only the header).
struct Source {
  Bytes bytes;
  std::uint64_t begin = 0;  ///< offset of bytes[0] in the message

  /// The text at `extent`, or an empty view where it is not wholly inside this stretch. Lifetime: that of `bytes`.
  std::string_view text(Extent extent) const noexcept;
};

/// The result. Owned by the `Indexer`, valid until its next `reset()`.
class Index {
 public:
  std::span<const Part> parts() const { return parts_; }
  /// Fields of all parts in the order of the message; those of one part are neighbours.
  std::span<const Field> fields() const { return fields_; }
  std::span<const Field> fields_of(std::size_t part) const {
    return fields().subspan(parts_[part].first_field, parts_[part].field_count);
  }
  /// Every flag of every part.
  Flags flags() const { return flags_; }
  /// Bytes of the message.
  std::uint64_t size() const { return size_; }
  /// From where on the message was not looked into because of a limit; `size()` if it was read to the end.
  std::uint64_t opaque_begin() const { return opaque_begin_; }

  /// The first field of that name in `part`, or nullptr. Needs no message bytes.
  const Field* find(HeaderId id, std::size_t part = 0) const noexcept;
  /// How many fields of that name `part` has: loop detection counts `HeaderId::received`.
  std::size_t count(HeaderId id, std::size_t part = 0) const noexcept;

  /// The first field called `name` (any case) in `part`, or nullptr.
  const Field* header_field(std::string_view name, const Source& source, std::size_t part = 0) const noexcept;
  std::size_t count(std::string_view name, const Source& source, std::size_t part = 0) const noexcept;

  friend bool operator==(const Index&, const Index&) = default;

 private:
  friend class Indexer;  // whose nested machine fills it
  std::vector<Part> parts_;
  std::vector<Field> fields_;
  Flags flags_;
  std::uint64_t size_ = 0;
  std::uint64_t opaque_begin_ = 0;
};

}  // namespace ringpost::mime
