// The strict grammar of addresses and host names: RFC 5321 section 4.1.2 and 4.1.3, RFC 6531 section 3.3.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "ringpost/smtp/reply.hh"

namespace ringpost::smtp {

// RFC 5321 section 4.5.3.1 and RFC 1035 section 2.3.4, in octets.
inline constexpr std::size_t kLocalPartBytesMax = 64;
inline constexpr std::size_t kDomainBytesMax = 255;
inline constexpr std::size_t kLabelBytesMax = 63;
/// With its angle brackets.
inline constexpr std::size_t kPathBytesMax = 256;

enum class AddressFault : std::uint8_t {
  none,
  syntax,               ///< does not fit the grammar
  no_domain,            ///< a local part alone
  local_too_long,       ///< more than kLocalPartBytesMax
  domain_too_long,      ///< more than kDomainBytesMax
  label_too_long,       ///< more than kLabelBytesMax
  path_too_long,        ///< more than kPathBytesMax
  bad_literal,          ///< [..] that is neither an IPv4 nor an IPv6 address
  unsupported_literal,  ///< [Tag:..] with a tag other than IPv6
  bad_utf8,             ///< not UTF-8, or a code point no address may hold
  utf8_not_allowed,     ///< non-ASCII without SMTPUTF8
};

/// A mailbox as it was sent. All views are of the parsed text.
struct Mailbox {
  std::string_view local;   ///< with its quotes, if it has any
  std::string_view domain;  ///< with its brackets, if it is a literal
  bool quoted = false;
  bool literal = false;
  bool utf8 = false;  ///< it, or its source route, holds non-ASCII

  /// local@domain
  std::string_view text() const { return {local.data(), static_cast<std::size_t>(domain.data() + domain.size() - local.data())}; }
};

/// What stands in MAIL FROM:<...> or RCPT TO:<...>.
struct Path {
  enum class Kind : std::uint8_t {
    null_sender,  ///< <>
    postmaster,   ///< <postmaster>, in any case, without a domain
    mailbox,
  };

  AddressFault fault = AddressFault::none;
  Kind kind = Kind::null_sender;
  bool source_route = false;  ///< there was one; it is ignored (RFC 5321 appendix C)
  Mailbox mailbox;
  std::string_view bare_local;  ///< "postmaster" as sent, for that kind
  std::size_t size = 0;         ///< bytes of the text that were the path, brackets included

  bool ok() const { return fault == AddressFault::none; }
  bool null_sender() const { return kind == Kind::null_sender; }
  /// What a next hop is sent between the brackets: "", "postmaster" or local@domain, the source route removed.
  std::string_view address() const { return kind == Kind::mailbox ? mailbox.text() : bare_local; }
};

enum class Utf8 : bool { refused, allowed };

/// `text` starts with `<`; what stands behind the closing `>` is not looked at (`Path::size` says where that is).
Path parse_reverse_path(std::string_view text, Utf8 utf8);
/// As above, without <> and with <postmaster>.
Path parse_forward_path(std::string_view text, Utf8 utf8);
/// The whole of `text` is one mailbox, without brackets.
Path parse_mailbox(std::string_view text, Utf8 utf8);

/// The whole of `text` is a domain of letters, digits and hyphens (or U-labels, if allowed); no literal, no final dot.
AddressFault parse_domain(std::string_view text, Utf8 utf8 = Utf8::refused);
/// The whole of `text` is [1.2.3.4] or [IPv6:...].
AddressFault parse_address_literal(std::string_view text);
/// The argument of EHLO and HELO: a domain (A-labels only, RFC 6531 section 3.7.1) or an address literal.
AddressFault parse_helo_name(std::string_view text);

/// The refusal for a fault in MAIL FROM.
Reply sender_refusal(AddressFault fault);
/// The refusal for a fault in RCPT TO.
Reply recipient_refusal(AddressFault fault);

}  // namespace ringpost::smtp
