#include "ringpost/helperd/workers.hh"

#include <sys/eventfd.h>
#include <unistd.h>

#include <system_error>
#include <utility>

#include "ringpost/base/assert.hh"
#include "ringpost/base/wipe_stack.hh"

namespace ringpost::helperd {

using runtime::Task;

Workers::Workers(runtime::Ring& ring, std::size_t threads, std::size_t jobs_max)
    : ring_(ring), scope_(ring), threads_wanted_(threads), jobs_max_(jobs_max) {}

Workers::~Workers() { RP_ASSERT(threads_.empty()); }

bool Workers::start() {
  finished_event_ = Fd{::eventfd(0, EFD_CLOEXEC)};
  if (!finished_event_) return false;
  for (std::size_t i = 0; i < threads_wanted_; ++i) {
    try {
      threads_.emplace_back([this] { labour(); });
    } catch (const std::system_error&) {
      break;
    }
  }
  if (threads_.empty()) return false;
  scope_.spawn(collect());
  return true;
}

void Workers::labour() {
  std::unique_lock lock{mutex_};
  for (;;) {
    wanted_.wait(lock, [&] { return stopping_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    Job* job = waiting_.front();
    waiting_.pop_front();
    lock.unlock();
    job->work();
    wipe_stack();
    lock.lock();
    finished_.push_back(job);
    const std::uint64_t one = 1;
    (void)!::write(finished_event_.value, &one, sizeof one);
  }
}

// Brings what the threads have done back to the ring's thread.
Task<void> Workers::collect() {
  std::uint64_t count = 0;
  while (!ending_ || jobs_ > 0) {
    Result<std::uint32_t> read = co_await ring_.read(finished_event_, {reinterpret_cast<std::byte*>(&count), sizeof count}, 0);
    if (!read) break;
    std::deque<Job*> done;
    {
      std::lock_guard lock{mutex_};
      done.swap(finished_);
    }
    for (Job* job : done) {
      job->done = true;
      job->finished.notify_all();
      --jobs_;
    }
  }
}

Task<bool> Workers::run(std::function<void()> work) {
  if (ending_ || jobs_ >= jobs_max_) co_return false;
  ++jobs_;
  Job job{ring_, std::move(work)};
  {
    std::lock_guard lock{mutex_};
    waiting_.push_back(&job);
  }
  wanted_.notify_one();
  while (!job.done) co_await job.finished.wait();
  co_return true;
}

Task<void> Workers::stop() {
  if (threads_.empty()) co_return;
  ending_ = true;
  const std::uint64_t one = 1;
  (void)!::write(finished_event_.value, &one, sizeof one);
  co_await scope_.join();
  {
    std::lock_guard lock{mutex_};
    stopping_ = true;
  }
  wanted_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  Result<std::uint32_t> closed = co_await ring_.close(std::exchange(finished_event_, Fd{}));
  static_cast<void>(closed);
}

}  // namespace ringpost::helperd
