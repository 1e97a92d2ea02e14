// From configuration files to Settings, and back to text for `ringpostctl get`. No I/O: callers read the files.
#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ringpost/config/settings.hh"

namespace ringpost::config {

/// One file's name (for messages) and content, in the order of precedence: the main file, then conf.d/*.conf by name.
struct Source {
  std::string name;
  std::string content;
};

/// What the machine contributes to defaults.
struct Environment {
  std::string hostname;  ///< the system's host name; "localhost" when unusable as a domain
};

/// One reason why a configuration is refused.
struct Problem {
  std::string file;        ///< empty: from `set`, or from the configuration as a whole
  std::uint32_t line = 0;  ///< from 1; 0: no particular line
  std::string key;         ///< as written; may be empty (a line that is no assignment)
  std::string nearest;     ///< the valid key most like `key`; `key` itself when that one is valid
  std::string reason;

  /// One printable line: `FILE:LINE: KEY: REASON; nearest valid key: NEAREST`.
  std::string text() const;
};
using Problems = std::vector<Problem>;  ///< never empty where it stands for failure

enum class Effect : std::uint8_t { live, restart };
enum class OriginKind : std::uint8_t { built_in, file, set };

struct Origin {
  OriginKind kind = OriginKind::built_in;
  std::string file;
  std::uint32_t line = 0;
  /// "default", "FILE:LINE" or "set".
  std::string text() const;
};

/// One key as `get` shows it.
struct Entry {
  std::string key;
  std::string value;
  std::string fallback;  ///< the default, as text
  std::string unit;      ///< may be empty
  Effect effect = Effect::live;
  Origin origin;
  /// `KEY = VALUE  # default DEFAULT, from ORIGIN, in UNIT`: a line a configuration file may hold.
  std::string text() const;
};

struct Change {
  std::string key;
  std::string from;
  std::string to;
  Effect effect = Effect::live;
};

/// When a change is meant to take effect: `now` refuses what needs a restart.
enum class Apply : std::uint8_t { now, at_restart };

/// A valid set of settings and where each came from. A value: changing anything makes another one.
class Configuration {
 public:
  using Built = std::expected<Configuration, Problems>;

  /// Reads all `sources`; a later one overrides an earlier one, a key twice in one of them is an error.
  /// Errors: every problem in every source, and nothing is applied.
  static Built load(std::span<const Source> sources, const Environment& environment);
  static Configuration defaults(const Environment& environment);

  /// What the sound lines of `sources` say, and defaults for everything else. Only for a tool that must find a running server
  /// whose files have errors; nothing may start on it. Where a key stands twice in one file, the first counts.
  static Settings sound_part(std::span<const Source> sources, const Environment& environment);

  const Settings& settings() const { return settings_; }

  /// The configuration with one `KEY=VALUE` more, as `ringpostctl set` does. Errors: as `load`; "needs a restart".
  Built with(std::string_view assignment, Apply apply = Apply::now) const;
  /// Without what `with` gave `key`: the files' value or the default counts again.
  Built without(std::string_view key, Apply apply = Apply::now) const;
  /// The same with the files read anew; what `with` added stays on top. Errors: as `load`; "needs a restart".
  Built reloaded(std::span<const Source> sources) const;

  /// Every key, families with one entry for each instance, in the declared order.
  std::vector<Entry> entries() const;
  /// Errors: the unknown key, with the nearest valid one.
  std::expected<Entry, Problem> get(std::string_view key) const;
  /// `get -a`: all entries, one a line; a valid configuration file.
  std::string dump() const;

  /// What differs between two configurations, in the declared order.
  static std::vector<Change> changes(const Configuration& from, const Configuration& to);

 private:
  struct Given {
    std::string text;
    Origin origin;
  };
  using GivenMap = std::map<std::string, Given, std::less<>>;

  static Built build(GivenMap files, GivenMap sets, const Environment& environment, Problems problems);
  static Built unless_restart(const Configuration& from, Built built, Apply apply);
  const Given* given(std::string_view key) const;

  Environment environment_;
  GivenMap files_;
  GivenMap sets_;
  Settings settings_;
};

/// One declared key, for completion and documentation. Views last for ever.
struct KeyInfo {
  std::string_view name;  ///< families contain NAME or DOMAIN: "listener.NAME.address"
  std::string type;  ///< in words: "bytes", "duration", "yes | no", "relay"
  std::string_view fallback;
  std::string_view unit;
  std::string_view help;
  std::string range;  ///< "1 KiB .. 1 GiB", or empty
  Effect effect = Effect::live;
  std::uint32_t id = 0;  ///< stable for this name: audit events name a setting by it
};
std::vector<KeyInfo> keys();
/// The declared name for an id, or empty.
std::string_view key_name(std::uint32_t id);
/// The id of a key or of one instance of a family ("listener.a.role" has that of "listener.NAME.role"); 0 if unknown.
std::uint32_t key_id(std::string_view key);
/// Of an instance of a family, what stands for NAME or DOMAIN, as a view of `key`; else empty.
std::string_view key_instance(std::string_view key);

/// docs/configuration.md, whole.
std::string reference_page();

}  // namespace ringpost::config
