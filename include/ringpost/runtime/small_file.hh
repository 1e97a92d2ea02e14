// Small sealed files: read whole, and replaced whole.
#pragma once

#include "ringpost/base/error.hh"
#include "ringpost/base/sealed.hh"
#include "ringpost/runtime/ring.hh"
#include "ringpost/runtime/task.hh"

namespace ringpost::runtime {

/// Reads until the end of the file or of `into`; how many bytes there were.
Task<Result<std::size_t>> read_whole(Ring& ring, Fd file, MutableBytes into);

/// Puts a new file in the place of `name`: written as `new_name`, synced, renamed, the directory synced. Either all of it
/// happened, or an error says that the old file may still be there. Names and bytes must outlive the task.
Task<Result<>> replace_whole(Ring& ring, Fd directory, const char* name, const char* new_name, SealedBytes sealed);

}  // namespace ringpost::runtime
