#include "uring_worker.hh"

#include <sys/eventfd.h>

#include <csignal>

namespace ringpost::runtime {

void UringRing::Worker::List::append(OffloadJob& job) {
  job.next = nullptr;
  (last ? last->next : first) = &job;
  last = &job;
}

OffloadJob* UringRing::Worker::List::pop() {
  OffloadJob* job = first;
  if (job) first = job->next;
  if (!first) last = nullptr;
  return job;
}

Result<> UringRing::Worker::start(const cpu_set_t& cores) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setaffinity_np(&attributes, sizeof cores, &cores);
  int error = pthread_create(&thread_, &attributes, &thread_main, this);
  pthread_attr_destroy(&attributes);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error != 0) return std::unexpected(error_from_errno(error));
  running_ = true;
  return {};
}

UringRing::Worker::~Worker() {
  if (!running_) return;
  {
    std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_one();
  pthread_join(thread_, nullptr);
}

void UringRing::Worker::add(OffloadJob& job) {
  {
    std::lock_guard lock(mutex_);
    todo_.append(job);
  }
  changed_.notify_one();
}

OffloadJob* UringRing::Worker::take_done() {
  std::lock_guard lock(mutex_);
  OffloadJob* first = done_.first;
  done_ = {};
  return first;
}

void* UringRing::Worker::thread_main(void* self) {
  pthread_setname_np(pthread_self(), "rp-offload");
  static_cast<Worker*>(self)->work();
  return nullptr;
}

void UringRing::Worker::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return todo_.first || ending_; });
    OffloadJob* job = todo_.pop();
    if (!job) return;
    lock.unlock();
    job->run(*job);
    lock.lock();
    done_.append(*job);
    eventfd_write(done_fd_, 1);
  }
}

}  // namespace ringpost::runtime
