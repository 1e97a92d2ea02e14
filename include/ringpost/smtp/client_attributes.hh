// XCLIENT and XFORWARD: what a trusted peer says of the client it speaks for, or whose message it passes on
// (Postfix's XCLIENT_README and XFORWARD_README).
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string_view>

#include "ringpost/base/socket_address.hh"
#include "ringpost/smtp/command.hh"
#include "ringpost/smtp/reply.hh"

namespace ringpost::smtp {

/// What EHLO names behind each keyword.
inline constexpr std::string_view kXclientAttributes = "NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT";
inline constexpr std::string_view kXforwardAttributes = "NAME ADDR PORT PROTO HELO IDENT SOURCE";
/// Of a value, decoded (XFORWARD_README, note 1).
inline constexpr std::size_t kClientAttributeBytesMax = 255;

/// What of it is used. The others are checked only.
struct ClientAttributes {
  bool addressed = false;            ///< there was an ADDR
  std::optional<IpAddress> address;  ///< nothing: [UNAVAILABLE], or for XFORWARD no IP address
  std::optional<std::uint16_t> port;

  /// Adds what a later command says: it replaces what it names, and leaves the rest (XFORWARD_README, server operation).
  void add(const ClientAttributes& later);
  friend bool operator==(const ClientAttributes&, const ClientAttributes&) = default;
};

/// 1*(SP name "=" xtext), behind the verb, which is `xclient` or `xforward`. Names in any case, each at most once.
///
/// Errors: the reply to send. Values are printable ASCII or refused, so never a CR, LF or NUL.
std::expected<ClientAttributes, Reply> parse_client_attributes(Verb verb, std::string_view argument);

}  // namespace ringpost::smtp
