// Salvages one partition of a damaged spool into a new one: what authenticates is copied as the ciphertext it is.
#pragma once

#include <expected>
#include <memory>

#include "ringpost/index/store.hh"
#include "ringpost/rescue/finding.hh"
#include "ringpost/rescue/keys.hh"
#include "ringpost/spool/inspection.hh"
#include "ringpost/spool/log.hh"

namespace ringpost::rescue {

/// Why a salvaged message is held until an operator decides.
enum class Doubt : std::uint8_t {
  outcome_unknown,  ///< what became of it may be among what is lost: it may have been delivered
  unacknowledged,   ///< it lay in the torn end of the log: nobody may have been told that it is kept
};
/// "outcome_unknown" and the like, and a sentence for people.
std::string_view name_of(Doubt doubt);
std::string_view explain(Doubt doubt);

class SalvageReporter : public Reporter {
 public:
  /// Nothing of it could be saved. `why`: what of it is lost.
  virtual void lost(const PartitionId& partition, const MessageId& message, FindingKind why) = 0;
  /// It was saved, and is held.
  virtual void held(const PartitionId& partition, const MessageId& message, Doubt why) = 0;
};

struct SalvageTotals {
  std::uint64_t saved = 0;  ///< messages in the new spool
  std::uint64_t held = 0;   ///< of these, because of a doubt
  std::uint64_t lost = 0;
  std::uint64_t over = 0;    ///< delivered: nothing to save
  std::uint64_t events = 0;  ///< audit events that auditd is not known to have
};

struct SalvagePlan {
  spool::InspectionOptions log;
  KeySource* keys = nullptr;
  std::unique_ptr<index::IndexStore> index;  ///< a copy of its rows: it may know of messages and outcomes that the log has lost
  spool::LogOptions target;                  ///< a partition that is new and empty, with a name of its own
};

struct SalvageError {
  bool of_target = false;  ///< writing failed, not reading
  Error error{};
};

/// On success all that was saved is durable. Adds to `totals`.
runtime::Task<std::expected<void, SalvageError>> salvage_partition(runtime::Ring& ring, SalvagePlan plan, Bytes metadata_key32,
                                                                   SalvageReporter& reporter, SalvageTotals& totals);

}  // namespace ringpost::rescue
