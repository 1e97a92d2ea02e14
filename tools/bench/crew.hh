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

/// The ring of one worker. Empty: standard error has said why.
std::unique_ptr<runtime::UringRing> make_ring(int cpu);

/// The same, started: for this thread.
std::unique_ptr<runtime::UringRing> start_ring();
/// A ring would not start; says so on standard error.
void say_no_ring(const Error& error);

/// Now, on the clock of the rings, for threads that have none.
Instant monotonic_now();

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
