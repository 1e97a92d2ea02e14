// What a session has answered and not yet sent: replies to a pipelined group leave in one segment (RFC 2920 section 3.2).
#pragma once

#include "ringpost/base/assert.hh"
#include "ringpost/base/bytes.hh"
#include "ringpost/runtime/frame_pool.hh"
#include "ringpost/smtp/reply.hh"

namespace ringpost::receive {

/// Its memory is borrowed from the thread's pool while there is something to send: most sessions wait, with nothing to say.
class ReplyBuffer {
 public:
  ReplyBuffer() = default;
  ReplyBuffer(const ReplyBuffer&) = delete;
  ~ReplyBuffer() { clear(); }

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
  /// Valid until the next change.
  Bytes bytes() const { return {block_, used_}; }
  void clear() {
    if (block_) runtime::FramePool::release(block_, kBlockBytes);
    block_ = nullptr;
    used_ = 0;
  }

 private:
  static constexpr std::size_t kFlushBytes = 1024;
  static constexpr std::size_t kLongestBytes = 2048;
  static constexpr std::size_t kBlockBytes = kFlushBytes + kLongestBytes;
  MutableBytes free() {
    if (!block_) block_ = static_cast<std::byte*>(runtime::FramePool::allocate(kBlockBytes));
    return MutableBytes{block_, kBlockBytes}.subspan(used_);
  }

  std::byte* block_ = nullptr;
  std::size_t used_ = 0;
};

}  // namespace ringpost::receive
