// What keyd, auditd and helperd have in common as processes: arguments, signals, sandbox, ring.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ringpost/base/log.hh"
#include "ringpost/base/socket_address.hh"
#include "ringpost/config/settings.hh"
#include "ringpost/harden/sandbox.hh"
#include "ringpost/runtime/task.hh"
#include "ringpost/runtime/uring_ring.hh"

namespace ringpost::programs {

/// What a helper gets to work with.
struct HelperContext {
  runtime::UringRing& ring;
  Log& log;
  const config::Settings& settings;
  Fd listener;  ///< inherited, listening
  std::vector<std::uint32_t> client_users;  ///< whose connections count; ringpostd's first
  SocketAddress audit_socket;               ///< where auditd listens, for a helper that reports
  Fd signals;   ///< readable when the helper is to end

  /// Whether the process at the other end belongs to one of client_users.
  bool serves(Fd connection) const;
  /// Completes when the helper is to end.
  runtime::Task<void> wait_for_the_end();
};

struct HelperDescription {
  const char* name;   ///< "ringpost-keyd"
  const char* about;  ///< one line for --help
  int niceness = 0;   ///< how far it stands back behind others; its threads, too
  /// What it may touch, out of the settings.
  std::vector<harden::PathRule> (*paths)(const config::Settings& settings);
  /// Its life; ends when wait_for_the_end() completes, or with an exit code.
  runtime::Task<int> (*live)(HelperContext& context);
  harden::Role role = harden::Role::helper;
};

/// The whole of a helper's main.
int run_helper(int argc, char** argv, const HelperDescription& description);

}  // namespace ringpost::programs
