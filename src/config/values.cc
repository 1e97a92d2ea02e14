#include "values.hh"

#include <algorithm>
#include <charconv>

#include "ringpost/config/domains.hh"

namespace ringpost::config {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};
constexpr Unit kByteUnits[] = {{"GiB", 1_GiB}, {"MiB", 1_MiB}, {"KiB", 1_KiB}};
constexpr Unit kTimeUnits[] = {
    {"d", 86'400'000'000'000}, {"h", 3'600'000'000'000}, {"m", 60'000'000'000}, {"s", 1'000'000'000}, {"ms", 1'000'000}};

constexpr std::string_view kSeparators = ", \t";
constexpr std::uint16_t kSmtpPort = 25;
constexpr std::size_t kTextBytesMax = 255;

constexpr Unit kRateUnits[] = {{"/s", 1'000'000'000}, {"/m", 60'000'000'000}, {"/h", 3'600'000'000'000}};

bool refuse(std::string& reason, std::string text) {
  reason = std::move(text);
  return false;
}

std::string in_quotes(std::string_view text) { return "\"" + printable(text) + "\""; }

/// "NUMBER" or "NUMBER UNIT": the digits at the front, the rest without the space between.
bool split_number(std::string_view text, std::uint64_t& number, std::string_view& rest) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{}) return false;
  rest = text.substr(static_cast<std::size_t>(end - text.data()));
  while (rest.starts_with(' ') || rest.starts_with('\t')) rest.remove_prefix(1);
  return true;
}

bool scale(std::uint64_t& number, std::string_view unit, std::span<const Unit> units) {
  auto found = std::ranges::find(units, unit, &Unit::name);
  return found != units.end() && !__builtin_mul_overflow(number, found->factor, &number);
}

bool check_range(const Key& key, std::uint64_t number, std::string_view text, std::string& reason) {
  bool in_range = (number >= key.min && number <= key.max) || (number == 0 && key.zero);
  if (!in_range) return refuse(reason, in_quotes(text) + " is outside " + range_text(key));
  if (number % key.multiple != 0) return refuse(reason, in_quotes(text) + " is no multiple of " + bytes_text(key.multiple));
  return true;
}

bool parse_host_name(std::string_view text, std::string& out, std::string& reason) {
  if (!is_host_name(text))
    return refuse(reason, in_quotes(text) + " is no host name: letters, digits and hyphens, in labels with dots");
  out = text;
  return true;
}

bool parse_path(std::string_view text, std::string& out, std::string& reason) {
  bool clean = text.size() > 1 && text.starts_with('/') && !text.ends_with('/') && text.find('\0') == text.npos;
  for (std::size_t at = 0; clean && at < text.size();) {
    std::size_t end = std::min(text.find('/', at + 1), text.size());
    std::string_view part = text.substr(at + 1, end - at - 1);
    clean = !part.empty() && part != "." && part != "..";
    at = end;
  }
  if (!clean) return refuse(reason, in_quotes(text) + " is no absolute path without empty, . and .. parts");
  out = text;
  return true;
}

/// HOST, HOST:PORT, IPv4:PORT, [IPv6]:PORT; without a port, `usual` if there is one.
bool parse_next_hop(std::string_view text, std::uint16_t usual, Route& route) {
  const std::string with_port = std::string{text} + ":" + std::to_string(usual);
  std::optional<SocketAddress> address = SocketAddress::parse(text);
  if (!address && usual != 0) address = SocketAddress::parse(with_port);
  if (address) {
    if (address->port() == 0) return false;
    route.host = text.substr(0, text.ends_with(']') ? text.npos : text.rfind(':'));
    route.port = address->port();
    route.address = *address;
    return true;
  }
  const std::size_t colon = std::min(text.find(':'), text.size());
  const std::string_view host = text.substr(0, colon);
  if (!is_host_name(host) || (colon == text.size() && usual == 0)) return false;
  // The host's last label must not be a number, or a mistyped IP address would pass for a name.
  if (host.back() >= '0' && host.back() <= '9') return false;
  const auto port = SocketAddress::parse("127.0.0.1:" + (colon == text.size() ? std::to_string(usual) : std::string{text.substr(colon + 1)}));
  if (!port || port->port() == 0) return false;
  route.host = host;
  route.port = port->port();
  if (host == "localhost") route.address = *port;
  return true;
}

/// What clients are told: one line of a reply.
/// The plain form alone: no quoted local part, no address literal.
bool parse_mailbox(std::string_view text, std::string& out, std::string& reason) {
  constexpr std::string_view kSpecials = "\"(),:;<>@[\\]";
  constexpr std::size_t kLocalPartMax = 64;
  const std::size_t at = text.find('@');
  const std::string_view local = text.substr(0, at);
  auto atom = [&](char c) { return c > 0x20 && c < 0x7f && kSpecials.find(c) == kSpecials.npos; };
  if (at == text.npos || local.empty() || local.size() > kLocalPartMax || !std::ranges::all_of(local, atom) || !is_host_name(text.substr(at + 1)))
    return refuse(reason, in_quotes(text) + " is no mail address");
  out = text;
  return true;
}

