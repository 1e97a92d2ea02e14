// A process's own log on standard error. It takes literals, numbers, ids, hosts and errors, and nothing else: an address,
// a subject or a credential does not compile as a value.
#pragma once

#include <atomic>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string_view>

#include "ringpost/base/error.hh"
#include "ringpost/base/id.hh"
#include "ringpost/base/path_names.hh"
#include "ringpost/base/socket_address.hh"
#include "ringpost/base/units.hh"

namespace ringpost {

enum class LogLevel : std::uint8_t { error, warning, info, debug };

/// How a line begins: `journal` with sd-daemon's <N>, `plain` with the level's name; `automatic` looks for JOURNAL_STREAM.
enum class LogStyle : std::uint8_t { automatic, plain, journal };

/// Text that stands in the source: printable ASCII, checked by the compiler.
class Literal {
 public:
  template <std::size_t Size>
  consteval Literal(const char (&text)[Size]) : text_(text, Size - 1) {
    for (char octet : text_)
      if (octet < ' ' || octet > '~') throw "a log literal is printable ASCII";
  }
  constexpr std::string_view text() const { return text_; }

 private:
  std::string_view text_;
};

/// Text the operator chose: paths, key names, listener names, out of the configuration or the command line. Spelled out
/// at each use, because whatever it wraps reaches the log (escaped). Lifetime: the log call.
struct OperatorText {
  std::string_view text;
};

/// An enum is loggable when its namespace has `Literal log_name(Enum)`.
template <typename Enum>
concept NamedForLog = std::is_enum_v<Enum> && requires(Enum value) {
  { log_name(value) } -> std::same_as<Literal>;
};

/// One value. Built in place in the log call; views what it was built from.
class LogValue {
 public:
  template <std::size_t Size>
  consteval LogValue(const char (&text)[Size]) : LogValue(Literal{text}) {}
  constexpr LogValue(Literal literal) : kind_(Kind::literal), text_(literal.text()) {}
  template <std::same_as<bool> Bool>  // a template, because every pointer converts to bool
  LogValue(Bool value) : kind_(Kind::literal), text_(value ? "yes" : "no") {}
  template <std::signed_integral Integer>
  LogValue(Integer value) : kind_(Kind::signed_number), number_(static_cast<std::uint64_t>(std::int64_t{value})) {}
  template <std::unsigned_integral Integer>
    requires(!std::same_as<Integer, bool>)
  LogValue(Integer value) : kind_(Kind::unsigned_number), number_(value) {}
  LogValue(Duration value) : kind_(Kind::duration), number_(static_cast<std::uint64_t>(value.count())) {}
  template <typename Tag>
  LogValue(const Id<Tag>& id) : kind_(Kind::id), object_(id.bytes.data()) {}
  LogValue(const IpAddress& address) : kind_(Kind::ip), object_(&address) {}
  LogValue(const SocketAddress& address) : kind_(Kind::socket), object_(&address) {}
  LogValue(Error error) : kind_(Kind::error), number_(static_cast<std::uint32_t>(error.detail)), text_(error_name(error.code)) {}
  LogValue(OperatorText text) : kind_(Kind::operator_text), text_(text.text) {}
  template <NamedForLog Enum>
  LogValue(Enum value) : LogValue(log_name(value)) {}

 private:
  friend class LogLine;
  enum class Kind : std::uint8_t { literal, signed_number, unsigned_number, duration, id, ip, socket, error, operator_text };
  Kind kind_;
  std::uint64_t number_ = 0;
  std::string_view text_;
  const void* object_ = nullptr;
};

struct LogField {
  Literal key;
  LogValue value;
};

/// Writes one line an entry with one system call, and never waits: what a full pipe or journal cannot take is dropped and
/// counted. Thread-safe. A line is at most kLineMax bytes; what does not fit ends in "...".
class Log {
 public:
  static constexpr std::size_t kLineMax = 1024;
  using Fields = std::initializer_list<LogField>;

  explicit Log(LogLevel level = LogLevel::info, LogStyle style = LogStyle::automatic, int fd = 2);

  void set_level(LogLevel level) { level_.store(level, std::memory_order_relaxed); }
  /// From here on operator texts name paths as `names` has them. Before there are threads.
  void show_paths(PathNames names) { names_ = std::move(names); }
  bool enabled(LogLevel level) const { return level <= level_.load(std::memory_order_relaxed); }

  void error(Literal text, Fields fields = {}) { write(LogLevel::error, text, fields); }
  void warning(Literal text, Fields fields = {}) { write(LogLevel::warning, text, fields); }
  void info(Literal text, Fields fields = {}) { write(LogLevel::info, text, fields); }
  void debug(Literal text, Fields fields = {}) { write(LogLevel::debug, text, fields); }
  void write(LogLevel level, Literal text, Fields fields);

  std::uint64_t lines_dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  std::atomic<LogLevel> level_;
  bool journal_;
  bool socket_;
  int fd_;
  PathNames names_;
  std::atomic<std::uint64_t> dropped_{0};
};

/// A bound for one call site that a peer can reach: `burst` lines at once, then one each `interval`. Belongs to one thread.
class LogLimit {
 public:
  LogLimit(std::uint32_t burst, Duration interval) : burst_(burst), interval_(interval), tokens_(burst) {}

  /// Empty: stay silent. Else: write, and say how many lines were suppressed since the last one that was written.
  std::optional<std::uint64_t> admit(Instant now);

 private:
  std::uint32_t burst_;
  Duration interval_;
  std::uint32_t tokens_;
  std::optional<Instant> refilled_;
  std::uint64_t suppressed_ = 0;
};

}  // namespace ringpost
