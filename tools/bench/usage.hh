// CPU time and memory of processes: the tool's own, and a server's with all its helpers.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "ringpost/base/units.hh"

namespace ringpost::bench {

/// User and system time of this process so far.
Duration own_cpu();

/// A server under test: a process and all its descendants, as /proc has them.
class ServerProcesses {
 public:
  /// `root`: of the process that was started; its descendants are looked up anew each time.
  explicit ServerProcesses(pid_t root) : root_(root) {}

  /// User and system time so far, that of children which ended and were waited for included. Nothing: there is no such process.
  std::optional<Duration> cpu() const;
  /// Pss summed: pages that several of them share count once. Nothing: no such process, or no permission.
  std::optional<std::uint64_t> memory_bytes() const;

 private:
  std::vector<pid_t> all() const;
  pid_t root_;
};

/// CPU time from its making on.
class CpuWatch {
 public:
  /// `server`: 0 for none.
  explicit CpuWatch(pid_t server);
  /// False: there is no such server, and standard error has said so.
  explicit operator bool() const { return good_; }
  Duration own() const { return own_cpu() - own_; }
  /// Nothing: there is none, or it is gone.
  std::optional<Duration> server() const;

 private:
  std::optional<ServerProcesses> processes_;
  Duration own_{}, server_{};
  bool good_ = true;
};

}  // namespace ringpost::bench
