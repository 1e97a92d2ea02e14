// ringpostd: the mail server. Reads top to bottom: configuration, what needs root, helpers, giving up root, shards, the end.
#include <poll.h>
#include <sched.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <bit>
#include <csignal>
#include <cstdio>

#include "programs/certificates.hh"
#include "programs/completion.hh"
#include "programs/config_files.hh"
#include "programs/connection_spread.hh"
#include "programs/crash_witness.hh"
#include "programs/hop_logins.hh"
#include "programs/launcher.hh"
#include "programs/lock.hh"
#include "programs/operations.hh"
#include "programs/shard_thread.hh"
#include "programs/sockets.hh"
#include "ringpost/crypto/aead.hh"
#include "ringpost/harden/privileges.hh"
#include "ringpost/harden/process.hh"
#include "ringpost/harden/sandbox.hh"
#include "ringpost/runtime/memory_reserve.hh"
#include "ringpost/runtime/scope.hh"
#include "ringpost/shard/work_table.hh"
#include "ringpost/spool/log.hh"

namespace ringpost::programs {
namespace {

constexpr std::size_t kGroupBufferBytesMin = 64_KiB;
constexpr int kFailed = 1, kBadConfiguration = 2;
constexpr int kTurnMs = 100;            // of the main thread's waiting
constexpr Duration kLinger = std::chrono::microseconds(100);  // for a client that is alone: it answers within that when it is near
constexpr unsigned kTurnsPerLook = 10;  // at the certificates' files

int complain(const std::string& text, int code = kFailed) {
  std::fprintf(stderr, "ringpostd: %s\n", text.c_str());
  return code;
}

/// The cores this process may use: as many shards, unless the configuration says how many. The last one first: where there are fewer shards
/// than cores, and for the first shards to be used, the first core is the one on which the kernel does most of its own work.
std::vector<int> cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cores;
  if (sched_getaffinity(0, sizeof set, &set) == 0)
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
      if (CPU_ISSET(cpu, &set)) cores.push_back(cpu);
  std::ranges::reverse(cores);
  if (cores.empty()) cores.push_back(-1);
  return cores;
}

runtime::UringOptions ring_options(const config::Settings& settings, int cpu) {
  runtime::UringOptions options;
  options.receive_buffer_bytes = settings.memory.receive_buffer_bytes;
  options.receive_buffers = std::bit_floor(
      static_cast<unsigned>(std::clamp<std::uint64_t>(settings.memory.receive_bytes / settings.memory.receive_buffer_bytes, 8, 32768)));
  options.cpu = cpu;
  options.linger_max = kLinger;
  return options;
}

/// Two group buffers; smaller ones where memory cannot be had.
Result<> make_group_buffers(runtime::UringRing& ring, MutableBytes (&buffers)[2]) {
  for (std::size_t bytes = spool::kGroupBytesMax; bytes >= kGroupBufferBytesMin; bytes /= 2) {
    auto first = ring.make_io_buffer(bytes);
    if (!first) continue;
    auto second = ring.make_io_buffer(bytes);
    if (!second) continue;
    buffers[0] = *first;
    buffers[1] = *second;
    return {};
  }
  return std::unexpected(Error{Errc::no_memory});
}

/// Runs one task on a ring of its own, before there are shards.
template <typename Value>
std::expected<Value, std::string> run_first(runtime::Task<std::expected<Value, std::string>> (*make)(runtime::Ring&, void*), void* context) {
  runtime::Missing missing;
  auto ring = runtime::UringRing::create({.entries = 64, .receive_buffers = 16}, &missing);
  if (!ring) return std::unexpected(missing.empty() ? "io_uring: " + std::string{error_name(ring.error().code)} : missing.text());
  auto started = (*ring)->start();
  if (!started) return std::unexpected("io_uring: " + std::string{error_name(started.error().code)});
  std::expected<Value, std::string> outcome = std::unexpected(std::string{});
  auto drive = [](runtime::UringRing& on, auto made, void* given, std::expected<Value, std::string>& result) -> runtime::Task<void> {
    result = co_await made(on, given);
    on.stop();
  };
  runtime::Scope scope{**ring};
  scope.spawn(drive(**ring, make, context, outcome));
  (*ring)->run();
  return outcome;
}

struct Preparation {
  Log& log;
  const config::Settings& settings;
  std::size_t shards;
  SocketAddress keyd;
};

runtime::Task<std::expected<shard::SpoolPlan, std::string>> prepare(runtime::Ring& ring, void* context) {
  auto& preparation = *static_cast<Preparation*>(context);
  return shard::prepare_spool(ring, preparation.log, preparation.settings, preparation.shards, preparation.keyd);
}

/// What became of the helpers, for the log and for status. False when one is lost for good.
bool look_after(const Launched& launched, Helpers& known, Operations& operations, Log& log) {
  const Helpers now = launched.helpers();
  if (now == known) return true;
  known = now;
  if (now == Helpers::lost) {
    log.error("a helper and its nanny were killed, and root is given up: stopping, so that a new start brings both back");
    return false;
  }
  operations.note_unsupervised();
  log.error("a nanny was killed: its helper goes on, but will not be started anew when it dies; restart ringpostd soon");
  return true;
}

/// SIGTERM and SIGINT end it, SIGHUP reloads, until the board says stop for another reason. Returns the exit code: kFailed asks the
/// service manager for a new start.
int wait_for_the_end(int signals, SettingsBoard& board, Operations& operations, CertificateWatch& certificates, ConnectionSpread& spread,
                     const Launched& launched, Log& log) {
  Helpers helpers = Helpers::kept;
  for (unsigned turn = 0; !board.stop_asked(); ++turn) {
    if (turn % kTurnsPerLook == 0 && certificates.look(*board.current())) operations.renew_certificates();
    if (!look_after(launched, helpers, operations, log)) {
      board.ask_to_stop();
      return kFailed;
    }
    const auto wish = board.spread_works() ? board.current()->spread : config::ConnectionSpread::even;
    board.spread_over(spread.look(wish, operations.shard_metrics()));
    pollfd waiting{signals, POLLIN, 0};
    if (poll(&waiting, 1, kTurnMs) <= 0) continue;
    signalfd_siginfo signal;
    if (read(signals, &signal, sizeof signal) != sizeof signal) continue;
    if (signal.ssi_signo != SIGHUP) {
      log.info("stopping", {{"signal", signal.ssi_signo}});
      board.ask_to_stop();
      return 0;
    }
    auto reloaded = operations.reload(geteuid());
    if (reloaded) log.info("configuration reloaded");
    else std::fprintf(stderr, "ringpostd: reload refused, nothing changed:\n%s\n", reloaded.error().c_str());
  }
  return 0;
}

int run(int argc, char** argv) {
  CLI::App app{"Ringpost: receives mail, keeps it encrypted, relays it."};
  std::string config_path;
  LaunchOptions launch;
  bool check_only = false;
  app.add_option("-c,--config", config_path, "Configuration file (default: built-in defaults)");
  app.add_flag("--check", check_only, "Only check the configuration");
  app.add_flag("--no-helpers", launch.no_helpers, "keyd, auditd and helperd are services of their own");
  CLI11_PARSE(app, argc, argv);

  auto configuration = load_configuration(config_path);
  if (!configuration) return complain("the configuration is refused:\n" + configuration.error(), kBadConfiguration);
  config::Settings settings = configuration->settings();
  const std::vector<IpAddress> own = own_addresses(settings.listeners);
  auto completed = complete(settings, own);
  CertificateWatch certificates{settings};
  std::vector<std::string> kept;
  if (completed) completed = read_certificates(settings, *configuration, nullptr, kept);
  if (completed) completed = read_trust(settings, *configuration, nullptr);
  if (completed) completed = read_hop_passwords(settings, *configuration, nullptr);
  if (!completed) return complain(completed.error(), kBadConfiguration);
  if (check_only) return 0;
  Log log{settings.log.level, settings.log.format};
  if (settings.crypto.require_hardware_aes && !crypto::hardware_aes())
    return complain("this processor or build has no hardware AES; to run all the same set crypto.require_hardware_aes = no");
  if (!settings.memory.allow_swap && harden::swap_is_exposed())
    return complain("swap without encryption is active: keys and mail could reach the disk in clear; encrypt it, or set memory.allow_swap = yes");
  warn_of_open_relays(settings, log);
  if (settings.listeners.empty()) log.warning("no listener is configured: nothing will be accepted");

  std::signal(SIGPIPE, SIG_IGN);
  sigset_t handled;
  sigemptyset(&handled);
  for (int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&handled, signal);
  pthread_sigmask(SIG_BLOCK, &handled, nullptr);

  // Helpers first: they are other programs, and start while nothing of ours is in memory.
  launch.config_path = config_path;
  launch.configuration = configuration->dump();
  auto launched = launch_helpers(settings, launch, log);
  if (!launched) return complain(launched.error());
  settings.spool.directory = launched->spool_directory;
  log.show_paths(launched->names);

  // What needs root or much locked memory: rings, buffers, ports.
  (void)harden::raise_open_files();
  (void)harden::raise_locked_memory(512_MiB);
  std::vector<int> cpus = cores();
  std::size_t shards = settings.shards != 0 ? settings.shards : cpus.size();
  std::vector<ShardSeat> seats(shards);
  for (std::size_t i = 0; i < shards; ++i) {
    runtime::Missing missing;
    auto ring = runtime::UringRing::create(ring_options(settings, shards <= cpus.size() ? cpus[i] : -1), &missing);
    if (!ring) return complain(missing.empty() ? "io_uring: " + std::string{error_name(ring.error().code)} : missing.text());
    seats[i].ring = std::move(*ring);
    auto buffers = make_group_buffers(*seats[i].ring, seats[i].options.group_buffers);
    if (!buffers) return complain("no memory for the log's buffers");
    if (i == 0) {
      auto is_free = check_addresses(*seats[i].ring, settings.listeners);
      if (!is_free) return complain(is_free.error());
    }
    for (const config::Listener& listener : settings.listeners) {
      auto socket = listen_for_mail(*seats[i].ring, listener);
      if (!socket) return complain(socket.error());
      seats[i].sockets.push_back({*socket, listener});
    }
  }
  auto control_address = SocketAddress::from_path(settings.control.socket);
  if (!control_address) return complain(settings.control.socket + ": no usable path for control.socket");
  auto control = seats[0].ring->listen(*control_address, runtime::SocketKind::stream, {.reuse_port = false});
  if (!control) return complain("cannot listen on " + settings.control.socket + ": " + std::string{error_name(control.error().code)});
  seats[0].control_listener = *control;

  auto dropped = launched->give_up_root();
  if (!dropped) return complain(dropped.error());
  (void)harden::forbid_core_dumps();

  Preparation preparation{log, settings, shards, launched->keyd};
  auto plan = run_first<shard::SpoolPlan>(&prepare, &preparation);
  if (!plan) return complain(launched->names.readable(plan.error()));
  if (plan->kek_created) log.info("a new key-encryption key was made: back it up", {{"file", OperatorText{settings.keys.kek_file}}});

  // The shards.
  std::uint64_t seed = 0;
  seats[0].ring->random({reinterpret_cast<std::byte*>(&seed), sizeof seed});
  policy::ConnectionBook connections{seed};
  policy::LoginGuard logins;
  policy::RecipientBudgets budgets;
  policy::SeatPool hop_seats;
  shard::TransportMemory transport;
  SettingsBoard board{std::make_shared<config::Settings>(settings), shards};
  Operations operations{std::move(*configuration), config_path, launched->config_opened, own, board, logins, log};
  shard::Mesh mesh{shards};
  Key256 ticket_secret;
  seats[0].ring->random(ticket_secret.mutable_view());
  shard::Shared shared{connections, logins, budgets, hop_seats, transport, operations, log, &mesh, {ticket_secret.view(), seats[0].ring->now()}};
  watch_for_crashes();
  std::vector<std::unique_ptr<ShardThread>> threads;
  std::vector<const metrics::ShardMetrics*> metrics;
  for (std::size_t i = 0; i < shards; ++i) {
    seats[i].options.index = i;
    seats[i].options.count = shards;
    seats[i].options.spool = *plan;
    seats[i].options.keyd = launched->keyd;
    seats[i].options.auditd = launched->auditd;
    seats[i].options.helperd = launched->helperd;
    seats[i].options.separated = launched->separated;
    seats[i].options.user = geteuid();
    auto table = map_file(spool::partition_directory(settings.spool.directory, plan->partitions[i]) + "/in-work", shard::WorkTable::kBytes);
    if (table) seats[i].options.work_table = *table;
    else log.warning("messages that end the server cannot be told from others", {{"shard", i}, {"error", table.error()}});
    threads.push_back(std::make_unique<ShardThread>(std::move(seats[i]), shared, board));
    metrics.push_back(&threads.back()->metrics());
  }
  operations.set_facts({shards, plan->partitions.size(), launched->separated, crypto::hardware_aes(), launch.no_helpers}, metrics);

  if (!runtime::MemoryReserve::open()) log.warning("no memory can be put aside: when it runs out, the server will end");

  int signals = signalfd(-1, &handled, SFD_CLOEXEC);
  ConnectionSpread spread{shards, cpus, shards <= cpus.size(), log};
  if (auto confined = launched->confine(settings); !confined) return complain(confined.error());
  for (auto& thread : threads) thread->start();
  std::string failure;
  for (auto& thread : threads)
    if (auto opened = thread->wait_opened(); !opened) failure = opened.error();
  if (failure.empty()) {
    auto closed = harden::restrict_calls(harden::Role::server);
    if (!closed) failure = "seccomp: " + std::string{error_name(closed.error().code)};
  }
  int exit_code = 0;
  if (failure.empty()) {
    spread.watch(threads);
    for (auto& thread : threads) thread->go();
    for (const config::Listener& listener : settings.listeners)
      log.info("accepting mail", {{"listener", OperatorText{listener.name}}, {"address", listener.address}});
    exit_code = wait_for_the_end(signals, board, operations, certificates, spread, *launched, log);
  } else {
    board.ask_to_stop();
  }
  say_that_we_end();
  for (auto& thread : threads) thread->join();
  launched->stop_helpers();
  if (!failure.empty()) return complain(launched->names.readable(failure));
  log.info("stopped");
  return exit_code;
}

}  // namespace
}  // namespace ringpost::programs

int main(int argc, char** argv) { return ringpost::programs::run(argc, argv); }
