// What a server keeps of a password for SCRAM-SHA-256 (RFC 5802 section 3, RFC 5803, RFC 7677).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ringpost/base/bytes.hh"
#include "ringpost/base/secret.hh"

namespace ringpost::sasl {

/// RFC 7677 section 4 wants 4096 at least. The work is the client's, at every log-in.
inline constexpr std::uint32_t kScramIterationsMin = 4096;
/// More would hold clients, and whoever sets a password, for seconds.
inline constexpr std::uint32_t kScramIterationsMax = 1'000'000;
inline constexpr std::size_t kScramSaltBytesMin = 8, kScramSaltBytesMax = 64;
/// What we make for new passwords.
inline constexpr std::uint32_t kScramIterations = 10'000;
inline constexpr std::size_t kScramSaltBytes = 16;

/// They do not reveal the password, but whoever has them can pose as the server, and with one overheard log-in as the client.
struct ScramKeys {
  std::uint32_t iterations = 0;
  std::vector<std::byte> salt;
  Key256 stored_key;
  Key256 server_key;

  ScramKeys duplicate() const { return {iterations, salt, stored_key.duplicate(), server_key.duplicate()}; }
};

/// Keys of a password, which is prepared first. Costs `iterations` HMACs.
/// Nothing: the password cannot be prepared, or iterations or salt are out of bounds.
std::optional<ScramKeys> make_scram_keys(std::string_view password, Bytes salt, std::uint32_t iterations);

/// "SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY", RFC 5803 section 2 in the form databases write.
std::string format_scram_keys(const ScramKeys& keys);
/// The whole of `text` in exactly that form, within the bounds above.
std::optional<ScramKeys> parse_scram_keys(std::string_view text);

}  // namespace ringpost::sasl
