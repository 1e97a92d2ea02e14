// How many shards new connections are spread over.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ringpost/base/units.hh"

namespace ringpost::policy {

/// A pure core, told some times a second how busy the shards are. One shard with much to do takes less CPU, and fewer syncs, for each
/// message than two with half of it. So where connections are short, more shards are used only when the load asks for them:
///
/// Short:        a connection stays where it is, so all shards are used unless connections last kShort at most in the mean, of kFew or more
///               that were seen to end. Then whatever was decided is soon undone for most. It ends when they last for kLong.
/// Busy:         when one of those in use has little time left, twice as many, if the next cores are idle, and not for a moment only.
/// Connections:  at least one for each kConnections that are open, for nobody knows when they will all speak.
/// Trial:        when those in use have been busy for long and no core is idle, one more is tried. It stays if it brings enough: what
///               else runs there may be a client that the server waits for, or a stranger that the server should not yield to.
/// Relaxed:      one less, when the others had been enough for a while.
class Spread {
 public:
  static constexpr Duration kShort = std::chrono::seconds(3), kLong = std::chrono::seconds(6);
  static constexpr double kFew = 5;
  static constexpr Duration kLongFor = std::chrono::seconds(1);
  static constexpr Duration kMemory = std::chrono::seconds(2);  ///< what connections did counts for so long
  static constexpr double kBusy = 0.7, kIdle = 0.4, kRelaxed = 0.65;
  static constexpr Duration kIdleFor = std::chrono::milliseconds(200);
  static constexpr Duration kRelaxedFor = std::chrono::seconds(3);
  static constexpr std::size_t kConnections = 256;
  static constexpr Duration kBusyFor = std::chrono::seconds(5);    ///< before a trial
  static constexpr Duration kMeasure = std::chrono::seconds(2);    ///< what is done without one more, and with it
  static constexpr Duration kSettle = std::chrono::seconds(1);     ///< between the two, until connections are where they should be
  static constexpr Duration kNextTrial = std::chrono::minutes(1);  ///< after one that brought too little
  static constexpr double kGain = 0.3;                             ///< enough: so much of what one of the shards before did

  /// What was seen since the last time.
  struct Seen {
    Instant now;
    double busy = 0;              ///< share of the time that the shards in use ran or waited for their cores, their mean, 0..1
    double busiest = 0;           ///< the same of the one that did most
    double idle = 0;              ///< share of the time that the cores of the next() did nothing, their mean, 0..1
    std::size_t connections = 0;  ///< open now
    std::uint64_t closed = 0;     ///< connections, since the start
    std::uint64_t work = 0;       ///< done since the start, in any unit that a client sees
  };

  explicit Spread(std::size_t shards) : shards_(shards), in_use_(shards) {}

  /// How many are to be used from now on, 1 to all.
  std::size_t look(const Seen& seen);
  std::size_t in_use() const { return in_use_; }
  /// How many would be, if those were busy.
  std::size_t next() const { return in_use_ * 2 < shards_ ? in_use_ * 2 : shards_; }

 private:
  enum class Trial : std::uint8_t { none, before, settling, measuring };
  /// Work and time of a moment that another is compared with.
  struct Mark {
    Instant at = kNever;
    std::uint64_t work = 0;
  };
  bool are_short(const Seen& seen);
  void follow_load(const Seen& seen, std::size_t least);
  void go_on_trying(const Seen& seen, std::size_t least);
  static double rate(const Mark& from, const Seen& to);
  void use(std::size_t count);

  std::size_t shards_;
  std::size_t in_use_;
  bool short_ = false;
  Instant looked_ = kNever, long_since_ = kNever;
  double open_s_ = 0, closed_ = 0;  ///< seconds that connections were open, how many were closed; older ones count less
  std::uint64_t closed_so_far_ = 0;
  Instant busy_since_ = kNever, idle_since_ = kNever, relaxed_since_ = kNever;
  Trial trial_ = Trial::none;
  Mark mark_;  ///< the beginning of its step
  double rate_before_ = 0;
  Instant next_trial_{};
};

}  // namespace ringpost::policy
