// Which messages, and which of their recipients, an operator means.
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "ringpost/base/id.hh"
#include "ringpost/base/units.hh"

namespace ringpost::control {

/// Everything that is named must fit. Domains and addresses are compared without regard to case.
struct QueueFilter {
  std::optional<MessageId> id;
  std::optional<std::string> sender;     ///< an address, @domain, or empty: the null sender
  std::optional<std::string> recipient;  ///< an address, or @domain
  std::optional<std::string> domain;     ///< of a recipient; *.example.org: below example.org
  std::optional<std::string> destination;  ///< a host that was tried or will be: its name, address, or address:port
  std::optional<std::string> reason;     ///< why a recipient waits or failed
  std::optional<std::string> state;      ///< of a recipient
  std::optional<Duration> older, younger;  ///< its age

  /// It takes the message's addresses to tell.
  bool names_addresses() const { return sender || recipient || domain; }
  friend bool operator==(const QueueFilter&, const QueueFilter&) = default;
};

/// "NAME=VALUE NAME=VALUE": the names are those above; in values octets that are not printable, blanks and % are written as %XX. Ages
/// are in seconds. One further word, of a name that is none of these, may be `other_name` and its value. Errors: text for the operator.
std::expected<QueueFilter, std::string> parse_filter(std::string_view words, std::string* other_name = nullptr,
                                                     std::string* other_value = nullptr);

/// "anna@example.org" fits itself, "@example.org" every address there.
bool address_fits(std::string_view pattern, std::string_view address);
/// "example.org" fits itself, "*.example.org" whatever is below it.
bool domain_fits(std::string_view pattern, std::string_view domain);

}  // namespace ringpost::control
