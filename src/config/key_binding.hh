// Binds the declaration of a key to its field of Settings, and names the files that declare keys.
#pragma once

#include <algorithm>

#include "table.hh"
#include "values.hh"

namespace ringpost::config {

// Each in the file of its name, in the order of the table.
std::span<const Key> listener_keys();
std::span<const Key> login_keys();
std::span<const Key> route_keys();
std::span<const Key> delivery_keys();
std::span<const Key> storage_keys();
std::span<const Key> limit_keys();

inline constexpr std::uint64_t kMs = 1'000'000, kSecond = 1'000 * kMs, kMinute = 60 * kSecond, kHour = 60 * kMinute, kDay = 24 * kHour;

// Families: the instance called `name` in a sorted list; made when it is new.
template <auto Name, typename Entry>
Entry& instance(std::vector<Entry>& entries, std::string_view name) {
  auto at = std::ranges::lower_bound(entries, name, {}, Name);
  if (at == entries.end() || (*at).*Name != name) {
    at = entries.emplace(at);
    (*at).*Name = name;
  }
  return *at;
}

template <auto Name, typename Entry>
const Entry& instance(const std::vector<Entry>& entries, std::string_view name) {
  auto at = std::ranges::lower_bound(entries, name, {}, Name);
  RP_ASSERT(at != entries.end() && (*at).*Name == name);
  return *at;
}

template <auto Name, typename Entry>
std::vector<std::string> names_in(const std::vector<Entry>& entries) {
  std::vector<std::string> names;
  for (const Entry& entry : entries) names.push_back(entry.*Name);
  return names;
}

template <typename Field>
std::string words_for(const Key& key) {
  switch (key.type) {
    case Type::boolean: return "yes | no";
    case Type::integer: return "integer";
    case Type::bytes: return "bytes";
    case Type::duration: return "duration";
    case Type::text: return "text";
    case Type::host_name: return "host name";
    case Type::path: return "path";
    case Type::mailbox: return "mail address";
    case Type::https_url: return "https URL";
    case Type::address: return "IP:PORT";
    case Type::addresses: return "IP:PORT, …";
    case Type::networks: return "networks";
    case Type::domains: return "domains";
    case Type::recipients: return "any | file:PATH";
    case Type::rate: return "rate";
    case Type::route: return "smtp://HOST[:PORT] | lmtp://HOST:PORT | lmtp:/PATH | mx | hold | reject TEXT";
    case Type::choice: {
      std::string words;
      for (std::string_view word : kWords<Field>) words.append(words.empty() ? "" : " | ").append(word);
      return words;
    }
  }
  return {};
}

/// Binds a declaration to the field of Settings that `Access` finds; a family's `Instances` says which of them there are.
template <auto Access, auto Instances = nullptr>
constexpr Key key(Key declaration) {
  declaration.assign = [](const Key& self, Settings& settings, std::string_view instance, std::string_view text,
                          std::string& reason) { return parse_value(self, text, Access(settings, instance), reason); };
  declaration.format = [](const Key& self, const Settings& settings, std::string_view instance) {
    return format_value(self, Access(settings, instance));
  };
  using Field = std::remove_cvref_t<decltype(Access(std::declval<Settings&>(), std::string_view{}))>;
  declaration.type_words = [](const Key& self) { return words_for<Field>(self); };
  declaration.instances = Instances;
  return declaration;
}

#define FIELD(member) [](auto& settings, std::string_view) -> auto& { return settings.member; }
#define MEMBER_OF(list, name_member, member)                                                                       \
  [](auto& settings, std::string_view name) -> auto& { return instance<&name_member>(settings.list, name).member; }, \
      [](const Settings& settings) { return names_in<&name_member>(settings.list); }
#define LISTENER(member) MEMBER_OF(listeners, Listener::name, member)

}  // namespace ringpost::config
