#include "programs/launcher.hh"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <thread>
#include <utility>

#include "programs/directories.hh"
#include "programs/lock.hh"
#include "programs/nanny.hh"
#include "ringpost/harden/sandbox.hh"

namespace ringpost::programs {

namespace {

using harden::Identity;

constexpr auto kStopPatience = std::chrono::milliseconds(1000);
constexpr auto kPoll = std::chrono::milliseconds(10);
// Where a helper finds what it inherits.
constexpr int kListenFd = kFirstInherited, kConfigFd = kFirstInherited + 1, kOwnDirectoryFd = kFirstInherited + 2,
              kSpoolFd = kFirstInherited + 3, kAuditSocketFd = kFirstInherited + 4;

struct Users {
  std::optional<Identity> server, keys, audit, outside;  ///< nothing: whoever we are
};

std::unexpected<std::string> failure(const std::string& what) { return std::unexpected(what + ": " + std::strerror(errno)); }

std::expected<Users, std::string> find_users(const config::Settings& settings) {
  if (!harden::is_root()) {
    if (settings.security.require_separation)
      return std::unexpected(
          std::string{"security.require_separation = yes, but this is not root: all processes would run as one user"});
    return Users{};
  }
  const auto server = harden::find_user("ringpost"), keys = harden::find_user("ringpost-key"),
             audit = harden::find_user("ringpost-audit"), outside = harden::find_user("ringpost-helper");
  if (!server || !keys || !audit || !outside)
    return std::unexpected(
        std::string{"the users ringpost, ringpost-key, ringpost-audit and ringpost-helper are needed (tools/setup makes them)"});
  return Users{*server, *keys, *audit, *outside};
}

/// One ringpostd for one control socket: a second one would take the helpers' sockets away from the first.
std::expected<int, std::string> lock_out_others(const std::string& socket) {
  const std::string path = socket + ".lock";
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (file < 0) return std::unexpected(path + ": " + std::strerror(errno) + "; control.socket must lie where ringpostd may make files");
  if (auto locked = lock_for_us(file); !locked) {
    ::close(file);
    return std::unexpected(socket + ": another ringpostd runs with this control.socket (" + locked.error() +
                           "): stop it first (ringpostctl stop), or give this one a control.socket of its own");
  }
  return file;
}

/// Claims the directory that `key` names for one server alone. The lock is added to `locks`: it is ours, not the helper's, so that
/// it is free as soon as we are gone.
std::expected<Claimed, std::string> claim(const char* key, const std::string& path, const std::optional<Identity>& owner,
                                          std::vector<int>& locks, bool as_it_is) {
  auto claimed = as_it_is ? find_directory(path, owner) : claim_directory(path, owner);
  if (!claimed) return std::unexpected(std::string{key} + ": " + claimed.error());
  const int lock = ::openat(claimed->descriptor, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (lock < 0) return failure(std::string{key} + ": " + path);
  locks.push_back(lock);
  if (auto locked = lock_for_us(lock); !locked)
    return std::unexpected(std::string{key} + ": " + path + " is in use by another ringpostd (" + locked.error() +
                           "): stop that one first, or give this one a " + key + " of its own");
  return claimed;
}

/// A listening SOCK_SEQPACKET socket that only `owner`, and `group` if given, can connect to.
std::expected<int, std::string> listen_for(const std::string& path, const std::optional<Identity>& owner,
                                           const std::optional<Identity>& group) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return std::unexpected(path + ": too long for a socket");
  std::memcpy(address.sun_path, path.data(), path.size());
  ::unlink(path.c_str());
  const int listener = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (listener < 0) return failure(path);
  const mode_t before = ::umask(group ? 0117 : 0177);
  const bool bound = ::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  ::umask(before);
  const bool given = !owner || ::lchown(path.c_str(), owner->user, group ? group->group : owner->group) == 0;
  if (bound && given && ::listen(listener, 256) == 0) return listener;
  const auto failed = failure(path);
  ::close(listener);
  return failed;
}

/// Whether somebody serves there already, asked as `client`, whom a helper expects.
bool is_served(const std::string& path, const std::optional<Identity>& client) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return false;
  std::memcpy(address.sun_path, path.data(), path.size());
  const pid_t child = ::fork();
  if (child == 0) {
    const bool ready = !client || harden::become(*client).has_value();
    const int connection = ready ? ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0) : -1;
    ::_exit(connection >= 0 && ::connect(connection, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 ? 0 : 1);
  }
  int status = 1;
  if (child > 0) ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/// A path that a helper was handed open, and finds under another name; or another setting that reads otherwise there.
struct Moved {
  std::string key, configured, opened;
};

/// The configuration, for a helper whose directories are called otherwise there, as a file without a name.
std::expected<int, std::string> configuration_for_helper(const std::string& text, const std::vector<Moved>& moved) {
  std::string changed;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    const auto has_key = [&line](const Moved& value) { return line.starts_with(value.key + " = "); };
    const auto value = std::ranges::find_if(moved, has_key);
    changed += (value == moved.end() ? line : value->key + " = " + value->opened) + "\n";
    at = end + 1;
  }
  const int file = ::memfd_create("ringpost.conf", MFD_CLOEXEC);
  if (file < 0) return failure("memfd");
  if (::write(file, changed.data(), changed.size()) == static_cast<ssize_t>(changed.size())) return file;
  const auto failed = failure("memfd");
  ::close(file);
  return failed;
}

/// A helper's side of the launch.
struct Helper {
  const char* name;
  std::optional<Identity> identity;
  int listener;
  int own_directory;
  std::vector<Moved> moved;                                 ///< settings that read otherwise there
  std::vector<std::uint32_t> clients;                       ///< users it serves
};

/// Places that a helper may name but not enter: it looks at the spool's filesystem, and connects to auditd.
struct Places {
  int spool, audit_socket;
};

std::expected<int, std::string> start_helper(const Helper& helper, const Places& places, const std::string& configuration,
                                             int lifeline, Log& log) {
  std::error_code error;
  HelperProgram program;
  program.path = std::filesystem::read_symlink("/proc/self/exe", error).parent_path() / helper.name;
  program.identity = helper.identity;
  program.executable = ::open(program.path.c_str(), O_PATH | O_CLOEXEC);
  if (program.executable < 0) return failure(program.path);
  const auto configured = configuration_for_helper(configuration, helper.moved);
  if (!configured) return std::unexpected(configured.error());
  program.inherited = {helper.listener, *configured, helper.own_directory, places.spool, places.audit_socket};
  program.arguments = {"--listen-fd",    std::to_string(kListenFd),         "-c", name_by_descriptor(kConfigFd),
                       "--audit-socket", name_by_descriptor(kAuditSocketFd)};
  for (std::uint32_t client : helper.clients) {
    program.arguments.push_back("--client-user");
    program.arguments.push_back(std::to_string(client));
  }
  for (const Moved& path : helper.moved)
    if (!path.configured.empty())
      for (const std::string& word : {std::string{"--called"}, path.opened, path.configured}) program.arguments.push_back(word);
  auto nanny = start_nanny(program, lifeline, log);
  for (int descriptor : {program.executable, *configured}) ::close(descriptor);
  return nanny;
}

/// A helper's socket as `client` can connect to it.
std::expected<SocketAddress, std::string> address_for(const std::optional<Identity>& client, const std::string& path) {
  std::string name = path;
  if (client && !is_reachable_for(*client, path, W_OK)) {
    const int place = ::open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC);  // stays open as long as we live
    if (place < 0) return failure(path);
    name = name_by_descriptor(place);
  }
  const auto address = SocketAddress::from_path(name);
  if (!address) return std::unexpected(path + ": too long for a socket; choose another control.socket");
  return *address;
}

