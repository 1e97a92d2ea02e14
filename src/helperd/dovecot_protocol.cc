#include "ringpost/helperd/dovecot_protocol.hh"

#include <algorithm>
#include <charconv>
#include <vector>

#include "ringpost/base/base64.hh"

namespace ringpost::helperd::dovecot {

namespace {

constexpr std::size_t kUserBytesMax = 255;

/// What stands before the next tab, which goes, too.
std::string_view next_field(std::string_view& rest) {
  const std::size_t end = std::min(rest.find('\t'), rest.size());
  const std::string_view field = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return field;
}

template <typename Number>
std::optional<Number> number(std::string_view text) {
  Number value{};
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (fault != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// Octets that would end a field or a line are written as ^A and a letter.
std::optional<std::string> unescaped(std::string_view field) {
  constexpr std::string_view kLetters = "01trn", kOctets{"\0\1\t\r\n", 5};
  std::string text;
  for (std::size_t at = 0; at < field.size(); ++at) {
    char octet = field[at];
    if (octet == '\1') {
      const std::size_t letter = ++at < field.size() ? kLetters.find(field[at]) : kLetters.npos;
      if (letter == kLetters.npos) return std::nullopt;
      octet = kOctets[letter];
    }
    text += octet;
  }
  return text;
}

bool is_user(std::string_view text) {
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  return !text.empty() && text.size() <= kUserBytesMax && std::ranges::none_of(text, is_control);
}

std::optional<Message> answer(Answer::Outcome outcome, std::string_view rest) {
  const auto id = number<std::uint32_t>(next_field(rest));
  if (!id) return std::nullopt;
  Answer answer{.id = *id, .outcome = outcome};
  while (!rest.empty() && outcome != Answer::Outcome::more) {
    const std::string_view field = next_field(rest);
    if (outcome == Answer::Outcome::refused && field == "temp") answer.outcome = Answer::Outcome::temporary;
    if (outcome != Answer::Outcome::ok || !field.starts_with("user=")) continue;
    auto user = unescaped(field.substr(5));
    if (!user || !answer.user.empty()) return std::nullopt;
    answer.user = std::move(*user);
  }
  if (outcome == Answer::Outcome::ok && !is_user(answer.user)) return std::nullopt;
  return answer;
}

}  // namespace

std::optional<Message> parse_line(std::string_view line) {
  if (line.size() > kLineBytesMax || line.find('\n') != line.npos || line.find('\0') != line.npos) return std::nullopt;
  std::string_view rest = line;
  const std::string_view command = next_field(rest);
  if (command == "OK") return answer(Answer::Outcome::ok, rest);
  if (command == "FAIL") return answer(Answer::Outcome::refused, rest);
  if (command == "CONT") return answer(Answer::Outcome::more, rest);
  if (command == "DONE") return Ready{};
  if (command == "VERSION") {
    const auto major = number<unsigned>(next_field(rest));
    return major ? std::optional<Message>{Version{*major}} : std::nullopt;
  }
  if (command == "MECH") {
    const std::string_view name = next_field(rest);
    return name.empty() ? std::nullopt : std::optional<Message>{Mechanism{name}};
  }
  return command.empty() ? std::nullopt : std::optional<Message>{Other{}};
}

std::string hello(std::uint32_t process) {
  return "VERSION\t" + std::to_string(kVersionMajor) + "\t" + std::to_string(kVersionMinor) + "\nCPID\t" + std::to_string(process) + "\n";
}

SecretBytes plain_request(std::uint32_t id, std::string_view login, std::string_view password, const IpAddress& client) {
  std::vector<std::byte> response;
  response.reserve(2 + login.size() + password.size());
  for (std::string_view part : {login, password}) {
    response.push_back(std::byte{0});
    for (std::byte octet : as_bytes(part)) response.push_back(octet);
  }
  const SecretBytes wiped{std::move(response)};
  // The response is the last field, whatever else there is.
  const std::string begin = "AUTH\t" + std::to_string(id) + "\tPLAIN\tservice=smtp\tsecured\trip=" + client.text() + "\tresp=";
  std::string encoded = encode_base64(wiped.view());
  std::vector<std::byte> line(begin.size() + encoded.size() + 1, std::byte{'\n'});
  copy_bytes(line, as_bytes(begin));
  copy_bytes(MutableBytes{line}.subspan(begin.size()), as_bytes(encoded));
  wipe({reinterpret_cast<std::byte*>(encoded.data()), encoded.size()});
  return SecretBytes{std::move(line)};
}

}  // namespace ringpost::helperd::dovecot
