// Pages straight from the kernel, kept out of core dumps: mail passes through them.
#pragma once

#include <sys/mman.h>

#include <cerrno>

#include "ringpost/base/bytes.hh"
#include "ringpost/base/error.hh"
#include "ringpost/base/units.hh"

namespace ringpost::runtime {

inline constexpr std::size_t kPageBytes = 4_KiB;

/// `bytes` is rounded up to whole pages; the memory is zero. Errors: no_memory.
inline Result<std::byte*> map_arena(std::size_t bytes) {
  void* memory = ::mmap(nullptr, round_up(bytes, kPageBytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return std::unexpected(error_from_errno(errno));
  if (::madvise(memory, round_up(bytes, kPageBytes), MADV_DONTDUMP) != 0) {
    Error error = error_from_errno(errno);
    ::munmap(memory, round_up(bytes, kPageBytes));
    return std::unexpected(error);
  }
  return static_cast<std::byte*>(memory);
}

inline void unmap_arena(void* memory, std::size_t bytes) {
  if (memory) ::munmap(memory, round_up(bytes, kPageBytes));
}

}  // namespace ringpost::runtime
