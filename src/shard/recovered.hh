// What a start learns from a partition's log: for the index what became of messages, for the outbox the events auditd may not have.
#pragma once

#include <map>
#include <set>
#include <vector>

#include "ringpost/base/log.hh"
#include "ringpost/index/index.hh"
#include "ringpost/outbox/outbox.hh"
#include "ringpost/runtime/scope.hh"
#include "ringpost/spool/log.hh"

namespace ringpost::shard {

/// Takes a replay in. What it says of messages goes into the index, piece by piece, so that memory does not grow with the backlog: one
/// piece is read from the log while the one before it is merged, which is mostly waiting for a sync.
///
/// Lifetime: await settle() before it dies.
class Recovered final : public spool::RecoveryVisitor {
 public:
  /// `stopping`: ends the replay when it becomes true.
  Recovered(runtime::Ring& ring, Log& log, index::Index& index, const bool& stopping)
      : ring_(ring), log_(log), index_(index), stopping_(stopping), scope_(ring) {}

  void on_message(const spool::RecoveredMessage& message) override;
  void on_outcome(const spool::RecoveredOutcome& outcome) override;
  void on_audit(const IncarnationId& incarnation, std::uint64_t sequence, Bytes encoded) override;
  void on_audit_acknowledged(const spool::AuditMark& mark) override;
  void on_damage(const spool::Damage& damage) override;
  bool is_full() const override;
  /// Waits for the piece before, and begins with this one. Errors: as settle().
  runtime::Task<Result<>> relieve() override;
  /// Everything relieved is in the index. A piece that failed is kept, and tried again by the next call.
  /// Errors: cancelled; those of the index but no_space and no_memory, which it waits out.
  runtime::Task<Result<>> settle();

  /// Generations whose segments are lost.
  const std::set<std::uint64_t>& missing() const { return missing_; }
  /// Events above the acknowledged marks, in order.
  void hand_over(outbox::Outbox& outbox);

 private:
  void take(index::LogFact fact);
  runtime::Task<void> merge();

  runtime::Ring& ring_;
  Log& log_;
  index::Index& index_;
  const bool& stopping_;
  std::vector<index::LogFact> facts_;
  std::size_t statuses_ = 0;             // of recipients, in `facts_`
  std::vector<index::LogFact> merging_;  // unchanged while merge() runs
  Result<> merged_;                      // what became of it, until settle() tells
  runtime::Scope scope_;                 // of merge()
  std::set<std::uint64_t> missing_;
  std::map<IncarnationId, std::map<std::uint64_t, std::vector<std::byte>>> events_;
  std::map<IncarnationId, std::uint64_t> acknowledged_;
};

}  // namespace ringpost::shard
