// The grammar of command lines: a line in, meaning or a refusal out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string_view>

#include "ringpost/base/bytes.hh"
#include "ringpost/smtp/address.hh"
#include "ringpost/smtp/delivery_terms.hh"
#include "ringpost/smtp/notification.hh"
#include "ringpost/smtp/reply.hh"

namespace ringpost::smtp {

// clang-format off
enum class Verb : std::uint8_t {
  unknown,
  alien,  ///< another protocol talks to us: HTTP, SSH, a TLS ClientHello, a PROXY header
  ehlo, helo, lhlo, mail, rcpt, data, bdat, rset, noop, vrfy, expn, help, quit, starttls, auth, xclient, xforward, etrn, turn,
};
// clang-format on

/// What is true of a verb whatever its arguments are: one row of the command table.
struct CommandTraits {
  Verb verb;
  std::string_view name;   ///< upper case
  bool offered;            ///< false: known, answered 502
  bool ends_group;         ///< must be the last command of a pipelined group (RFC 2920 section 3.1)
  bool junk;               ///< does not further a mail transaction; too many of these end the session
  bool needs_transaction;  ///< 503 without MAIL
  bool takes_argument;     ///< false: 501 when there is one
  bool before_tls;         ///< allowed in clear where TLS is required (RFC 3207 section 4); all others get 530
  std::string_view rfc;    ///< where it is specified
};

/// The whole table, in the order of `Verb`.
std::span<const CommandTraits> command_table();
const CommandTraits& traits(Verb verb);

/// RFC 6152: the body as the client declares it.
enum class BodyType : std::uint8_t { seven_bit, eight_bit_mime };

/// The parameters of MAIL that are offered.
struct MailParameters {
  std::optional<std::uint64_t> size;  ///< RFC 1870; saturates at 2^64-1
  std::optional<BodyType> body;       ///< RFC 6152
  bool smtputf8 = false;              ///< RFC 6531
  MailNotification notification;      ///< RFC 3461
  bool require_tls = false;           ///< RFC 8689
  bool auth = false;                  ///< RFC 4954 section 5: AUTH= was given; whoever it names is not passed on
  DeliveryTerms terms;                ///< RFC 4865, 2852, 6710
};

/// The parameters of RCPT that are offered.
struct RecipientParameters {
  RecipientNotification notification;  ///< RFC 3461
};

/// BDAT chunk-size [LAST] (RFC 3030 section 2): `size` bytes follow the command line at once.
struct ChunkArgument {
  std::uint64_t size = 0;
  bool last = false;
};
/// AUTH mechanism [initial-response] (RFC 4954 section 4).
struct AuthArgument {
  std::string_view mechanism;
  std::optional<std::string_view> initial_response;  ///< in base64; "=" is an empty one
};

inline constexpr std::uint64_t kChunkBytesMax = std::numeric_limits<std::int64_t>::max();

/// What the session knows that decides how a line is read.
struct CommandRules {
  bool extended = true;   ///< EHLO was used; after HELO no parameters are known
  bool smtputf8 = false;  ///< the open transaction has SMTPUTF8: non-ASCII recipients are allowed
  bool auth = false;      ///< AUTH is offered, and so is that parameter of MAIL
  bool require_tls = false;  ///< REQUIRETLS is offered: the session is under TLS
  bool future_release = false;  ///< FUTURERELEASE is offered
  bool priority = false;        ///< MT-PRIORITY is offered
  bool deliver_by = false;      ///< DELIVERBY is offered
  std::uint32_t deliver_by_min_s = 0;  ///< less is refused in mode R
  std::uint64_t message_bytes_max = std::numeric_limits<std::uint64_t>::max();  ///< SIZE above it is refused
};

/// One command line, understood. All views are of the line.
struct Command {
  Verb verb = Verb::unknown;
  Reply refusal{};            ///< code 0: nothing is wrong with the line itself
  bool close = false;         ///< after the refusal nobody knows what the next bytes are: reply, then close
  std::string_view argument;  ///< what follows the verb, trimmed: the name of EHLO, the string of VRFY
  Path path;                  ///< MAIL, RCPT
  MailParameters mail;        ///< MAIL
  RecipientParameters rcpt;   ///< RCPT
  ChunkArgument chunk;        ///< BDAT
  AuthArgument auth;          ///< AUTH

  bool ok() const { return !refusal; }
};

/// Reads one command line, without its CRLF. Whether the command is allowed *now* is for transaction.hh.
///
/// Errors:   `refusal` is the reply to send. Every byte string has a verdict.
/// Lifetime: the views of the result are of `line`.
/// Source:   RFC 5321 section 4.1.1, RFC 1870, 3030, 3461, 6152, 6531.
Command parse_command(Bytes line, const CommandRules& rules = {});

}  // namespace ringpost::smtp
