#include "ringpost/shard/shard.hh"

#include <algorithm>
#include <optional>

#include "ringpost/control/server.hh"
#include "ringpost/helper/client.hh"
#include "ringpost/outbox/outbox.hh"
#include "ringpost/runtime/frame_pool.hh"
#include "shard/audit_trail.hh"
#include "shard/callout_verifier.hh"
#include "shard/dns_hosts.hh"
#include "shard/error_text.hh"
#include "shard/mail_intake.hh"
#include "shard/mail_source.hh"
#include "shard/partition.hh"
#include "ringpost/shard/mesh.hh"
#include "shard/permit_desk.hh"
#include "shard/queue_view.hh"
#include "shard/reporter.hh"
#include "shard/staging.hh"
#include "shard/sts_policies.hh"
#include "shard/tls_reporter.hh"
#include "shard/transport_keeper.hh"

namespace ringpost::shard {

namespace {

constexpr std::size_t kAdoptedBufferBytes = 64_KiB;  // a partition that takes no new mail writes outcomes only
constexpr Duration kHelloPatience = std::chrono::seconds(30);

}  // namespace

/// Everything of one shard, in the order in which it is built; it is taken down in stop(), from the outside in.
struct Shard::World final : outbox::Listener, control::Handover, MeshBox::Handler {
  World(runtime::Ring& ring_in, const ShardOptions& options_in, const Shared& shared_in, metrics::ShardMetrics& metrics_in,
        std::shared_ptr<const config::Settings> settings_in)
      : ring(ring_in),
        options(options_in),
        shared(shared_in),
        metrics(metrics_in),
        settings(std::move(settings_in)),
        incarnation(make_incarnation(ring_in)),
        keys(ring, shared.log, {.socket = options.keyd, .incarnation = incarnation, .partition = own_partition()}),
        outbox(ring, shared.log, metrics, options.auditd, *this),
        helper(ring, shared.log, options.helperd),
        staging(ring, settings->memory.staging_bytes, metrics),
        mesh(*shared.mesh, options.index, ring, *this),
        tls(ring),
        permits(ring, mesh),
        hosts(ring, *settings),
        policies({ring, hosts.resolver(), hosts.finder(), helper, shared.transport.policies, metrics, shared.log}, *settings),
        tls_reports({ring, hosts.resolver(), hosts.finder(), helper, shared.transport.sessions, metrics, shared.log}, settings) {
    if (!options.work_table.empty()) work.emplace(options.work_table);
    if (settings->auth.oauth.asks_issuer())
      helper.find_issuer_by([this, host = std::string{settings->auth.oauth.introspection_host()}] {
        return hosts.finder().addresses(host, dns::MailHosts::NamedBy::configuration);
      });
  }

  static IncarnationId make_incarnation(runtime::Ring& ring) {
    IncarnationId id;
    ring.random(id.bytes);
    return id;
  }
  /// Space that partitions can use again counts as free: what each has to keep free is a share of the disk.
  std::uint64_t disk_share() {
    const auto disk = ring.disk_info(settings->spool.directory);
    return disk ? disk->bytes_total / options.spool.partitions.size() : 0;
  }
  const PartitionId& own_partition() const { return options.spool.partitions[options.index]; }

  void secure_deliveries();
  runtime::Task<std::expected<void, std::string>> open();
  runtime::Task<std::expected<void, std::string>> open_partition(const PartitionId& partition, const keys::Hello& hello);
  void report_start();
  void reconfigure(std::shared_ptr<const config::Settings> to);
  void trim();
  runtime::Task<void> stop(Duration patience);

  void acknowledged(const IncarnationId& of, std::uint64_t sequence) override {
    for (auto& partition : partitions) partition->log().audit_acknowledged({of, sequence});
    if (deliverer) deliverer->room_again();
  }
  bool pass(std::size_t shard, Fd connection, std::string_view request) override {
    MeshMessage message{.kind = MeshMessage::Kind::control};
    if (request.size() > message.text.size()) return false;
    message.descriptor = connection.value;
    message.text_bytes = static_cast<std::uint16_t>(request.size());
    std::copy(request.begin(), request.end(), message.text.begin());
    return mesh.tell(shard, message);
  }
  void on_message(std::size_t from, runtime::MessageKind, const MeshMessage& message) override {
    if (message.kind != MeshMessage::Kind::control) return permits.take(from, message);
    if (control) control->adopt(Fd{message.descriptor}, {message.text.data(), message.text_bytes});
  }

  runtime::Ring& ring;
  ShardOptions options;
  Shared shared;
  metrics::ShardMetrics& metrics;
  std::shared_ptr<const config::Settings> settings;
  IncarnationId incarnation;

