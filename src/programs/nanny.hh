// A nanny keeps one helper process alive: it starts it, starts it anew when it dies, and ends it when ringpostd is gone.
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "ringpost/base/log.hh"
#include "ringpost/harden/privileges.hh"

namespace ringpost::programs {

/// A helper and what it is given.
struct HelperProgram {
  std::string path;                          ///< argv[0]
  int executable = -1;                       ///< the same file, open: its own user may not be able to look where it lies
  std::vector<std::string> arguments;        ///< behind argv[0]
  std::vector<int> inherited;                ///< descriptors that become kFirstInherited and so on, in this order
  std::optional<harden::Identity> identity;  ///< whom it becomes; empty: stays who we are
};
inline constexpr int kFirstInherited = 3;

/// Forks a nanny. It holds the inherited descriptors (a listening socket among them, so that clients wait in its backlog while
/// the helper restarts) and nothing else of ours. Nanny and helper end as soon as the other end of `lifeline` (a pipe) is closed:
/// by us, or by the kernel when we die. A parent-death signal would not reach a process of another user. The helper finds its
/// own copy of the lifeline behind `--lifeline`.
/// Call it before there are threads. Returns the nanny's process id.
std::expected<int, std::string> start_nanny(const HelperProgram& program, int lifeline, Log& log);

}  // namespace ringpost::programs
