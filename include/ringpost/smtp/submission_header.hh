// The header of a message that a user submits: what is wrong with it, and what a server may add (RFC 6409 section 8).
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "ringpost/base/bytes.hh"
#include "ringpost/base/id.hh"
#include "ringpost/base/units.hh"
#include "ringpost/smtp/reply.hh"

namespace ringpost::smtp {

/// No honest header is larger.
inline constexpr std::size_t kSubmissionHeaderBytesMax = 256 * 1024;

/// Gathers a message's header, fed in pieces cut anywhere, and judges it when it is whole.
///
/// Source: RFC 5322 section 3.6 (which fields may stand once only), RFC 6409 section 8.1 to 8.3.
class SubmissionHeader {
 public:
  /// Takes the next bytes; not once it is whole.
  void feed(Bytes content);
  /// The message has ended; what is there was all of its header.
  void finish();

  bool is_whole() const { return whole_; }
  /// Code 0: nothing is wrong with it. Before it is whole only its size is.
  Reply refusal() const { return refusal_; }
  /// The header to be relayed: as it came, then Date and Message-ID where they were missing, then its empty line.
  std::string text(const MessageId& id, std::string_view host, WallTime now) const;
  /// What was fed and lies behind the header and its empty line.
  std::string_view rest() const { return rest_; }

 private:
  void end_at(std::size_t header_end, std::size_t rest_begin);
  void judge();

  std::string text_, rest_;
  std::size_t scanned_ = 0;       // complete lines of it were looked at
  bool whole_ = false;
  bool has_date_ = false, has_message_id_ = false;
  Reply refusal_{};
};

}  // namespace ringpost::smtp
