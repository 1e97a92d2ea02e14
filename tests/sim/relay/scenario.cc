// Scenario "relay": a whole installation (two shards, keyd, auditd), clients that send it mail and a next hop that takes it.
// Faults and deaths at every moment; then all is healed, the queue drains, everything stops in order, and once more it starts.
// "relay-slow" (H17), "relay-clock" (H10), "relay-audit" (H14) and "relay-full" (H3) are the same with one hardship: everything is
// slow at once; the wall clock is mad; auditd is away for long; the disk is full.
#include "../scenario.hh"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "adversity.hh"
#include "client.hh"
#include "name_server.hh"
#include "next_hop.hh"
#include "operators.hh"
#include "oracles.hh"
#include "plants.hh"
#include "processes.hh"
#include "ringpost/config/configuration.hh"
#include "ringpost/runtime/crash.hh"
#include "ringpost/sim/network.hh"

namespace ringpost::sim {

namespace {

using namespace relay;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

// What every seed goes through at least, beside one death.
constexpr std::size_t kMessages = 200, kFaultKinds = 3;
constexpr std::uint64_t kMoreEpisodes = 5;  // to get there
constexpr Duration kStopLimit = seconds{5};
// Of relay-slow, and what bounds are to hold there; of relay-clock.
constexpr std::size_t kManyClients = 60, kFewConnections = 24, kSmallestStagingBytes = 8_KiB, kStagingBytes = 2_MiB;
constexpr std::uint64_t kClockRounds = 3, kHoursBack = 4;
constexpr Duration kClientPatience = seconds{100};
constexpr Duration kTenYears = hours{10 * 365 * 24};
constexpr std::uint64_t kLargeDisk = 1024_GiB;

const Places kPlaces = {.smtp = *SocketAddress::parse("192.0.2.1:25"),
                        .hop = *SocketAddress::parse("203.0.113.1:25"),
                        .keyd = *SocketAddress::from_path("/run/keyd"),
                        .auditd = *SocketAddress::from_path("/run/auditd"),
                        .control = *SocketAddress::from_path("/run/control")};

constexpr std::string_view kConfiguration = R"(shards = 2
hostname = mx.example
listener.main.address = 192.0.2.1:25
relay.clients = 198.51.100.0/24
retry.first = 1 s
retry.max = 20 s
spool.directory = /spool
spool.segment_bytes = 1 MiB
spool.reserve_bytes = 1 MiB
keys.directory = /keys
keys.allow_same_filesystem = yes
audit.directory = /audit
memory.staging_bytes = 2 MiB
memory.queue_messages = 64
deliver.connections_max = 6
)";

// In every second seed mail goes two ways: messages are opened to be sorted, and split.
constexpr std::string_view kSecondRoute = "route.b.quagga-rcpt.example = smtp://203.0.113.2:25\n";
const SocketAddress kSecondHop = *SocketAddress::parse("203.0.113.2:25");

// In every second pair of seeds it is DNS that says where mail goes: to the same hosts.
constexpr std::string_view kFixedRoute = "route.default = smtp://203.0.113.1:25\n";
constexpr std::string_view kRouteByDns = "route.default = mx\ndns.servers = 192.0.2.53:53\n";
// While auditd is away nothing is taken, or as much as the buffer holds: its bound, and what comes of the mail in it.
constexpr std::string_view kDefer = "audit.when_unavailable = defer\n", kBuffer = "audit.buffer_bytes_max = 4 KiB\n";
constexpr std::int64_t kBufferedEventsMax = 1500;
// Where everything is slow mail has to wait outside.
constexpr std::string_view kTight = "limits.connections_max = 24\naudit.buffer_bytes_max = 4 KiB\n";
const SocketAddress kNameServer = *SocketAddress::parse("192.0.2.53:53");

enum class Hardship : std::uint8_t { everything, slowness, clock, no_auditd, full_disk };

std::shared_ptr<const config::Settings> settings(bool two_ways, bool by_dns, Hardship hardship) {
  std::string text{kConfiguration};
  text += by_dns ? kRouteByDns : kFixedRoute;
  if (two_ways) text += kSecondRoute;
  if (hardship == Hardship::slowness) text += kTight;
  if (hardship == Hardship::no_auditd) text += two_ways ? kDefer : kBuffer;
  const config::Source source{"relay.conf", text};
  auto loaded = config::Configuration::load({&source, 1}, {.hostname = "mx.example"});
  if (!loaded) {
    for (const config::Problem& problem : loaded.error()) std::fprintf(stderr, "%s\n", problem.text().c_str());
    std::abort();
  }
  return std::make_shared<config::Settings>(loaded->settings());
}

class RelayRun {
 public:
  RelayRun(World& world, Hardship hardship, std::string_view plant, Findings& findings, int log_fd)
      : world_(world),
        hardship_(hardship),
        plant_(world, plant),
        findings_(findings),
        adversity_(world),
        log_(log_fd < 0 ? LogLevel::error : LogLevel::debug, LogStyle::plain, log_fd),
        by_dns_(world.seed() % 4 >= 2 || hardship == Hardship::slowness),
        settings_(settings(world.seed() % 2 == 0, by_dns_, hardship)),
        hop_(std::make_unique<NextHop>(world, ledger_, findings, kPlaces.hop)),
        second_hop_(std::make_unique<NextHop>(world, ledger_, findings, kSecondHop)),
        names_(std::make_unique<NameServer>(world, kNameServer, kPlaces.hop.ip(), kSecondHop.ip())),
        clients_(std::make_unique<Clients>(world, ledger_, kPlaces.smtp, kMessages)),
        operators_(std::make_unique<Operators>(world, kPlaces.control, kShards)) {
    Disk& disk = world_.disk();
    for (const char* directory : {kSpoolDirectory, kKeysDirectory, kAuditDirectory}) {
      disk.make_directory(directory);
      disk.set_owner(directory, 0, 0700);
    }
    for (std::string_view word : kPlantedWords) disk.watch(as_bytes(word));
    // Then it is full again and again, and messages are copied to make space.
    if (hardship_ == Hardship::everything && prng().one_in(3)) disk.set_capacity((12 + prng().below(16)) * 1_MiB);
  }

