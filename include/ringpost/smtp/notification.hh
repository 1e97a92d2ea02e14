// Delivery status notifications as SMTP asks for them: the parameters of MAIL and RCPT, RFC 3461 section 4.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ringpost::smtp {

// As sent, in octets (RFC 3461 section 4.2 and 4.4).
inline constexpr std::size_t kOriginalRecipientBytesMax = 500;
inline constexpr std::size_t kEnvelopeIdBytesMax = 100;
/// RCPT may be that much longer than RFC 5321 says, MAIL less (RFC 3461 section 4.2 and 4.3 with 4.4).
inline constexpr std::size_t kNotificationLineBytesMax = 1024;

/// RET: how much of the message a report of failure gives back.
enum class Return : std::uint8_t { full, headers };

/// NOTIFY: what the sender wants to hear of one recipient. None of the three is NEVER.
struct Notify {
  bool success = false;
  bool failure = false;
  bool delay = false;

  constexpr bool never() const { return !success && !failure && !delay; }
  friend constexpr bool operator==(const Notify&, const Notify&) = default;
};
/// What a server reports when it was not told (RFC 3461 section 4.1; delays are its own choice).
inline constexpr Notify kNotifyDefault{.failure = true, .delay = true};

/// Of MAIL. Views of the command line, or of what was kept of it.
struct MailNotification {
  std::optional<Return> ret;
  std::string_view envelope_id;  ///< xtext as sent; empty: there was none
};

/// Of RCPT.
struct RecipientNotification {
  std::optional<Notify> notify;
  std::string_view original;  ///< address type, `;` and xtext, as sent; empty: there was none
};

/// "FULL" or "HDRS", in any case.
std::optional<Return> parse_return(std::string_view value);
/// NEVER alone, or SUCCESS, FAILURE, DELAY, each at most once.
std::optional<Notify> parse_notify(std::string_view value);
/// xtext of printable characters, 1..kEnvelopeIdBytesMax.
bool is_envelope_id(std::string_view value);
/// A type, `;`, and the address in xtext, or for the type utf-8 in one of the forms of RFC 6533 section 3.
bool is_original_recipient(std::string_view value);

/// What `text` means, or nothing when it is no xtext or means anything but printable ASCII, so never a CR, LF or NUL.
std::optional<std::string> decode_xtext(std::string_view text);

/// Appends the parameters as they are kept and relayed, with blanks between them: values stay as they came.
void append_parameters(const MailNotification& mail, std::string& out);
void append_parameters(const RecipientNotification& recipient, std::string& out);
/// The kept parameters of RCPT for a next hop that takes ASCII only: code points above it as RFC 6533 section 3 embeds them;
/// without an ORCPT that grows too long.
std::string ascii_parameters(std::string_view kept);
/// The other way round. What is not understood is ignored: it was checked when it came.
MailNotification read_mail_parameters(std::string_view kept);
/// What of the kept parameters of MAIL is RET and ENVID: they stand in front of all others.
std::string_view notification_part(std::string_view kept);
RecipientNotification read_recipient_parameters(std::string_view kept);

}  // namespace ringpost::smtp
