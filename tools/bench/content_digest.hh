// What both ends of a benchmark say about one message, so that they can be compared: size, hash, token.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "ringpost/base/bytes.hh"

namespace ringpost::bench {

/// The field that names a message: "X-Ringpost-Bench: TOKEN".
inline constexpr std::string_view kTokenField = "X-Ringpost-Bench";
/// Longest token; its characters are letters, digits, '.', '_' and '-'.
inline constexpr std::size_t kTokenBytesMax = 64;
/// A header that goes on behind this is not looked at any further.
inline constexpr std::size_t kHeaderBytesMax = 256 * 1024;

bool is_token(std::string_view text);

/// XXH3, 128 bits.
struct ContentHash {
  static constexpr std::size_t kHexChars = 32;
  std::uint64_t high = 0, low = 0;

  /// 32 lower-case hexadecimal digits, the high half first, as `xxhsum -H2` prints it.
  std::string hex() const;
  static std::optional<ContentHash> from_hex(std::string_view hex);
  friend bool operator==(const ContentHash&, const ContentHash&) = default;
};

struct ContentFacts {
  std::string_view token;             ///< of the first X-Ringpost-Bench field, else "-"; valid until the next begin()
  std::uint64_t size = 0;             ///< bytes that were hashed
  std::uint64_t received_bytes = 0;   ///< bytes of the one Received field that was left out
  std::uint32_t received_fields = 0;  ///< how many there were, that one included
  ContentHash hash;
};

/// Digests one message after the other, each in pieces cut anywhere.
///
/// Left out of size and hash is exactly one field: the topmost Received field with its continuation lines and final CRLF,
/// wherever in the header it stands. A message without one is digested as it is.
class ContentDigest {
 public:
  ContentDigest() { begin(); }

  /// A new message; what was fed before is forgotten.
  void begin();
  void feed(Bytes piece);
  /// Once, at the end.
  ContentFacts finish();

 private:
  void end_header(std::string_view header);
  void hash(std::string_view bytes);

  static constexpr std::size_t kStateBytes = 576, kStateAlignment = 64;  // checked against the library's type
  alignas(kStateAlignment) std::byte state_[kStateBytes];
  bool in_body_ = false;
  std::string header_;  // only while it is in pieces
  std::string token_;
  std::uint64_t size_ = 0, received_bytes_ = 0;
  std::uint32_t received_fields_ = 0;
};

}  // namespace ringpost::bench
