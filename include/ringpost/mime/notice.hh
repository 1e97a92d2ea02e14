// What a message that came back says: reports of delivery (RFC 3464, 6533), of abuse (RFC 5965), and the older kinds for people.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "ringpost/base/bytes.hh"

namespace ringpost::mime {

/// From the worst to the mildest of what a report can say; a report about several recipients counts as its worst.
enum class Notice : std::uint8_t {
  hard,      ///< the address does not work and will not: unknown user, no such domain, disabled
  block,     ///< the message or its sender was not wanted: policy, reputation, content
  soft,      ///< it failed and may work another time: mailbox full, expired, too large, a 4xx
  delayed,   ///< nothing is decided yet
  feedback,  ///< somebody complained (ARF)
  other,     ///< some other report: delivered, relayed, read, an automatic answer
  none,      ///< no report
};
std::string_view name_of(Notice notice) noexcept;

struct NoticeFacts {
  Notice notice = Notice::none;
  bool machine_readable = false;  ///< it had a part for programs
  // RFC 3463, of the recipient that decided; class 0: there was none.
  std::uint16_t status_class = 0, status_subject = 0, status_detail = 0;
  std::string recipient;  ///< who failed, as the report writes it, at most 320 bytes; empty: it does not say
};

/// Of a report, no more than this is looked at: machine-readable parts come before what is returned.
inline constexpr std::size_t kNoticeBytesMax = 256 * 1024;

/// Judges the beginning of a message, CRLF, LF or CR lines. Every byte string has a verdict; nothing in it is trusted beyond that.
///
/// Cost:   linear in the bytes given, of which at most kNoticeBytesMax count. Indexes them: for mail with a null sender only.
/// Source: RFC 3463, 3464, 5965, 6533; for text, what servers have been writing since sendmail and qmail.
NoticeFacts classify_notice(Bytes message);

}  // namespace ringpost::mime
