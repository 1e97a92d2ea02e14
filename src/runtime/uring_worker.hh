// The helper thread of a ring: runs offload jobs one after the other.
#pragma once

#include <pthread.h>

#include <condition_variable>
#include <mutex>

#include "ringpost/runtime/uring_ring.hh"

namespace ringpost::runtime {

class UringRing::Worker {
 public:
  /// `done_fd`: an eventfd, written after each job.
  explicit Worker(int done_fd) : done_fd_(done_fd) {}
  ~Worker();
  /// Starts the thread with every signal blocked, on any core of `cores`. Errors: from errno.
  Result<> start(const cpu_set_t& cores);

  void add(OffloadJob& job);
  /// The finished jobs, oldest first, as a list.
  OffloadJob* take_done();

 private:
  struct List {
    OffloadJob *first = nullptr, *last = nullptr;
    void append(OffloadJob& job);
    OffloadJob* pop();
  };
  static void* thread_main(void* self);
  void work();

  int done_fd_;
  pthread_t thread_{};
  bool running_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
  List todo_, done_;
  bool ending_ = false;
};

}  // namespace ringpost::runtime
