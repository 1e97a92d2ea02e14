// An index as a start would take it: its entries, and from where the log must be read.
#pragma once

#include <memory>
#include <optional>

#include "ledger.hh"
#include "ringpost/index/index.hh"
#include "ringpost/rescue/finding.hh"
#include "ringpost/spool/inspection.hh"

namespace ringpost::rescue {

struct IndexView {
  index::LogMark mark;  ///< generation 0: there is no index to rely on
  Ledger entries;
};

/// Reports what is wrong with it. `rows` is not changed but in memory.
runtime::Task<IndexView> read_index(runtime::Ring& ring, std::unique_ptr<index::IndexStore> rows,
                                    const spool::InspectionOptions& of, Bytes metadata_key32, Reporter& reporter);

}  // namespace ringpost::rescue
