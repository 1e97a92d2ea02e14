// ringpost-spool: examines the spool of a stopped server. ringpostctl spool runs it.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <optional>

#include "programs/config_files.hh"
#include "programs/directories.hh"
#include "programs/index_reader.hh"
#include "programs/launcher.hh"
#include "programs/spool_report.hh"
#include "ringpost/harden/process.hh"
#include "ringpost/harden/sandbox.hh"
#include "ringpost/keys/client.hh"
#include "ringpost/rescue/salvage.hh"
#include "ringpost/rescue/verify.hh"
#include "ringpost/runtime/scope.hh"
#include "ringpost/runtime/uring_ring.hh"
#include "ringpost/spool/store.hh"

namespace ringpost::programs {
namespace {

constexpr int kClean = 0, kDamage = 1, kNotRun = 2;
constexpr Duration kHelloPatience = std::chrono::seconds{30};

struct Request {
  std::string config_path, spool;
  std::string target;  // of salvage; empty: verify
  bool quick = false, as_json = false, no_helpers = false;
};

/// Why it could not run; text for the operator.
using Outcome = std::expected<void, std::string>;

int complain(const std::string& text) {
  std::fprintf(stderr, "ringpost-spool: %s\n", text.c_str());
  return kNotRun;
}

std::string text_of(Error error) {
  std::string text{error_name(error.code)};
  if (error.detail > 0 && error.code != Errc::permission) text += std::string{" ("} + std::strerror(error.detail) + ")";
  return text;
}

/// Locks a partition without making or changing anything in it. Lifetime: the process's.
Outcome lock_as_it_is(const std::string& directory) {
  const std::string path = directory + "/lock";
  const int file = ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  // Where there is none, or it cannot be written, nobody holds it; the spool's own lock keeps servers out.
  if (file < 0 && (errno == ENOENT || errno == EROFS)) return {};
  if (file < 0) return std::unexpected(path + ": " + std::strerror(errno));
  struct flock whole{};
  whole.l_type = F_WRLCK;
  if (::fcntl(file, F_OFD_SETLK, &whole) == 0) return {};
  return std::unexpected(directory + ": another process uses this partition: stop the server first");
}

/// A spool whose server is stopped, and the keyd that has its keys.
class Spool {
 public:
  Spool(runtime::UringRing& ring, Log& log, const SocketAddress& keyd, std::string directory)
      : ring_(ring),
        directory_(std::move(directory)),
        client_(ring, log, {.socket = keyd, .incarnation = random_incarnation(ring)}) {}

  runtime::Task<Outcome> open() {
    client_.start();
    Result<keys::Hello> hello = co_await client_.hello(ring_.now() + kHelloPatience);
    if (!hello && hello.error().code == Errc::permission) {
      const auto status = static_cast<keys::protocol::Status>(hello.error().detail);
      co_return std::unexpected("keyd refuses: " + std::string{keys::protocol::explain(status).text()});
    }
    if (!hello) co_return std::unexpected("keyd does not answer: " + text_of(hello.error()));
    auto store = co_await spool::read_store(ring_, directory_);
    if (!store) co_return std::unexpected(directory_ + "/store: " + text_of(store.error()));
    if (!*store) co_return std::unexpected(directory_ + " holds no spool (there is no file `store` in it)");
    if (**store != hello->store)
      co_return std::unexpected(directory_ + " belongs to store " + hex(**store) + ", keys.directory to store " +
                                hex(hello->store));
    hello_ = std::move(*hello);
    co_return Outcome{};
  }
  runtime::Task<void> close() { co_await client_.stop(); }

  const keys::Hello& hello() const { return *hello_; }
  keys::Client& client() { return client_; }
  const std::string& directory() const { return directory_; }

 private:
  static IncarnationId random_incarnation(runtime::Ring& ring) {
    IncarnationId id;
    ring.random(id.bytes);
    return id;
  }

