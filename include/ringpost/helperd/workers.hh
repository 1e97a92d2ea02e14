// Threads for what takes long or blocks: password hashes, files. The ring's thread never does either.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "ringpost/runtime/ring.hh"
#include "ringpost/runtime/scope.hh"
#include "ringpost/runtime/signal.hh"
#include "ringpost/runtime/task.hh"

namespace ringpost::helperd {

/// Lifetime: start() once; await stop() before it dies. All but the jobs themselves on the ring's own thread.
class Workers {
 public:
  Workers(runtime::Ring& ring, std::size_t threads, std::size_t jobs_max);
  Workers(const Workers&) = delete;
  ~Workers();

  /// False: no threads or descriptors can be had.
  bool start();
  /// Runs `work` on one of the threads and completes when it is done. False: too many jobs wait already, nothing was done.
  /// Lifetime: what `work` refers to must last until completion.
  runtime::Task<bool> run(std::function<void()> work);
  /// Waits for the jobs that are there; new ones are refused.
  runtime::Task<void> stop();

 private:
  struct Job {
    Job(runtime::Ring& ring, std::function<void()> work) : work(std::move(work)), finished(ring) {}
    std::function<void()> work;
    bool done = false;
    runtime::Signal finished;
  };
  void labour();
  runtime::Task<void> collect();

  runtime::Ring& ring_;
  runtime::Scope scope_;
  std::size_t threads_wanted_, jobs_max_;
  std::size_t jobs_ = 0;
  bool ending_ = false;
  Fd finished_event_;  // an eventfd
  std::vector<std::thread> threads_;

  std::mutex mutex_;  // of what follows
  std::condition_variable wanted_;
  std::deque<Job*> waiting_, finished_;
  bool stopping_ = false;
};

}  // namespace ringpost::helperd
