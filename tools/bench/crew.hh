// What the long-running modes need around their workers: rings, signals, a live line.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "ringpost/base/units.hh"
#include "ringpost/runtime/uring_ring.hh"

namespace ringpost::bench {

/// When what the connections of a worker say leaves.
enum class Sends : std::uint8_t {
  together,  ///< at the end of a turn of the loop, as from a server
  at_once,   ///< as from clients that know nothing of each other
};

/// The ring of one worker, with a receive buffer for each of so many connections, but no fewer than 1,024. Empty: standard error has said why.
std::unique_ptr<runtime::UringRing> make_ring(int cpu, Sends sends, unsigned connections = 1);

/// One that sends together, on any core, started: for this thread.
std::unique_ptr<runtime::UringRing> start_ring();
/// A ring would not start; says so on standard error.
void say_no_ring(const Error& error);

/// SIGINT and SIGTERM as something to wait for. Make it before any thread: they inherit the blocked signals.
class StopSignals {
 public:
  StopSignals();
  /// True when one came within `wait`.
  bool wait(Duration wait) const;
};

/// One line on standard error that is written over, where that is a terminal; silent otherwise.
class LiveLine {
 public:
  explicit LiveLine(bool wanted);
  ~LiveLine();
  explicit operator bool() const { return shown_; }
  void show(std::string_view text);

 private:
  bool shown_;
  std::size_t width_ = 0;
};

/// As many descriptors as this process may have: one for each connection.
void raise_descriptor_limit();

/// Exit codes of every mode.
enum ExitCode { kExitOk = 0, kExitFailed = 1, kExitUsage = 2 };

}  // namespace ringpost::bench
