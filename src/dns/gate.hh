// A gate that lets so many through at a time, each party in its turn.
#pragma once

#include <cstdint>
#include <deque>
#include <map>

#include "ringpost/runtime/signal.hh"
#include "ringpost/runtime/task.hh"

namespace ringpost::dns {

/// Parties that wait are served round robin, one question each; within a party the first come first. When the waiting room is
/// full, the party with the most in it gives up its latest.
///
/// Lifetime: outlives whoever waits.
class FairGate {
 public:
  FairGate(runtime::Ring& ring, std::size_t open_max, std::size_t waiting_max)
      : ring_(ring), open_max_(open_max), waiting_max_(waiting_max) {}

  /// False: turned away, now or later, or the deadline passed. True: leave() when done.
  runtime::Task<bool> enter(std::uint64_t party, Instant deadline);
  void leave();
  /// Turns away all who wait, and whoever comes.
  void close();

  std::size_t inside() const { return inside_; }
  std::size_t waiting() const { return waiting_; }

 private:
  enum class State : std::uint8_t { waiting, admitted, refused };
  struct Waiter {
    explicit Waiter(runtime::Ring& ring) : signal(ring) {}
    runtime::Signal signal;
    State state = State::waiting;
  };
  using Lane = std::deque<Waiter*>;
  bool make_room(std::uint64_t party);
  void remove(std::uint64_t party, Waiter& waiter);
  void settle(Waiter& waiter, State state);

  runtime::Ring& ring_;
  std::size_t open_max_, waiting_max_, inside_ = 0, waiting_ = 0;
  bool closed_ = false;
  std::map<std::uint64_t, Lane> lanes_;  // never an empty one
  std::uint64_t served_last_ = 0;
};

}  // namespace ringpost::dns
