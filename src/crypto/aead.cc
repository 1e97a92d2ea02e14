#include "ringpost/crypto/aead.hh"

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/aes.h>

#include <new>
#include <utility>

#include "ringpost/crypto/observer.hh"

#if defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace ringpost::crypto {

namespace {

SealObserver* seal_observer = nullptr;

const byte* in(Bytes bytes) { return reinterpret_cast<const byte*>(bytes.data()); }
byte* out(MutableBytes bytes) { return reinterpret_cast<byte*>(bytes.data()); }

/// Idle schedules of a thread: a key per message must not mean an allocation per message.
struct IdleSchedules {
  struct Link {
    Link* next;
  };
  static constexpr std::size_t kMax = 256;

  Link* first = nullptr;
  std::size_t count = 0;

  ~IdleSchedules() {
    while (first) ::operator delete(std::exchange(first, first->next), std::align_val_t{alignof(Aes)});
    count = kMax;  // what a later destructor of this thread gives back goes to the heap
  }
};
thread_local IdleSchedules idle_schedules;

}  // namespace

struct AeadKey::Schedule {
  Aes aes;

  explicit Schedule(Bytes key) {
    RP_ASSERT(key.size() == 32);
    RP_ASSERT(wc_AesInit(&aes, nullptr, INVALID_DEVID) == 0);
    RP_ASSERT(wc_AesGcmSetKey(&aes, in(key), 32) == 0);
  }
  ~Schedule() {
    wc_AesFree(&aes);
    wipe({reinterpret_cast<std::byte*>(&aes), sizeof aes});
  }

  static void* operator new(std::size_t size) {
    IdleSchedules& idle = idle_schedules;
    if (!idle.first) return ::operator new(size, std::align_val_t{alignof(Aes)});
    --idle.count;
    return std::exchange(idle.first, idle.first->next);
  }
  static void operator delete(void* memory) {
    IdleSchedules& idle = idle_schedules;
    if (idle.count >= IdleSchedules::kMax) return ::operator delete(memory, std::align_val_t{alignof(Aes)});
    ++idle.count;
    idle.first = new (memory) IdleSchedules::Link{idle.first};
  }
};

AeadKey::AeadKey(Bytes key32) : schedule_(std::make_unique<Schedule>(key32)) {}
AeadKey::AeadKey(AeadKey&&) noexcept = default;
AeadKey& AeadKey::operator=(AeadKey&&) noexcept = default;
AeadKey::~AeadKey() = default;

void AeadKey::seal(const Nonce& nonce, Bytes associated, Bytes plaintext, MutableBytes sealed) const {
  RP_ASSERT(sealed.size() == plaintext.size() + kTagBytes);
  Aes& aes = schedule_->aes;
  if (seal_observer) [[unlikely]]  // the first 32 bytes of an AES-256 schedule are the key
    seal_observer->sealed(sha256({Bytes{reinterpret_cast<const std::byte*>(aes.key), 32}}), nonce);
  int failed =
      wc_AesGcmEncrypt(&aes, out(sealed), in(plaintext), static_cast<word32>(plaintext.size()), in(nonce), kNonceBytes,
                       out(sealed.subspan(plaintext.size())), kTagBytes, in(associated), static_cast<word32>(associated.size()));
  RP_ASSERT(failed == 0);
}

bool AeadKey::open(const Nonce& nonce, Bytes associated, Bytes sealed, MutableBytes plaintext) const {
  if (sealed.size() < kTagBytes) return false;
  const std::size_t size = sealed.size() - kTagBytes;
  RP_ASSERT(plaintext.size() == size);
  int failed = wc_AesGcmDecrypt(&schedule_->aes, out(plaintext), in(sealed), static_cast<word32>(size), in(nonce), kNonceBytes,
                                in(sealed.subspan(size)), kTagBytes, in(associated), static_cast<word32>(associated.size()));
  if (failed == 0) return true;
  wipe(plaintext);
  return false;
}

SealObserver* set_seal_observer(SealObserver* observer) { return std::exchange(seal_observer, observer); }

bool hardware_aes() {
#if defined(__x86_64__) && defined(WOLFSSL_AESNI)
  return __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul");
#elif defined(__aarch64__) && defined(WOLFSSL_ARMASM)
  return (getauxval(AT_HWCAP) & HWCAP_AES) != 0 && (getauxval(AT_HWCAP) & HWCAP_PMULL) != 0;
#else
  return false;
#endif
}

}  // namespace ringpost::crypto
