// Values of each type: from text, with a reason when it is refused, and back to the text that reads as the same value.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "table.hh"

namespace ringpost::config {

/// The words of an enum, in the order of its values.
template <typename Enum>
inline constexpr std::array<std::string_view, 0> kWords{};
template <>
inline constexpr std::array<std::string_view, 4> kWords<ListenerRole>{"relay", "mx", "submission", "submissions"};
template <>
inline constexpr std::array<std::string_view, 2> kWords<BareNewline>{"refuse", "repair"};
template <>
inline constexpr std::array<std::string_view, 4> kWords<ListenerTls>{"none", "offered", "required", "implicit"};
template <>
inline constexpr std::array<std::string_view, 3> kWords<ClientCertificates>{"none", "optional", "required"};
template <>
inline constexpr std::array<std::string_view, 2> kWords<ProxyProtocol>{"no", "required"};
template <>
inline constexpr std::array<std::string_view, 2> kWords<TlsMinimum>{"1.2", "1.3"};
template <>
inline constexpr std::array<std::string_view, 2> kWords<ConnectionSpread>{"load", "even"};
template <>
inline constexpr std::array<std::string_view, 3> kWords<TrustAd>{"auto", "yes", "no"};
template <>
inline constexpr std::array<std::string_view, 2> kWords<WhenUnavailable>{"defer", "buffer"};
template <>
inline constexpr std::array<std::string_view, 7> kWords<TlsPolicy>{"auto",   "none", "opportunistic", "encrypt",
                                                                       "verify", "dane", "mta-sts"};
template <>
inline constexpr std::array<std::string_view, 2> kWords<WhenUnsure>{"defer", "accept"};
template <>
inline constexpr std::array<std::string_view, 4> kWords<LogLevel>{"error", "warning", "info", "debug"};
template <>
inline constexpr std::array<std::string_view, 3> kWords<LogStyle>{"auto", "plain", "journal"};

// Each returns false and fills `reason` when `text` is no value of `key`; `out` is then unchanged.
bool parse_value(const Key& key, std::string_view text, bool& out, std::string& reason);
bool parse_value(const Key& key, std::string_view text, std::uint64_t& out, std::string& reason);
bool parse_value(const Key& key, std::string_view text, Duration& out, std::string& reason);
bool parse_value(const Key& key, std::string_view text, std::string& out, std::string& reason);
bool parse_value(const Key& key, std::string_view text, SocketAddress& out, std::string& reason);
bool parse_value(const Key& key, std::string_view text, std::vector<SocketAddress>& out, std::string& reason);
bool parse_value(const Key& key, std::string_view text, std::vector<Network>& out, std::string& reason);
bool parse_value(const Key& key, std::string_view text, std::vector<std::string>& out, std::string& reason);
bool parse_value(const Key& key, std::string_view text, RecipientRule::Value& out, std::string& reason);
bool parse_value(const Key& key, std::string_view text, Route& out, std::string& reason);
bool parse_value(const Key& key, std::string_view text, Rate& out, std::string& reason);
/// The index of `text` in `words`, or -1 with the reason.
int parse_word(std::string_view text, std::span<const std::string_view> words, std::string& reason);

template <typename Enum>
  requires std::is_enum_v<Enum>
bool parse_value(const Key&, std::string_view text, Enum& out, std::string& reason) {
  int index = parse_word(text, kWords<Enum>, reason);
  if (index < 0) return false;
  out = static_cast<Enum>(index);
  return true;
}

std::string format_value(const Key& key, bool value);
std::string format_value(const Key& key, std::uint64_t value);
std::string format_value(const Key& key, Duration value);
std::string format_value(const Key& key, const std::string& value);
std::string format_value(const Key& key, const SocketAddress& value);
std::string format_value(const Key& key, const std::vector<SocketAddress>& value);
std::string format_value(const Key& key, const std::vector<Network>& value);
std::string format_value(const Key& key, const std::vector<std::string>& value);
std::string format_value(const Key& key, const RecipientRule::Value& value);
std::string format_value(const Key& key, const Route& value);
std::string format_value(const Key& key, const Rate& value);
template <typename Enum>
  requires std::is_enum_v<Enum>
std::string format_value(const Key&, Enum value) {
  return std::string{kWords<Enum>[static_cast<std::size_t>(value)]};
}

/// A domain name of letters, digits and hyphens (RFC 5321 section 4.1.2), one label or more, at most 253 octets.
bool is_host_name(std::string_view text);
/// "64 MiB" and "5 m": the largest unit that divides the value.
std::string bytes_text(std::uint64_t value);
std::string duration_text(Duration value);
/// Printable ASCII as it is, everything else as \xNN.
std::string printable(std::string_view text);

}  // namespace ringpost::config