/// https://HOST[:PORT][/PATH][?QUERY] of printable ASCII. The host is a name, for which there can be a certificate.
bool parse_https_url(std::string_view text, std::string& out, std::string& reason) {
  const auto printable_ascii = [](char c) { return c > 0x20 && c < 0x7f && c != '#' && c != '"' && c != '\\'; };
  const std::string_view rest = text.substr(std::min(text.size(), kHttps.size()));
  const std::string_view authority = rest.substr(0, rest.find_first_of("/?"));
  Route at;
  if (!text.starts_with(kHttps) || text.size() > kTextBytesMax || !std::ranges::all_of(text, printable_ascii) ||
      !parse_next_hop(authority, 443, at) || at.address)
    return refuse(reason, in_quotes(text) + " is no https URL with a host's name: write https://id.example.org/introspect");
  out = text;
  return true;
}

bool parse_rejection(std::string_view text, Route& out, std::string& reason) {
  constexpr std::size_t kTextMax = 400;
  auto printable_ascii = [](char c) { return c >= 0x20 && c < 0x7f; };
  if (text.empty() || text.size() > kTextMax || !std::ranges::all_of(text, printable_ascii))
    return refuse(reason, "a rejection has 1 to 400 characters of printable ASCII behind it");
  out = Route{.kind = Route::Kind::reject, .text = std::string{text}};
  return true;
}

bool is_control(char octet) { return static_cast<unsigned char>(octet) < 0x20 || octet == 0x7f; }

}  // namespace

bool is_host_name(std::string_view text) {
  if (text.empty() || text.size() > 253) return false;
  for (std::size_t at = 0; at <= text.size();) {
    std::size_t end = std::min(text.find('.', at), text.size());
    std::string_view label = text.substr(at, end - at);
    auto allowed = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-'; };
    if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-') return false;
    if (!std::ranges::all_of(label, allowed)) return false;
    at = end + 1;
  }
  return true;
}

bool parse_value(const Key&, std::string_view text, bool& out, std::string& reason) {
  if (text != "yes" && text != "no") return refuse(reason, in_quotes(text) + " is neither yes nor no");
  out = text == "yes";
  return true;
}

bool parse_value(const Key& key, std::string_view text, std::uint64_t& out, std::string& reason) {
  if (!key.auto_word.empty() && text == key.auto_word) {
    out = 0;
    return true;
  }
  std::uint64_t number = 0;
  std::string_view unit;
  bool is_number = split_number(text, number, unit);
  if (key.type == Type::bytes) {
    if (!is_number || (!unit.empty() && !scale(number, unit, kByteUnits)))
      return refuse(reason, in_quotes(text) + " is no size: write a number of bytes, or one with KiB, MiB or GiB");
  } else if (!is_number || !unit.empty()) {
    return refuse(reason, in_quotes(text) + " is no whole number");
  }
  if (!check_range(key, number, text, reason)) return false;
  out = number;
  return true;
}

bool parse_value(const Key& key, std::string_view text, Duration& out, std::string& reason) {
  std::uint64_t number = 0;
  std::string_view unit;
  bool is_number = split_number(text, number, unit);
  if (!is_number || !(scale(number, unit, kTimeUnits) || (number == 0 && unit.empty())))
    return refuse(reason, in_quotes(text) + " is no duration: write a number with ms, s, m, h or d");
  if (!check_range(key, number, text, reason)) return false;
  out = Duration{static_cast<Duration::rep>(number)};
  return true;
}

bool parse_value(const Key& key, std::string_view text, std::string& out, std::string& reason) {
  if (!key.auto_word.empty() && text == key.auto_word) {
    out.clear();
    return true;
  }
  if (std::ranges::any_of(text, is_control)) return refuse(reason, in_quotes(text) + " holds a control character");
  if (key.type == Type::text) {
    if (text.empty() || text.size() > kTextBytesMax) return refuse(reason, in_quotes(text) + " is not 1 to " + std::to_string(kTextBytesMax) + " octets of text");
    out = text;
    return true;
  }
  if (key.type == Type::https_url) return parse_https_url(text, out, reason);
  if (key.type == Type::mailbox) return parse_mailbox(text, out, reason);
  return key.type == Type::path ? parse_path(text, out, reason) : parse_host_name(text, out, reason);
}

