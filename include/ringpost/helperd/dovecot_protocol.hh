// Dovecot's protocol for authentication clients, version 1.2 (https://doc.dovecot.org, "Authentication Protocol"): what we say, and what its
// lines mean. What Dovecot passes on of others is as hostile as what the Internet sends: every byte string has a verdict.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "ringpost/base/bytes.hh"
#include "ringpost/base/secret.hh"
#include "ringpost/base/socket_address.hh"

namespace ringpost::helperd::dovecot {

inline constexpr unsigned kVersionMajor = 1, kVersionMinor = 2;
/// Of a line, either way. Dovecot's own bound is 8192 (AUTH_CLIENT_MAX_LINE_LENGTH).
inline constexpr std::size_t kLineBytesMax = 8192;

struct Version {
  unsigned major = 0;
};
/// Something that Dovecot can check.
struct Mechanism {
  std::string_view name;
};
/// Its half of the handshake is over.
struct Ready {};
struct Answer {
  enum class Outcome : std::uint8_t {
    ok,         ///< `user` has logged in
    refused,    ///< wrong, unknown, disabled
    temporary,  ///< Dovecot cannot say now
    more,       ///< it wants to hear more, which with PLAIN is nonsense
  };
  std::uint32_t id = 0;
  Outcome outcome = Outcome::refused;
  std::string user;  ///< as Dovecot writes it; 1..255 octets without controls with `ok`, else empty
};
/// What may be said and means nothing to us.
struct Other {};
using Message = std::variant<Other, Version, Mechanism, Ready, Answer>;

/// A line without its line feed. Nothing: it is none of the protocol. Lifetime: views are of `line`.
std::optional<Message> parse_line(std::string_view line);

/// What a client begins with. `process`: a number that no other client of this Dovecot has.
std::string hello(std::uint32_t process);

/// "Is this the password?", with mechanism PLAIN (RFC 4616), as a whole line. Neither login nor password has a NUL.
SecretBytes plain_request(std::uint32_t id, std::string_view login, std::string_view password, const IpAddress& client);

}  // namespace ringpost::helperd::dovecot
