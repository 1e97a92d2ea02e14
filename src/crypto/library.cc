#include "ringpost/crypto/library.hh"

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/asn_public.h>
#include <wolfssl/wolfcrypt/types.h>

#include <chrono>
#include <ctime>
#include <utility>

#include "ringpost/base/assert.hh"

namespace ringpost::crypto {

namespace {

thread_local LibraryWorld* world_now = nullptr;

template <typename Unit>
auto since_1970() {
  RP_ASSERT(world_now);
  return std::chrono::duration_cast<Unit>(world_now->wall_now().time_since_epoch()).count();
}

std::time_t certificate_time(std::time_t* also) {
  const auto now = static_cast<std::time_t>(since_1970<std::chrono::seconds>());
  if (also) *also = now;
  return now;
}

}  // namespace

LibraryCalls::LibraryCalls(LibraryWorld& world) : before_(std::exchange(world_now, &world)) {
  [[maybe_unused]] static const int set = wc_SetTimeCb(&certificate_time);
}

LibraryCalls::~LibraryCalls() { world_now = before_; }

}  // namespace ringpost::crypto

// What our build of wolfSSL (tools/wolfssl) calls instead of the system.
extern "C" {
int ringpost_random(byte* target, unsigned size);
word32 LowResTimer();
sword64 TimeNowInMilliseconds();

int ringpost_random(byte* target, unsigned size) {
  RP_ASSERT(ringpost::crypto::world_now);
  ringpost::crypto::world_now->random({reinterpret_cast<std::byte*>(target), size});
  return 0;
}

word32 LowResTimer() { return static_cast<word32>(ringpost::crypto::since_1970<std::chrono::seconds>()); }

sword64 TimeNowInMilliseconds() { return ringpost::crypto::since_1970<std::chrono::milliseconds>(); }
}