bool parse_value(const Key&, std::string_view text, SocketAddress& out, std::string& reason) {
  std::optional<SocketAddress> address = SocketAddress::parse(text);
  if (!address) return refuse(reason, in_quotes(text) + " is no address: write 192.0.2.1:25 or [2001:db8::1]:25");
  if (address->port() == 0) return refuse(reason, in_quotes(text) + " has port 0");
  out = *address;
  return true;
}

bool parse_value(const Key& key, std::string_view text, std::vector<SocketAddress>& out, std::string& reason) {
  std::vector<SocketAddress> addresses;
  if (text != key.auto_word) {
    for (std::size_t at = text.find_first_not_of(kSeparators); at != text.npos;) {
      const std::size_t end = std::min(text.find_first_of(kSeparators, at), text.size());
      SocketAddress address;
      if (!parse_value(key, text.substr(at, end - at), address, reason)) return false;
      if (std::ranges::find(addresses, address) != addresses.end()) return refuse(reason, in_quotes(address.text()) + " stands there twice");
      addresses.push_back(address);
      at = text.find_first_not_of(kSeparators, end);
    }
    if (addresses.empty()) return refuse(reason, "no address: write " + std::string{key.auto_word} + " to leave the choice to the server");
  }
  out = std::move(addresses);
  return true;
}

bool parse_value(const Key&, std::string_view text, std::vector<Network>& out, std::string& reason) {
  std::vector<Network> networks;
  if (text != "none") {
    for (std::size_t at = text.find_first_not_of(kSeparators); at != text.npos;) {
      std::size_t end = std::min(text.find_first_of(kSeparators, at), text.size());
      std::string_view word = text.substr(at, end - at);
      std::optional<Network> network = Network::parse(word);
      if (!network)
        return refuse(reason,
                      in_quotes(word) + " is no network: write 192.0.2.0/24 or 2001:db8::/32, with no bit set behind the prefix");
      if (std::ranges::find(networks, *network) != networks.end()) return refuse(reason, in_quotes(word) + " stands there twice");
      networks.push_back(*network);
      at = text.find_first_not_of(kSeparators, end);
    }
    if (networks.empty()) return refuse(reason, "no network: write none for an empty list");
  }
  out = std::move(networks);
  return true;
}

bool parse_value(const Key&, std::string_view text, std::vector<std::string>& out, std::string& reason) {
  std::vector<std::string> domains;
  if (text != "none") {
    for (std::size_t at = text.find_first_not_of(kSeparators); at != text.npos;) {
      const std::size_t end = std::min(text.find_first_of(kSeparators, at), text.size());
      const std::string_view word = text.substr(at, end - at);
      if (!is_host_name(word.starts_with("*.") ? word.substr(2) : word))
        return refuse(reason, in_quotes(word) + " is no domain: write example.org, or *.example.org for all below it; A-labels (xn--) only");
      std::string domain{LowerDomain{word}.text()};
      if (std::ranges::find(domains, domain) != domains.end()) return refuse(reason, in_quotes(word) + " stands there twice");
      domains.push_back(std::move(domain));
      at = text.find_first_not_of(kSeparators, end);
    }
    if (domains.empty()) return refuse(reason, "no domain: write none for an empty list");
  }
  std::ranges::sort(domains);
  out = std::move(domains);
  return true;
}

bool parse_value(const Key&, std::string_view text, RecipientRule::Value& out, std::string& reason) {
  constexpr std::string_view kFile = "file:";
  if (text == "any" || text == "callout") {
    out = {text == "any" ? RecipientRule::Kind::any : RecipientRule::Kind::callout, {}};
    return true;
  }
  std::string path;
  if (!text.starts_with(kFile)) return refuse(reason, in_quotes(text) + " is none of: any, file:PATH, callout");
  if (!parse_path(text.substr(kFile.size()), path, reason)) return false;
  out = {RecipientRule::Kind::file, std::move(path)};
  return true;
}

bool parse_value(const Key&, std::string_view text, Route& out, std::string& reason) {
  constexpr std::string_view kSmtp = "smtp://", kLmtp = "lmtp://", kLmtpSocket = "lmtp:", kReject = "reject ";
  if (text == "hold") {
    out = {};
    return true;
  }
  if (text.starts_with(kReject)) return parse_rejection(text.substr(kReject.size()), out, reason);
  Route route;
  if (text == "mx") {
    route.kind = Route::Kind::mx;
  } else if (text.starts_with(kSmtp) && parse_next_hop(text.substr(kSmtp.size()), kSmtpPort, route)) {
    route.kind = Route::Kind::smtp;
  } else if (text.starts_with(kLmtp) && parse_next_hop(text.substr(kLmtp.size()), 0, route)) {
    route.kind = Route::Kind::lmtp;
  } else if (text.starts_with(kLmtpSocket) && parse_path(text.substr(kLmtpSocket.size()), route.host, reason) &&
             SocketAddress::from_path(route.host)) {
    route.kind = Route::Kind::lmtp;
    route.address = *SocketAddress::from_path(route.host);
  } else {
    return refuse(reason, in_quotes(text) + " is no route: write smtp://HOST:PORT, lmtp://HOST:PORT, lmtp:/PATH, mx, hold or reject TEXT");
  }
  out = std::move(route);
  return true;
}

