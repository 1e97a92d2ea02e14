#include "ringpost/runtime/receiver.hh"

#include <cerrno>

#include "ringpost/runtime/crash.hh"

namespace ringpost::runtime {

namespace {

/// Drops what was taken, so that a reader who is always one behind does not make the list grow.
template <typename T>
void forget_taken(std::vector<T>& held, std::size_t& head) {
  held.erase(held.begin(), held.begin() + static_cast<std::ptrdiff_t>(head));
  head = 0;
}

constexpr std::size_t kForgetAfter = 64;  // connections taken

}  // namespace

// ---- Chunk

Chunk::Chunk(Chunk&& other) noexcept
    : home_(std::exchange(other.home_, nullptr)), bytes_(std::exchange(other.bytes_, {})), buffer_(std::exchange(other.buffer_, -1)) {}

Chunk& Chunk::operator=(Chunk&& other) noexcept {
  if (this != &other) {
    release();
    home_ = std::exchange(other.home_, nullptr);
    bytes_ = std::exchange(other.bytes_, {});
    buffer_ = std::exchange(other.buffer_, -1);
  }
  return *this;
}

void Chunk::release() {
  if (home_ && buffer_ >= 0) home_->release_buffer(buffer_);
  home_ = nullptr;
  buffer_ = -1;
  bytes_ = {};
}

// ---- Receiver

Receiver::Receiver(Ring& ring, Fd socket) : ring_(ring), patience_(&on_patience) {
  patience_.owner = this;
  stream_.code = OpCode::receive_stream;
  stream_.fd = socket;
  stream_.complete = &on_complete;
  stream_.owner = this;
}

Receiver::~Receiver() {
  RP_ASSERT((!armed_ && waiter_ == nullptr) || crashing());
  if (!crashing()) ring_.disarm(patience_);  // else the timers beside it may be gone already
}

void Receiver::arm() {
  if (armed_ || ended_ || stopping_) return;
  armed_ = true;
  ring_.submit(stream_);
}

void Receiver::on_complete(Operation& operation, const Completion& completion) {
  Receiver& self = *static_cast<Stream&>(operation).owner;
  if (!completion.more) self.armed_ = self.pausing_ = false;
  if (completion.result > 0) {
    Chunk chunk{self.ring_, MutableBytes{completion.data, static_cast<std::size_t>(completion.result)}, completion.buffer};
    if (self.waiter_)  // nothing is held then
      self.waiter_->chunk_ = std::move(chunk);
    else
      self.hold(std::move(chunk));
  } else if (completion.result == 0) {
    self.ended_ = true;
    self.end_ = {Errc::closed, 0};
  } else if (completion.result != -ECANCELED) {
    self.ended_ = true;
    self.end_ = error_from_errno(-completion.result);
  }
  // Posted before the waiter runs: stop() outlives it, and so does what stop()'s caller destroys.
  if (self.stopper_ && !self.armed_) self.ring_.post(std::exchange(self.stopper_, {}));
  if (self.waiter_ && (!self.waiter_->chunk_.empty() || self.ready() || self.stopping_)) return self.wake();
  if (self.waiter_) self.arm();
}

void Receiver::hold(Chunk chunk) {
  if (head_ >= kHeldMax) forget_taken(held_, head_);
  held_.push_back(std::move(chunk));
  if (!armed_ || pausing_ || held_.size() - head_ < kHeldMax) return;
  pausing_ = true;
  ring_.cancel(stream_);
}

void Receiver::wake() { std::exchange(waiter_, nullptr)->frame_.resume(); }

// The deadline of a wait that is over is left to pass: a connection that talks costs the timers nothing.
void Receiver::on_patience(Timer& timer) {
  Receiver& self = *static_cast<Patience&>(timer).owner;
  if (!self.waiter_ || self.waiter_->deadline_ == kNever) return;
  if (self.waiter_->deadline_ > self.patience_.at) return self.ring_.arm(self.patience_, self.waiter_->deadline_);
  self.waiter_->timed_out_ = true;
  self.wake();
}

void Receiver::put_back(Chunk chunk) {
  RP_ASSERT(waiter_ == nullptr && !stopping_);
  forget_taken(held_, head_);
  held_.insert(held_.begin(), std::move(chunk));
}

Task<void> Receiver::stop() {
  stopping_ = true;
  if (armed_) {
    struct Await {
      Receiver& receiver;
      bool await_ready() const noexcept { return false; }
      void await_suspend(std::coroutine_handle<> frame) {
        receiver.stopper_ = frame;
        receiver.ring_.cancel(receiver.stream_);
      }
      void await_resume() const noexcept {}
    };
    co_await Await{*this};
  }
  held_.clear();
  head_ = 0;
}

Receiver::Next::Next(Receiver& receiver, Instant deadline) : receiver_(receiver), deadline_(deadline) {}

bool Receiver::Next::await_ready() const noexcept { return receiver_.ready() || receiver_.stopping_; }

void Receiver::Next::await_suspend(std::coroutine_handle<> frame) {
  RP_ASSERT(receiver_.waiter_ == nullptr);
  frame_ = frame;
  receiver_.waiter_ = this;
  receiver_.stream_.resumes = frame.address();
  Patience& patience = receiver_.patience_;
  if (deadline_ != kNever && (!patience.armed() || deadline_ < patience.at)) receiver_.ring_.arm(patience, deadline_);
  receiver_.arm();
}

Result<Chunk> Receiver::Next::await_resume() {
  if (!chunk_.empty()) return std::move(chunk_);
  if (timed_out_) return std::unexpected(Error{Errc::timed_out, ETIME});
  return receiver_.taken();
}

std::optional<Result<Chunk>> Receiver::take() {
  if (!ready() && !stopping_) return std::nullopt;
  return taken();
}

Result<Chunk> Receiver::taken() {
  if (head_ < held_.size()) {
    Chunk chunk = std::move(held_[head_++]);
    if (head_ == held_.size()) {
      held_.clear();
      head_ = 0;
    }
    return chunk;
  }
  if (ended_) return std::unexpected(end_);
  return std::unexpected(Error{Errc::cancelled, ECANCELED});
}

// ---- Acceptor

Acceptor::Acceptor(Ring& ring, Fd listener) : ring_(ring) {
  stream_.code = OpCode::accept;
  stream_.fd = listener;
  stream_.complete = &on_complete;
  stream_.owner = this;
}

Acceptor::~Acceptor() { RP_ASSERT((!armed_ && !waiter_ && head_ == held_.size()) || crashing()); }

void Acceptor::arm() {
  if (armed_ || stopping_) return;
  armed_ = true;
  ring_.submit(stream_);
}

void Acceptor::on_complete(Operation& operation, const Completion& completion) {
  Acceptor& self = *static_cast<Stream&>(operation).owner;
  if (!completion.more) self.armed_ = false;
  if (completion.result >= 0) {
    if (self.head_ >= kForgetAfter) forget_taken(self.held_, self.head_);
    self.held_.push_back(Fd{completion.result});
  } else if (completion.result != -ECANCELED) {
    self.failed_ = true;
    self.failure_ = error_from_errno(-completion.result);
  }
  if (self.stopper_ && !self.armed_) self.ring_.post(std::exchange(self.stopper_, {}));
  if (!self.waiter_) return;
  if (self.head_ < self.held_.size() || self.failed_ || self.stopping_) {
    std::exchange(self.waiter_, {}).resume();
  } else {
    self.arm();
  }
}

Result<Fd> Acceptor::Next::await_resume() {
  Acceptor& a = acceptor_;
  if (a.head_ < a.held_.size()) {
    Fd fd = a.held_[a.head_++];
    if (a.head_ == a.held_.size()) {
      a.held_.clear();
      a.head_ = 0;
    }
    return fd;
  }
  if (a.failed_) {
    a.failed_ = false;
    return std::unexpected(a.failure_);
  }
  return std::unexpected(Error{Errc::cancelled, ECANCELED});
}

Task<void> Acceptor::stop() {
  stopping_ = true;
  if (armed_) {
    struct Await {
      Acceptor& acceptor;
      bool await_ready() const noexcept { return false; }
      void await_suspend(std::coroutine_handle<> frame) {
        acceptor.stopper_ = frame;
        acceptor.ring_.cancel(acceptor.stream_);
      }
      void await_resume() const noexcept {}
    };
    co_await Await{*this};
  }
  if (waiter_) ring_.post(std::exchange(waiter_, {}));
  while (head_ < held_.size()) {
    Fd fd = held_[head_++];
    (void)co_await ring_.close(fd);
  }
  held_.clear();
  head_ = 0;
}

}  // namespace ringpost::runtime
