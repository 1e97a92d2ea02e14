#include "ringpost/runtime/ring.hh"

#include <cerrno>

#include "ringpost/base/assert.hh"
#include "ringpost/runtime/crash.hh"

#include "prefetch.hh"

namespace ringpost::runtime {

namespace {

constexpr std::size_t kFrameLines = 8;  // what most frames have

Result<std::uint32_t> to_result(std::int32_t result) {
  if (result < 0) return std::unexpected(error_from_errno(-result));
  return static_cast<std::uint32_t>(result);
}

Operation arguments_of(OpCode code, Fd fd) {
  Operation operation;
  operation.code = code;
  operation.fd = fd;
  return operation;
}

Operation with_bytes(OpCode code, Fd fd, Bytes bytes, std::uint64_t offset) {
  Operation operation = arguments_of(code, fd);
  operation.buffer = const_cast<std::byte*>(bytes.data());
  operation.size = static_cast<std::uint32_t>(bytes.size());
  operation.offset = offset;
  return operation;
}

Operation with_path(OpCode code, Fd directory, const char* path, int flags = 0, unsigned mode = 0) {
  Operation operation = arguments_of(code, directory);
  operation.path = path;
  operation.flags = flags;
  operation.offset = mode;
  return operation;
}

}  // namespace

// ---- awaits

OpAwait::OpAwait(Ring& ring, const Operation& arguments, Instant deadline)
    : ring_(ring), operation_{arguments, this}, deadline_timer_(&on_deadline), deadline_(deadline) {
  operation_.complete = &on_complete;
  deadline_timer_.owner = this;
}

void OpAwait::await_suspend(std::coroutine_handle<> frame) {
  frame_ = frame;
  if (deadline_ != kNever) ring_.arm(deadline_timer_, deadline_);
  ring_.submit(operation_);
}

Result<std::uint32_t> OpAwait::await_resume() const {
  if (timed_out_ && result_ < 0) return std::unexpected(Error{Errc::timed_out, ETIME});
  return to_result(result_);
}

void OpAwait::cancel() { ring_.cancel(operation_); }

void OpAwait::on_complete(Operation& operation, const Completion& completion) {
  OpAwait& self = *static_cast<State&>(operation).owner;
  self.result_ = completion.result;
  self.ring_.disarm(self.deadline_timer_);
  self.frame_.resume();
}

void OpAwait::on_deadline(Timer& timer) {
  OpAwait& self = *static_cast<Deadline&>(timer).owner;
  self.timed_out_ = true;
  self.ring_.cancel(self.operation_);
}

WriteSyncAwait::WriteSyncAwait(Ring& ring, Fd fd, SealedBytes bytes, std::uint64_t offset) : ring_(ring) {
  static_cast<Operation&>(write_) = with_bytes(OpCode::write, fd, bytes.view(), offset);
  static_cast<Operation&>(sync_) = arguments_of(OpCode::sync_data, fd);
  write_.linked = &sync_;
  for (State* state : {&write_, &sync_}) {
    state->complete = &on_complete;
    state->owner = this;
  }
}

void WriteSyncAwait::await_suspend(std::coroutine_handle<> frame) {
  frame_ = frame;
  ring_.submit(write_);
}

WriteSyncResult WriteSyncAwait::await_resume() const { return {to_result(write_.result), to_result(sync_.result)}; }

void WriteSyncAwait::on_complete(Operation& operation, const Completion& completion) {
  State& state = static_cast<State&>(operation);
  state.result = completion.result;
  WriteSyncAwait& self = *state.owner;
  if (--self.pending_ == 0) self.frame_.resume();
}

void SleepAwait::await_suspend(std::coroutine_handle<> frame) {
  frame_ = frame;
  ring_.arm(timer_, until_);
}

void SleepAwait::on_fire(Timer& timer) { static_cast<Wake&>(timer).owner->frame_.resume(); }

void PauseAwait::await_suspend(std::coroutine_handle<> frame) {
  frame_ = frame;
  ring_.pausing_.push_back(this);
}

// ---- the functions that make them

OpAwait Ring::receive(Fd fd, MutableBytes into, Instant deadline) {
  return OpAwait{*this, with_bytes(OpCode::receive, fd, into, 0), deadline};
}
OpAwait Ring::send(Fd fd, Bytes bytes, Instant deadline) { return OpAwait{*this, with_bytes(OpCode::send, fd, bytes, 0), deadline}; }
OpAwait Ring::connect(Fd fd, const SocketAddress& address, Instant deadline) {
  Operation operation = arguments_of(OpCode::connect, fd);
  operation.address = &address;
  return OpAwait{*this, operation, deadline};
}
OpAwait Ring::shutdown(Fd fd, int how) {
  Operation operation = arguments_of(OpCode::shutdown, fd);
  operation.flags = how;
  return OpAwait{*this, operation, kNever};
}
OpAwait Ring::close(Fd fd) { return OpAwait{*this, arguments_of(OpCode::close, fd), kNever}; }
OpAwait Ring::open(const char* path, int flags, unsigned mode, Fd directory) {
  return OpAwait{*this, with_path(OpCode::open, directory, path, flags, mode), kNever};
}
OpAwait Ring::read(Fd fd, MutableBytes into, std::uint64_t offset) {
  return OpAwait{*this, with_bytes(OpCode::read, fd, into, offset), kNever};
}
OpAwait Ring::write(Fd fd, SealedBytes bytes, std::uint64_t offset) {
  return OpAwait{*this, with_bytes(OpCode::write, fd, bytes.view(), offset), kNever};
}
OpAwait Ring::write_public(Fd fd, Bytes bytes, std::uint64_t offset) {
  return OpAwait{*this, with_bytes(OpCode::write, fd, bytes, offset), kNever};
}
OpAwait Ring::sync_data(Fd fd) { return OpAwait{*this, arguments_of(OpCode::sync_data, fd), kNever}; }
OpAwait Ring::sync_all(Fd fd) { return OpAwait{*this, arguments_of(OpCode::sync_all, fd), kNever}; }
OpAwait Ring::unlink(const char* path, Fd directory) { return OpAwait{*this, with_path(OpCode::unlink, directory, path), kNever}; }
OpAwait Ring::rename(const char* from, const char* to, Fd directory) {
  Operation operation = with_path(OpCode::rename, directory, from);
  operation.path_to = to;
  return OpAwait{*this, operation, kNever};
}
OpAwait Ring::allocate(Fd fd, std::uint64_t offset, std::uint64_t bytes) {
  Operation operation = arguments_of(OpCode::allocate, fd);
  operation.offset = offset;
  operation.size64 = bytes;
  return OpAwait{*this, operation, kNever};
}
OpAwait Ring::make_directory(const char* path, unsigned mode, Fd directory) {
  return OpAwait{*this, with_path(OpCode::make_directory, directory, path, 0, mode), kNever};
}

void Ring::destroy_detached() {
  RP_ASSERT(crashing());
  while (newest_) newest_->frame.destroy();  // the frame's promise takes itself off the list
}

std::size_t Ring::run_ready() {
  running_.swap(ready_);
  const std::size_t count = running_.size();
  for (std::size_t i = 0; i < count; ++i) {
    if (i + 1 < count) prefetch(running_[i + 1].address(), kFrameLines);
    running_[i].resume();
  }
  running_.clear();
  return count;
}

void Ring::run_pausing(bool quiet) {
  if (pausing_.empty()) return;
  std::erase_if(pausing_, [&](PauseAwait* pause) {
    if (!quiet && now() < pause->latest_) return false;
    ended_pauses_.push_back(pause);
    return true;
  });
  for (PauseAwait* pause : ended_pauses_) pause->frame_.resume();
  ended_pauses_.clear();
}

}  // namespace ringpost::runtime
