// What a world of scenario "relay" has to bear: which faults, how often, and who dies at which operation.
#pragma once

#include <cstdint>
#include <iterator>
#include <string_view>
#include <vector>

#include "ringpost/index/memory_store.hh"
#include "ringpost/sim/world.hh"

namespace ringpost::sim::relay {

/// A crash that is to come, and what it means.
struct PlannedCrash {
  std::string_view name;     ///< of the point
  bool power_fails = false;  ///< the machine goes down, not the process alone
};

class Adversity {
 public:
  /// Deaths that the harness brings about itself, to be counted with count().
  static constexpr std::string_view kPowerCut = "power cut", kRingpostdKilled = "ringpostd killed", kKeydKilled = "keyd killed",
                                    kAuditdKilled = "auditd killed";
  /// A message that had left memory came back from the index.
  static constexpr std::string_view kTakenUp = "message taken up";
  /// On a small disk: a message was copied to the log's end so that a segment could be used again.
  static constexpr std::string_view kCopied = "message copied";
  /// An operator had messages held, or tried before their time.
  static constexpr std::string_view kHeld = "operator holds", kRetried = "operator retries";
  /// What is found of an index after a death, by index::CrashState.
  static constexpr std::string_view kIndexStates[] = {"index intact", "index stale", "index gone", "index wrong"};
  static_assert(std::size(kIndexStates) == index::kCrashStates);

  /// Of scenario "relay-clock".
  static constexpr std::string_view kClockPoints[] = {"clock ten years ahead", "clock ten years back", "clock an hour back"};

  explicit Adversity(World& world) : world_(world) {}

  /// Every point that this scenario draws from: each must fire in a long run.
  static std::vector<std::string_view> points();

  /// Those of slow_everything(), and of defer_mail() with the clock's.
  static std::vector<std::string_view> points_of_slowness();
  static std::vector<std::string_view> points_of_clock();

  /// Draws anew which faults there are from now on.
  void draw_faults();
  /// DNS, next hops and disk, all at once; nothing fails.
  void slow_everything();
  /// Next hops that put everything off: it has to wait and to be tried again.
  void defer_mail();
  /// How many kinds of faults have struck so far; deaths are none.
  std::size_t kinds_struck();

  void plan_crash();
  /// The planned crash has come: counts it.
  PlannedCrash crashed();
  void count(std::string_view name) { ++world_.faults().point(name).hits; }

 private:
  template <typename Possible, std::size_t Count>
  void draw(const Possible (&all)[Count], std::uint64_t one_in);
  template <typename Possible, std::size_t Count>
  void draw_one(const Possible (&all)[Count], std::uint64_t most);
  Prng& prng() { return world_.prng(); }

  World& world_;
  PlannedCrash planned_;
};

}  // namespace ringpost::sim::relay
