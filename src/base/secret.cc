#include "ringpost/base/secret.hh"

#include <cstring>

namespace ringpost {

void wipe(MutableBytes bytes) noexcept {
  if (!bytes.empty()) explicit_bzero(bytes.data(), bytes.size());
}

}  // namespace ringpost