/// Whether somebody else owns the keys: with services started by the service manager, that is the separation.
bool keys_are_somebody_elses(const config::Settings& settings) {
  struct stat info{};
  return ::stat(settings.keys.directory.c_str(), &info) == 0 && info.st_uid != ::geteuid();
}

}  // namespace

std::expected<Launched, std::string> launch_helpers(const config::Settings& settings, const LaunchOptions& options, Log& log) {
  Launched launched;
  const std::string keyd_path = settings.control.socket + ".keyd", auditd_path = settings.control.socket + ".auditd",
                    helperd_path = settings.control.socket + ".helperd";
  const bool are_services = options.no_helpers && !harden::is_root();
  launched.separated = are_services && keys_are_somebody_elses(settings);

  Users users;
  if (!launched.separated) {
    auto found = find_users(settings);
    if (!found) return std::unexpected(found.error());
    users = *found;
    launched.separated = users.server.has_value();
  }
  if (!launched.separated) log.warning("separation: none: all processes run as one user and can read each other's files");
  launched.identity_ = users.server;

  const std::string run_directory = std::filesystem::path{settings.control.socket}.parent_path();
  const auto name_sockets = [&]() -> std::expected<Launched, std::string> {
    const auto keyd = address_for(users.server, keyd_path);
    const auto auditd = options.for_tool ? keyd : address_for(users.server, auditd_path);
    const auto helperd = options.for_tool ? keyd : address_for(users.server, helperd_path);
    for (const auto& address : {keyd, auditd, helperd})
      if (!address) return std::unexpected(address.error());
    launched.keyd = *keyd;
    launched.auditd = *auditd;
    launched.helperd = *helperd;
    return std::move(launched);
  };
  if (auto made = make_public_directory(run_directory); !made) return std::unexpected("control.socket: " + made.error());
  auto lock = lock_out_others(settings.control.socket);
  if (!lock) return std::unexpected(lock.error());
  launched.locks_.push_back(*lock);
  auto spool = claim("spool.directory", settings.spool.directory, users.server, launched.locks_, options.for_tool);
  if (!spool) return std::unexpected(spool.error());
  if (!options.for_tool && settings.spool.direct && lies_in_memory(spool->descriptor))
    return std::unexpected("spool.directory: " + spool->path +
                           " lies in memory (tmpfs), which forgets accepted mail when the machine stops; choose a directory on a disk, or "
                           "for a try-out set spool.direct = no");
  launched.spool_directory = spool->path;
  if (spool->reachable)
    ::close(spool->descriptor);
  else
    launched.spool_directory = past_link(name_by_descriptor(spool->descriptor));
  if (!spool->reachable) launched.names.add(launched.spool_directory, spool->path);
  launched.config_path_ = options.config_path;
  const bool has_drop_ins = std::filesystem::exists(std::filesystem::path{options.config_path}.parent_path() / "conf.d");
  if (!options.config_path.empty() && !has_drop_ins && users.server &&
      !is_reachable_for(*users.server, options.config_path, R_OK)) {
    const int file = ::open(options.config_path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) return failure(options.config_path);
    launched.config_opened = name_by_descriptor(file);
  }
  if (options.no_helpers || (options.for_tool && is_served(keyd_path, users.server))) return name_sockets();

  auto keys = claim("keys.directory", settings.keys.directory, users.keys, launched.locks_, options.for_tool);
  if (!keys) return std::unexpected(keys.error());
  const auto keyd_listener = listen_for(keyd_path, users.server, std::nullopt);
  if (!keyd_listener) return std::unexpected(keyd_listener.error());
  const std::uint32_t server_user = users.server ? users.server->user : ::geteuid();
  const std::uint32_t keys_user = users.keys ? users.keys->user : ::geteuid();
  const std::string own = name_by_descriptor(kOwnDirectoryFd);
  std::vector<Helper> helpers{{"ringpost-keyd", users.keys, *keyd_listener, keys->descriptor, {}, {server_user}}};
  std::vector<Moved>& moved = helpers.front().moved;
  if (!keys->reachable) {
    moved = {{"keys.directory", keys->path, own}};
    const std::string kek = moved_with(settings.keys.kek_file, keys->path, own);
    if (kek != settings.keys.kek_file) moved.push_back({"keys.kek_file", settings.keys.kek_file, kek});
    log.info("the users of the helpers cannot enter a parent of their directories; they are handed over open");
  }
  if (users.keys) moved.push_back({"spool.directory", spool->path, name_by_descriptor(kSpoolFd)});
  if (options.for_tool) {
    moved.push_back({"log.level", "", "error"});
  } else {
    auto audit = claim("audit.directory", settings.audit.directory, users.audit, launched.locks_, false);
    if (!audit) return std::unexpected(audit.error());
    const auto auditd_listener = listen_for(auditd_path, users.server, users.keys);  // keyd reports too
    if (!auditd_listener) return std::unexpected(auditd_listener.error());
    helpers.push_back({"ringpost-auditd", users.audit, *auditd_listener, audit->descriptor, {}, {server_user, keys_user}});
    if (!audit->reachable) helpers.back().moved = {{"audit.directory", audit->path, own}};
  }
  // Without auditd, keyd keeps its events until there is one.
  const std::string audit_socket = options.for_tool ? "/dev/null" : auditd_path;
  const Places places{::open(spool->path.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC),
                      ::open(audit_socket.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC)};
  if (places.spool < 0 || places.audit_socket < 0) return failure(places.spool < 0 ? spool->path : audit_socket);
  // helperd has no directory of ours, and the spool is none of its business.
  const int nowhere = ::open("/dev/null", O_PATH | O_CLOEXEC);
  if (nowhere < 0) return failure("/dev/null");
  if (!options.for_tool) {
    const auto helperd_listener = listen_for(helperd_path, users.server, std::nullopt);
    if (!helperd_listener) return std::unexpected(helperd_listener.error());
    helpers.push_back({"ringpost-helperd", users.outside, *helperd_listener, ::dup(nowhere), {}, {server_user}});
  }

  for (const Helper& helper : helpers) {
    int lifeline[2];
    if (::pipe2(lifeline, O_CLOEXEC) != 0) return failure("pipe");
    const bool is_outside = helper.name == std::string_view{"ringpost-helperd"};
    auto nanny = start_helper(helper, is_outside ? Places{nowhere, nowhere} : places, options.configuration, lifeline[0], log);
    ::close(lifeline[0]);
    if (!nanny) return std::unexpected(nanny.error());
    launched.kept_.push_back({*nanny, lifeline[1]});
  }
  for (const Helper& helper : helpers)
    for (int descriptor : {helper.listener, helper.own_directory}) ::close(descriptor);
  for (int descriptor : {places.spool, places.audit_socket, nowhere}) ::close(descriptor);
  return name_sockets();
}

