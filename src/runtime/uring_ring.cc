// The loop of UringRing: time, waiting, completions, wakes.
#include "ringpost/runtime/uring_ring.hh"

#include <liburing.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "prefetch.hh"
#include "uring_tags.hh"
#include "uring_worker.hh"

namespace ringpost::runtime {

namespace {

constexpr unsigned kShortNaps = 4;  // in a row, until the loop expects the next one to be short

Duration read_clock(clockid_t clock) {
  timespec time;
  clock_gettime(clock, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

}  // namespace

// ---- time and randomness

void UringRing::refresh_now() { now_ = Instant{read_clock(CLOCK_MONOTONIC)}; }

WallTime UringRing::wall_now() const { return WallTime{read_clock(CLOCK_REALTIME)}; }

void UringRing::random(MutableBytes target) {
  while (!target.empty()) {
    ssize_t count = ::getrandom(target.data(), target.size(), 0);
    RP_ASSERT(count > 0 || errno == EINTR);  // it cannot fail otherwise, and no key is better than a bad key
    if (count > 0) target = target.subspan(static_cast<std::size_t>(count));
  }
}

// ---- the loop

void UringRing::run() {
  while (!stopping_.load(std::memory_order_relaxed)) run_once();
  stopping_.store(false, std::memory_order_relaxed);
}

void UringRing::stop() {
  stopping_.store(true, std::memory_order_relaxed);
  eventfd_write(poke_fd_, 1);
}

void UringRing::run_once(Duration wait_max) {
  RP_ASSERT(started_);
  ++stats_.turns;
  run_ready();
  if (hook_) hook_->poll();
  drain_backlog();
  offer_buffers();
  rearm_parked();
  for (auto& line : wake_lines_) {
    if (line->again && !line->in_flight) send_wake(*line);
  }
  if (!poke_armed_) arm_poke();

  Duration nap = hook_ ? std::min(wait_max, options_.nap_max) : wait_max;
  if (Instant next = timers_.next(); next != kNever) nap = std::min(nap, next - Instant{read_clock(CLOCK_MONOTONIC)});
  bool wait = nap > Duration::zero() && idle() && !wants_pause() && !stopping_.load(std::memory_order_relaxed);
  if (wait && hook_) wait = hook_->may_sleep();
  const bool for_peer = wait && local_work_ == 0 && peers_ == 1 && options_.linger_max > Duration::zero();
  const Instant asleep = for_peer ? Instant{read_clock(CLOCK_MONOTONIC)} : Instant{};
  if (!(for_peer && linger(nap))) enter(wait, nap);
  if (wait && hook_) hook_->awake();
  woken_ = false;

  refresh_now();
  const bool came = reap();
  if (for_peer) short_naps_ = came && now_ - asleep <= 2 * options_.linger_max ? short_naps_ + 1 : 0;
  bool quiet = !came && late_.empty() && !has_ready();
  run_late();
  quiet = timers_.fire_due(now_) == 0 && quiet;
  run_pausing(quiet);
}

bool UringRing::idle() const {
  return !has_ready() && late_.empty() && !woken_ && backlog_.empty() && cancels_.empty() &&
         (parked_.empty() || buffers_free_ == 0);
}

void UringRing::enter(bool wait, Duration nap) {
  // By itself, because the waiting call would submit the rest of a half-taken chain without asking.
  if (chain_queued_) flush();
  if (chain_queued_) return check_enter(io_uring_get_events(uring_.get()));
  if (!wait) return check_enter(io_uring_submit_and_get_events(uring_.get()));
  __kernel_timespec time{};
  time.tv_sec = nap / std::chrono::seconds(1);
  time.tv_nsec = (nap % std::chrono::seconds(1)).count();
  io_uring_cqe* first;
  bool forever = nap == Duration::max();
  check_enter(io_uring_submit_and_wait_timeout(uring_.get(), &first, 1, forever ? nullptr : &time, nullptr));
}

// True: there are completions. False: so much less of `nap` is left. Others on this core go first: the answer may be their work.
bool UringRing::linger(Duration& nap) {
  if (short_naps_ < kShortNaps) return false;
  const Duration most = std::min(nap, options_.linger_max), end = read_clock(CLOCK_MONOTONIC) + most;
  do {
    enter(false, Duration::zero());
    if (io_uring_cq_ready(uring_.get()) > 0) {
      ++stats_.lingers;
      return true;
    }
    ::sched_yield();
  } while (read_clock(CLOCK_MONOTONIC) < end);
  if (nap != Duration::max()) nap -= most;
  return false;
}

void UringRing::check_enter(int result) {
  // For want of memory the kernel leaves entries in the queue: they go with the next turn. Everything else but a lost
  // completion (EBADR) is a bug of ours, and the two end alike: nobody could ever be told what became of an operation.
  RP_ASSERT(result >= 0 || result == -ETIME || result == -EINTR || result == -EAGAIN || result == -EBUSY || result == -ENOMEM);
}

// ---- completions

namespace {

// Lines of an operation, of what it resumes, and of what lies behind the operation: most often the rest of its owner.
constexpr std::size_t kOperationLines = 4, kResumedLines = 4, kOwnerLines = 8;

const Operation* operation_of(std::uint64_t tag) { return (tag & tags::kMask) == tags::kOperation ? &tags::object<Operation>(tag) : nullptr; }

}  // namespace

// False when nothing was there. What a batch of completions is about is fetched into the cache ahead of its turn in two steps: the
// operations, then their owners and what they resume.
bool UringRing::reap() {
  struct Seen {
    std::uint64_t tag;
    std::int32_t result;
    std::uint32_t flags;
  };
  std::array<io_uring_cqe*, 64> batch;
  std::array<Seen, 64> seen;
  // A bound for each turn keeps timers and mailboxes alive under a flood.
  for (int round = 0; round < 64; ++round) {
    bool overflowed = io_uring_cq_has_overflow(uring_.get());
    if (overflowed) ++stats_.completion_overflows;
    unsigned count = io_uring_peek_batch_cqe(uring_.get(), batch.data(), batch.size());
    if (count == 0) return round > 0;
    // Copied before they are dispatched: a completion may submit, and the kernel may then write the queue.
    for (unsigned i = 0; i < count; ++i) seen[i] = {batch[i]->user_data, batch[i]->res, batch[i]->flags};
    io_uring_cq_advance(uring_.get(), count);
    for (unsigned i = 0; i < count; ++i)
      if (const Operation* operation = operation_of(seen[i].tag)) prefetch(operation, kOperationLines);
    for (unsigned i = 0; i < count; ++i) {
      const Operation* next = i + 1 < count ? operation_of(seen[i + 1].tag) : nullptr;
      if (next && next->resumes) {
        prefetch(next->resumes, kResumedLines);
        prefetch(reinterpret_cast<const char*>(next) + kOperationLines * kCacheLineBytes, kOwnerLines);
      }
      dispatch(seen[i].tag, seen[i].result, seen[i].flags);
    }
  }
  return true;
}

void UringRing::dispatch(std::uint64_t tag, std::int32_t result, std::uint32_t flags) {
  switch (tag & tags::kMask) {
    case tags::kOperation: return complete(tags::object<Operation>(tag), result, flags);
    case tags::kIgnored: return;
    case tags::kWakeSent: return on_wake_sent(tags::object<WakeLine>(tag), result);
    case tags::kWakeReceived: ++stats_.wakes_received; return;
    case tags::kPoke: return on_poke(result);
  }
  RP_ASSERT(!"a completion of nothing");
}

void UringRing::complete(Operation& operation, std::int32_t result, std::uint32_t flags) {
  Completion completion{.result = result, .more = (flags & IORING_CQE_F_MORE) != 0};
  if (flags & IORING_CQE_F_BUFFER) {
    auto buffer = static_cast<std::int32_t>(flags >> IORING_CQE_BUFFER_SHIFT);
    --buffers_free_;
    --buffers_offered_;
    if (result > 0) {
      completion.buffer = buffer;
      completion.data = buffer_arena_ + static_cast<std::size_t>(buffer) * options_.receive_buffer_bytes;
    } else {
      release_buffer(buffer);
    }
  }
  if (completion.more) return operation.complete(operation, completion);

  bool cancelled = operation.submitted & kCancelAsked;
  if (result == -ENOBUFS && operation.code == OpCode::receive_stream && !cancelled) {
    if (buffers_offered_max_ < buffer_count_)
      buffers_offered_max_ *= 2;  // it asks for more at once than it was offered
    else
      ++stats_.buffers_exhausted;
    parked_.push_back(&operation);
    return;
  }
  // EINTR is what an operation on a worker thread says; ENOBUFS one that was cancelled on its way to the parking.
  if ((cancelled && (result == -EINTR || result == -ENOBUFS)) || (operation.submitted & kChainCut))
    completion.result = -ECANCELED;
  finish(operation);
  operation.complete(operation, completion);
}

void UringRing::finish(Operation& operation) {
  // An address pointer a cancellation still waits to name must not outlive its operation.
  if (!cancels_.empty()) std::erase(cancels_, &operation);
  if (operation.code == OpCode::connect && operation.ring_data[0] != 0) {
    idle_addresses_.emplace_back(reinterpret_cast<sockaddr_storage*>(operation.ring_data[0]));
    operation.ring_data[0] = 0;
  }
  operation.submitted = 0;
  local_work_ -= is_local(operation);
  peers_ -= operation.code == OpCode::receive_stream;
  ++stats_.completions_out;
}

void UringRing::run_late() {
  late_running_.swap(late_);
  for (const Late& late : late_running_) {
    finish(*late.operation);
    late.operation->complete(*late.operation, Completion{.result = late.result});
  }
  late_running_.clear();
}

void UringRing::release_buffer(std::int32_t buffer) {
  buffers_spare_.push_back(static_cast<std::uint16_t>(buffer));
  ++buffers_free_;
}

// Before the kernel looks for work: what came back since then.
void UringRing::offer_buffers() {
  auto* ring = static_cast<io_uring_buf_ring*>(buffer_ring_);
  int count = 0;
  for (; buffers_offered_ < buffers_offered_max_ && !buffers_spare_.empty(); ++count, ++buffers_offered_) {
    const std::uint16_t buffer = buffers_spare_.back();
    buffers_spare_.pop_back();
    std::byte* data = buffer_arena_ + std::size_t{buffer} * options_.receive_buffer_bytes;
    io_uring_buf_ring_add(ring, data, static_cast<unsigned>(options_.receive_buffer_bytes), buffer,
                          io_uring_buf_ring_mask(buffer_count_), count);
  }
  if (count > 0) io_uring_buf_ring_advance(ring, count);
}

// ---- other threads

void UringRing::offload(OffloadJob& job) {
  ++local_work_;
  worker_->add(job);
}

void UringRing::arm_poke() {
  if (!make_room(1)) return;  // the next turn tries again
  io_uring_sqe* sqe = io_uring_get_sqe(uring_.get());
  io_uring_prep_read(sqe, poke_fd_, &poke_count_, sizeof poke_count_, 0);
  io_uring_sqe_set_data64(sqe, tags::kPoke);
  poke_armed_ = true;
}

void UringRing::on_poke(std::int32_t) {
  poke_armed_ = false;
  for (OffloadJob* job = worker_->take_done(); job;) {
    OffloadJob* next = job->next;
    --local_work_;
    job->done(*job);
    job = next;
  }
  arm_poke();
}

void UringRing::wake(Ring& other) {
  auto& target = static_cast<UringRing&>(other);
  if (&target == this) {
    woken_ = true;
    return;
  }
  auto found = std::ranges::find_if(wake_lines_, [&](const auto& line) { return line->target == &target; });
  if (found == wake_lines_.end()) {
    wake_lines_.push_back(std::make_unique<WakeLine>(&target));
    found = wake_lines_.end() - 1;
  }
  // A wake in flight may have been seen already, before what this one is about: then another follows it.
  WakeLine& line = **found;
  if (line.in_flight) {
    line.again = true;
  } else {
    send_wake(line);
  }
}

void UringRing::send_wake(WakeLine& line) {
  line.again = !make_room(1);
  if (line.again) return;
  io_uring_sqe* sqe = io_uring_get_sqe(uring_.get());
  io_uring_prep_msg_ring(sqe, line.target->uring_->ring_fd, 0, tags::kWakeReceived, 0);
  io_uring_sqe_set_data64(sqe, tags::of(&line, tags::kWakeSent));
  line.in_flight = true;
  ++stats_.wakes_sent;
}

void UringRing::on_wake_sent(WakeLine& line, std::int32_t result) {
  line.in_flight = false;
  if (result == -EAGAIN || result == -ENOMEM || result == -EOVERFLOW) {
    line.again = true;  // the other queue is full for the moment
  } else if (result < 0) {
    ++stats_.wakes_failed;  // not started yet (it polls its hook when it does), or gone
  }
  if (line.again) send_wake(line);
}

}  // namespace ringpost::runtime
