// Coroutine frames are recycled by size class within a thread, so that the hot path does not allocate after start.
#pragma once

#include <cstddef>

namespace ringpost::runtime {

/// Free lists of coroutine frames, and of blocks that conversations borrow for a moment, one set per thread; what is borrowed never moves
/// between threads.
class FramePool {
 public:
  static void* allocate(std::size_t bytes);
  static void release(void* frame, std::size_t bytes) noexcept;
  /// Gives every idle frame of this thread back to the heap (at the end of a thread, and in tests that count).
  static void trim() noexcept;
};

}  // namespace ringpost::runtime
