// What a process can still ask of the kernel once it has started: its own directories, and the calls its work needs.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "ringpost/base/error.hh"

namespace ringpost::harden {

enum class Access : std::uint8_t {
  read,   ///< read files, list directories
  write,  ///< and create, write, rename, remove
};

/// A directory with all below it, or one file.
struct PathRule {
  std::string path;
  Access access = Access::read;
};

/// Landlock: from now on the calling thread, and the threads it starts, open, make and remove files below `rules` only
/// (open descriptors go on working). Also no signal to a process outside, where the kernel knows that.
/// Call it before threads start. Paths that do not exist, or that we cannot come to, are left out.
/// Returns the kernel's Landlock version; 0: it has none, nothing was restricted, and the caller says so.
Result<unsigned> restrict_paths(std::span<const PathRule> rules);

enum class Role : std::uint8_t {
  server,  ///< Internet sockets, files, threads
  helper,  ///< Unix sockets, files
  outward, ///< a helper that connects to the Internet, too
};

/// What an attack's calls meet: execve, ptrace, process_vm_*, io_uring_setup, mount and their like.
enum class OnAttack : std::uint8_t {
  kill,  ///< the process dies with SIGSYS
  fail,  ///< EPERM, so that a test can look
};

/// seccomp, for all threads, for good: a list of allowed calls. Attacks meet `on_attack`; every other call that is not on the
/// list fails with EPERM, and a new process or executable memory too.
/// Call it when rings and listening sockets are made. Errors: unsupported; from errno.
Result<> restrict_calls(Role role, OnAttack on_attack = OnAttack::kill);

}  // namespace ringpost::harden
