#include "ringpost/control/filter.hh"

#include <algorithm>
#include <charconv>

namespace ringpost::control {

namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

bool same(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return lower(x) == lower(y); });
}

int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char small = lower(c);
  return small >= 'a' && small <= 'f' ? small - 'a' + 10 : -1;
}

std::optional<std::string> decoded(std::string_view value) {
  std::string out;
  for (std::size_t i = 0; i < value.size(); ++i) {
    if (value[i] != '%') {
      out += value[i];
      continue;
    }
    const int high = i + 1 < value.size() ? digit(value[i + 1]) : -1, low = i + 2 < value.size() ? digit(value[i + 2]) : -1;
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

std::optional<Duration> seconds(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  constexpr std::uint64_t kMost = 100ull * 366 * 86'400;
  if (error != std::errc{} || end != text.data() + text.size() || number > kMost) return std::nullopt;
  return std::chrono::seconds(number);
}

}  // namespace

std::expected<QueueFilter, std::string> parse_filter(std::string_view words, std::string* other_name, std::string* other_value) {
  QueueFilter filter;
  while (!words.empty()) {
    const std::size_t end = std::min(words.find(' '), words.size());
    const std::string_view word = words.substr(0, end);
    words.remove_prefix(std::min(end + 1, words.size()));
    if (word.empty()) continue;
    const std::size_t sign = word.find('=');
    if (sign == word.npos) return std::unexpected(std::string{word} + ": NAME=VALUE is wanted");
    const std::string_view name = word.substr(0, sign);
    const std::optional<std::string> value = decoded(word.substr(sign + 1));
    if (!value) return std::unexpected(std::string{word} + ": % is followed by two hexadecimal digits");
    if (name == "id") {
      filter.id = id_from_hex<MessageId>(*value);
      if (!filter.id) return std::unexpected("a message id is 32 hexadecimal digits");
    } else if (name == "older" || name == "younger") {
      auto& age = name == "older" ? filter.older : filter.younger;
      age = seconds(*value);
      if (!age) return std::unexpected(std::string{name} + " is a number of seconds");
    } else if (name == "sender") {
      filter.sender = *value;
    } else if (name == "recipient") {
      filter.recipient = *value;
    } else if (name == "domain") {
      filter.domain = *value;
    } else if (name == "destination") {
      filter.destination = *value;
    } else if (name == "reason") {
      filter.reason = *value;
    } else if (name == "state") {
      filter.state = *value;
    } else if (other_name && other_name->empty()) {
      *other_name = name;
      *other_value = *value;
    } else {
      return std::unexpected(std::string{name} + ": there is no such filter");
    }
  }
  return filter;
}

bool address_fits(std::string_view pattern, std::string_view address) {
  if (!pattern.starts_with('@')) return same(pattern, address);
  const std::size_t at = address.rfind('@');
  return at != address.npos && same(pattern, address.substr(at));
}

bool domain_fits(std::string_view pattern, std::string_view domain) {
  if (!pattern.starts_with("*.")) return same(pattern, domain);
  const std::string_view below = pattern.substr(1);
  return domain.size() > below.size() && same(below, domain.substr(domain.size() - below.size()));
}

}  // namespace ringpost::control
