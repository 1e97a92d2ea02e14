// The one hook the simulator needs inside the runtime: tearing down a process that died in the middle of everything.
#pragma once

namespace ringpost::runtime {

namespace detail {
inline thread_local constinit bool crashing = false;
}

/// True while the frames and objects of a simulated process are destroyed after its crash: operations are gone, nothing was
/// stopped in order, so destructors do not insist on it. Always false in a real process: a real crash destroys nothing.
inline bool crashing() noexcept { return detail::crashing; }

/// Makes crashing() true on this thread. Used by the simulator and by whoever owns the objects of the dead process.
class CrashGuard {
 public:
  CrashGuard() : before_(detail::crashing) { detail::crashing = true; }
  CrashGuard(const CrashGuard&) = delete;
  ~CrashGuard() { detail::crashing = before_; }

 private:
  bool before_;
};

}  // namespace ringpost::runtime
