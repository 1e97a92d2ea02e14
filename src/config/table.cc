// All keys, each declared once in one of the *_keys.cc: the parser, `get -a`, docs/configuration.md and the shell completion come from here.
#include "table.hh"

#include <algorithm>

#include "key_binding.hh"

namespace ringpost::config {
namespace {

bool is_instance_name(std::string_view name) {
  auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  };
  return !name.empty() && name.size() <= 32 && std::ranges::all_of(name, allowed);
}

/// A domain as a key names it: lower case, A-labels; "*.DOMAIN" for all below it. A single label takes a final dot: without one it is
/// far more often a slip of a key's name than a top-level domain.
bool is_instance_domain(std::string_view name) {
  if (name.starts_with("*.")) return is_instance_domain(name.substr(2)) || is_host_name(name.substr(2));
  if (std::ranges::any_of(name, [](char c) { return c >= 'A' && c <= 'Z'; })) return false;
  const bool one_label = name.find('.') >= name.size() - 1;
  if (one_label && name.ends_with('.')) name.remove_suffix(1);
  else if (one_label) return false;
  return is_host_name(name);
}

constexpr std::string_view kName = "NAME", kDomain = "DOMAIN";

}  // namespace

std::span<const Key> table() {
  static const std::vector<Key> all = [] {
    std::vector<Key> keys;
    for (const auto part : {listener_keys(), login_keys(), route_keys(), delivery_keys(), storage_keys(), limit_keys()})
      keys.insert(keys.end(), part.begin(), part.end());
    return keys;
  }();
  return all;
}

std::string_view Key::placeholder() const {
  if (instances == nullptr) return {};
  return name.find(kDomain) != name.npos ? kDomain : kName;
}

std::optional<Match> find_key(std::string_view written) {
  for (const Key& key : table()) {
    if (!key.is_family()) {
      if (key.name == written) return Match{&key, {}};
      continue;
    }
    const std::string_view before = key.family(), after = key.name.substr(before.size() + key.placeholder().size());
    if (written.size() <= before.size() + after.size() || !written.starts_with(before) || !written.ends_with(after)) continue;
    const std::string_view instance = written.substr(before.size(), written.size() - before.size() - after.size());
    if (key.placeholder() == kDomain ? is_instance_domain(instance) : is_instance_name(instance)) return Match{&key, instance};
  }
  return std::nullopt;
}

std::string key_text(const Key& key, std::string_view instance) {
  std::string text{key.name};
  if (key.is_family()) text.replace(key.family().size(), key.placeholder().size(), instance);
  return text;
}

std::string range_text(const Key& key) {
  auto text = [&](std::uint64_t value) {
    if (key.type == Type::bytes) return bytes_text(value);
    if (key.type == Type::duration) return duration_text(Duration{static_cast<Duration::rep>(value)});
    return std::to_string(value);
  };
  if (key.max == 0) return {};
  std::string range = text(key.min) + " .. " + text(key.max);
  if (key.zero) range = "0, or " + range;
  if (!key.auto_word.empty()) range = std::string{key.auto_word} + ", or " + range;
  return range;
}

}  // namespace ringpost::config
