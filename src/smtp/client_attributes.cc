#include "ringpost/smtp/client_attributes.hh"

#include <algorithm>

#include "ascii.hh"
#include "ringpost/base/assert.hh"
#include "ringpost/smtp/notification.hh"

namespace ringpost::smtp {
namespace {

constexpr std::size_t kProtocolBytesMax = 64;  // XFORWARD_README

bool is_unavailable(std::string_view value) { return equals_upper(value, "[UNAVAILABLE]"); }

/// "192.0.2.1" or "IPV6:2001:db8::1".
std::optional<IpAddress> parse_address(std::string_view value) {
  const bool ipv6 = starts_upper(value, "IPV6:");
  if (ipv6) value.remove_prefix(5);
  return value.contains(':') == ipv6 ? IpAddress::parse(value) : std::nullopt;
}

std::optional<std::uint16_t> parse_port(std::string_view value) {
  const auto number = parse_decimal(value);
  return number && *number > 0 && *number <= 65535 ? std::optional{static_cast<std::uint16_t>(*number)} : std::nullopt;
}

// Each says whether the decoded `value` is one of its attribute.
bool take_any(std::string_view, ClientAttributes&) { return true; }
bool take_name(std::string_view value, ClientAttributes&) { return !value.contains(' '); }
bool take_address(std::string_view value, ClientAttributes& attributes) {
  attributes.addressed = true;
  attributes.address = parse_address(value);
  return attributes.address || is_unavailable(value);
}
// The address may be none of the Internet's.
bool take_foreign_address(std::string_view value, ClientAttributes& attributes) {
  (void)take_address(value, attributes);
  return take_name(value, attributes);
}
bool take_port(std::string_view value, ClientAttributes& attributes) {
  attributes.port = parse_port(value);
  return attributes.port || is_unavailable(value);
}
bool take_own_address(std::string_view value, ClientAttributes&) { return parse_address(value) || is_unavailable(value); }
bool take_own_port(std::string_view value, ClientAttributes&) { return parse_port(value) || is_unavailable(value); }
bool take_smtp(std::string_view value, ClientAttributes&) { return equals_upper(value, "SMTP") || equals_upper(value, "ESMTP"); }
bool take_protocol(std::string_view value, ClientAttributes& attributes) {
  return value.size() <= kProtocolBytesMax && take_name(value, attributes);
}
bool take_source(std::string_view value, ClientAttributes&) {
  return equals_upper(value, "LOCAL") || equals_upper(value, "REMOTE") || is_unavailable(value);
}

struct Attribute {
  std::string_view name;
  bool (*take)(std::string_view value, ClientAttributes&);
};
constexpr Attribute kOfXclient[] = {{"NAME", take_name}, {"ADDR", take_address}, {"PORT", take_port}, {"PROTO", take_smtp},
                                    {"HELO", take_name}, {"LOGIN", take_any}, {"DESTADDR", take_own_address}, {"DESTPORT", take_own_port}};
constexpr Attribute kOfXforward[] = {{"NAME", take_name}, {"ADDR", take_foreign_address}, {"PORT", take_port}, {"PROTO", take_protocol},
                                     {"HELO", take_name}, {"IDENT", take_name}, {"SOURCE", take_source}};
static_assert(std::size(kOfXclient) <= 8 && std::size(kOfXforward) <= 8);

}  // namespace

void ClientAttributes::add(const ClientAttributes& later) {
  if (later.addressed) {
    addressed = true;
    address = later.address;
  }
  if (later.port) port = later.port;
}

std::expected<ClientAttributes, Reply> parse_client_attributes(Verb verb, std::string_view argument) {
  RP_ASSERT(verb == Verb::xclient || verb == Verb::xforward);
  const std::span<const Attribute> known = verb == Verb::xclient ? std::span<const Attribute>{kOfXclient} : kOfXforward;
  ClientAttributes attributes;
  std::uint8_t seen = 0;
  if (argument.empty()) return std::unexpected(replies::kSyntax);
  while (!argument.empty()) {
    const std::string_view word = take_word(argument);
    const std::size_t equals = word.find('=');
    if (equals == word.npos) return std::unexpected(replies::kSyntax);
    const auto row = std::ranges::find_if(known, [&](const Attribute& each) { return equals_upper(word.substr(0, equals), each.name); });
    if (row == known.end()) return std::unexpected(replies::kBadParameter);
    const auto bit = static_cast<std::uint8_t>(1u << (row - known.begin()));
    if (seen & bit) return std::unexpected(replies::kDuplicateParameter);
    seen |= bit;
    const auto value = decode_xtext(word.substr(equals + 1));
    if (!value || value->empty() || value->size() > kClientAttributeBytesMax || !row->take(*value, attributes))
      return std::unexpected(replies::kBadParameter);
  }
  return attributes;
}

}  // namespace ringpost::smtp