  keys::Client keys;
  Key256 hash_key;
  std::optional<WorkTable> work;
  std::vector<std::unique_ptr<Partition>> partitions;  // the first one takes new mail
  outbox::Outbox outbox;
  helper::Client helper;
  Staging staging;
  queue::Queue queue;  // its messages hold staging buffers
  MeshBox mesh;
  tls::Engine tls;
  PermitDesk permits;
  DnsHosts hosts;
  StsPolicies policies;
  TlsReporter tls_reports;
  std::unique_ptr<TransportKeeper> keeper;  // of one shard, for all
  std::unique_ptr<AuditTrail> trail;
  std::unique_ptr<MailSource> source;
  std::unique_ptr<Reporter> reporter;
  std::unique_ptr<deliver::Deliverer> deliverer;
  std::unique_ptr<deliver::Callouts> callouts;
  std::unique_ptr<CalloutVerifier> verifier;
  std::unique_ptr<MailIntake> intake;
  std::unique_ptr<receive::Server> server;
  std::unique_ptr<QueueView> view;
  std::unique_ptr<control::Server> control;
};

runtime::Task<std::expected<void, std::string>> Shard::World::open() {
  keys.start();
  auto hello = co_await keys.hello(ring.now() + kHelloPatience);
  if (!hello) co_return std::unexpected("keyd does not answer: " + text_of(hello.error()));
  if (hello->store != options.spool.store) co_return std::unexpected(std::string{"keyd serves another store than this spool's"});
  hash_key = hello->address_hash_key.duplicate();
  if (options.index == 0) {
    keeper = std::make_unique<TransportKeeper>(ring, shared.log, shared.transport, settings->spool.directory, hello->store, hello->metadata_key.view());
    co_await keeper->read();
  }
  for (std::size_t i = options.index; i < options.spool.partitions.size(); i += options.count) {
    auto opened = co_await open_partition(options.spool.partitions[i], *hello);
    if (opened) continue;
    if (i == options.index) co_return std::unexpected(opened.error());
    shared.log.error("a partition cannot be used; the others serve", {{"partition", options.spool.partitions[i]}});
  }
  std::uint64_t seed;
  ring.random({reinterpret_cast<std::byte*>(&seed), sizeof seed});
  trail = std::make_unique<AuditTrail>(ring, partitions.front()->log(), outbox, incarnation, static_cast<std::uint16_t>(options.index), own_partition());
  const SourceParts source_parts{ring, partitions, keys, queue, *trail, metrics, shared.log, hash_key, work ? &*work : nullptr, seed};
  source = std::make_unique<MailSource>(source_parts, settings);
  reporter = std::make_unique<Reporter>(source_parts, *source, options.spool.store, settings);
  deliverer = std::make_unique<deliver::Deliverer>(
      deliver::Surroundings{ring, queue, *source, permits, metrics, shared.log, seed ^ 1, options.count, &shared.hop_seats, &hosts, &policies, &tls_reports}, settings);
  callouts = std::make_unique<deliver::Callouts>(ring, *deliverer, metrics, shared.log, hash_key, settings);
  verifier = std::make_unique<CalloutVerifier>(*callouts, settings);
  secure_deliveries();
  source->set_deliverer(*deliverer);
  permits.set_deliverer(*deliverer);
  source->set_reporter(*reporter);
  intake = std::make_unique<MailIntake>(IntakeParts{ring, *partitions.front(), keys, queue, *trail, outbox, staging, *deliverer, metrics, shared.log,
                                                    options.spool.store, hash_key, disk_share()},
                                        settings);
  server = std::make_unique<receive::Server>(receive::Surroundings{ring, *intake, shared.connections, metrics, shared.log, verifier.get(), &tls, shared.tickets, &helper, &shared.logins, &shared.budgets}, settings);
  view = std::make_unique<QueueView>(source_parts, *source, *deliverer, options.spool.store, settings);
  control = std::make_unique<control::Server>(ring, shared.log, options.index, shared.daemon, *view, *this);
  outbox.start();
  report_start();
  hosts.start(metrics, options.index == 0 ? &shared.log : nullptr);
  if (keeper) {
    keeper->start();
    policies.keep_fresh();
    tls_reports.start_sending();
  }
  deliverer->start();
  reporter->start();
  for (auto& partition : partitions)
    partition->start([this] {
      deliverer->kick();
      reporter->kick();
    });
  co_return std::expected<void, std::string>{};
}

// Gets one partition ready for appending.
runtime::Task<std::expected<void, std::string>> Shard::World::open_partition(const PartitionId& partition, const keys::Hello& hello) {
  PartitionPlan plan{.number = static_cast<std::uint16_t>(partitions.size()), .longest_wait = settings->retry.max,
                     .longest_hold = settings->submission.future_release_max,
                     .window = settings->memory.queue_messages};
  spool::LogOptions& log = plan.log;
  log.directory = spool::partition_directory(settings->spool.directory, partition);
  log.store = options.spool.store;
  log.partition = partition;
  log.incarnation = incarnation;
  log.direct = settings->spool.direct;
  log.metrics = &metrics;
  auto disk = ring.disk_info(settings->spool.directory);
  log.segment_bytes = settings->spool.segment_bytes != 0
                          ? settings->spool.segment_bytes
                          : spool::segment_bytes_for(disk ? disk->bytes_total : 0, options.spool.partitions.size());
  log.disk_reserve_bytes = settings->spool.reserve_bytes;
  bool own = partition == own_partition();
  for (std::size_t i = 0; i < 2; ++i) {
    auto buffer = own ? Result<MutableBytes>{options.group_buffers[i]} : ring.make_io_buffer(kAdoptedBufferBytes);
    if (!buffer) co_return std::unexpected("no memory for a partition's buffers: " + text_of(buffer.error()));
    log.buffers[i] = *buffer;
  }
  plan.rows = options.index_rows ? options.index_rows(partition) : index::make_lmdb_store(log.directory + "/index", {});
  auto opened = co_await Partition::open({ring, shared.log, queue, outbox, metrics}, std::move(plan), hello.metadata_key.view());
  if (!opened) co_return std::unexpected(opened.error());
  partitions.push_back(std::move(*opened));
  co_return std::expected<void, std::string>{};
}

/// What next hops are verified by belongs to the settings; connections that run keep what they began with.
void Shard::World::secure_deliveries() {
  struct Client {
    std::shared_ptr<const tls::TrustStore> trust;
    tls::ClientContext context;
  };
  const tls::Version minimum = settings->tls.minimum == config::TlsMinimum::tls13 ? tls::Version::tls13 : tls::Version::tls12;
  const std::shared_ptr<Client> client{new Client{settings->tls.trust, {tls, minimum, settings->tls.trust.get()}}};
  const std::shared_ptr<tls::ClientContext> context{client, &client->context};
  deliverer->secure_with(context);
  callouts->secure_with(context);
}

void Shard::World::report_start() {
  event::Event started{.kind = event::Kind::process_started};
  started.partition = own_partition();
  trail->report(started);
  if (options.index != 0 || options.separated) return;
  event::Event together{.kind = event::Kind::separation_none};
  together.user = options.user;
  trail->report(together);
}

void Shard::World::reconfigure(std::shared_ptr<const config::Settings> to) {
  settings = std::move(to);
  source->reconfigure(settings);
  reporter->reconfigure(settings);
  intake->reconfigure(settings);
  server->reconfigure(settings);
  view->reconfigure(settings);
  hosts.reconfigure(*settings);
  policies.reconfigure(*settings);
  tls_reports.reconfigure(settings);
  deliverer->reconfigure(settings);
  callouts->reconfigure(settings);
  secure_deliveries();
  verifier->reconfigure(settings);
}

void Shard::World::trim() {
  staging.trim();
  if (intake) intake->trim();
  runtime::FramePool::trim();
}

runtime::Task<void> Shard::World::stop(Duration patience) {
  Instant deadline = ring.now() + patience;
  if (callouts) callouts->refuse();  // sessions may wait for them
  co_await helper.stop();            // likewise
  if (server) co_await server->stop(ring.now() + patience / 2);
  co_await hosts.stop();  // an operator may wait for it
  co_await policies.stop();
  co_await tls_reports.stop();
  if (callouts) co_await callouts->stop();
  if (view) view->stop();
  if (control) co_await control->stop();  // operators' orders write to the log
  if (deliverer) co_await deliverer->stop(ring.now() + (deadline - ring.now()) / 2);
  if (source) co_await source->stop();
  if (reporter) co_await reporter->stop();
  if (keeper) co_await keeper->stop();
  co_await permits.stop();
  if (trail) {
    event::Event stopped{.kind = event::Kind::process_stopped};
    stopped.partition = own_partition();
    trail->report(stopped);
    co_await trail->stop();
  }
  co_await outbox.stop(deadline);
  for (auto& partition : partitions) co_await partition->stop();
  co_await keys.stop();
}

// ---- Shard

Shard::Shard(runtime::Ring& ring, const ShardOptions& options, const Shared& shared, metrics::ShardMetrics& metrics,
             std::shared_ptr<const config::Settings> settings)
    : world_(std::make_unique<World>(ring, options, shared, metrics, std::move(settings))) {}

Shard::~Shard() = default;

runtime::Task<std::expected<void, std::string>> Shard::open() { return world_->open(); }

void Shard::listen(const std::vector<receive::ListeningSocket>& sockets) {
  for (const receive::ListeningSocket& socket : sockets) world_->server->listen(socket);
}

void Shard::listen_control(Fd listener) { world_->control->listen(listener); }
void Shard::reconfigure(std::shared_ptr<const config::Settings> settings) { world_->reconfigure(std::move(settings)); }
void Shard::report(std::vector<event::Event> events, std::function<void()> durable) {
  world_->trail->report(std::move(events), std::move(durable));
}
void Shard::trim() { world_->trim(); }
runtime::Task<void> Shard::stop(Duration patience) { return world_->stop(patience); }

}  // namespace ringpost::shard
