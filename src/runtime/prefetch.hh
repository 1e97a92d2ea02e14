// Asking for memory before it is needed: of thousands of connections none is in the cache when its turn comes.
#pragma once

#include <cstddef>

namespace ringpost::runtime {

inline constexpr std::size_t kCacheLineBytes = 64;

/// So many cache lines from `from` on, which need not be memory of ours.
inline void prefetch(const void* from, std::size_t lines) {
  for (std::size_t i = 0; i < lines; ++i) __builtin_prefetch(static_cast<const char*>(from) + i * kCacheLineBytes);
}

}  // namespace ringpost::runtime
