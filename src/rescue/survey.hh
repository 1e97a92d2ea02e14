// Listens to an inspection of one partition: adds up its messages, reports what is wrong, and keeps in mind what may be lost.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <vector>

#include "ledger.hh"
#include "ringpost/rescue/finding.hh"
#include "ringpost/spool/inspection.hh"

namespace ringpost::rescue {

/// An audit event that auditd is not known to have, still encoded.
struct WaitingEvent {
  IncarnationId incarnation;
  std::uint64_t sequence = 0;
  std::vector<std::byte> encoded;
};

class Survey final : public spool::InspectionVisitor {
 public:
  struct Wants {
    bool events = false;     ///< keep WaitingEvents
    bool tail = false;       ///< keep what the torn tail says
    std::uint64_t late = 0;  ///< records from this generation on go into late() too; 0: none
  };
  Survey(const spool::Inspection& inspection, Reporter& reporter, Wants wants)
      : inspection_(inspection), reporter_(reporter), wants_(wants) {}

  void on_group(const spool::GenerationFound& generation, const crypto::GroupHeader& header, std::uint64_t offset) override;
  void on_record(const crypto::RecordView& record, const spool::Position& place, Bytes plaintext, spool::Proof proof) override;
  void on_unproven_chunk(const crypto::RecordView& record, const spool::Position& place) override;
  void on_damage(const spool::Damage& damage) override;
  void on_unknown(std::uint64_t generation, std::uint64_t offset) override;
  void on_stale(const spool::GenerationFound& generation) override;
  void on_torn_tail(const spool::GenerationFound& generation, std::uint64_t offset, std::uint64_t bytes) override;
  void on_unused_bytes(const spool::GenerationFound& generation, std::uint64_t offset) override;

  /// Once all is read: reports messages of which only outcomes are left, and outcomes that are missing.
  void conclude();
  /// Damaged records whose message is not known otherwise: their frames may tell what they were.
  std::vector<std::pair<MessageId, spool::Position>> unknown_records() const;
  /// It was no message of that name: something of another one is lost there.
  void was_no_message(const MessageId& id, const spool::Position& place) {
    damaged_.erase(id);
    on_unknown(place.generation, place.offset);
  }

  const Ledger& ledger() const { return ledger_; }
  /// What a start would know that begins with the index and reads from Wants::late on.
  Ledger& late() { return late_; }
  bool is_from_tail(const MessageId& id) const { return from_tail_.contains(id); }
  /// Something of which nobody can tell what it was lies behind the newest record of this message: an outcome of it may be lost.
  bool may_have_lost_outcome(const MessageId& id, const Known& known) const;
  /// Messages that are lost: no record of them is good.
  const std::map<MessageId, FindingKind>& lost() const { return lost_; }
  std::vector<WaitingEvent>& events() { return events_; }
  std::uint64_t records() const { return records_; }

 private:
  void take(const crypto::RecordView& record, const spool::Position& place, Bytes plaintext, spool::Proof proof);
  bool take_event(Bytes plaintext);
  void report(FindingKind kind, const spool::Position& place, std::optional<MessageId> message = {});

  const spool::Inspection& inspection_;
  Reporter& reporter_;
  Wants wants_;
  Ledger ledger_, late_;
  spool::Arrays arrays_;
  std::set<MessageId> from_tail_;
  std::map<MessageId, std::vector<spool::Position>> damaged_;  // records that name a message and do not authenticate
  std::map<MessageId, spool::Position> orphans_;               // outcomes whose message should be there
  std::map<MessageId, FindingKind> lost_;
  std::optional<spool::Position> unknown_until_;  // behind the last place of which nobody can tell what it held
  bool unknown_anywhere_ = false;
  std::set<std::uint64_t> stale_;
  std::vector<WaitingEvent> events_;
  std::uint64_t records_ = 0;
  std::uint64_t sequence_generation_ = 0, sequence_ = 0;
};

}  // namespace ringpost::rescue
