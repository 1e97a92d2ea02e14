// Verifies one partition of a spool: its log, its messages, and its index against the log. Changes nothing.
#pragma once

#include <cstdint>
#include <memory>

#include "ringpost/base/error.hh"
#include "ringpost/index/store.hh"
#include "ringpost/rescue/finding.hh"
#include "ringpost/rescue/keys.hh"
#include "ringpost/spool/inspection.hh"

namespace ringpost::rescue {

/// Sums over partitions.
struct Totals {
  std::uint64_t partitions = 0, segments = 0, groups = 0, records = 0;
  std::uint64_t messages = 0;         ///< that something is left to do for, or to keep of
  std::uint64_t messages_over = 0;    ///< delivered, and not overwritten yet
  std::uint64_t messages_opened = 0;  ///< copies whose key, envelope and content were checked
  std::uint64_t index_entries = 0;
  std::uint64_t bytes_read = 0;
};

struct VerifyPlan {
  spool::InspectionOptions log;
  KeySource* keys = nullptr;                 ///< null: neither envelopes nor contents are opened
  std::unique_ptr<index::IndexStore> index;  ///< a copy of its rows (index::make_snapshot_store); null: not looked at
};

/// Findings go to `reporter` as they come. Adds to `totals`.
/// Errors: of the filesystem and of the keys, after which the rest of the partition was not looked at.
runtime::Task<Result<>> verify_partition(runtime::Ring& ring, VerifyPlan plan, Bytes metadata_key32, Reporter& reporter,
                                         Totals& totals);

}  // namespace ringpost::rescue
