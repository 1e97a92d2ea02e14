#include "programs/helper_process.hh"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <optional>

#include "programs/config_files.hh"
#include "ringpost/harden/privileges.hh"
#include "ringpost/harden/process.hh"
#include "ringpost/runtime/scope.hh"

namespace ringpost::programs {

runtime::Task<void> HelperContext::wait_for_the_end() {
  signalfd_siginfo signal;
  (void)co_await ring.read(signals, {reinterpret_cast<std::byte*>(&signal), sizeof signal}, 0);
}

bool HelperContext::serves(Fd connection) const {
  return std::ranges::any_of(client_users, [connection](std::uint32_t user) { return harden::peer_is(connection, user); });
}

namespace {

runtime::Task<void> live(HelperContext& context, const HelperDescription& description, int& exit_code) {
  exit_code = co_await description.live(context);
  context.ring.stop();
}

/// From now on the end of the pipe's other side is a SIGIO. True when it has ended already.
bool watch_lifeline(int lifeline) {
  (void)fcntl(lifeline, F_SETOWN, getpid());
  (void)fcntl(lifeline, F_SETFL, fcntl(lifeline, F_GETFL) | O_ASYNC);
  pollfd now{lifeline, 0, 0};
  return poll(&now, 1, 0) > 0;
}

std::optional<std::uint32_t> user_number(const std::string& text) {
  std::uint32_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc{} && end == text.data() + text.size()) return number;
  auto found = harden::find_user(text.c_str());
  if (!found) return std::nullopt;
  return found->user;
}

}  // namespace

int run_helper(int argc, char** argv, const HelperDescription& description) {
  CLI::App app{description.about};
  std::string config_path;
  int listen_fd = -1;
  std::vector<std::string> client_names;
  std::string audit_socket;
  int lifeline = -1;
  std::vector<std::pair<std::string, std::string>> called;
  app.add_option("-c,--config", config_path, "The server's configuration file");
  app.add_option("--listen-fd", listen_fd, "The helper's socket, inherited from ringpostd or the service manager")->required();
  app.add_option("--client-user", client_names, "Whose connections count, by name or number: ringpostd's user, then others")->allow_extra_args(false);
  app.add_option("--audit-socket", audit_socket, "Where ringpost-auditd listens (default: beside control.socket)");
  app.add_option("--lifeline", lifeline, "A pipe, inherited: the helper ends when its other end is closed");
  app.add_option("--called", called, "A path that was handed over open, and its configured name, which the log shows")->allow_extra_args(false);
  CLI11_PARSE(app, argc, argv);

  auto configuration = load_configuration(config_path);
  if (!configuration) {
    std::fprintf(stderr, "%s: %s\n", description.name, configuration.error().c_str());
    return 2;
  }
  const config::Settings& settings = configuration->settings();
  std::vector<std::uint32_t> client_users;
  for (const std::string& client : client_names) {
    std::optional<std::uint32_t> user = user_number(client);
    if (!user) {
      std::fprintf(stderr, "%s: there is no user %s\n", description.name, client.c_str());
      return 2;
    }
    client_users.push_back(*user);
  }
  if (client_users.empty()) client_users.push_back(geteuid());
  auto auditd = SocketAddress::from_path(audit_socket.empty() ? settings.control.socket + ".auditd" : audit_socket);
  if (!auditd) {
    std::fprintf(stderr, "%s: no usable path for auditd's socket\n", description.name);
    return 2;
  }
  Log log{settings.log.level, settings.log.format};
  PathNames names;
  for (auto& [opened, configured] : called) names.add(opened, configured);
  log.show_paths(std::move(names));

  std::signal(SIGPIPE, SIG_IGN);
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  sigaddset(&ends, SIGIO);
  sigprocmask(SIG_BLOCK, &ends, nullptr);
  Fd signals{signalfd(-1, &ends, SFD_CLOEXEC)};
  if (lifeline >= 0 && watch_lifeline(lifeline)) return 0;

  prctl(PR_SET_NAME, description.name);  // started from a descriptor, which old kernels take the name from
  (void)harden::forbid_core_dumps();
  if (description.niceness != 0) (void)!nice(description.niceness);
  std::vector<harden::PathRule> rules = description.paths(settings);
  auto landlock = harden::restrict_paths(rules);
  if (!landlock) log.warning("Landlock cannot be used", {{"error", landlock.error()}});
  runtime::Missing missing;
  auto ring = runtime::UringRing::create({.entries = 64, .receive_buffers = 16}, &missing);
  if (!ring) {
    std::fprintf(stderr, "%s: %s\n", description.name, missing.text().c_str());
    return 1;
  }
  auto closed = (*ring)->start();
  if (closed) closed = harden::restrict_calls(description.role);
  if (!closed) {
    log.error("the sandbox cannot be closed", {{"error", closed.error()}});
    return 1;
  }
  int exit_code = 0;
  HelperContext context{**ring, log, settings, Fd{listen_fd}, client_users, *auditd, signals};
  runtime::Scope scope{**ring};
  scope.spawn(live(context, description, exit_code));
  (*ring)->run();
  return exit_code;
}

}  // namespace ringpost::programs
