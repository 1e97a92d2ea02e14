// What a start learns from the log: records in the order they were made durable, and what was wrong.
#pragma once

#include <cstdint>
#include <optional>

#include "ringpost/base/id.hh"
#include "ringpost/runtime/task.hh"
#include "ringpost/spool/records.hh"

namespace ringpost::spool {

/// A MESSAGE record. A message that was copied forward is reported once for each copy that still exists.
/// Views last for the call.
struct RecoveredMessage {
  MessageId id;
  Position place;
  Scheduling scheduling;
};

/// An OUTCOME record. It may come before the message it changes (an older copy of which is gone), or without one.
struct RecoveredOutcome {
  MessageId message;
  Position place;
  Outcome outcome;  ///< without texts
  bool has_texts = false;
};

enum class DamageKind : std::uint8_t {
  segment_header,      ///< block 0 does not authenticate: a foreign or broken file; nothing of it is used
  segment_unreadable,  ///< the device fails to read part of it
  segment_missing,     ///< a generation that the last CHECKPOINT knew is gone
  groups_missing,      ///< durable groups behind a generation's last good one are gone
  group,               ///< a group is damaged although later ones are good; its records were read one by one
  record,              ///< one record does not authenticate: it is set aside
  padding,             ///< zeros behind a group's records changed; nothing is lost
  foreign_file,        ///< something lies in the partition that is not a plain segment file; it was left alone
};

struct Damage {
  DamageKind kind{};
  std::uint32_t segment = 0;     ///< number in the file's name; 0 when it is not known
  std::uint64_t generation = 0;  ///< 0 when it is not known
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  std::optional<MessageId> message;  ///< kind record, where the frame still says it
};

/// Takes what Log::replay finds, in group order.
///
/// How to add it up: keep, per message, its place, its recipients' states and its revision.
/// - on_message of an unknown id: take everything. Of a known id: a later copy always gives the place; its states count only
///   when its revision is not lower than what is known.
/// - on_outcome with a revision above the known one: apply it. Of an unknown message: ignore it.
class RecoveryVisitor {
 public:
  virtual ~RecoveryVisitor() = default;
  virtual void on_message(const RecoveredMessage& message) = 0;
  virtual void on_outcome(const RecoveredOutcome& outcome) = 0;
  /// An audit event, encoded. It must be sent again unless it is at or below an acknowledged mark.
  virtual void on_audit(const IncarnationId& incarnation, std::uint64_t sequence, Bytes encoded) = 0;
  virtual void on_audit_acknowledged(const AuditMark& mark) = 0;
  virtual void on_damage(const Damage& damage) = 0;

  /// True when what came so far should be put elsewhere before more comes.
  virtual bool is_full() const { return false; }
  /// Awaited when is_full(), and at the end. An error ends the replay.
  virtual runtime::Task<Result<>> relieve() { co_return Result<>{}; }
};

/// Sums of a recovery.
struct RecoveryReport {
  std::uint64_t segments = 0;         ///< read
  std::uint64_t segments_unread = 0;  ///< LogOptions::start knew them
  std::uint64_t segments_unknown = 0; ///< whose generation cannot be told now: what is thought to be gone may lie there
  std::uint64_t groups = 0;  ///< good ones
  std::uint64_t groups_damaged = 0;
  std::uint64_t groups_abandoned = 0;  ///< found, and ignored
  std::uint64_t records = 0;
  std::uint64_t records_damaged = 0;
  std::uint64_t tails_torn = 0;  ///< generations that end in a group that was never acknowledged
  std::uint64_t tail_bytes_torn = 0;  ///< of those groups, as far as their headers tell
  std::uint64_t damages = 0;     ///< calls of on_damage
  std::uint64_t bytes_read = 0;
};

}  // namespace ringpost::spool
