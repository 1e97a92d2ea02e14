#include "ringpost/helper/link.hh"

#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "ringpost/base/assert.hh"
#include "ringpost/runtime/crash.hh"

namespace ringpost::helper {

using runtime::Task;

Link::~Link() { RP_ASSERT(runtime::crashing() || scope_.running() == 0); }

Task<void> Link::stop() {
  stopping_ = true;
  give_up();
  changed_.notify_all();
  if (socket_) co_await shut_down();  // not connected yet: the connect has a deadline
  co_await scope_.join();
}

Task<Result<>> Link::greet(Instant) { co_return Result<>{}; }

// One at a time connects; the others wait for what comes of it.
Task<Result<>> Link::connect(Instant deadline) {
  while (connecting_) co_await changed_.wait();
  if (connected_) co_return Result<>{};
  if (stopping_) co_return std::unexpected(Error{Errc::unavailable});
  connecting_ = true;
  Result<> outcome;
  Result<Fd> opened = ring_.open_socket(options_.address, options_.kind);
  if (opened) {
    socket_ = *opened;
    const auto patience = [&] { return std::min(deadline, ring_.now() + options_.connect_patience); };
    Result<std::uint32_t> reached = co_await ring_.connect(socket_, options_.address, patience());
    if (reached) outcome = co_await greet(patience());
    else outcome = std::unexpected(reached.error());
    if (outcome && stopping_) outcome = std::unexpected(Error{Errc::cancelled});
  } else {
    outcome = std::unexpected(opened.error());
  }
  if (!outcome && socket_) co_await close();
  connecting_ = false;
  connected_ = outcome.has_value();
  changed_.notify_all();
  if (connected_) {
    scope_.spawn(read_answers());
  } else if (auto suppressed = trouble_lines_.admit(ring_.now())) {
    log_.warning(options_.trouble, {{"why", outcome.error()}, {"suppressed", *suppressed}});
  }
  co_return outcome;
}

// Until the connection ends; then everybody who waits gets to know, and the next question connects anew.
Task<void> Link::read_answers() {
  while (co_await read_answer()) {
  }
  connected_ = false;
  connecting_ = true;  // until the socket is gone
  give_up();
  if (sending_) {
    co_await shut_down();  // the send fails now, or has failed already
    while (sending_) co_await changed_.wait();
  }
  co_await close();
  connecting_ = false;
  changed_.notify_all();
}

void Link::give_up() {
  for (Waiter* waiter : waiting_) settle(*waiter);
}

void Link::settle(Waiter& waiter) {
  waiter.over = true;
  waiter.answered.notify_all();
}

Link::Waiter* Link::waiter(std::uint32_t id) const {
  const auto found = std::ranges::find(waiting_, id, &Waiter::id);
  return found == waiting_.end() ? nullptr : *found;
}

Task<bool> Link::ready(Instant deadline) {
  if (waiting_.size() >= options_.waiting_max) co_return false;
  for (;;) {
    Result<> made = co_await connect(deadline);
    if (!made) co_return false;
    if (!sending_) co_return true;
    const bool notified = co_await changed_.wait(deadline);
    if (!notified) co_return false;
  }
}

Task<void> Link::ask(Waiter& waiter, Bytes question, Instant deadline) {
  waiting_.push_back(&waiter);
  sending_ = true;
  Result<> sent = co_await send(question, deadline);
  sending_ = false;
  // Of a stream perhaps half of the question is out: nothing can follow it.
  if (!sent && options_.kind == runtime::SocketKind::stream && socket_) co_await shut_down();
  changed_.notify_all();
  bool heard = sent.has_value();
  while (heard && !waiter.over) heard = co_await waiter.answered.wait(deadline);
  std::erase(waiting_, &waiter);
}

Task<Result<>> Link::send(Bytes bytes, Instant deadline) {
  while (!bytes.empty()) {
    Result<std::uint32_t> sent = co_await ring_.send(socket_, bytes, deadline);
    if (!sent) co_return std::unexpected(sent.error());
    bytes = bytes.subspan(*sent);
  }
  co_return Result<>{};
}

Task<void> Link::shut_down() {
  Result<std::uint32_t> ended = co_await ring_.shutdown(socket_, SHUT_RDWR);
  static_cast<void>(ended);
}

Task<void> Link::close() {
  Result<std::uint32_t> closed = co_await ring_.close(std::exchange(socket_, Fd{}));
  static_cast<void>(closed);  // nothing was promised on it
}

}  // namespace ringpost::helper
