// World: one simulated universe. It owns time, chance, the network, the disks and the rings of every process in it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ringpost/base/bytes.hh"
#include "ringpost/base/prng.hh"
#include "ringpost/base/socket_address.hh"
#include "ringpost/base/units.hh"
#include "ringpost/runtime/operation.hh"
#include "ringpost/sim/faults.hh"

namespace ringpost::sim {

class Disk;
class Network;
class SimRing;
class Trace;
struct Process;

/// How long things take when nothing is wrong; each is drawn evenly from [least, most].
struct Range {
  Duration least, most;
};
struct Timing {
  Range wire{std::chrono::microseconds{20}, std::chrono::milliseconds{3}};       ///< one way between IP sockets
  Range unix_wire{std::chrono::microseconds{2}, std::chrono::microseconds{60}};  ///< one way between Unix sockets
  Range disk{std::chrono::microseconds{10}, std::chrono::microseconds{400}};     ///< one read, write or name
  Range sync{std::chrono::microseconds{50}, std::chrono::milliseconds{4}};       ///< one fsync
  Range offload{std::chrono::microseconds{20}, std::chrono::milliseconds{5}};    ///< one job of the helper thread
  Range turn{std::chrono::nanoseconds{500}, std::chrono::microseconds{30}};      ///< one turn of a loop
};

/// A part of a write.
struct Extent {
  std::size_t begin = 0, bytes = 0;
};

/// How a ring deceives who runs on it: bugs planted below the ring, for oracles to find. Nothing of it by default.
struct Deceit {
  bool sync_later = false;              ///< a sync of data succeeds at once, and is done 200 ms later
  bool failed_sync_again = false;       ///< a sync that failed is done again, and the second answer told
  std::size_t repeated_draw_bytes = 0;  ///< each second draw of so many random bytes repeats the one before; 0: none does
  std::function<Extent(Bytes)> late;    ///< this part of a write reaches the file 500 ms after the write has succeeded
};

struct RingOptions {
  std::string process;  ///< rings of one process share descriptors and die together; empty: the ring's own name
  IpAddress address = IpAddress::from_ipv4(0x7f000001);  ///< where its connections come from
  Disk* disk = nullptr;                                  ///< nullptr: the world's first
  std::size_t receive_buffers = 64;
  std::size_t receive_buffer_bytes = 4096;
  std::size_t descriptors_max = 1024;  ///< of the process; the first ring decides
  Deceit deceit;
};

/// A crash planned at the `nth` completion (from 1) of operations of one kind: the operation has had its effect, nobody heard of
/// it.
struct CrashPlan {
  std::string process;
  std::optional<runtime::OpCode> code;  ///< empty: of any kind
  std::uint64_t nth = 1;
};

enum class Death : std::uint8_t {
  crash,       ///< the kernel lives on and closes the descriptors: peers hear of it
  power_loss,  ///< peers hear nothing, until they send and are answered with a reset
};

/// Why World stopped turning.
enum class Stop : std::uint8_t {
  reached,  ///< the predicate holds
  time,     ///< the limit of virtual time
  idle,     ///< nothing will ever happen again
  crash,    ///< the planned crash: call kill() for a ring of crashed_process(), then destroy its objects
};

/// The same seed and the same program give the same run, to the nanosecond.
///
/// Threads:  one. Everything is called on the thread that made the world.
/// Lifetime: outlives whatever runs on its rings. At the end every live ring must be quiet (asserted), or killed.
class World {
 public:
  explicit World(std::uint64_t seed);
  World(const World&) = delete;
  ~World();

  std::uint64_t seed() const { return seed_; }
  Instant now() const { return now_; }
  WallTime wall_now() const { return wall_ + (now_ - start_); }
  /// Moves the wall clock, within the years a kernel allows (1970 to 2232); the monotonic clock does not notice.
  void jump_wall(Duration by);

  Prng& prng() { return prng_; }
  Faults& faults() { return faults_; }
  Timing& timing() { return timing_; }
  Network& network() { return *network_; }
  Disk& disk() { return *disks_.front(); }
  /// One more disk: of another machine, or another mount of this one.
  Disk& add_disk();

  /// A ring of a new or existing process. It belongs to the world.
  SimRing& make_ring(std::string_view name, const RingOptions& options = {});
  /// Crashes the whole process of `ring`, between two turns: its operations vanish, its descriptors are closed as the kernel does
  /// it, and its detached coroutines (runtime::Scope) are destroyed, the newest first, while everything they refer to is alive.
  /// The caller then destroys the remaining objects of the process under a runtime::CrashGuard, and calls bury().
  void kill(SimRing& ring, Death death = Death::crash);
  /// Frees rings that were killed; nothing may refer to them any more.
  void bury();
  /// Orderly end of one ring: asserts that no operation, timer, buffer or frame is left in it, then frees it.
  void retire(SimRing& ring);
  /// True when the process has a live ring.
  bool alive(std::string_view process) const;

  void plan_crash(CrashPlan plan) { crash_plan_ = std::move(plan); }
  void cancel_crash() { crash_plan_.reset(); }
  const std::string& crashed_process() const { return crashed_; }

  /// Turns the world until `holds()` (looked at after every step) or until `limit` of virtual time has passed.
  Stop run_until(const std::function<bool()>& holds, Duration limit);
  Stop run_for(Duration time);
  /// Runs until nothing is left to happen (not for worlds with loop hooks, which tick for ever).
  Stop run_idle(Duration limit);

  /// Hash of every completion so far: time, ring, operation, result.
  std::uint64_t trace_hash() const;
  std::uint64_t steps() const { return steps_; }
  /// Also writes every traced event on standard error.
  void print_trace(bool on);

  // ---- for the parts of the simulator and for actors written without coroutines
  /// Runs `action` after `delay`; with a ring, only if that ring is still alive.
  void after(Duration delay, std::function<void()> action) { schedule(nullptr, delay, std::move(action)); }
  void after(const SimRing& ring, Duration delay, std::function<void()> action) { schedule(&ring, delay, std::move(action)); }
  Duration draw(const Range& range);
  void trace(std::string_view what, std::uint64_t who, std::int64_t value);
  /// Counts a completion; true when the planned crash happens now, before anybody hears of it.
  bool crash_here(SimRing& ring, runtime::OpCode code);

 private:
  struct Event {
    std::uint64_t ring;  ///< 0: of nobody in particular
    std::function<void()> action;
  };
  void schedule(const SimRing* ring, Duration delay, std::function<void()> action);
  bool step(Instant limit);
  bool ring_lives(std::uint64_t number) const;

  std::uint64_t seed_;
  Prng prng_;
  Faults faults_;
  Timing timing_;
  Instant start_, now_;
  WallTime wall_;
  std::unique_ptr<Trace> trace_;
  std::uint64_t steps_ = 0, event_count_ = 0, ring_count_ = 0;
  std::map<std::pair<Instant, std::uint64_t>, Event> events_;
  std::unique_ptr<Network> network_;
  std::vector<std::unique_ptr<Disk>> disks_;
  std::map<std::string, std::unique_ptr<Process>, std::less<>> processes_;
  std::vector<std::unique_ptr<SimRing>> rings_, dead_;
  std::optional<CrashPlan> crash_plan_;
  std::string crashed_;
};

}  // namespace ringpost::sim
