// What calls have left behind on the stack.
#pragma once

#include <cstddef>

namespace ringpost {

inline constexpr std::size_t kStackWipedBytes = 32 * 1024;

/// Overwrites the kStackWipedBytes of stack below the caller: locals of calls that have returned, and the registers that the dynamic
/// linker saves there when it binds a symbol at its first call, in which a copied password may still be. And these registers: they may be
/// saved much later.
void wipe_stack() noexcept;

}  // namespace ringpost