bool parse_value(const Key& key, std::string_view text, Rate& out, std::string& reason) {
  if (text == key.auto_word) {
    out = {};
    return true;
  }
  std::uint64_t number = 0;
  std::string_view unit;
  const bool is_number = split_number(text, number, unit);
  const auto per = std::ranges::find(kRateUnits, unit, &Unit::name);
  if (!is_number || per == std::end(kRateUnits)) return refuse(reason, in_quotes(text) + " is no rate: write 10/s, 600/m, 5000/h or none");
  if (!check_range(key, number, text, reason)) return false;
  out = {number, Duration{static_cast<Duration::rep>(per->factor)}};
  return true;
}

int parse_word(std::string_view text, std::span<const std::string_view> words, std::string& reason) {
  auto found = std::ranges::find(words, text);
  if (found != words.end()) return static_cast<int>(found - words.begin());
  reason = in_quotes(text) + " is none of: ";
  for (std::string_view word : words) reason.append(word).append(word == words.back() ? "" : ", ");
  return -1;
}

std::string format_value(const Key&, bool value) { return value ? "yes" : "no"; }
std::string format_value(const Key& key, std::uint64_t value) {
  if (value == 0 && !key.auto_word.empty()) return std::string{key.auto_word};
  return key.type == Type::bytes ? bytes_text(value) : std::to_string(value);
}
std::string format_value(const Key&, Duration value) { return duration_text(value); }
std::string format_value(const Key& key, const std::string& value) { return value.empty() ? std::string{key.auto_word} : value; }
std::string format_value(const Key&, const SocketAddress& value) { return value ? value.text() : std::string{}; }
std::string format_value(const Key& key, const std::vector<SocketAddress>& value) {
  if (value.empty()) return std::string{key.auto_word};
  std::string text;
  for (const SocketAddress& address : value) text.append(text.empty() ? "" : ", ").append(address.text());
  return text;
}
std::string format_value(const Key&, const std::vector<Network>& value) {
  if (value.empty()) return "none";
  std::string text;
  for (const Network& network : value) text.append(text.empty() ? "" : ", ").append(network.text());
  return text;
}
std::string format_value(const Key&, const std::vector<std::string>& value) {
  if (value.empty()) return "none";
  std::string text;
  for (const std::string& domain : value) text.append(text.empty() ? "" : ", ").append(domain);
  return text;
}
std::string format_value(const Key&, const RecipientRule::Value& value) {
  switch (value.kind) {
    case RecipientRule::Kind::any: return "any";
    case RecipientRule::Kind::file: return "file:" + value.path;
    case RecipientRule::Kind::callout: return "callout";
  }
  return {};
}
std::string format_value(const Key&, const Route& value) {
  switch (value.kind) {
    case Route::Kind::hold: return "hold";
    case Route::Kind::smtp: return "smtp://" + value.host + ":" + std::to_string(value.port);
    case Route::Kind::lmtp: return value.port == 0 ? "lmtp:" + value.host : "lmtp://" + value.host + ":" + std::to_string(value.port);
    case Route::Kind::mx: return "mx";
    case Route::Kind::reject: return "reject " + value.text;
  }
  return {};
}

std::string format_value(const Key& key, const Rate& value) {
  if (value.messages == 0) return std::string{key.auto_word};
  const auto unit = std::ranges::find(kRateUnits, static_cast<std::uint64_t>(value.per.count()), &Unit::factor);
  return std::to_string(value.messages) + std::string{unit->name};
}

std::string bytes_text(std::uint64_t value) {
  for (const Unit& unit : kByteUnits)
    if (value != 0 && value % unit.factor == 0) return std::to_string(value / unit.factor) + " " + std::string{unit.name};
  return std::to_string(value);
}

std::string duration_text(Duration value) {
  auto ns = static_cast<std::uint64_t>(value.count());
  for (const Unit& unit : kTimeUnits)
    if (ns != 0 && ns % unit.factor == 0) return std::to_string(ns / unit.factor) + " " + std::string{unit.name};
  return "0";
}

std::string printable(std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out;
  for (char octet : text) {
    auto value = static_cast<unsigned char>(octet);
    if (value >= 0x20 && value < 0x7f) {
      out += octet;
    } else {
      out.append({'\\', 'x', kHex[value >> 4], kHex[value & 15]});
    }
  }
  return out;
}

}  // namespace ringpost::config
