// Scenario "echo-log": clients send records, a server acknowledges them, both die at every moment.
// Oracles: an acknowledged record is on the disk after any crash; once the faults are healed every client finishes; nothing is
// left.
#include <algorithm>
#include <map>
#include <set>

#include "log_server.hh"
#include "ringpost/runtime/crash.hh"
#include "ringpost/sim/disk.hh"
#include "ringpost/sim/network.hh"
#include "ringpost/sim/sim_ring.hh"
#include "scenario.hh"

namespace ringpost::sim {

namespace {

using runtime::Task;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

const SocketAddress kAddress = *SocketAddress::parse("192.0.2.1:7");
constexpr std::size_t kRecordsEach = 40;

const std::map<std::string_view, bool LogBugs::*> kBugs = {{"ack-before-sync", &LogBugs::ack_before_sync},
                                                           {"retry-sync", &LogBugs::retry_sync},
                                                           {"ignore-short-write", &LogBugs::ignore_short_write},
                                                           {"no-directory-sync", &LogBugs::no_directory_sync},
                                                           {"no-backlog-check", &LogBugs::no_backlog_check}};

constexpr Fault kFaults[] = {Fault::disk_short_write,   Fault::disk_write_error, Fault::disk_sync_error,
                             Fault::disk_open_error,    Fault::disk_no_space,    Fault::disk_slow,
                             Fault::net_refused,        Fault::net_connect_lost, Fault::net_reset,
                             Fault::net_stall,          Fault::net_black_hole,   Fault::net_short_send,
                             Fault::net_split,          Fault::ring_no_buffers,  Fault::ring_multishot_ends,
                             Fault::net_no_descriptors, Fault::ring_stall,       Fault::wall_jump};
constexpr std::string_view kPowerCut = "power cut", kPlannedCrash = "planned crash", kKilled = "killed";

struct Client {
  Client(SimRing& on, std::uint64_t first) : ring(on), scope(on), next_number(first) {}
  bool done() const { return acknowledged.size() >= kRecordsEach; }

  SimRing& ring;
  runtime::Scope scope;
  std::uint64_t next_number;
  std::vector<std::uint64_t> acknowledged;
  bool confused = false;  // got an acknowledgement for something else
};

/// Sends one record and waits for its acknowledgement. False: the connection is of no use any more.
Task<bool> send_one(Client& client, Fd socket) {
  SimRing& ring = client.ring;
  const std::uint64_t number = client.next_number++;
  const LogRecord record = make_record(number);
  Bytes rest{record};
  while (!rest.empty()) {
    auto sent = co_await ring.send(socket, rest, ring.now() + seconds{20});
    if (!sent) co_return false;
    rest = rest.subspan(*sent);
  }
  std::array<std::byte, 8> answer;
  MutableBytes missing{answer};
  while (!missing.empty()) {
    auto received = co_await ring.receive(socket, missing, ring.now() + seconds{20});
    if (!received || *received == 0) co_return false;
    missing = missing.subspan(*received);
  }
  client.confused = client.confused || load_le<std::uint64_t>(answer.data()) != number;
  client.acknowledged.push_back(number);
  co_return true;
}

Task<void> send_records(Client& client) {
  SimRing& ring = client.ring;
  while (!client.done()) {
    auto socket = ring.open_socket(kAddress, runtime::SocketKind::stream);
    RP_ASSERT(socket);
    auto connected = co_await ring.connect(*socket, kAddress, ring.now() + seconds{10});
    bool going = connected.has_value();
    while (going && !client.done()) going = co_await send_one(client, *socket);
    (void)co_await ring.close(*socket);
    if (!going) co_await ring.sleep_for(milliseconds{200});
  }
}

std::set<std::uint64_t> records_on(const Disk& disk) {
  std::set<std::uint64_t> numbers;
  std::vector<runtime::DirectoryEntry> entries;
  if (disk.list(kLogDirectory, entries) != 0) return numbers;
  for (const auto& entry : entries) {
    const auto bytes = disk.content(std::string{kLogDirectory} + "/" + entry.name);
    if (!bytes) continue;
    for (std::size_t at = 0; at + kLogRecordBytes <= bytes->size(); at += kLogRecordBytes) {
      if (auto number = record_number(Bytes{*bytes}.subspan(at, kLogRecordBytes))) numbers.insert(*number);
    }
  }
  return numbers;
}

class EchoLogRun {
 public:
  EchoLogRun(World& world, std::string_view plant, Findings& findings) : world_(world), findings_(findings) {
    if (!plant.empty()) bugs_.*kBugs.at(plant) = true;
    world_.disk().make_directory(kLogDirectory);
  }

