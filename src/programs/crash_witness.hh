// What is known of a death by our own fault, kept for the next start.
#pragma once

#include <string>

#include "ringpost/base/bytes.hh"
#include "ringpost/base/error.hh"

namespace ringpost::programs {

/// Maps `bytes` of a file that is made if it is not there; for the rest of the process's life. Errors: of the filesystem.
Result<MutableBytes> map_file(const std::string& path, std::size_t bytes);

/// Has SIGABRT, SIGSEGV, SIGBUS, SIGILL and SIGFPE note in the failing thread's table whose fault it is; the process dies of them
/// all the same.
void watch_for_crashes();
/// From here on the calling thread's table (shard::WorkTable) is this one.
void blame_on(MutableBytes work_table);

}  // namespace ringpost::programs