  void run() {
    start_all();
    hop_->start();
    second_hop_->start();
    names_->start();
    if (hardship_ == Hardship::slowness) {
      bear_slowness();
    } else if (hardship_ == Hardship::clock) {
      bear_clock();
    } else if (hardship_ == Hardship::no_auditd) {
      do_without_auditd();
    } else if (hardship_ == Hardship::full_disk) {
      do_without_space();
    } else {
      bear_everything();
    }
    heal_and_drain();
    judge_hardship();
    if (findings_.list().empty()) stop_in_order(false);
    judge();
    if (findings_.list().empty()) start_once_more();
    end();
  }

 private:
  Prng& prng() { return world_.prng(); }

  // ---- what is to be borne

  void bear_everything() {
    if (prng().one_in(4)) adversity_.plan_crash();  // perhaps the very first start is cut off
    clients_->start(4 + prng().below(8));
    if (prng().one_in(2)) operators_->start();
    const std::uint64_t episodes = 1 + prng().below(3);
    for (std::uint64_t i = 1; i <= episodes; ++i) live_and_die(kMessages * i / (episodes + 1));
    for (std::uint64_t more = 0; more < kMoreEpisodes && adversity_.kinds_struck() < kFaultKinds; ++more)
      live_and_die(std::min(ledger_.accepted() + 20, kMessages));
  }

  /// More clients than there may be, and nothing behind the server keeps up: they wait outside, what is inside stays within bounds.
  void bear_slowness() {
    adversity_.slow_everything();
    clients_->start(kManyClients);
    const auto look = [&] {
      if (!ringpostd_) return false;
      most_staging_ = std::max(most_staging_, ringpostd_->staging_buffers_in_use());
      most_sessions_ = std::max(most_sessions_, ringpostd_->sessions_open());
      return false;
    };
    (void)go(look, minutes{10});
  }

  /// Ten years ahead, ten years back, an hour back each minute; with deaths between, because a start is what believes a clock.
  void bear_clock() {
    adversity_.defer_mail();
    clients_->start(4 + prng().below(8));
    for (std::uint64_t round = 1; round <= kClockRounds; ++round) {
      (void)go([&] { return ledger_.accepted() >= kMessages * round / (kClockRounds + 1); }, minutes{5});
      jump(kTenYears, 0);
      jump(-kTenYears, 1);
      for (std::uint64_t i = 0; i < kHoursBack; ++i) jump(-hours{1}, 2);
    }
    if (deaths_.empty()) die_now();
  }

