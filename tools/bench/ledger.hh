// The ledger: one line for every message that got 250, written before (sink) or after (generator) the 250 was on the wire.
//
//   TOKEN SIZE HASH RECIPIENTS TIME NAME=VALUE
//   r1-17 4096 5bd1e9…(32 hex digits) 1 1795376782.104312 received=1
//
// SIZE and HASH as content_digest.hh has them; TIME in seconds of the wall clock; NAME=VALUE is `received=COUNT` (Received
// fields, the topmost included) of a sink, `latency_us=MICROSECONDS` of a generator.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "bench/content_digest.hh"
#include "ringpost/base/error.hh"
#include "ringpost/base/units.hh"

namespace ringpost::bench {

struct LedgerEntry {
  std::string_view token;  ///< "-" when the message bore none
  std::uint64_t size = 0;
  ContentHash hash;
  std::uint32_t recipients = 0;
  WallTime at{};
};

/// Appends the line of `entry`, its newline included, to `out`.
void append_line(std::string& out, const LedgerEntry& entry, std::string_view name, std::uint64_t value);
/// Reads a line without its newline; views are of `line`. None: it is not a ledger's.
std::optional<LedgerEntry> parse_line(std::string_view line);

/// An open ledger, appended to. Threads may share one: each call appends its lines in one piece.
class LedgerFile {
 public:
  /// A last line that a crash cut short is taken away first: nobody was told of it. Errors: from errno.
  static Result<LedgerFile> open(const std::string& path);
  /// No ledger: write() does nothing.
  LedgerFile() = default;
  LedgerFile(LedgerFile&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  LedgerFile& operator=(LedgerFile&& other) noexcept;
  ~LedgerFile();

  explicit operator bool() const { return fd_ >= 0; }
  /// The kernel has the lines when it returns: they survive this process. Errors: from errno; a part may have been written.
  Result<> write(std::string_view lines) const;

 private:
  explicit LedgerFile(int fd) : fd_(fd) {}
  int fd_ = -1;
};

}  // namespace ringpost::bench
