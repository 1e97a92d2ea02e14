// Passwords at rest: Argon2id (RFC 9106) as PHC strings.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "ringpost/base/error.hh"
#include "ringpost/base/secret.hh"

namespace ringpost::accounts {

inline constexpr std::size_t kSaltBytes = 16, kTagBytes = 32;

/// What one guess costs. The defaults are OWASP's: 19 MiB, 2 passes, 1 lane.
struct Cost {
  std::uint32_t memory_kib = 19 * 1024;
  std::uint32_t passes = 2;
  std::uint32_t lanes = 1;

  /// memory 8 * lanes .. 1 GiB, passes 1..64, lanes 1..16: a typo in the file must not stop the machine.
  bool sane() const;
  friend bool operator==(const Cost&, const Cost&) = default;
};

struct PasswordHash {
  Cost cost;
  std::array<std::byte, kSaltBytes> salt{};
  Secret<kTagBytes> tag;

  PasswordHash duplicate() const { return {cost, salt, tag.duplicate()}; }
};

/// Takes `cost.memory_kib` of memory and tens of milliseconds: never on a shard. The password is prepared first (SASLprep).
/// Errors: invalid: the password cannot be prepared, or the cost is not sane. no_memory.
Result<PasswordHash> hash_password(std::string_view password, const std::array<std::byte, kSaltBytes>& salt,
                                   const Cost& cost = {});
/// The same work again, compared in constant time. A password that cannot be prepared costs the work, too, and is wrong. Errors:
/// no_memory.
Result<bool> is_password(const PasswordHash& hash, std::string_view password);

/// "$argon2id$v=19$m=19456,t=2,p=1$SALT$TAG", base64 without padding.
std::string format_hash(const PasswordHash& hash);
/// The whole of `text` in exactly that form: salt of kSaltBytes, tag of kTagBytes, a sane cost.
std::optional<PasswordHash> parse_hash(std::string_view text);

}  // namespace ringpost::accounts
