// How many shards new connections are spread over.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ringpost/base/units.hh"

namespace ringpost::policy {

/// A pure core, told some times a second how busy the shards are. One shard with much to do takes less CPU, and fewer syncs, for each
/// message than two with half of it. So others are used only when the load asks for them:
///
/// Passing:      a connection stays where it is, so all shards are used unless connections last kPassing at most in the mean: then whatever
///               was decided is soon undone.
/// Busy:         when those in use have little time left, twice as many, if the cores of the others are idle, and not for a moment only.
/// Connections:  at least one for each kConnections that are open, for nobody knows when they will all speak.
/// Trial:        when those in use have been busy for long and no core is idle, one more is tried. It stays if it brings enough: what
///               else runs there may be a client that the server waits for, or a stranger that the server should not yield to.
/// Relaxed:      one less, when the others had been enough for a while.
class Spread {
 public:
  static constexpr double kBusy = 0.7, kIdle = 0.4, kRelaxed = 0.5;
  static constexpr std::size_t kConnections = 256;
  static constexpr double kPassing = 5, kMemory = 2;  ///< seconds; kMemory: for so long what connections did counts
  static constexpr Duration kIdleFor = std::chrono::milliseconds(200);
  static constexpr Duration kRelaxedFor = std::chrono::seconds(3);
  static constexpr Duration kBusyFor = std::chrono::seconds(5);    ///< before a trial
  static constexpr Duration kSettle = std::chrono::seconds(1);     ///< until connections are where a trial wants them
  static constexpr Duration kMeasure = std::chrono::seconds(1);    ///< and what it brings is looked at for so long
  static constexpr Duration kNextTrial = std::chrono::minutes(1);  ///< after one that brought too little
  static constexpr double kGain = 0.3;                             ///< of what one of the shards before did

  /// What was seen since the last time.
  struct Seen {
    Instant now;
    double busy = 0;              ///< share of the time that the shards in use ran or waited for their cores, their mean, 0..1
    double idle = 0;              ///< share of the time that the cores of the others did nothing, their mean, 0..1
    std::size_t connections = 0;  ///< open now
    std::uint64_t closed = 0;     ///< connections, since the start
    std::uint64_t work = 0;       ///< done since the start, in any unit
  };

  explicit Spread(std::size_t shards) : shards_(shards) {}

  /// How many are to be used from now on, 1 to all.
  std::size_t look(const Seen& seen);
  std::size_t in_use() const { return passing_ ? in_use_ : shards_; }
  /// Whose business Seen::busy is: they would be used if connections were short.
  std::size_t watched() const { return in_use_; }

 private:
  /// Work and time of a moment that another is compared with.
  struct Mark {
    Instant at = kNever;
    std::uint64_t work = 0;
  };
  bool are_passing(const Seen& seen);
  void follow_load(const Seen& seen, std::size_t least);
  static double rate(const Mark& from, const Seen& to);
  void use(std::size_t count);
  void go_on_trying(const Seen& seen);

  std::size_t shards_;
  std::size_t in_use_ = 1;
  Instant looked_ = kNever;
  double open_s_ = 0, closed_ = 0;  ///< seconds that connections were open, how many were closed; older ones count less
  std::uint64_t closed_so_far_ = 0;
  bool passing_ = false;
  Mark busy_since_;
  Instant idle_since_ = kNever;  ///< while those in use are busy
  Instant relaxed_since_ = kNever;
  bool trying_ = false;
  double rate_before_ = 0;  ///< of a trial
  Mark trial_, settled_;
  Instant next_trial_{};
};

}  // namespace ringpost::policy
