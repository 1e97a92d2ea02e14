// Awaits a piece of work on the ring's helper thread.
#pragma once

#include <coroutine>
#include <optional>
#include <utility>

#include "ringpost/runtime/ring.hh"

namespace ringpost::index {

/// Runs `work()` there and gives its value to the awaiter. What the work uses must not change until then.
template <typename Work>
class [[nodiscard]] Offload {
 public:
  using Value = decltype(std::declval<Work&>()());

  /// `in_flight` is one more while the work is.
  Offload(runtime::Ring& ring, std::size_t& in_flight, Work work) : ring_(ring), in_flight_(in_flight), work_(std::move(work)) {
    job_.owner = this;
    job_.run = [](runtime::OffloadJob& job) {
      Offload& self = *static_cast<Job&>(job).owner;
      self.value_.emplace(self.work_());
    };
    job_.done = [](runtime::OffloadJob& job) {
      Offload& self = *static_cast<Job&>(job).owner;
      --self.in_flight_;
      self.frame_.resume();
    };
  }
  Offload(const Offload&) = delete;

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> frame) {
    frame_ = frame;
    ++in_flight_;
    ring_.offload(job_);
  }
  Value await_resume() { return std::move(*value_); }

 private:
  struct Job : runtime::OffloadJob {
    Offload* owner;
  };

  runtime::Ring& ring_;
  std::size_t& in_flight_;
  Work work_;
  Job job_;
  std::coroutine_handle<> frame_;
  std::optional<Value> value_;
};

}  // namespace ringpost::index
