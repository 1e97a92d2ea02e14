// Receiver and Acceptor: the two multishot operations as things one awaits.
#pragma once

#include <coroutine>
#include <cstdint>
#include <optional>
#include <vector>

#include "ringpost/base/bytes.hh"
#include "ringpost/runtime/ring.hh"
#include "ringpost/runtime/task.hh"

namespace ringpost::runtime {

/// Bytes as they came in, in a buffer of the ring (or of who made them of what came in). Move-only; the buffer goes back when it dies.
class Chunk {
 public:
  Chunk() = default;
  Chunk(BufferHome& home, MutableBytes bytes, std::int32_t buffer) : home_(&home), bytes_(bytes), buffer_(buffer) {}
  Chunk(Chunk&& other) noexcept;
  Chunk& operator=(Chunk&& other) noexcept;
  ~Chunk() { release(); }

  Bytes bytes() const { return bytes_; }
  /// The same, for who decodes them in place.
  MutableBytes mutable_bytes() { return bytes_; }
  /// Forgets the first `count` bytes.
  void consume(std::size_t count) { bytes_ = bytes_.subspan(count); }
  bool empty() const { return bytes_.empty(); }
  void release();

 private:
  BufferHome* home_ = nullptr;
  MutableBytes bytes_;
  std::int32_t buffer_ = -1;
};

/// The incoming bytes of one socket. An idle socket owns no buffer; a reader that falls behind stops the peer.
///
/// Lifetime: await stop() before it dies (asserted).
class Receiver {
 public:
  Receiver(Ring& ring, Fd socket);
  Receiver(const Receiver&) = delete;
  ~Receiver();

  class [[nodiscard]] Next {
   public:
    Next(Receiver& receiver, Instant deadline);
    Next(const Next&) = delete;
    bool await_ready() const noexcept;
    void await_suspend(std::coroutine_handle<> frame);
    Result<Chunk> await_resume();

   private:
    friend class Receiver;
    Receiver& receiver_;
    Instant deadline_;
    std::coroutine_handle<> frame_;
    Chunk chunk_;  // what it waited for
    bool timed_out_ = false;
  };

  /// The next bytes, in order. One waiter at a time.
  /// Errors: closed at the end of the stream, timed_out, reset and the like (what arrived before is handed out first).
  Next next(Instant deadline = kNever) { return Next{*this, deadline}; }
  /// True when next() would not wait.
  bool ready() const { return head_ < held_.size() || ended_; }
  /// What next() would give at once; nothing when it would wait.
  std::optional<Result<Chunk>> take();
  /// Gives back what is left of the last chunk: it is the next one again. Nobody may wait.
  void put_back(Chunk chunk);
  /// Ends the operation and gives back what nobody took. Idempotent.
  Task<void> stop();

 private:
  static constexpr std::size_t kHeldMax = 4;  // chunks held before the peer is made to wait
  struct Stream : Operation {
    Receiver* owner;
  };
  struct Patience : Timer {
    using Timer::Timer;
    Receiver* owner;
  };
  static void on_complete(Operation& operation, const Completion& completion);
  static void on_patience(Timer& timer);
  void arm();
  void hold(Chunk chunk);
  void wake();
  Result<Chunk> taken();

  Ring& ring_;
  Stream stream_;
  Patience patience_;  // fires at the waiter's deadline or before it: most waits end well, and the next one's deadline is later
  bool armed_ = false, pausing_ = false, ended_ = false, stopping_ = false;
  Error end_{};
  std::vector<Chunk> held_;  // not yet taken, from head_ on
  std::size_t head_ = 0;
  Next* waiter_ = nullptr;
  std::coroutine_handle<> stopper_;
};

/// The incoming connections of one listening socket.
///
/// Lifetime: await stop() before it dies. Descriptors nobody took are closed by stop().
class Acceptor {
 public:
  Acceptor(Ring& ring, Fd listener);
  Acceptor(const Acceptor&) = delete;
  ~Acceptor();

  /// Awaits the next connection: its descriptor. Errors: cancelled after stop() began; no_descriptors: wait, then call again.
  class [[nodiscard]] Next {
   public:
    explicit Next(Acceptor& acceptor) : acceptor_(acceptor) {}
    bool await_ready() const noexcept { return acceptor_.head_ < acceptor_.held_.size() || acceptor_.failed_ || acceptor_.stopping_; }
    void await_suspend(std::coroutine_handle<> frame) {
      acceptor_.arm();
      acceptor_.waiter_ = frame;
    }
    Result<Fd> await_resume();

   private:
    Acceptor& acceptor_;
  };
  Next next() { return Next{*this}; }
  Task<void> stop();

 private:
  struct Stream : Operation {
    Acceptor* owner;
  };
  static void on_complete(Operation& operation, const Completion& completion);
  void arm();

  Ring& ring_;
  Stream stream_;
  bool armed_ = false, stopping_ = false, failed_ = false;
  Error failure_{};
  std::vector<Fd> held_;  // not yet taken, from head_ on
  std::size_t head_ = 0;
  std::coroutine_handle<> waiter_, stopper_;
};

}  // namespace ringpost::runtime
