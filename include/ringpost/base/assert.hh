// Assertions that stay on in release: "we were wrong" prints and aborts, and the next start recovers.
#pragma once

namespace ringpost {

/// Prints `expression` and its place on standard error, then aborts. Never returns.
[[noreturn]] void assertion_failed(const char* expression, const char* file, int line) noexcept;

}  // namespace ringpost

#define RP_ASSERT(condition)                                                       \
  do {                                                                             \
    if (!(condition)) [[unlikely]]                                                 \
      ::ringpost::assertion_failed(#condition, __FILE__, __LINE__);                \
  } while (false)
