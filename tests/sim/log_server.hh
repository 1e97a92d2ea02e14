// A small server worth crashing: it acknowledges records once they are durable in a log of files.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ringpost/runtime/receiver.hh"
#include "ringpost/runtime/scope.hh"
#include "ringpost/runtime/signal.hh"
#include "ringpost/runtime/task.hh"

namespace ringpost::sim {

/// One record is one sector, on the wire and in the log: number u64, filling, XXH3 of all before it u64.
inline constexpr std::size_t kLogRecordBytes = 512;
using LogRecord = std::array<std::byte, kLogRecordBytes>;
LogRecord make_record(std::uint64_t number);
/// Its number, when it is whole.
std::optional<std::uint64_t> record_number(Bytes record);

inline constexpr const char* kLogDirectory = "/log";

/// Bugs one can plant in it.
struct LogBugs {
  bool ack_before_sync = false;     ///< "the write succeeded, that will do"
  bool retry_sync = false;          ///< a failed fsync is tried again, and believed
  bool ignore_short_write = false;  ///< any write that does not fail has written everything
  bool no_directory_sync = false;   ///< the bytes are safe, but under no name
  bool no_backlog_check = false;    ///< a batch that arrives during a flush is acknowledged with it
};

class LogServer {
 public:
  LogServer(runtime::Ring& ring, const SocketAddress& address, const LogBugs& bugs);

  void start();
  /// Ends everything in order; sessions end when their clients leave.
  void stop();
  bool stopped() const { return scope_.running() == 0; }

 private:
  struct Entry {
    LogRecord record;
    bool decided = false, durable = false;
  };

  runtime::Task<void> accept_all();
  runtime::Task<void> close_listener();
  runtime::Task<void> session(Fd socket);
  runtime::Task<bool> acknowledge(Fd socket, const LogRecord& record);
  runtime::Task<void> write_all();
  runtime::Task<bool> open_next_file();
  runtime::Task<bool> write_batch(Bytes bytes);

  runtime::Ring& ring_;
  SocketAddress address_;
  LogBugs bugs_;
  runtime::Scope scope_;
  runtime::Signal work_, decided_;
  MutableBytes group_;
  std::vector<Entry*> waiting_;
  std::optional<runtime::Acceptor> acceptor_;
  Fd listener_, file_, directory_;
  std::uint64_t offset_ = 0;
  bool stopping_ = false;
};

}  // namespace ringpost::sim
