// What a session has answered and not yet sent: replies to a pipelined group leave in one segment (RFC 2920 section 3.2).
#pragma once

#include <array>

#include "ringpost/base/assert.hh"
#include "ringpost/base/bytes.hh"
#include "ringpost/smtp/reply.hh"

namespace ringpost::receive {

class ReplyBuffer {
 public:
  /// Room for the longest reply is kept: flush while should_flush() before the next command.
  void add(const smtp::Reply& reply) {
    std::size_t written = smtp::write_reply(reply, free());
    RP_ASSERT(written > 0);
    used_ += written;
  }
  /// For the greeting and EHLO: `writer` fills its argument and returns the bytes it wrote.
  template <typename Writer>
  void add_written(Writer writer) {
    std::size_t written = writer(free());
    RP_ASSERT(written > 0);
    used_ += written;
  }

  bool should_flush() const { return used_ > kFlushBytes; }
  bool empty() const { return used_ == 0; }
  Bytes bytes() const { return Bytes{buffer_}.first(used_); }
  void clear() { used_ = 0; }

 private:
  static constexpr std::size_t kFlushBytes = 1024;
  static constexpr std::size_t kLongestBytes = 2048;
  MutableBytes free() { return MutableBytes{buffer_}.subspan(used_); }

  std::array<std::byte, kFlushBytes + kLongestBytes> buffer_;
  std::size_t used_ = 0;
};

}  // namespace ringpost::receive
