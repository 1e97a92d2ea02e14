#include "ringpost/base/secret.hh"

#include "ringpost/base/wipe_stack.hh"

#include <cstring>

namespace ringpost {

void wipe(MutableBytes bytes) noexcept {
  if (!bytes.empty()) explicit_bzero(bytes.data(), bytes.size());
}

[[gnu::noinline]] void wipe_stack() noexcept {
  std::byte below[kStackWipedBytes];
  wipe(below);
}

}  // namespace ringpost