Launched::Launched(Launched&& other) noexcept
    : keyd(other.keyd),
      auditd(other.auditd),
      helperd(other.helperd),
      spool_directory(std::move(other.spool_directory)),
      config_opened(std::move(other.config_opened)),
      names(std::move(other.names)),
      separated(other.separated),
      config_path_(std::move(other.config_path_)),
      identity_(other.identity_),
      kept_(std::exchange(other.kept_, {})),
      locks_(std::exchange(other.locks_, {})) {}

Launched::~Launched() {
  for (const Kept& kept : kept_) ::close(kept.lifeline);
  for (int lock : locks_) ::close(lock);
}

std::expected<void, std::string> Launched::give_up_root() {
  const auto become = identity_ ? harden::become(*identity_) : harden::drop_capabilities();  // a service may have been given some
  if (!become) return std::unexpected("cannot give up privileges: " + std::string{error_name(become.error().code)});
  return {};
}

std::expected<void, std::string> Launched::confine(const config::Settings& settings) const {
  std::vector<harden::PathRule> rules{{spool_directory, harden::Access::write},
                                      {std::filesystem::path{settings.control.socket}.parent_path(), harden::Access::write},
                                      {"/proc/self", harden::Access::read},
                                      {"/etc/localtime", harden::Access::read},
                                      {"/etc/resolv.conf", harden::Access::read},
                                      {"/etc/hosts", harden::Access::read},
                                      {"/etc/nsswitch.conf", harden::Access::read}};
  // The directory, not the file: editors put a new file in the old one's place, and so do those who make /etc/resolv.conf, a link
  // into a directory of their own below /run then. All of /etc would be too much for it.
  std::error_code missing;
  const auto resolvers = std::filesystem::canonical("/etc/resolv.conf", missing).parent_path();
  if (!missing && resolvers != "/etc") rules.push_back({resolvers, harden::Access::read});
  if (!config_opened.empty())
    rules.push_back({config_opened, harden::Access::read});
  else if (!config_path_.empty())
    rules.push_back({std::filesystem::absolute(config_path_).parent_path(), harden::Access::read});
  for (const config::RecipientRule& rule : settings.recipients)
    if (rule.value.kind == config::RecipientRule::Kind::file)
      rules.push_back({std::filesystem::path{rule.value.path}.parent_path(), harden::Access::read});
  // Renewed certificates are new files, often in another directory that a link in the configured one leads to.
  const auto may_be_renewed = [&](const std::string& path) {
    const auto real = std::filesystem::canonical(path, missing).parent_path();
    if (missing) return;
    rules.push_back({std::filesystem::path{path}.parent_path(), harden::Access::read});
    rules.push_back({real, harden::Access::read});
  };
  may_be_renewed(settings.tls.trust_file);
  for (const std::string& path : {settings.tls.revocation_file, settings.tls.client_ca_file, settings.tls.client_revocation_file})
    if (!path.empty()) may_be_renewed(path);
  for (const config::CertificateFiles& files : settings.tls.certificates) {
    may_be_renewed(files.chain);
    may_be_renewed(files.key);
  }
  for (const config::DestinationLimits& each : settings.destinations)
    if (!each.login.password_file.empty()) may_be_renewed(each.login.password_file);
  auto restricted = harden::restrict_paths(rules);
  if (!restricted) return std::unexpected("Landlock: " + std::string{error_name(restricted.error().code)});
  return {};
}

Helpers Launched::helpers() const {
  Helpers state = Helpers::kept;
  for (const Kept& kept : kept_) {
    // Nanny and helper hold the lifeline's other end: when nobody does, both are gone.
    pollfd lifeline{kept.lifeline, 0, 0};
    if (::poll(&lifeline, 1, 0) > 0 && (lifeline.revents & POLLERR) != 0) return Helpers::lost;
    siginfo_t ended{};  // a look that leaves the process for others to look at
    const bool runs = ::waitid(P_PID, static_cast<id_t>(kept.nanny), &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid == 0;
    if (!runs) state = Helpers::unsupervised;
  }
  return state;
}

void Launched::stop_helpers() {
  for (const Kept& kept : std::exchange(kept_, {})) {
    ::close(kept.lifeline);
    const auto deadline = std::chrono::steady_clock::now() + kStopPatience;
    while (::waitpid(kept.nanny, nullptr, WNOHANG) == 0 && std::chrono::steady_clock::now() < deadline)
      std::this_thread::sleep_for(kPoll);
  }
}

}  // namespace ringpost::programs