  /// Twice it dies, and nobody starts it again for long; once in between ringpostd dies as well.
  void do_without_auditd() {
    clients_->start(4 + prng().below(8));
    for (std::size_t round = 1; round <= 2; ++round) {
      (void)go([&] { return ledger_.accepted() >= kMessages * round / 4; }, minutes{5});
      adversity_.count(Adversity::kAuditdKilled);
      kill(auditd_, Death::crash);
      (void)go([] { return false; }, kClientPatience);  // what had begun may end
      if (round == 2) {
        adversity_.count(Adversity::kRingpostdKilled);
        kill(ringpostd_, Death::crash);
        world_.after(seconds{1}, [this] { start_ringpostd(); });
        (void)go([] { return false; }, seconds{30});
      }
      const std::size_t accepted = ledger_.accepted();
      const std::uint64_t told = ledger_.told_to_wait();
      (void)go([] { return false; }, minutes{3});
      findings_.expect(ledger_.accepted() == accepted, "H14: mail is taken although auditd is away");
      findings_.expect(ledger_.told_to_wait() > told, "H14: nobody is told to come again although auditd is away");
      findings_.expect(ringpostd_->events_pending() <= kBufferedEventsMax, "H14: more events are kept than there may be");
      start_auditd();
    }
  }

  /// A disk that holds much less than comes in while nothing goes out, for spool, keys and audit log together; then mail goes out
  /// although the disk is full, then ringpostd dies on it.
  void do_without_space() {
    world_.disk().set_capacity((7 + prng().below(2)) * 1_MiB);
    adversity_.defer_mail();
    clients_->start(4 + prng().below(8));
    const bool told = go([&] { return ledger_.told_to_wait() > 0; }, minutes{10});
    findings_.expect(told, "H3: nobody is told to come again although the disk is full");
    (void)go([] { return false; }, minutes{1});
    const std::size_t arrivals = count_arrivals(ledger_);
    world_.faults().heal();
    const bool goes_out = go([&] { return count_arrivals(ledger_) > arrivals; }, minutes{5});
    findings_.expect(goes_out, "H3: mail does not go out while the disk is full");
    adversity_.defer_mail();
    (void)go([] { return false; }, minutes{2});
    adversity_.count(Adversity::kRingpostdKilled);
    kill(ringpostd_, Death::crash);
    world_.after(seconds{1}, [this] { start_ringpostd(); });
    (void)go([] { return false; }, minutes{1});
  }

