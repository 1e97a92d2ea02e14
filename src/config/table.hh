// The declaration of one key, and the table of all of them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ringpost/config/configuration.hh"

namespace ringpost::config {

enum class Type : std::uint8_t {
  boolean, integer, bytes, duration, choice, text, host_name, path, address, addresses, networks, domains, recipients, route, rate, mailbox, https_url,
};

/// Values are shown, logged and audited: no key may hold a secret.
struct Key {
  std::string_view name;  ///< families contain NAME or DOMAIN
  Type type = Type::integer;
  std::string_view fallback;  ///< as an operator would write it; empty: the key has no default and must be given
  std::uint64_t min = 0;      ///< integer, bytes: in units of one; duration: nanoseconds
  std::uint64_t max = 0;
  std::uint64_t multiple = 1;  ///< integer, bytes: what a value must divide by
  bool zero = false;           ///< 0 is allowed below `min`: the limit is off
  std::string_view auto_word;  ///< the word that leaves the choice to the server (0 or empty in Settings)
  std::string_view unit;       ///< where the type does not say it
  Effect effect = Effect::live;
  std::string_view help;

  bool (*assign)(const Key&, Settings&, std::string_view instance, std::string_view text, std::string& reason) = nullptr;
  std::string (*format)(const Key&, const Settings&, std::string_view instance) = nullptr;
  std::string (*type_words)(const Key&) = nullptr;
  std::vector<std::string> (*instances)(const Settings&) = nullptr;  ///< families: what stands for the placeholder, sorted

  /// "NAME" or "DOMAIN" where an instance's own name stands; empty for a plain key.
  std::string_view placeholder() const;
  bool is_family() const { return !placeholder().empty(); }
  /// What stands in front of the placeholder: rows of one family share it.
  std::string_view family() const { return name.substr(0, name.find(placeholder())); }
};

/// In the order in which `get -a` and the reference page show them.
std::span<const Key> table();

/// A key as somebody wrote it, found in the table.
struct Match {
  const Key* key;
  std::string_view instance;  ///< what stands for the placeholder; empty for a plain key
};
std::optional<Match> find_key(std::string_view written);
/// The family's name with its placeholder replaced.
std::string key_text(const Key& key, std::string_view instance);
/// The valid key that takes the fewest edits to get from `written`.
std::string nearest_key(std::string_view written);
std::string range_text(const Key& key);

}  // namespace ringpost::config