  runtime::UringRing& ring_;
  std::string directory_;
  keys::Client client_;
  std::optional<keys::Hello> hello_;
};

/// What a command works with.
struct Work {
  runtime::UringRing& ring;
  Spool& spool;
  const config::Settings& settings;
  const Request& request;
  std::vector<PartitionId> partitions;
  std::vector<IndexReader> indexes;  // of each partition
  SpoolReport& report;
  std::string target;         // of salvage, as we can come to it
  MutableBytes buffers[2]{};  // of salvage
};

runtime::Task<Outcome> verify(Work& work) {
  rescue::KeydKeys keys(work.ring, work.spool.client());
  for (std::size_t i = 0; i < work.partitions.size(); ++i) {
    rescue::VerifyPlan plan;
    plan.log = {.directory = spool::partition_directory(work.spool.directory(), work.partitions[i]),
                .store = work.spool.hello().store,
                .partition = work.partitions[i],
                .direct = work.settings.spool.direct};
    plan.keys = work.request.quick ? nullptr : &keys;
    index::Snapshot rows = co_await work.indexes[i].collect(work.ring);
    plan.index = index::make_snapshot_store(std::move(rows));
    Result<> verified = co_await rescue::verify_partition(work.ring, std::move(plan), work.spool.hello().metadata_key.view(),
                                                          work.report, work.report.totals());
    if (!verified)
      co_return std::unexpected(spool::partition_directory(work.spool.directory(), work.partitions[i]) + ": " +
                                text_of(verified.error()));
  }
  co_return Outcome{};
}

/// One new partition for each old one. The store file comes last: without it no server takes the directory for a spool.
runtime::Task<Outcome> salvage(Work& work) {
  rescue::KeydKeys keys(work.ring, work.spool.client());
  const auto cannot_write = [&](Error error) { return std::unexpected(work.request.target + ": " + text_of(error)); };
  const Result<runtime::DiskInfo> disk = work.ring.disk_info(work.target);
  IncarnationId incarnation;
  work.ring.random(incarnation.bytes);
  for (std::size_t i = 0; i < work.partitions.size(); ++i) {
    const std::string source = spool::partition_directory(work.spool.directory(), work.partitions[i]);
    rescue::SalvagePlan plan;
    plan.log = {.directory = source,
                .store = work.spool.hello().store,
                .partition = work.partitions[i],
                .direct = work.settings.spool.direct};
    plan.keys = &keys;
    index::Snapshot rows = co_await work.indexes[i].collect(work.ring);
    plan.index = index::make_snapshot_store(std::move(rows));
    work.ring.random(plan.target.partition.bytes);
    plan.target.directory = spool::partition_directory(work.target, plan.target.partition);
    plan.target.store = plan.log.store;
    plan.target.incarnation = incarnation;
    plan.target.direct = work.settings.spool.direct;
    plan.target.segment_bytes = work.settings.spool.segment_bytes != 0
                                    ? work.settings.spool.segment_bytes
                                    : spool::segment_bytes_for(disk ? disk->bytes_total : 0, work.partitions.size());
    plan.target.disk_reserve_bytes = work.settings.spool.reserve_bytes;
    for (std::size_t buffer = 0; buffer < 2; ++buffer) plan.target.buffers[buffer] = work.buffers[buffer];
    Result<> made = co_await spool::create_partition(work.ring, work.target, plan.target.partition);
    if (!made) co_return cannot_write(made.error());
    auto salvaged = co_await rescue::salvage_partition(work.ring, std::move(plan), work.spool.hello().metadata_key.view(),
                                                       work.report, work.report.salvaged());
    if (salvaged) continue;
    if (salvaged.error().of_target) co_return cannot_write(salvaged.error().error);
    co_return std::unexpected(source + ": " + text_of(salvaged.error().error));
  }
  Result<> created = co_await spool::create_store(work.ring, work.target, work.spool.hello().store);
  if (!created) co_return cannot_write(created.error());
  co_return Outcome{};
}

/// Makes the directory that salvage fills, or takes an empty one, and gives it to the server's user.
std::expected<Claimed, std::string> claim_target(const std::string& path, const std::string& spool,
                                                 const std::optional<harden::Identity>& owner) {
  if (path == spool || path.starts_with(spool + "/")) return std::unexpected(path + " lies in the spool itself");
  std::error_code error;
  if (std::filesystem::exists(path, error) && !std::filesystem::is_empty(path, error))
    return std::unexpected(path + " is not an empty directory: salvage fills a new one");
  return claim_directory(path, owner);
}

runtime::Task<void> drive(Work& work, runtime::Task<Outcome> (*command)(Work&), Outcome& outcome) {
  outcome = co_await work.spool.open();
  if (outcome) outcome = co_await command(work);
  co_await work.spool.close();
  work.ring.stop();
}

/// Everything up to the work itself: configuration, locks, keyd, giving up root, what LMDB reads, sandbox.
int run(const Request& request, runtime::Task<Outcome> (*command)(Work&)) {
  auto configuration = load_configuration(request.config_path);
  if (!configuration) return complain("the configuration is refused:\n" + configuration.error());
  config::Settings settings = configuration->settings();
  if (!request.spool.empty()) settings.spool.directory = std::filesystem::absolute(request.spool).lexically_normal();
  Log log{LogLevel::warning, settings.log.format};
  if (!settings.memory.allow_swap && harden::swap_is_exposed())
    return complain(
        "swap without encryption is active: keys could reach the disk in clear; encrypt it, or set memory.allow_swap = yes");
  std::signal(SIGPIPE, SIG_IGN);

  LaunchOptions launch{.config_path = request.config_path,
                       .configuration = configuration->dump(),
                       .no_helpers = request.no_helpers,
                       .for_tool = true};
  auto launched = launch_helpers(settings, launch, log);
  std::optional<Claimed> target;
  if (!launched) return complain("cannot examine the spool (its server must be stopped):\n  " + launched.error());
  if (!request.target.empty()) {
    const std::string path = std::filesystem::absolute(request.target).lexically_normal();
    auto claimed = claim_target(path.ends_with('/') ? path.substr(0, path.size() - 1) : path, settings.spool.directory,
                                launched->identity());
    if (!claimed) return complain(claimed.error());
    target = std::move(*claimed);
    if (!target->reachable) target->path = past_link(name_by_descriptor(target->descriptor));
  }
  (void)harden::raise_open_files();
  (void)harden::raise_locked_memory(64_MiB);
  if (auto dropped = launched->give_up_root(); !dropped) return complain(dropped.error());
  (void)harden::forbid_core_dumps();

  const std::string& directory = launched->spool_directory;
  std::vector<PartitionId> partitions;
  std::vector<IndexReader> indexes;
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) names.push_back(entry.path().filename());
  if (error) return complain(directory + ": " + error.message());
  std::ranges::sort(names);
  SpoolReport report(request.as_json, target.has_value());
  for (const std::string& name : names) {
    const auto id = id_from_hex<PartitionId>(name);
    const bool is_directory =
        std::filesystem::symlink_status(directory + '/' + name, error).type() == std::filesystem::file_type::directory;
    if (!id || hex(*id) != name || !is_directory) {
      if (name != "store") report.found({.kind = rescue::FindingKind::foreign_file});
      continue;
    }
    if (auto locked = lock_as_it_is(directory + '/' + name); !locked) return complain(locked.error());
    auto index = IndexReader::start(directory + '/' + name + "/index");
    if (!index) return complain(index.error());
    partitions.push_back(*id);
    indexes.push_back(std::move(*index));
  }