  void run() {
    start_server();
    const std::uint64_t count = 1 + world_.prng().below(4);
    for (std::uint64_t i = 0; i < count; ++i) {
      clients_.push_back(std::make_unique<Client>(world_.make_ring("client " + std::to_string(i)), (i + 1) * 1'000'000));
      clients_.back()->scope.spawn(send_records(*clients_.back()));
    }
    for (std::uint64_t life = 1 + world_.prng().below(5); life > 0 && !all_done(); --life) live_and_die();
    heal_and_drain();
    stop_in_order();
  }

 private:
  bool all_done() const {
    return std::ranges::all_of(clients_, [](const auto& client) { return client->done(); });
  }

  void start_server() {
    server_ring_ = &world_.make_ring("server", {.receive_buffers = 4, .receive_buffer_bytes = 700});
    server_ = std::make_unique<LogServer>(*server_ring_, kAddress, bugs_);
    server_->start();
  }

  void draw_faults() {
    for (Fault fault : kFaults) world_.faults().set(fault, world_.prng().one_in(2) ? 5 + world_.prng().below(100) : 0);
  }

  void live_and_die() {
    draw_faults();
    if (world_.prng().one_in(2)) world_.plan_crash({.process = "server", .nth = 1 + world_.prng().below(200)});
    const Stop stop = world_.run_until([&] { return all_done(); }, Duration{seconds{1}} * (1 + world_.prng().below(60)));
    world_.cancel_crash();
    const bool power_lost = world_.prng().one_in(2);
    if (power_lost) ++world_.faults().point(kPowerCut).hits;
    ++world_.faults().point(stop == Stop::crash ? kPlannedCrash : kKilled).hits;
    world_.kill(*server_ring_, power_lost ? Death::power_loss : Death::crash);
    {
      runtime::CrashGuard crashing;
      server_.reset();
    }
    world_.bury();
    if (power_lost) world_.disk().power_cut();
    look_for_losses();
    start_server();
  }

  void look_for_losses() {
    const auto found = records_on(world_.disk());
    for (const auto& client : clients_) {
      for (std::uint64_t number : client->acknowledged) {
        if (!found.contains(number)) return findings_.expect(false, "acknowledged record " + std::to_string(number) + " is lost");
      }
      findings_.expect(!client->confused, "a client got an acknowledgement for another record");
    }
  }

  void heal_and_drain() {
    world_.faults().heal();
    const Stop stop = world_.run_until([&] { return all_done(); }, hours{1});
    findings_.expect(stop == Stop::reached, "the clients are not done an hour after all faults were healed");
  }

  void stop_in_order() {
    server_->stop();
    const Stop stop = world_.run_until(
        [&] {
          return server_->stopped() && std::ranges::all_of(clients_, [](const auto& c) { return c->scope.running() == 0; });
        },
        hours{1});
    findings_.expect(stop == Stop::reached, "something is still running an hour after the stop");
    look_for_losses();
    if (stop == Stop::reached) {
      server_.reset();
      findings_.expect(server_ring_->quiet(), "the server's ring is not quiet");
      if (server_ring_->quiet()) world_.retire(*server_ring_);
      findings_.expect(world_.network().open_sockets() == 0, "a socket was left open");
    }
    runtime::CrashGuard crashing;  // only matters after a finding
    for (const auto& client : clients_) world_.kill(client->ring);
    if (server_) world_.kill(*server_ring_);
    clients_.clear();
    server_.reset();
    world_.bury();
  }

  World& world_;
  Findings& findings_;
  LogBugs bugs_;
  SimRing* server_ring_ = nullptr;
  std::unique_ptr<LogServer> server_;
  std::vector<std::unique_ptr<Client>> clients_;
};

class EchoLogScenario final : public Scenario {
 public:
  std::string_view name() const override { return "echo-log"; }
  std::vector<std::string_view> points() const override {
    std::vector<std::string_view> names{kPowerCut, kPlannedCrash, kKilled};
    for (Fault fault : kFaults) names.push_back(fault_name(fault));
    return names;
  }
  std::vector<std::string_view> plants() const override {
    std::vector<std::string_view> names;
    for (const auto& [name, bug] : kBugs) names.push_back(name);
    return names;
  }
  void run(World& world, std::string_view plant, Findings& findings) override { EchoLogRun{world, plant, findings}.run(); }
};

}  // namespace

std::unique_ptr<Scenario> make_echo_log_scenario() { return std::make_unique<EchoLogScenario>(); }

}  // namespace ringpost::sim
