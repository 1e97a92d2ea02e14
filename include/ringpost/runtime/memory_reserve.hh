// MemoryReserve: what is given back to the allocator when it has nothing left, so that the process can say 451 instead of dying.
#pragma once

#include <cstddef>

namespace ringpost::runtime {

/// One for the process: while it is open, a failing `operator new` spends it and tries again.
///
/// From then on is_spent() is true, until refill() had memory again: whoever admits new work refuses it meanwhile. An allocation
/// that fails although the reserve is spent ends the process by std::abort, as exceptions do everywhere here; what was acknowledged
/// is on disk.
/// Memory: address space only, no page of it is ever touched. Allocators take memory from the system in pieces of many MiB, hence
///         the size. It helps where allocating can fail (RLIMIT_AS, RLIMIT_DATA, strict overcommit); at the limit of a memory
///         cgroup the kernel kills instead.
/// Threads: everything but open() and close() may be called by any thread.
class MemoryReserve {
 public:
  static constexpr std::size_t kBytes = std::size_t{96} << 20;
  static constexpr std::size_t kBytesMin = kBytes / 4;  ///< refill() takes what there is, from this on

  /// Makes this the process's new-handler. False: there is no memory to put aside, and nothing has changed.
  static bool open();
  static void close();

  /// The new-handler: gives the reserve back, or ends the process. Returns when trying again may succeed.
  static void spend();
  /// Memory was short lately: admit nothing new.
  static bool is_spent();
  /// Puts memory aside again when it was spent. True: there is a reserve now. Give back what lies idle first.
  static bool refill();
};

}  // namespace ringpost::runtime