  runtime::Missing missing;
  auto ring = runtime::UringRing::create({.entries = 64, .receive_buffers = 16}, &missing);
  if (!ring) return complain(missing.empty() ? "io_uring: " + text_of(ring.error()) : missing.text());
  MutableBytes buffers[2];
  for (MutableBytes& buffer : buffers) {
    if (!target) break;
    auto made = (*ring)->make_io_buffer(spool::kGroupBytesMax);
    if (!made) return complain("no memory for the new log's buffers");
    buffer = *made;
  }
  if (auto started = (*ring)->start(); !started) return complain("io_uring: " + text_of(started.error()));
  std::vector<harden::PathRule> rules{{directory, harden::Access::read},
                                      {std::filesystem::path{settings.control.socket}.parent_path(), harden::Access::write},
                                      {"/proc/self", harden::Access::read}};
  if (target) rules.push_back({target->path, harden::Access::write});
  if (auto restricted = harden::restrict_paths(rules); !restricted) return complain("Landlock: " + text_of(restricted.error()));
  if (auto restricted = harden::restrict_calls(harden::Role::helper); !restricted)
    return complain("seccomp: " + text_of(restricted.error()));

  Outcome outcome;
  {
    Spool spool(**ring, log, launched->keyd, directory);
    Work work{**ring,
              spool,
              settings,
              request,
              std::move(partitions),
              std::move(indexes),
              report,
              target ? target->path : std::string{},
              {buffers[0], buffers[1]}};
    runtime::Scope scope{**ring};
    scope.spawn(drive(work, command, outcome));
    (*ring)->run();
  }
  launched->stop_helpers();
  if (!outcome) return complain(launched->names.readable(outcome.error()));
  report.conclude();
  return report.has_damage() ? kDamage : kClean;
}

int run(int argc, char** argv) {
  CLI::App app{"Examines the spool of a stopped Ringpost server. Exit code: 0 clean, 1 damage, 2 could not run."};
  Request request;
  app.add_option("-c,--config", request.config_path, "The server's configuration file (default: its defaults)");
  app.require_subcommand(1);
  auto* verifying =
      app.add_subcommand("verify", "Check every group, record, tag and message, and the index against the log; change nothing");
  verifying->add_flag("--quick", request.quick, "Open no envelope and no content: groups, records and the index only");
  auto* salvaging =
      app.add_subcommand("salvage", "Copy what authenticates into a new spool, and say what is lost; the old one stays as it is");
  salvaging->add_option("target", request.target, "The directory of the new spool: a new or an empty one")->required();
  for (CLI::App* command : {verifying, salvaging}) {
    command->add_flag("--json", request.as_json, "One JSON object a line: each finding, then the summary");
    command->add_option("--spool", request.spool, "Another spool of the same keys, a copy say, instead of spool.directory");
    command->add_flag("--no-helpers", request.no_helpers, "keyd is a service of its own (found out by itself where it listens)");
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kClean : kNotRun;
  }
  return run(request, *salvaging ? &salvage : &verify);
}

}  // namespace
}  // namespace ringpost::programs

int main(int argc, char** argv) { return ringpost::programs::run(argc, argv); }
