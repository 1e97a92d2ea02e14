// Before any shard starts: whose spool is this, and is all there that the shards need?
#include "ringpost/keys/client.hh"
#include "ringpost/keys/protocol.hh"
#include "ringpost/shard/shard.hh"
#include "shard/error_text.hh"

namespace ringpost::shard {

namespace {

constexpr Duration kHelloPatience = std::chrono::seconds(30);

std::string failure(const std::string& what, Error error) {
  return what + ": " + text_of(error);
}

/// What keyd's refusal is about, where it lies, and what to do.
std::string refusal(keys::protocol::Status status, const config::Settings& settings) {
  using keys::protocol::Status;
  const std::string why = "keyd refuses: " + std::string{keys::protocol::explain(status).text()};
  const std::string &kek = settings.keys.kek_file, &keys = settings.keys.directory;
  switch (status) {
    case Status::kek_missing:
      return why + "\n  It belongs at " + kek + ": put it back from your backup (mode 0400, owned by keyd's user; keys.kek_file names another place).\n"
             "  If it is lost, so is the mail in " + settings.spool.directory + "; to begin anew move both that directory and " + keys + " away.";
    case Status::kek_unsafe:
    case Status::kek_unusable: return why + ": " + kek;
    case Status::kek_wrong: return why + ": " + keys + "/keystore does not open with " + kek + "; put the two that belong together back";
    default: return why + " (keys.directory = " + keys + ", spool.directory = " + settings.spool.directory + ")";
  }
}

runtime::Task<std::expected<keys::Hello, std::string>> ask_keyd(runtime::Ring& ring, Log& log, const SocketAddress& keyd, bool spool_empty,
                                                                const config::Settings& settings) {
  IncarnationId incarnation;
  ring.random(incarnation.bytes);
  keys::Client client{ring, log, {.socket = keyd, .incarnation = incarnation, .spool_empty = spool_empty}};
  client.start();
  auto hello = co_await client.hello(ring.now() + kHelloPatience);
  co_await client.stop();
  if (hello) co_return std::move(*hello);
  if (hello.error().code == Errc::permission)
    co_return std::unexpected(refusal(static_cast<keys::protocol::Status>(hello.error().detail), settings));
  co_return std::unexpected(failure("keyd does not answer", hello.error()));
}

}  // namespace

runtime::Task<std::expected<SpoolPlan, std::string>> prepare_spool(runtime::Ring& ring, Log& log, const config::Settings& settings,
                                                                   std::size_t shards, const SocketAddress& keyd) {
  const std::string& directory = settings.spool.directory;
  auto empty = spool::is_empty(ring, directory);
  if (!empty) co_return std::unexpected(failure(directory, empty.error()));
  if (settings.spool.direct) {
    auto probed = co_await spool::probe_direct(ring, directory);
    if (!probed && probed.error().code == Errc::unsupported) {
      std::string filesystem = co_await spool::filesystem_name(ring, directory);
      co_return std::unexpected(directory + " lies on " + filesystem + ", which has no O_DIRECT with fdatasync; for a try-out set spool.direct = no");
    }
    if (!probed) co_return std::unexpected(failure(directory, probed.error()));
  }
  auto store = co_await spool::read_store(ring, directory);
  if (!store) co_return std::unexpected(failure(directory + "/store", store.error()));
  auto hello = co_await ask_keyd(ring, log, keyd, *empty, settings);
  if (!hello) co_return std::unexpected(hello.error());
  if (!*store) {
    if (!*empty) co_return std::unexpected(directory + " holds mail but no store file: it is not certain whose it is");
    auto created = co_await spool::create_store(ring, directory, hello->store);
    if (!created) co_return std::unexpected(failure(directory + "/store", created.error()));
  } else if (**store != hello->store) {
    co_return std::unexpected(directory + " belongs to store " + hex(**store) + ", keys.directory to store " + hex(hello->store));
  }
  SpoolPlan plan{.store = hello->store, .kek_created = hello->kek_created};
  auto partitions = spool::list_partitions(ring, directory);
  if (!partitions) co_return std::unexpected(failure(directory, partitions.error()));
  plan.partitions = std::move(*partitions);
  while (plan.partitions.size() < shards) {
    PartitionId partition;
    ring.random(partition.bytes);
    auto created = co_await spool::create_partition(ring, directory, partition);
    if (!created) co_return std::unexpected(failure(directory, created.error()));
    plan.partitions.push_back(partition);
  }
  co_return plan;
}

}  // namespace ringpost::shard
