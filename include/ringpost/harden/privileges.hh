// Users of the processes: who they are, how root is given up, who is at the other end of a Unix socket.
#pragma once

#include <cstdint>

#include "ringpost/base/error.hh"
#include "ringpost/base/units.hh"

namespace ringpost::harden {

struct Identity {
  std::uint32_t user = 0;
  std::uint32_t group = 0;
  friend bool operator==(const Identity&, const Identity&) = default;
};

/// Of the calling process (effective).
Identity current_identity();
bool is_root();
/// Errors: not_found; from errno when the user database cannot be read.
Result<Identity> find_user(const char* name);

/// Becomes `identity` for good, in all threads: no supplementary groups, no capability, no way back; then no_new_privs.
/// Needs root, or to be `identity` already. Errors: from errno; the process must end then, it may be half-way.
Result<> become(const Identity& identity);

/// Gives up every capability (ambient ones too) and what set-user-ID programs would bring. Calling thread and later ones.
Result<> drop_capabilities();

/// The process that connected. Errors: from errno.
Result<Identity> peer_identity(Fd socket);
/// True when the process that connected belongs to `user`.
bool peer_is(Fd socket, std::uint32_t user);

}  // namespace ringpost::harden
