// What a server answers: code, enhanced status code, text; and the writer that puts it on the wire.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "ringpost/base/bytes.hh"

namespace ringpost::smtp {

/// class.subject.detail of RFC 3463; class 0 means "none".
struct EnhancedCode {
  std::uint8_t klass = 0;
  std::uint16_t subject = 0;
  std::uint16_t detail = 0;

  constexpr explicit operator bool() const { return klass != 0; }
  friend constexpr bool operator==(const EnhancedCode&, const EnhancedCode&) = default;
};

/// One answer. A newline in `text` starts a further line. Code 0 means "no reply": a verdict without objection.
///
/// Lifetime: `text` is a view; the standard replies below point at literals.
struct Reply {
  std::uint16_t code = 0;
  EnhancedCode enhanced{};
  std::string_view text{};

  constexpr explicit operator bool() const { return code != 0; }
  constexpr bool positive() const { return code >= 200 && code < 400; }
  constexpr bool transient() const { return code >= 400 && code < 500; }
  constexpr bool permanent() const { return code >= 500; }
  friend constexpr bool operator==(const Reply&, const Reply&) = default;
};

/// No line of a reply is longer, CRLF included (RFC 5321 section 4.5.3.1.5).
inline constexpr std::size_t kReplyLineBytesMax = 512;
/// Enough room for every reply whose text is at most 2,000 bytes in at most 16 lines.
inline constexpr std::size_t kReplyBytesMax = 4096;

/// Writes `reply` as one or more lines: the enhanced code stands on each (RFC 2034 section 4), text outside printable ASCII
/// becomes `?`, and what is too long for one line goes on in the next.
///
/// Returns: bytes written, or 0 when `out` is too small (nothing usable is in it then).
std::size_t write_reply(const Reply& reply, MutableBytes out);

/// The standard replies, by name. Refusals of addresses are in address.hh, the EHLO answer in extensions.hh.
namespace replies {

// Session.
inline constexpr Reply kClosing{221, {2, 0, 0}, "Bye"};
inline constexpr Reply kOk{250, {2, 0, 0}, "Ok"};
inline constexpr Reply kSenderOk{250, {2, 1, 0}, "Sender ok"};
inline constexpr Reply kRecipientOk{250, {2, 1, 5}, "Recipient ok"};
inline constexpr Reply kCannotVerify{252, {2, 1, 5}, "Cannot verify, but will accept and attempt delivery"};
inline constexpr Reply kHelp{214, {2, 0, 0}, "EHLO HELO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT\nSee RFC 5321"};
/// 3xx replies carry no enhanced code (RFC 2034 section 4).
inline constexpr Reply kStartData{354, {}, "End data with <CR><LF>.<CR><LF>"};

inline constexpr Reply kAuthenticated{235, {2, 7, 0}, "Authentication successful"};
inline constexpr Reply kStartTls{220, {2, 0, 0}, "Ready to start TLS"};

// Try again later.
inline constexpr Reply kTlsUnavailable{454, {4, 7, 0}, "TLS not available for now"};
inline constexpr Reply kAuthUnavailable{454, {4, 7, 0}, "Authentication is not possible for now"};
inline constexpr Reply kTooManyLogins{421, {4, 7, 0}, "Too many failed logins, try again later"};
inline constexpr Reply kShuttingDown{421, {4, 3, 2}, "Server is shutting down"};
inline constexpr Reply kTimedOut{421, {4, 4, 2}, "Timed out waiting for you"};
inline constexpr Reply kTooSlow{421, {4, 4, 2}, "Data arrives too slowly"};
inline constexpr Reply kTooManyErrors{421, {4, 7, 0}, "Too many errors"};
inline constexpr Reply kTooMuchJunk{421, {4, 7, 0}, "Too many commands without mail"};
inline constexpr Reply kTooManyConnections{421, {4, 7, 0}, "Too many connections from you"};
inline constexpr Reply kTooManyMessages{421, {4, 7, 0}, "Too many messages in one connection"};
inline constexpr Reply kNoMemory{421, {4, 3, 0}, "Short of memory, try again later"};
inline constexpr Reply kLocalError{451, {4, 3, 0}, "Local error, try again later"};
inline constexpr Reply kTooManyRecipients{452, {4, 5, 3}, "Too many recipients"};
inline constexpr Reply kNoSpace{452, {4, 3, 1}, "Not enough space, try again later"};

// The command is wrong.
inline constexpr Reply kUnknownCommand{500, {5, 5, 2}, "Command not recognized"};
inline constexpr Reply kLineTooLong{500, {5, 5, 2}, "Line too long"};
inline constexpr Reply kBareNewline{500, {5, 5, 2}, "Bare CR or LF in command"};
inline constexpr Reply kControlCharacter{500, {5, 5, 2}, "Control character in command"};
inline constexpr Reply kSyntax{501, {5, 5, 4}, "Syntax error in arguments"};
inline constexpr Reply kNoArgument{501, {5, 5, 4}, "This command takes no argument"};
inline constexpr Reply kBadHeloName{501, {5, 5, 4}, "A host name or address literal is needed"};
inline constexpr Reply kBadParameter{501, {5, 5, 4}, "Malformed parameter"};
inline constexpr Reply kDuplicateParameter{501, {5, 5, 4}, "Parameter given twice"};
// RFC 4865 section 4.2 wants what means nothing possible answered as what cannot be read.
inline constexpr Reply kReleaseTooLate{501, {5, 5, 4}, "Release is further away than is offered"};
inline constexpr Reply kDeliverByTooSoon{555, {5, 5, 4}, "Delivery cannot be promised within so short a time"};
inline constexpr Reply kBadChunkSize{501, {5, 5, 4}, "Malformed BDAT, closing"};
inline constexpr Reply kNotImplemented{502, {5, 5, 1}, "Command not implemented"};
inline constexpr Reply kUnknownParameter{555, {5, 5, 4}, "Parameter not recognized or not implemented"};
inline constexpr Reply kAlienProtocol{554, {5, 5, 0}, "This is an SMTP server"};
inline constexpr Reply kEarlyTalker{554, {5, 5, 0}, "You talked before your turn"};

// The order is wrong.
inline constexpr Reply kNeedGreeting{503, {5, 5, 1}, "Send EHLO or HELO first"};
inline constexpr Reply kNeedMail{503, {5, 5, 1}, "Send MAIL first"};
inline constexpr Reply kNestedMail{503, {5, 5, 1}, "A transaction is open already"};
inline constexpr Reply kRcptAfterChunk{503, {5, 5, 1}, "No more recipients after BDAT"};
inline constexpr Reply kDataAfterChunk{503, {5, 5, 1}, "DATA after BDAT, send RSET"};
inline constexpr Reply kChunkAfterFailure{503, {5, 5, 1}, "The message has failed, send RSET"};
inline constexpr Reply kChunkNeedsEhlo{503, {5, 5, 1}, "BDAT needs EHLO"};
inline constexpr Reply kNeedEhlo{503, {5, 5, 1}, "Send EHLO first"};
inline constexpr Reply kTlsActive{503, {5, 5, 1}, "TLS is active already"};
inline constexpr Reply kTlsRequired{530, {5, 7, 0}, "Must issue a STARTTLS command first"};
inline constexpr Reply kAuthDone{503, {5, 5, 1}, "Already authenticated"};
inline constexpr Reply kAuthInTransaction{503, {5, 5, 1}, "No authentication within a transaction"};
inline constexpr Reply kAuthRequired{530, {5, 7, 0}, "Authentication required"};
inline constexpr Reply kAuthNeedsTls{538, {5, 7, 11}, "Encryption required for authentication"};
inline constexpr Reply kNoValidRecipients{554, {5, 5, 1}, "No valid recipients"};

// The login is refused (RFC 4954 section 4 and 6).
inline constexpr Reply kAuthCancelled{501, {5, 7, 0}, "Authentication cancelled"};
inline constexpr Reply kAuthMalformed{501, {5, 5, 2}, "Cannot decode the response"};
inline constexpr Reply kAuthLineTooLong{500, {5, 5, 6}, "Authentication exchange line is too long"};
inline constexpr Reply kUnknownMechanism{504, {5, 5, 4}, "Unrecognized authentication mechanism"};
inline constexpr Reply kAuthFailed{535, {5, 7, 8}, "Authentication credentials invalid"};
inline constexpr Reply kNotYourAddress{553, {5, 7, 1}, "This sender address is not yours"};

// The message is refused.
inline constexpr Reply kRelayDenied{550, {5, 7, 1}, "Relaying denied"};
inline constexpr Reply kNotAuthorized{550, {5, 7, 1}, "You may not speak for others"};
inline constexpr Reply kNoSuchUser{550, {5, 1, 1}, "No such user here"};
inline constexpr Reply kCannotTell{451, {4, 4, 3}, "Cannot find out now whether this recipient exists, try again later"};
inline constexpr Reply kMessageTooLarge{552, {5, 3, 4}, "Message too large"};
inline constexpr Reply kBadNewlineInMessage{554, {5, 6, 0}, "Message holds a bare CR or LF"};
inline constexpr Reply kNulInMessage{554, {5, 6, 0}, "Message holds a NUL"};
inline constexpr Reply kTextLineTooLong{554, {5, 6, 0}, "Message holds a line that is too long"};
inline constexpr Reply kDuplicateField{554, {5, 6, 0}, "A header field stands twice that may stand once"};
inline constexpr Reply kHeaderTooLarge{554, {5, 6, 0}, "The header is too large"};
inline constexpr Reply kTooMuchForToday{452, {4, 7, 1}, "You have sent to too many recipients, try again later"};
inline constexpr Reply kMailLoop{554, {5, 4, 6}, "Too many hops, mail loop"};
inline constexpr Reply kUtf8NotAllowed{553, {5, 6, 7}, "Address needs SMTPUTF8"};

}  // namespace replies
}  // namespace ringpost::smtp
