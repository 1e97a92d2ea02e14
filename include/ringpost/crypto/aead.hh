// AES-256-GCM with an expanded key. Backed by wolfSSL with AES-NI.
#pragma once

#include <array>
#include <cstddef>
#include <memory>

#include "ringpost/base/bytes.hh"
#include "ringpost/base/secret.hh"

namespace ringpost::crypto {

inline constexpr std::size_t kNonceBytes = 12;
inline constexpr std::size_t kTagBytes = 16;
using Nonce = std::array<std::byte, kNonceBytes>;

/// A key ready for use. Its schedule is wiped when it dies.
/// Invariant the caller keeps: a (key, nonce) pair seals once.
class AeadKey {
 public:
  explicit AeadKey(Bytes key32);
  AeadKey(const AeadKey&) = delete;
  AeadKey(AeadKey&&) noexcept;
  AeadKey& operator=(AeadKey&&) noexcept;
  ~AeadKey();

  /// Writes `plaintext.size()` bytes of ciphertext and then the 16-byte tag to `out` (exactly that large).
  /// `plaintext` and `out` may be the same memory, but must not overlap otherwise.
  void seal(const Nonce& nonce, Bytes associated, Bytes plaintext, MutableBytes out) const;

  /// Opens `sealed` (ciphertext and tag) into `out` (16 bytes shorter). False, with `out` wiped, when it does not authenticate.
  [[nodiscard]] bool open(const Nonce& nonce, Bytes associated, Bytes sealed, MutableBytes out) const;

 private:
  struct Schedule;
  std::unique_ptr<Schedule> schedule_;
};

/// True when the library uses the processor's AES instructions (measured by what it was built with and what the CPU offers).
bool hardware_aes();

}  // namespace ringpost::crypto
