#include "processes.hh"

#include <algorithm>

namespace ringpost::sim::relay {

using runtime::Task;
using std::chrono::milliseconds;

namespace {

constexpr std::size_t kGroupBufferBytes = 128 * 1024;
constexpr Duration kStopPatience = milliseconds{3500};
const RingOptions kHelperRing{.receive_buffers = 4};

}  // namespace

// ---- keyd

Keyd::Keyd(World& world, Log& log, const Places& places)
    : ring_(world.make_ring("keyd", kHelperRing)),
      scope_(ring_),
      serving_(ring_),
      store_(ring_, log, *this,
             {.directory = kKeysDirectory,
              .kek_file = std::string{kKeysDirectory} + "/kek",
              .spool_directory = kSpoolDirectory,
              .allow_same_filesystem = true}) {
  listener_ = *ring_.listen(places.keyd, runtime::SocketKind::seqpacket, {});
  server_.emplace(ring_, log, store_, *this,
                  keyd::ServerOptions{.listener = listener_, .peer_is = [](Fd, std::uint32_t) { return true; }, .lease_s = 60});
  serving_.spawn(live());
}

Task<void> Keyd::live() {
  state_ = State::running;
  co_await server_->run();
}

Task<void> Keyd::shut_down() {
  co_await server_->stop();
  co_await serving_.join();
  server_.reset();
  co_await store_.close();
  (void)co_await ring_.close(listener_);
  state_ = State::stopped;
}

// ---- auditd

Auditd::Auditd(World& world, Log& log, const Places& places, const Deceit& deceit)
    : ring_(world.make_ring("auditd", {.receive_buffers = kHelperRing.receive_buffers, .deceit = deceit})),
      log_(log),
      scope_(ring_),
      journal_(ring_, log, kAuditDirectory) {
  listener_ = *ring_.listen(places.auditd, runtime::SocketKind::seqpacket, {});
  scope_.spawn(live());
}

Task<void> Auditd::live() {
  auto opened = co_await journal_.open();
  if (!opened) co_return fail("auditd: the journal does not open: " + std::string{error_name(opened.error().code)});
  event::Event started{.kind = event::Kind::process_started};
  (void)co_await journal_.note(started);
  server_.emplace(ring_, log_, journal_, listener_, [](Fd) { return true; });
  server_->start();
  state_ = State::running;
}

Task<void> Auditd::shut_down() {
  co_await server_->stop();
  event::Event stopped{.kind = event::Kind::process_stopped};
  (void)co_await journal_.note(stopped);
  co_await journal_.close();
  (void)co_await ring_.close(listener_);
  state_ = State::stopped;
}

// ---- ringpostd

Ringpostd::Ringpostd(World& world, Log& log, const Places& places, std::shared_ptr<const config::Settings> settings,
                     IndexRows& index_rows, const Deceit& deceit)
    : log_(log),
      places_(places),
      settings_(std::move(settings)),
      connections_(world.prng().next()),
      mesh_(kShards),
      shared_{connections_, logins_, budgets_, hop_seats_, transport_, operators_, log_, &mesh_} {
  for (std::size_t i = 0; i < kShards; ++i) {
    Seat& seat = seats_[i];
    seat.ring = &world.make_ring("shard " + std::to_string(i), {.process = "ringpostd", .address = places.smtp.ip(), .deceit = deceit});
    seat.scope = std::make_unique<runtime::Scope>(*seat.ring);
    seat.metrics = std::make_unique<metrics::ShardMetrics>();
    seat.listener = *seat.ring->listen(places.smtp, runtime::SocketKind::stream, {});
    if (i == 0) seat.control = *seat.ring->listen(places.control, runtime::SocketKind::stream, {});
    seat.options.index_rows = [&index_rows](const PartitionId& partition) { return index::make_memory_store(index_rows[partition]); };
    for (MutableBytes& buffer : seat.options.group_buffers) buffer = *seat.ring->make_io_buffer(kGroupBufferBytes);
  }
  seats_[0].scope->spawn(prepare());
}

Ringpostd::~Ringpostd() = default;

std::vector<SimRing*> Ringpostd::rings() const {
  std::vector<SimRing*> rings;
  for (const Seat& seat : seats_) rings.push_back(seat.ring);
  return rings;
}

Task<void> Ringpostd::prepare() {
  auto plan = co_await shard::prepare_spool(*seats_[0].ring, log_, *settings_, kShards, places_.keyd);
  if (!plan) co_return fail(plan.error());
  for (std::size_t i = 0; i < kShards; ++i) {
    Seat& seat = seats_[i];
    seat.options.index = i;
    seat.options.count = kShards;
    seat.options.spool = *plan;
    seat.options.keyd = places_.keyd;
    seat.options.auditd = places_.auditd;
    seat.shard = std::make_unique<shard::Shard>(*seat.ring, seat.options, shared_, *seat.metrics, settings_);
  }
  for (Seat& seat : seats_) seat.scope->spawn(open(seat));
}

Task<void> Ringpostd::open(Seat& seat) {
  co_await seat.ring->sleep_for({});  // from here on in a turn of its own ring
  auto opened = co_await seat.shard->open();
  if (!opened) co_return fail(opened.error());
  seat.open = true;
  config::Listener listener{.name = "main", .address = places_.smtp};
  seat.shard->listen({{seat.listener, listener}});
  if (seat.control) seat.shard->listen_control(seat.control);
  if (state_ == State::starting && std::ranges::all_of(seats_, &Seat::open)) state_ = State::running;
}

void Ringpostd::stop() {
  for (Seat& seat : seats_) seat.scope->spawn(shut_down(seat));
}

Task<void> Ringpostd::shut_down(Seat& seat) {
  co_await seat.ring->sleep_for({});
  co_await seat.shard->stop(kStopPatience);
  seat.stopped = true;
  if (std::ranges::all_of(seats_, &Seat::stopped)) state_ = State::stopped;
}

std::int64_t Ringpostd::messages_queued() const {
  std::int64_t queued = 0;
  for (const Seat& seat : seats_) queued += seat.metrics->messages_queued.value();
  return queued;
}

std::int64_t Ringpostd::events_pending() const {
  std::int64_t pending = 0;
  for (const Seat& seat : seats_) pending += seat.metrics->audit_pending.value();
  return pending;
}

std::int64_t Ringpostd::staging_buffers_in_use() const {
  std::int64_t most = 0;
  for (const Seat& seat : seats_) most = std::max(most, seat.metrics->staging_buffers_in_use.value());
  return most;
}

std::int64_t Ringpostd::sessions_open() const {
  std::int64_t open = 0;
  for (const Seat& seat : seats_) open += seat.metrics->sessions_open.value();
  return open;
}

std::uint64_t Ringpostd::messages_set_aside() const {
  std::uint64_t set_aside = 0;
  for (const Seat& seat : seats_) set_aside += seat.metrics->messages_quarantined.value();
  return set_aside;
}

std::uint64_t Ringpostd::messages_taken_up() const {
  std::uint64_t taken = 0;
  for (const Seat& seat : seats_) taken += seat.metrics->messages_taken_up.value();
  return taken;
}

std::uint64_t Ringpostd::messages_copied() const {
  std::uint64_t copied = 0;
  for (const Seat& seat : seats_) copied += seat.metrics->messages_copied.value();
  return copied;
}

bool Ringpostd::is_recovered() const {
  return std::ranges::all_of(seats_, [](const Seat& seat) { return seat.metrics->partitions_recovering.value() == 0; });
}

bool Ringpostd::is_drained() const { return state_ == State::running && is_recovered() && messages_queued() == 0 && events_pending() == 0; }

}  // namespace ringpost::sim::relay
