// Signal: coroutines of one shard wait for a condition that another one changes.
#pragma once

#include <coroutine>

#include "ringpost/runtime/crash.hh"
#include "ringpost/runtime/ring.hh"

namespace ringpost::runtime {

/// A wait list. There is no memory in it: check the condition, wait, check again (`while (!ready) co_await signal.wait();`).
///
/// Lifetime: must outlive its waiters. Woken frames resume from the loop, in the order they waited.
class Signal {
 public:
  explicit Signal(Ring& ring) : ring_(ring) {}
  Signal(const Signal&) = delete;
  ~Signal() {
    RP_ASSERT(first_ == nullptr || crashing());
    while (first_) remove(*first_);
  }

  class [[nodiscard]] Wait {
   public:
    Wait(Signal& signal, Instant deadline) : signal_(signal), deadline_(deadline), timer_(&on_deadline) { timer_.owner = this; }
    Wait(const Wait&) = delete;
    ~Wait() {
      if (waiting_) signal_.remove(*this);  // only when the frame dies in a crash
    }
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> frame) {
      frame_ = frame;
      signal_.add(*this);
      if (deadline_ != kNever) signal_.ring_.arm(timer_, deadline_);
    }
    /// False when the deadline came first.
    bool await_resume() const noexcept { return !timed_out_; }

   private:
    friend class Signal;
    struct Deadline : Timer {
      using Timer::Timer;
      Wait* owner;
    };
    static void on_deadline(Timer& timer) {
      Wait& self = *static_cast<Deadline&>(timer).owner;
      self.timed_out_ = true;
      self.signal_.remove(self);
      self.frame_.resume();
    }

    Signal& signal_;
    Instant deadline_;
    Deadline timer_;
    std::coroutine_handle<> frame_;
    Wait *before_ = nullptr, *after_ = nullptr;
    bool waiting_ = false, timed_out_ = false;
  };

  Wait wait(Instant deadline = kNever) { return Wait{*this, deadline}; }
  bool has_waiters() const { return first_ != nullptr; }

  void notify_one() {
    if (first_) wake(*first_);
  }
  void notify_all() {
    while (first_) wake(*first_);
  }

 private:
  void add(Wait& wait) {
    wait.waiting_ = true;
    wait.before_ = last_;
    (last_ ? last_->after_ : first_) = &wait;
    last_ = &wait;
  }
  void remove(Wait& wait) {
    wait.waiting_ = false;
    (wait.before_ ? wait.before_->after_ : first_) = wait.after_;
    (wait.after_ ? wait.after_->before_ : last_) = wait.before_;
    wait.before_ = wait.after_ = nullptr;
  }
  void wake(Wait& wait) {
    remove(wait);
    ring_.disarm(wait.timer_);
    ring_.post(wait.frame_);
  }

  Ring& ring_;
  Wait *first_ = nullptr, *last_ = nullptr;
};

}  // namespace ringpost::runtime
