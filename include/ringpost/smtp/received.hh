// The trace field every hop adds, and counting those that are there (RFC 5321 section 4.4 and 6.3).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "ringpost/base/bytes.hh"
#include "ringpost/base/id.hh"
#include "ringpost/base/units.hh"

namespace ringpost::smtp {

/// How a message came in; decides the `with` keyword (RFC 3848, RFC 6531 section 4.3).
struct ReceivedWith {
  bool extended = true;  ///< EHLO
  bool utf8 = false;     ///< the transaction has SMTPUTF8
  bool tls = false;
  bool authenticated = false;
  bool lmtp = false;
};

/// "SMTP", "ESMTP", "ESMTPSA", "UTF8SMTPS", "LMTP", ...
std::string_view with_keyword(const ReceivedWith& with);

struct ReceivedTrace {
  std::string_view helo;    ///< as parse_helo_name accepted it
  std::string_view client;  ///< the peer's address as text, without brackets: 192.0.2.1, 2001:db8::1; empty: nobody's business
  std::string_view by;      ///< our name
  ReceivedWith with;
  std::string_view tls_cipher;   ///< IANA's name, for the tls clause of RFC 8314 section 4.3; empty: none
  std::string_view tls_group;    ///< of the key exchange, for that clause; empty: none
  std::string_view tls_version;  ///< "TLSv1.3", for a comment behind it
  std::string_view authentication;  ///< how the client said who it is, for a comment: "scram-sha-256"; empty: it did not
  MessageId id;
  std::string_view for_address;  ///< empty: no for clause, as privacy wants (RFC 5321 section 7.6)
  int priority = 0;              ///< for the priority clause of RFC 6710 section 4.4; 0: none
  WallTime at;
};

/// Enough room for the longest names the grammar allows.
inline constexpr std::size_t kReceivedBytesMax = 2048;

/// Writes the whole field, folded, with its final CRLF. Returns bytes written, 0 when `out` is too small.
std::size_t write_received(const ReceivedTrace& trace, MutableBytes out);

/// Bytes of a date: "Sun, 22 Nov 2026 18:35:15 +0000", the day always with two digits.
inline constexpr std::size_t kDateBytes = 31;
/// Writes RFC 5322 section 3.3's date-time in UTC. A clock before 1970 is written as the start of 1970.
void write_date(WallTime at, std::span<std::byte, kDateBytes> out);

/// Counts the Received fields of a message that is fed in pieces cut anywhere, up to the empty line that ends its header.
class ReceivedCounter {
 public:
  void feed(Bytes content);
  std::uint32_t count() const { return count_; }
  /// The header is over; further bytes are not looked at.
  bool header_ended() const { return ended_; }

 private:
  static constexpr std::uint8_t kOtherField = 0xff;

  std::uint32_t count_ = 0;
  std::uint8_t matched_ = 0;  ///< bytes of "received" matched from the line's start, or kOtherField
  bool line_empty_ = true;    ///< nothing but perhaps a CR since the line's start
  bool ended_ = false;
};

}  // namespace ringpost::smtp