  void jump(Duration by, std::size_t kind) {
    adversity_.count(Adversity::kClockPoints[kind]);
    world_.jump_wall(by);
    (void)go([] { return false; }, milliseconds{prng().below(30'000)});
    if (prng().one_in(3)) die_now();
    (void)go([] { return false; }, seconds{30});
  }

  // ---- processes

  void start_all() {
    start_keyd();
    start_auditd();
    start_ringpostd();
  }
  void start_keyd() {
    if (!keyd_) keyd_ = std::make_unique<Keyd>(world_, log_, kPlaces);
  }
  void start_auditd() {
    if (!auditd_) auditd_ = std::make_unique<Auditd>(world_, log_, kPlaces, plant_.auditd_deceit());
  }
  void start_ringpostd() {
    if (!ringpostd_) ringpostd_ = std::make_unique<Ringpostd>(world_, log_, kPlaces, settings_, index_rows_, plant_.deceit());
  }

  template <typename Process>
  void kill(std::unique_ptr<Process>& process, Death death) {
    if (!process) return;
    if constexpr (std::is_same_v<Process, Ringpostd>) {
      if (ringpostd_->messages_taken_up() > 0) adversity_.count(Adversity::kTakenUp);
      if (ringpostd_->messages_copied() > 0) adversity_.count(Adversity::kCopied);
      deaths_.push_back(world_.now());
      look_for_false_alarms();
    }
    world_.kill(*process->rings().front(), death);
    {
      runtime::CrashGuard crashing;
      process.reset();
    }
    world_.bury();
    if constexpr (std::is_same_v<Process, Ringpostd>) crash_indexes();
  }

  /// LMDB with full sync leaves the last commit or the one under way; whatever else is found there must do no harm either.
  void crash_indexes() {
    for (auto& [partition, rows] : index_rows_) {
      const bool kept = !world_.prng().one_in(3);
      const auto state =
          kept ? index::CrashState::intact : static_cast<index::CrashState>(world_.prng().below(index::kCrashStates));
      adversity_.count(Adversity::kIndexStates[static_cast<std::size_t>(state)]);
      rows.crash(state, world_.prng());
    }
  }

  /// No disk here damages what it has told to be durable.
  void look_for_false_alarms() {
    findings_.expect(ringpostd_->messages_set_aside() == 0, "a message was set aside as damaged, which none is");
  }

  void cut_power() {
    adversity_.count(Adversity::kPowerCut);
    kill(ringpostd_, Death::power_loss);
    kill(keyd_, Death::power_loss);
    kill(auditd_, Death::power_loss);
    world_.disk().power_cut();
  }

  // ---- time goes by

  /// Turns the world; planned crashes happen, and what dies or fails to start is started again.
  bool go(const std::function<bool()>& holds, Duration limit) {
    const Instant end = world_.now() + limit;
    while (world_.now() < end) {
      const Stop stop = world_.run_until([&] { return holds() || somebody_failed(); }, end - world_.now());
      if (stop == Stop::crash) {
        die_as_planned();
      } else if (somebody_failed()) {
        restart_failed();
      } else {
        return stop == Stop::reached;
      }
    }
    return false;
  }
  bool somebody_failed() const {
    return (ringpostd_ && ringpostd_->state() == State::failed) || (auditd_ && auditd_->state() == State::failed);
  }
  // As a service manager does it.
  void restart_failed() {
    if (ringpostd_ && ringpostd_->state() == State::failed) {
      findings_.expect(!healed_, "ringpostd does not start although nothing is wrong: " + ringpostd_->failure());
      kill(ringpostd_, Death::crash);
      world_.after(seconds{1}, [this] { start_ringpostd(); });
    }
    if (auditd_ && auditd_->state() == State::failed) {
      findings_.expect(!healed_, "auditd does not start although nothing is wrong");
      kill(auditd_, Death::crash);
      world_.after(seconds{1}, [this] { start_auditd(); });
    }
  }

  // ---- deaths

  void die_as_planned() {
    const std::string process = world_.crashed_process();
    if (adversity_.crashed().power_fails) {
      cut_power();
    } else if (process == "keyd") {
      kill(keyd_, Death::crash);
    } else if (process == "auditd") {
      kill(auditd_, Death::crash);
    } else {
      kill(ringpostd_, Death::crash);
    }
    revive();
  }

  /// Whoever is dead comes back, a little later; sometimes to die again in the middle of its start.
  void revive() {
    world_.after(milliseconds{prng().below(3000)}, [this] { start_keyd(); });
    world_.after(milliseconds{prng().below(3000)}, [this] { start_auditd(); });
    world_.after(milliseconds{prng().below(3000)}, [this] { start_ringpostd(); });
    if (!healed_ && hardship_ == Hardship::everything && prng().one_in(4)) adversity_.plan_crash();
  }

  void live_and_die(std::size_t accepted) {
    adversity_.draw_faults();
    (void)go([&] { return ledger_.accepted() >= accepted; }, minutes{5});
    if (prng().one_in(2)) {
      adversity_.count(Adversity::kKeydKilled);
      kill(keyd_, Death::crash);
      world_.after(milliseconds{prng().below(8000)}, [this] { start_keyd(); });
    }
    if (prng().one_in(2)) {
      adversity_.count(Adversity::kAuditdKilled);
      kill(auditd_, Death::crash);
      world_.after(milliseconds{prng().below(8000)}, [this] { start_auditd(); });
    }
    (void)go([] { return false; }, milliseconds{prng().below(2000)});
    const std::size_t before = deaths_.size();
    if (prng().one_in(2)) {
      adversity_.plan_crash();
      (void)go([&] { return deaths_.size() > before; }, seconds{30});
      if (deaths_.size() > before) return;
      world_.cancel_crash();
    }
    die_now();
  }

  void die_now() {
    if (prng().one_in(2)) {
      cut_power();
    } else {
      adversity_.count(Adversity::kRingpostdKilled);
      kill(ringpostd_, Death::crash);
    }
    revive();
  }

  // ---- the end

  void heal_and_drain() {
    world_.cancel_crash();
    world_.faults().heal();
    world_.disk().set_capacity(kLargeDisk);
    healed_ = true;
    operators_->tidy();
    const bool drained = go([&] { return clients_->done() && ringpostd_ && auditd_ && ringpostd_->is_drained(); }, hours{4});
    findings_.expect(clients_->done(), "the clients are not done long after all faults were healed");
    findings_.expect(drained, "the queue is not empty long after all faults were healed");
    if (!drained && ringpostd_) {
      findings_.expect(false, "still queued: " + std::to_string(ringpostd_->messages_queued()) + " messages, " +
                                  std::to_string(ringpostd_->events_pending()) + " events");
    }
    operators_->stop();
    const bool gone = go([&] { return operators_->stopped(); }, minutes{5});
    findings_.expect(gone, "an operator is left without an answer");
    if (!operators_->holds().empty()) adversity_.count(Adversity::kHeld);
    if (operators_->retried() > 0) adversity_.count(Adversity::kRetried);
  }

  void stop_in_order(bool with_hop) {
    const Instant asked = world_.now();
    ringpostd_->stop();
    const bool stopped = go([&] { return ringpostd_->state() == State::stopped; }, minutes{5});
    findings_.expect(stopped && world_.now() - asked <= kStopLimit, "ringpostd takes too long to stop");
    if (!stopped) return;
    look_for_false_alarms();
    retire(ringpostd_, "ringpostd");
    if (with_hop) hop_->stop();
    if (with_hop) second_hop_->stop();
    if (with_hop) names_->stop();
    keyd_->stop();
    auditd_->stop();
    const bool all = go(
        [&] {
          const bool helpers = keyd_->state() == State::stopped && auditd_->state() == State::stopped;
          return helpers && (!with_hop || (hop_->stopped() && second_hop_->stopped() && names_->stopped()));
        },
        minutes{30});
    findings_.expect(all, "something is still running long after the stop");
    if (!all) return;
    retire(keyd_, "keyd");
    retire(auditd_, "auditd");
  }

  template <typename Process>
  void retire(std::unique_ptr<Process>& process, const std::string& name) {
    const std::vector<SimRing*> rings = process->rings();
    process.reset();
    for (SimRing* ring : rings) {
      findings_.expect(ring->quiet(), name + " has stopped and left something in its ring");
      if (ring->quiet()) {
        world_.retire(*ring);
      } else {
        world_.kill(*ring);
      }
    }
    world_.bury();
  }

  void judge_hardship() {
    findings_.expect(ledger_.accepted() >= kMessages, "too gentle a run: fewer than 200 messages");
    if (hardship_ == Hardship::slowness) return judge_slowness();
    findings_.expect(!deaths_.empty(), "too gentle a run: ringpostd never died");
    if (hardship_ != Hardship::everything) return;
    findings_.expect(adversity_.kinds_struck() >= kFaultKinds, "too gentle a run: fewer than three kinds of faults");
  }

  void judge_slowness() {
    findings_.expect(ledger_.told_to_wait() > 0, "too gentle a run: no client was told to come again");
    findings_.expect(most_sessions_ <= static_cast<std::int64_t>(kFewConnections), "more sessions than there may be");
    const auto buffers_max = static_cast<std::int64_t>(kStagingBytes / kSmallestStagingBytes);
    findings_.expect(most_staging_ <= buffers_max, "more staging buffers than there may be");
  }

  void judge() {
    judge_mail(ledger_, deaths_, findings_);
    judge_holds(ledger_, operators_->holds(), findings_);
    judge_audit(ledger_, world_.disk(), findings_);
    judge_disk(world_.disk(), findings_);
    findings_.expect(nonces_.repeated() == 0, "a nonce was used twice under one key");
  }

  /// The power fails after the orderly stop; the next start finds nothing left to do.
  void start_once_more() {
    world_.disk().power_cut();
    const Instant restarted = world_.now();
    start_all();
    (void)go([&] { return ringpostd_->state() == State::running; }, minutes{5});
    (void)go([] { return false; }, minutes{1});
    findings_.expect(ringpostd_->is_drained(), "after an orderly stop the next start finds mail to deliver");
    findings_.expect(!has_arrivals_since(ledger_, restarted), "after an orderly stop the next start delivered again");
    stop_in_order(true);
    judge();
  }

  void end() {
    if (findings_.list().empty()) {
      findings_.expect(world_.network().open_sockets() == 0, "a socket was left open");
      for (SimRing* ring : {&hop_->ring(), &second_hop_->ring(), &names_->ring(), &clients_->ring(), &operators_->ring()})
        findings_.expect(ring->quiet(), ring->name() + " is not quiet");
    }
    // Only after a finding is there anything left to do here.
    kill(ringpostd_, Death::crash);
    kill(keyd_, Death::crash);
    kill(auditd_, Death::crash);
    world_.kill(hop_->ring());
    world_.kill(second_hop_->ring());
    world_.kill(names_->ring());
    world_.kill(clients_->ring());
    world_.kill(operators_->ring());
    {
      runtime::CrashGuard crashing;
      hop_.reset();
      second_hop_.reset();
      names_.reset();
      clients_.reset();
      operators_.reset();
    }
    world_.bury();
  }

  World& world_;
  Hardship hardship_;
  Plant plant_;
  Findings& findings_;
  Adversity adversity_;
  Log log_;
  NonceOracle nonces_;
  Ledger ledger_;
  bool by_dns_;
  std::shared_ptr<const config::Settings> settings_;
  IndexRows index_rows_;
  std::unique_ptr<NextHop> hop_, second_hop_;
  std::unique_ptr<NameServer> names_;
  std::unique_ptr<Clients> clients_;
  std::unique_ptr<Operators> operators_;
  std::unique_ptr<Keyd> keyd_;
  std::unique_ptr<Auditd> auditd_;
  std::unique_ptr<Ringpostd> ringpostd_;
  Deaths deaths_;
  std::int64_t most_staging_ = 0, most_sessions_ = 0;
  bool healed_ = false;
};

class RelayScenario final : public Scenario {
 public:
  explicit RelayScenario(Hardship hardship) : hardship_(hardship) {}
  std::string_view name() const override {
    switch (hardship_) {
      case Hardship::slowness: return "relay-slow";
      case Hardship::clock: return "relay-clock";
      case Hardship::no_auditd: return "relay-audit";
      case Hardship::full_disk: return "relay-full";
      case Hardship::everything: break;
    }
    return "relay";
  }
  std::vector<std::string_view> points() const override {
    switch (hardship_) {
      case Hardship::slowness: return Adversity::points_of_slowness();
      case Hardship::clock: return Adversity::points_of_clock();
      case Hardship::no_auditd: return {Adversity::kAuditdKilled, Adversity::kRingpostdKilled};
      case Hardship::full_disk: return {Adversity::kRingpostdKilled};
      case Hardship::everything: break;
    }
    return Adversity::points();
  }
  std::vector<std::string_view> plants() const override {
    if (hardship_ == Hardship::clock) return {kClockPlant};
    return hardship_ == Hardship::everything ? plant_names() : std::vector<std::string_view>{};
  }
  void run(World& world, std::string_view plant, Findings& findings) override {
    const int log_fd = std::getenv("RINGPOST_SIM_LOG") ? STDERR_FILENO : -1;
    RelayRun run{world, hardship_, plant, findings, log_fd};
    run.run();
  }

 private:
  Hardship hardship_;
};

}  // namespace

std::unique_ptr<Scenario> make_relay_scenario() { return std::make_unique<RelayScenario>(Hardship::everything); }
std::unique_ptr<Scenario> make_slow_relay_scenario() { return std::make_unique<RelayScenario>(Hardship::slowness); }
std::unique_ptr<Scenario> make_full_relay_scenario() { return std::make_unique<RelayScenario>(Hardship::full_disk); }
std::unique_ptr<Scenario> make_audit_relay_scenario() { return std::make_unique<RelayScenario>(Hardship::no_auditd); }
std::unique_ptr<Scenario> make_clock_relay_scenario() { return std::make_unique<RelayScenario>(Hardship::clock); }

}  // namespace ringpost::sim
