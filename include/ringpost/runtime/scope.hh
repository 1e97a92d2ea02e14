// Scope: owns detached coroutines; whoever opened it waits until the last one has ended.
#pragma once

#include <coroutine>
#include <cstddef>
#include <utility>

#include "ringpost/base/assert.hh"
#include "ringpost/runtime/crash.hh"
#include "ringpost/runtime/ring.hh"
#include "ringpost/runtime/task.hh"

namespace ringpost::runtime {

/// A gate for coroutines that nobody awaits one by one.
///
/// Lifetime: must outlive what it spawned: await join() before it dies (asserted).
class Scope {
 public:
  explicit Scope(Ring& ring) : ring_(ring) {}
  Scope(const Scope&) = delete;
  ~Scope() { RP_ASSERT(running_ == 0 || crashing()); }

  /// Starts `task` at once and keeps its frame until it ends.
  void spawn(Task<void> task) {
    ++running_;
    run(*this, std::move(task));
  }

  std::size_t running() const { return running_; }

  /// Completes when nothing spawned is left. One waiter at a time.
  auto join() {
    struct Await {
      Scope& scope;
      bool await_ready() const noexcept { return scope.running_ == 0; }
      void await_suspend(std::coroutine_handle<> frame) { scope.joiner_ = frame; }
      void await_resume() const noexcept {}
    };
    return Await{*this};
  }

 private:
  struct Detached {
    struct promise_type : DetachedFrame {
      promise_type(Scope& scope, Task<void>&) : ring(scope.ring_) {
        frame = std::coroutine_handle<promise_type>::from_promise(*this);
        ring.attach(*this);
      }
      ~promise_type() { ring.detach(*this); }

      Ring& ring;
      Detached get_return_object() const noexcept { return {}; }
      std::suspend_never initial_suspend() const noexcept { return {}; }
      std::suspend_never final_suspend() const noexcept { return {}; }
      void return_void() const noexcept {}
      void unhandled_exception() const noexcept { std::terminate(); }
      static void* operator new(std::size_t size) { return FramePool::allocate(size); }
      static void operator delete(void* frame, std::size_t size) { FramePool::release(frame, size); }
    };
  };
  static Detached run(Scope& scope, Task<void> task) {
    {
      Task<void> owned = std::move(task);
      co_await owned;
    }
    scope.ended();
  }
  void ended() {
    if (--running_ == 0 && joiner_) ring_.post(std::exchange(joiner_, {}));
  }

  Ring& ring_;
  std::size_t running_ = 0;
  std::coroutine_handle<> joiner_;
};

}  // namespace ringpost::runtime
