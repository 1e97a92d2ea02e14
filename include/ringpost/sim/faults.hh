// What may go wrong in a simulated world, how often, and how often it did.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "ringpost/base/prng.hh"

namespace ringpost::sim {

enum class Fault : std::uint8_t {
  disk_short_write,     ///< a write does less than asked
  disk_write_error,     ///< EIO, after any part of the write
  disk_sync_error,      ///< EIO; what was dirty is marked clean although part of it never reached the disk
  disk_read_error,      ///< EIO
  disk_short_read,      ///< a read does less than asked
  disk_open_error,      ///< EIO
  disk_name_error,      ///< EIO on rename, unlink, mkdir
  disk_no_space,        ///< ENOSPC although there is space (a quota, the inodes)
  disk_slow,            ///< one operation takes 50 ms to 5 s
  net_refused,          ///< ECONNREFUSED
  net_connect_lost,     ///< connect never gets an answer
  net_reset,            ///< a connection breaks during a send; what was under way is lost
  net_stall,            ///< bytes arrive 1 to 120 s late
  net_black_hole,       ///< one direction of a connection is dead from now on
  net_short_send,       ///< a send takes less than asked
  net_split,            ///< one send arrives in several pieces
  net_packet_lost,      ///< a seqpacket message vanishes, and its connection with it: alone the kernel loses none
  net_no_descriptors,   ///< EMFILE on accept
  net_datagram_lost,    ///< a UDP datagram vanishes
  net_datagram_twice,   ///< it arrives twice
  net_datagram_late,    ///< it arrives 0.1 to 15 s late, behind others
  ring_no_buffers,      ///< a multishot receive finds the pool empty and waits
  ring_multishot_ends,  ///< a multishot operation ends although nothing was wrong
  ring_stall,           ///< the process does nothing for 10 ms to 2 s
  offload_slow,         ///< the helper thread needs 0.1 to 10 s
  wall_jump,            ///< the wall clock jumps by up to ten years
  count_
};

std::string_view fault_name(Fault fault);

/// The plan and the tally. Every place that may fail asks strike() once for each chance it has.
class Faults {
 public:
  struct Point {
    std::uint64_t one_in = 0;   ///< 0: never at random
    std::uint64_t at = 0;       ///< strike at this chance (counted from 1) ...
    std::uint64_t times = 0;    ///< ... and at as many in a row
    std::uint64_t chances = 0;  ///< how often it was asked
    std::uint64_t hits = 0;     ///< how often it struck
  };
  static constexpr std::uint64_t kForEver = ~std::uint64_t{0};

  explicit Faults(Prng& prng) : prng_(prng) {}

  /// Strikes once in `n` chances on average; 0 turns it off.
  void set(Fault fault, std::uint64_t n) { of(fault).one_in = n; }
  /// Strikes at the `nth` chance from now (1 is the next), and at `times` in a row: for fail-the-Nth tests.
  void fail_nth(Fault fault, std::uint64_t nth, std::uint64_t times = 1);
  /// Turns everything off; what happened stays counted.
  void heal();

  bool strike(Fault fault) { return strike(of(fault)); }
  /// Named points of a harness or an actor.
  bool strike(std::string_view name) { return strike(point(name)); }

  Point& of(Fault fault) { return points_[static_cast<std::size_t>(fault)]; }
  const Point& of(Fault fault) const { return points_[static_cast<std::size_t>(fault)]; }
  Point& point(std::string_view name);
  std::uint64_t hits(Fault fault) const { return of(fault).hits; }
  /// Name -> count of everything that struck at least once.
  std::map<std::string, std::uint64_t> hits() const;

 private:
  bool strike(Point& point);

  Prng& prng_;
  std::array<Point, static_cast<std::size_t>(Fault::count_)> points_{};
  std::map<std::string, Point, std::less<>> named_;
};

}  // namespace ringpost::sim
