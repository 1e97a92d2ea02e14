// What the records of the log say. Formats, byte by byte: docs/formats/records.md.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "ringpost/base/error.hh"
#include "ringpost/base/id.hh"
#include "ringpost/base/socket_address.hh"
#include "ringpost/base/units.hh"
#include "ringpost/crypto/record.hh"
#include "ringpost/event/event.hh"
#include "ringpost/smtp/require_tls.hh"
#include "ringpost/spool/position.hh"
#include "ringpost/spool/terms.hh"

namespace ringpost::spool {

/// Numbers are part of the format.
enum class RecordKind : std::uint8_t {
  key = 1,         ///< reserved: wrapped keys made anew for a message
  chunk = 2,       ///< a piece of a large message's content; means nothing until a MESSAGE lists it
  message = 3,     ///< envelope, last piece of the content, and what is to do
  outcome = 4,     ///< what became of recipients
  audit = 5,       ///< an event on its way to auditd
  erase = 6,       ///< reserved: a message or owner whose keys were destroyed
  abandon = 7,     ///< a group that failed: ignore it even if it turns up
  checkpoint = 8,  ///< what the log was like when this segment was opened
};
inline constexpr std::uint8_t kRecordVersion = 1;

/// The numbers of keys::KeyClass.
enum class MailClass : std::uint8_t { incoming = 1, outgoing = 2, held = 3, temporary = 4 };

/// The numbers of queue::State.
enum class RecipientState : std::uint8_t { waiting = 0, delivered = 1, failed = 2, told = 3 };
/// Nothing is left to do for such a recipient, nor to keep.
constexpr bool is_over(RecipientState state) { return state == RecipientState::delivered || state == RecipientState::told; }

/// What has become of one recipient so far.
struct RecipientStatus {
  RecipientState state = RecipientState::waiting;
  std::uint8_t attempts = 0;  ///< saturates
  event::Reason reason = event::Reason::none;
  event::ReplyCode reply;  ///< the next hop's last answer; code 0: none
  event::Host host;        ///< who gave it, or was tried last; port 0: nobody
  friend bool operator==(const RecipientStatus&, const RecipientStatus&) = default;
};
/// What an outcome says of a recipient becomes what is known. An outcome without a host leaves the one that is known.
inline void take_over(RecipientStatus& known, const RecipientStatus& said) {
  const event::Host host = said.host.port != 0 ? said.host : known.host;
  known = said;
  known.host = host;
}

inline constexpr std::uint32_t kRecipientsMax = 65'536;
inline constexpr std::uint32_t kChunksMax = 32'768;
inline constexpr std::size_t kAddressBytesMax = 1'024;
inline constexpr std::size_t kHeloBytesMax = 1'024;
inline constexpr std::size_t kParametersBytesMax = 4'096;
inline constexpr std::size_t kReplyTextBytesMax = 512;

/// How long a message has been tried. It is counted on the monotonic clock, never by the difference of two wall times.
struct Waited {
  std::uint32_t age_s = 0;  ///< that it will have when it is due
  bool warned = false;      ///< the sender was told that it takes long
  friend bool operator==(const Waited&, const Waited&) = default;
};

/// What the server must know to schedule a message: sealed under the store's metadata key, without any address.
/// Lifetime: the spans belong to somebody else.
struct Scheduling {
  WallTime arrived{};
  WallTime due{};
  std::uint64_t size = 0;         ///< bytes of the content
  std::uint64_t copied_from = 0;  ///< generation this record was copied forward from; 0: where it was accepted
  std::uint32_t revision = 0;     ///< outcomes this state includes
  MailClass mail_class = MailClass::incoming;
  bool held = false;                            ///< no attempt until it is released
  Waited waited;
  Terms terms;
  std::array<std::byte, 16> destination{};      ///< keyed hash of the domain of all its recipients; zero: there are several
  std::span<const RecipientStatus> recipients;  ///< 1..kRecipientsMax, in the envelope's order
  std::span<const Position> chunks;             ///< CHUNK records in order; the last piece lies in the MESSAGE itself
};

/// Sender, recipients and what else belongs to the transaction: sealed under the message key.
/// Lifetime: views of somebody else's bytes. Paths are without brackets; an empty reverse path is the null sender.
struct Envelope {
  bool smtputf8 = false;            ///< MAIL had SMTPUTF8
  bool declared_eight_bit = false;  ///< MAIL had BODY=8BITMIME
  bool eight_bit = false;           ///< the content holds octets above 127
  smtp::TlsWish tls_wish = smtp::TlsWish::none;
  IpAddress client;
  std::string_view helo;
  std::string_view reverse_path;
  std::string_view parameters;  ///< of MAIL, as they are to be relayed (ENVID=..); mostly empty
  struct Recipient {
    std::string_view address;
    std::string_view parameters;  ///< of RCPT (NOTIFY=.., ORCPT=..)
    std::uint16_t owner = 0;      ///< index of the wrapped key of its owner
  };
  std::span<const Recipient> recipients;
};

/// A change of some recipients of one message.
struct Outcome {
  struct Recipient {
    std::uint32_t index = 0;
    RecipientStatus status;  ///< its host is the outcome's: encoding ignores it, decoding sets it
    std::string_view text;  ///< the next hop's words, cut to kReplyTextBytesMax; sealed under the message's detail key
  };
  std::uint64_t message_generation = 0;  ///< of the MESSAGE record it changes (queue::Message::place)
  std::uint32_t revision = 0;            ///< from 1, one more for each outcome of a message
  bool held = false;
  WallTime due{};    ///< next attempt
  Waited waited;
  event::Host host;  ///< who answered; port 0: nobody
  std::span<const Recipient> recipients;
};

/// Highest sequence of an incarnation's audit events that auditd has durably.
struct AuditMark {
  IncarnationId incarnation;
  std::uint64_t sequence = 0;
  friend bool operator==(const AuditMark&, const AuditMark&) = default;
};

/// One generation as a CHECKPOINT knew it.
struct GenerationMark {
  std::uint64_t generation = 0;
  std::uint64_t last_group = 0;  ///< last durable group in it; 0: none
  std::uint32_t segment = 0;     ///< number in the file's name
  friend bool operator==(const GenerationMark&, const GenerationMark&) = default;
};

struct Checkpoint {
  std::vector<AuditMark> audit;
  std::vector<GenerationMark> generations;
  friend bool operator==(const Checkpoint&, const Checkpoint&) = default;
};

struct Abandon {
  std::uint64_t generation = 0;
  std::uint64_t group = 0;
  friend bool operator==(const Abandon&, const Abandon&) = default;
};

// ---- Encoding. Sizes are those of the plaintext; `out` is exactly that large.

std::size_t encoded_bytes(const Scheduling& scheduling);
void encode(const Scheduling& scheduling, MutableBytes out);
std::size_t encoded_bytes(const Envelope& envelope);
void encode(const Envelope& envelope, MutableBytes out);
std::size_t encoded_bytes(const Outcome& outcome);
void encode(const Outcome& outcome, MutableBytes out);
/// The texts of an outcome; 0 when there are none. Those that do not fit kDetailBytesMax in all are left out.
inline constexpr std::size_t kDetailBytesMax = 64 * 1024;
std::size_t encoded_detail_bytes(const Outcome& outcome);
void encode_detail(const Outcome& outcome, MutableBytes out);
std::size_t encoded_bytes(const Checkpoint& checkpoint);
void encode(const Checkpoint& checkpoint, MutableBytes out);
inline constexpr std::size_t kAbandonBytes = 16;
void encode(const Abandon& abandon, MutableBytes out);
/// AUDIT: incarnation and sequence in front of the encoded event.
inline constexpr std::size_t kAuditPrefixBytes = 24;

// ---- Decoding. Every byte string has a verdict. Errors: corrupt.

/// Arrays a decoded value points into; reuse them from record to record.
struct Arrays {
  std::vector<RecipientStatus> statuses;
  std::vector<Position> chunks;
  std::vector<Envelope::Recipient> recipients;
  std::vector<Outcome::Recipient> outcomes;
};
Result<Scheduling> decode_scheduling(Bytes plaintext, Arrays& arrays);
/// Views of `plaintext`.
Result<Envelope> decode_envelope(Bytes plaintext, Arrays& arrays);
/// Without texts.
Result<Outcome> decode_outcome(Bytes plaintext, Arrays& arrays);
/// Texts of an outcome as (index, text), views of `plaintext`.
struct ReplyText {
  std::uint32_t index = 0;
  std::string_view text;
};
Result<std::vector<ReplyText>> decode_detail(Bytes plaintext);
Result<Checkpoint> decode_checkpoint(Bytes plaintext);
Result<Abandon> decode_abandon(Bytes plaintext);

}  // namespace ringpost::spool
