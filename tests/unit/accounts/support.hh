// Accounts for tests, with hashes that cost next to nothing.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ringpost/accounts/verify.hh"

namespace ringpost::accounts {

inline constexpr Cost kCheap{.memory_kib = 8, .passes = 1, .lanes = 1};

inline std::array<std::byte, kSaltBytes> salt_of(int value) {
  std::array<std::byte, kSaltBytes> salt;
  salt.fill(static_cast<std::byte>(value));
  return salt;
}
inline PasswordHash cheap_hash(std::string_view password, int salt = 1) {
  return std::move(*hash_password(password, salt_of(salt), kCheap));
}
inline sasl::ScramKeys scram_of(std::string_view password, std::uint32_t iterations = sasl::kScramIterationsMin) {
  const auto salt = salt_of(2);
  return std::move(*sasl::make_scram_keys(password, salt, iterations));
}
inline Second second(std::int64_t since_1970) { return Second{std::chrono::seconds{since_1970}}; }
inline Key256 key_of(int value) {
  std::array<std::byte, 32> bytes;
  bytes.fill(static_cast<std::byte>(value));
  return Key256{Bytes{bytes}};
}
inline std::string app_text(std::string_view name, int value = 7) {
  std::array<std::byte, kAppPasswordRandomBytes> random;
  random.fill(static_cast<std::byte>(value));
  return std::string{app_password_text(name, Secret<kAppPasswordRandomBytes>{Bytes{random}}).text()};
}

}  // namespace ringpost::accounts
