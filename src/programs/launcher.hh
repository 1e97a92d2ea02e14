// Starting the helpers and giving up root, before any input is read.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "ringpost/base/log.hh"
#include "ringpost/base/socket_address.hh"
#include "ringpost/config/settings.hh"
#include "ringpost/harden/privileges.hh"

namespace ringpost::programs {

struct LaunchOptions {
  std::string config_path;    ///< where it was read; may be empty
  std::string configuration;  ///< the text in force (Configuration::dump): the helpers follow the same
  bool no_helpers = false;    ///< keyd, auditd and helperd run already, as services
  /// For a tool that works on the spool of a stopped server: of the helpers only keyd is started, unless one listens already, and
  /// directories are taken as they are.
  bool for_tool = false;
};

/// How it stands with the helpers.
enum class Helpers : std::uint8_t {
  kept,          ///< each has its nanny
  unsupervised,  ///< a nanny was killed; its helper goes on, but nobody starts it anew when it dies
  lost,          ///< a nanny and its helper are gone
};

/// The helpers of one ringpostd: each kept alive by a nanny of its own user, which holds its listening socket and starts it anew
/// when it dies. Nannies and helpers end within a second when ringpostd does.
class Launched {
 public:
  Launched(Launched&& other) noexcept;
  ~Launched();

  SocketAddress keyd, auditd, helperd;  ///< where they listen
  /// Where the spool is for us once root is given up: spool.directory, or a name of it that leads past parents we cannot enter.
  std::string spool_directory;
  /// A name of the configuration file that we can still open once root is given up; empty when its own name will do.
  std::string config_opened;
  PathNames names;         ///< what we opened under other names than the configured ones
  bool separated = false;  ///< each process runs as a user of its own

  /// Whom the spool belongs to; nothing: whoever we are.
  const std::optional<harden::Identity>& identity() const { return identity_; }
  /// As root: becomes the user ringpost, in this thread and later ones. Else gives up what capabilities there are.
  std::expected<void, std::string> give_up_root();
  /// Landlock: the spool, the configuration's directory, the control socket's; nothing else. Before threads start.
  std::expected<void, std::string> confine(const config::Settings& settings) const;
  /// Meant to be asked now and then.
  Helpers helpers() const;
  /// Asks the helpers to end, and waits for them a moment. Without it they end when this process does.
  void stop_helpers();

 private:
  friend std::expected<Launched, std::string> launch_helpers(const config::Settings&, const LaunchOptions&, Log&);
  Launched() = default;
  std::string config_path_;
  std::optional<harden::Identity> identity_;  // of ringpostd, when it has one of its own
  /// A helper's nanny, and the end of the pipe that keeps both alive.
  struct Kept {
    int nanny;
    int lifeline;
  };
  std::vector<Kept> kept_;  // keyd first: its last events go to auditd
  std::vector<int> locks_;  // one ringpostd for one control socket, spool, key store and audit log
};

/// Makes the configured directories with their owners (refusing links and strangers), the helpers' sockets, and starts them.
/// As an ordinary user all run as that user: `separated` is false, and security.require_separation refuses it.
/// A predecessor that is just ending is waited for; one that runs with the same control socket, spool, key store or audit log is a
/// refusal at once. Errors: text for the operator.
std::expected<Launched, std::string> launch_helpers(const config::Settings& settings, const LaunchOptions& options, Log& log);

}  // namespace ringpost::programs
