// One end of an SMTP connection for actors: lines and counted bytes in, everything or nothing out.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "ringpost/runtime/ring.hh"
#include "ringpost/runtime/task.hh"
#include "ringpost/sim/sim_ring.hh"

namespace ringpost::sim::relay {

class Wire {
 public:
  Wire(SimRing& ring, Fd socket) : ring_(ring), socket_(socket) {}

  /// The next line, without its CRLF. False: the connection is of no use any more.
  runtime::Task<bool> read_line(std::string& line, Duration patience);
  /// Appends exactly `count` bytes to `out`.
  runtime::Task<bool> read_bytes(std::string& out, std::size_t count, Duration patience);
  /// Appends what comes before the final dot to `out`, dots as they were sent.
  runtime::Task<bool> read_text(std::string& out, Duration patience);
  /// True when bytes were left over by the calls above.
  bool has_more() const { return begin_ < input_.size(); }
  /// Sends all of `text`, in pieces of at most `piece` bytes.
  runtime::Task<bool> send(std::string_view text, Duration patience, std::size_t piece = 1 << 20);

 private:
  runtime::Task<bool> fill(Duration patience);

  SimRing& ring_;
  Fd socket_;
  std::string input_;
  std::size_t begin_ = 0;
  std::array<std::byte, 16384> buffer_;
};

}  // namespace ringpost::sim::relay
