#include "ringpost/sim/world.hh"

#include <algorithm>

#include "description.hh"
#include "ringpost/base/assert.hh"
#include "ringpost/runtime/crash.hh"
#include "ringpost/sim/disk.hh"
#include "ringpost/sim/network.hh"
#include "ringpost/sim/sim_ring.hh"
#include "trace.hh"

namespace ringpost::sim {

namespace {

using std::chrono::hours;
using std::chrono::seconds;

// Neither clock starts at zero, so that code which takes zero for "never" is found out.
constexpr Instant kStart{seconds{5000}};
constexpr WallTime kWallStart{seconds{1'780'000'000}};

}  // namespace

World::World(std::uint64_t seed)
    : seed_(seed),
      prng_(seed),
      faults_(prng_),
      start_(kStart),
      now_(kStart),
      wall_(kWallStart),
      trace_(std::make_unique<Trace>()),
      network_(std::make_unique<Network>(*this)) {
  add_disk();
}

World::~World() {
  for (const auto& ring : rings_) RP_ASSERT(ring->quiet());
  {
    const auto held = std::move(events_);
  }  // events may hold sockets, and a socket that dies makes events
  rings_.clear();
  dead_.clear();
  processes_.clear();
}

Disk& World::add_disk() { return *disks_.emplace_back(std::make_unique<Disk>(*this, disks_.size() + 1)); }

SimRing& World::make_ring(std::string_view name, const RingOptions& options) {
  const std::string process_name{options.process.empty() ? name : options.process};
  auto& process = processes_[process_name];
  if (!process) process = std::make_unique<Process>(Process{process_name, options.descriptors_max, {}});
  rings_.push_back(std::make_unique<SimRing>(*this, ++ring_count_, std::string{name}, *process, options));
  return *rings_.back();
}

void World::kill(SimRing& ring, Death death) {
  Process& process = ring.process();
  trace("kill", ring.number(), 0);
  std::vector<SimRing*> killed;
  for (const auto& each : rings_) {
    if (&each->process() == &process) killed.push_back(each.get());
  }
  RP_ASSERT(!killed.empty());
  for (SimRing* each : killed) each->die();
  if (death == Death::power_loss) {
    for (const auto& [number, description] : process.descriptors) description->fall_silent();
  }
  process.descriptors.clear();
  runtime::CrashGuard crashing;
  for (SimRing* each : killed) each->destroy_frames();
  for (SimRing* each : killed) {
    auto place = std::find_if(rings_.begin(), rings_.end(), [&](const auto& owned) { return owned.get() == each; });
    dead_.push_back(std::move(*place));
    rings_.erase(place);
  }
  if (crashed_ == process.name) crashed_.clear();
}

void World::bury() { dead_.clear(); }

void World::retire(SimRing& ring) {
  RP_ASSERT(ring.quiet());
  trace("retire", ring.number(), 0);
  Process& process = ring.process();
  std::erase_if(rings_, [&](const auto& owned) { return owned.get() == &ring; });
  if (!alive(process.name)) process.descriptors.clear();  // the kernel closes what an exiting process left open
}

bool World::alive(std::string_view process) const {
  return std::any_of(rings_.begin(), rings_.end(), [&](const auto& ring) { return ring->process().name == process; });
}

Stop World::run_until(const std::function<bool()>& holds, Duration limit) {
  const Instant end = now_ + limit;
  for (;;) {
    if (!crashed_.empty()) return Stop::crash;
    if (holds()) return Stop::reached;
    if (!step(end)) {
      bool more_to_come = !events_.empty();
      for (const auto& ring : rings_) more_to_come |= ring->next_turn() != kNever;
      if (!more_to_come) return Stop::idle;
      now_ = end;
      return Stop::time;
    }
  }
}

Stop World::run_for(Duration time) {
  const Instant end = now_ + time;
  Stop stop = run_until([] { return false; }, time);
  if (stop == Stop::idle) {
    now_ = end;
    return Stop::time;
  }
  return stop;
}

Stop World::run_idle(Duration limit) {
  return run_until([] { return false; }, limit);
}

void World::jump_wall(Duration by) {
  constexpr WallTime kFirst{}, kLast{hours{262 * 365 * 24 + 65 * 24}};
  const Duration run = now_ - start_;
  wall_ = std::clamp<WallTime>(wall_ + by, kFirst, kLast - run);
}

bool World::step(Instant limit) {
  Instant at = events_.empty() ? kNever : events_.begin()->first.first;
  SimRing* ring = nullptr;
  for (const auto& each : rings_) {
    Instant turn = each->next_turn();
    if (turn == kNever) continue;
    turn = std::max(turn, now_);
    if (turn < at) {
      at = turn;
      ring = each.get();
    }
  }
  if (at == kNever || at > limit) return false;
  now_ = at;
  ++steps_;
  if (ring) {
    if (faults_.strike(Fault::wall_jump)) {
      const auto span = static_cast<std::int64_t>(prng_.below(2 * 10 * 365 * 24)) - 10 * 365 * 24;
      jump_wall(hours{span});
    }
    ring->turn();
    return true;
  }
  Event event = std::move(events_.begin()->second);
  events_.erase(events_.begin());
  if (event.ring == 0 || ring_lives(event.ring)) event.action();
  return true;
}

bool World::ring_lives(std::uint64_t number) const {
  return std::any_of(rings_.begin(), rings_.end(), [&](const auto& ring) { return ring->number() == number; });
}

void World::schedule(const SimRing* ring, Duration delay, std::function<void()> action) {
  RP_ASSERT(delay >= Duration::zero());
  events_.emplace(std::pair{now_ + delay, ++event_count_}, Event{ring ? ring->number() : 0, std::move(action)});
}

Duration World::draw(const Range& range) {
  const auto width = static_cast<std::uint64_t>((range.most - range.least).count());
  return range.least + Duration{static_cast<std::int64_t>(prng_.below(width + 1))};
}

void World::trace(std::string_view what, std::uint64_t who, std::int64_t value) { trace_->add(now_, what, who, value); }
std::uint64_t World::trace_hash() const { return trace_->hash(); }
void World::print_trace(bool on) { trace_->print(on); }

bool World::crash_here(SimRing& ring, runtime::OpCode code) {
  if (!crash_plan_ || crash_plan_->process != ring.process().name) return false;
  if (crash_plan_->code && *crash_plan_->code != code) return false;
  if (--crash_plan_->nth > 0) return false;
  crashed_ = crash_plan_->process;
  crash_plan_.reset();
  trace("crash", ring.number(), static_cast<std::int64_t>(code));
  return true;
}

}  // namespace ringpost::sim
