#include "ringpost/base/assert.hh"

#include <cstdio>
#include <cstdlib>

namespace ringpost {

void assertion_failed(const char* expression, const char* file, int line) noexcept {
  std::fprintf(stderr, "ringpost: assertion failed: %s (%s:%d)\n", expression, file, line);
  std::fflush(stderr);
  std::abort();
}

}  // namespace ringpost
