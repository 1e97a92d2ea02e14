// Indexer: reads a message as it streams by and notes where its fields and parts are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "ringpost/base/bytes.hh"
#include "ringpost/mime/structure.hh"

namespace ringpost::mime {

/// Everything the indexer keeps is sized by these at construction.
struct Limits {
  std::uint32_t parts_max = 1000;            ///< 1..65534
  std::uint32_t depth_max = 32;              ///< containers around a part; 0..1000
  std::uint32_t fields_max = 8192;           ///< in the whole message
  std::uint32_t header_bytes_max = 262'144;  ///< one header section
  std::uint32_t field_bytes_max = 16'384;    ///< what is read of one Content-* value, and of one line; from 2048 on
  std::uint32_t boundary_bytes_max = 994;    ///< 1..1000; RFC 2046 allows 70, a line of 998 bytes this much
};

/// The index of one message after another.
///
/// Input:    the message as stored: CRLF or LF lines, dot-stuffing undone, in spans of any size.
/// Never fails: malformed or oversized input sets flags (`Flag`), and what cannot be understood is left opaque.
/// Memory:   allocated by the constructor only. Copies at most one header line or Content-* value, both capped.
/// Time:     linear in bytes; a body outside every multipart costs nothing, others one SIMD search for "\n--".
/// Reading:  the first of duplicate fields and parameters counts; a delimiter is the longest open boundary that the line
///           begins with (RFC 2046 section 5.1.1), the innermost if equal; a line that is no field begins the body, as in
///           Postfix. RFC 2045, 2046, 2231, 5322; MIME-Version is not asked for.
class Indexer {
 public:
  explicit Indexer(const Limits& limits = {});
  ~Indexer();
  Indexer(const Indexer&) = delete;
  Indexer& operator=(const Indexer&) = delete;

  /// The next bytes of the message. Lifetime: `bytes` is not looked at after the return.
  void feed(Bytes bytes);
  /// The message is complete. Once, after the last feed.
  const Index& finish();
  /// Valid after `finish`, until `reset`.
  const Index& index() const;
  /// Forgets the message, keeps the memory.
  void reset();

 private:
  class Machine;
  std::unique_ptr<Machine> machine_;
};

}  // namespace ringpost::mime
