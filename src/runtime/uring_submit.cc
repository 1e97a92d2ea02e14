// From Operation to submission queue entry, and what happens when the queue is full.
#include <fcntl.h>
#include <liburing.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "ringpost/runtime/uring_ring.hh"
#include "uring_tags.hh"

namespace ringpost::runtime {

namespace {

int directory_of(const Operation& operation) { return operation.fd ? operation.fd.value : AT_FDCWD; }

unsigned chain_length(const Operation& first) {
  unsigned length = 0;
  for (const Operation* operation = &first; operation; operation = operation->linked) ++length;
  return length;
}

}  // namespace

void UringRing::submit(Operation& first) {
  for (Operation* operation = &first; operation; operation = operation->linked) {
    RP_ASSERT(operation->submitted == 0);
    operation->submitted = kInFlight;
    local_work_ += is_local(*operation);
    peers_ += operation->code == OpCode::receive_stream;
    ++stats_.operations_in;
  }
  if (first.code == OpCode::shutdown) {
    // The kernel would send it to a worker thread, although it never blocks.
    RP_ASSERT(!first.linked);
    int result = ::shutdown(first.fd.value, first.flags);
    late_.push_back({&first, result == 0 ? 0 : -errno});
    return;
  }
  // Nothing overtakes what already waits.
  if (!backlog_.empty() || !cancels_.empty() || !try_prepare(first)) {
    ++stats_.submission_full;
    backlog_.push_back(&first);
  } else if (options_.submit_at_once) {
    flush();
  }
}

void UringRing::cancel(Operation& operation) {
  if (operation.submitted == 0 || (operation.submitted & kCancelAsked)) return;
  operation.submitted |= kCancelAsked;
  if (std::erase(parked_, &operation) > 0) {
    late_.push_back({&operation, -ECANCELED});
    return;
  }
  if (auto waiting = std::ranges::find(backlog_, &operation); waiting != backlog_.end()) {
    backlog_.erase(waiting);
    for (Operation* part = &operation; part; part = part->linked) late_.push_back({part, -ECANCELED});
    return;
  }
  if (std::ranges::any_of(late_, [&](const Late& late) { return late.operation == &operation; })) return;
  if (!cancels_.empty() || !try_cancel(operation)) cancels_.push_back(&operation);
}

bool UringRing::make_room(unsigned count) {
  if (io_uring_sq_space_left(uring_.get()) < count) flush();
  return io_uring_sq_space_left(uring_.get()) >= count;
}

bool UringRing::try_prepare(Operation& first) {
  // A chain that crosses two submissions would come apart.
  if (!make_room(chain_length(first))) return false;
  for (Operation* operation = &first; operation; operation = operation->linked) prepare(*operation);
  return true;
}

bool UringRing::try_cancel(Operation& operation) {
  if (!make_room(1)) return false;
  io_uring_sqe* sqe = io_uring_get_sqe(uring_.get());
  io_uring_prep_cancel64(sqe, tags::of(&operation, tags::kOperation), 0);
  io_uring_sqe_set_data64(sqe, tags::kIgnored);
  return true;
}

void UringRing::prepare(Operation& operation) {
  io_uring_sqe* sqe = io_uring_get_sqe(uring_.get());
  fill(operation, sqe);
  io_uring_sqe_set_data64(sqe, tags::of(&operation, tags::kOperation));
  if (operation.linked) {
    sqe->flags |= IOSQE_IO_LINK;
    chain_queued_ = true;
  }
}

void UringRing::fill(Operation& operation, io_uring_sqe* sqe) {
  int fd = operation.fd.value;
  switch (operation.code) {
    case OpCode::accept: return io_uring_prep_multishot_accept(sqe, fd, nullptr, nullptr, SOCK_CLOEXEC);
    case OpCode::receive_stream:
      io_uring_prep_recv_multishot(sqe, fd, nullptr, 0, 0);
      sqe->flags |= IOSQE_BUFFER_SELECT;
      sqe->buf_group = kBufferGroup;
      return;
    case OpCode::receive: return io_uring_prep_recv(sqe, fd, operation.buffer, operation.size, 0);
    case OpCode::send: return io_uring_prep_send(sqe, fd, operation.buffer, operation.size, MSG_NOSIGNAL);
    case OpCode::connect: {
      if (idle_addresses_.empty()) idle_addresses_.push_back(std::make_unique<sockaddr_storage>());
      sockaddr_storage* native = idle_addresses_.back().release();
      idle_addresses_.pop_back();
      operation.ring_data[0] = reinterpret_cast<std::uintptr_t>(native);
      std::uint32_t size = operation.address->to_native(*native);
      return io_uring_prep_connect(sqe, fd, reinterpret_cast<sockaddr*>(native), size);
    }
    case OpCode::close: return io_uring_prep_close(sqe, fd);
    case OpCode::open:
      return io_uring_prep_openat(sqe, directory_of(operation), operation.path, operation.flags | O_CLOEXEC,
                                  static_cast<mode_t>(operation.offset));
    case OpCode::read:
    case OpCode::write: return fill_file_io(operation, sqe);
    case OpCode::sync_data: return io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
    case OpCode::sync_all: return io_uring_prep_fsync(sqe, fd, 0);
    case OpCode::unlink: return io_uring_prep_unlinkat(sqe, directory_of(operation), operation.path, 0);
    case OpCode::rename:
      return io_uring_prep_renameat(sqe, directory_of(operation), operation.path, directory_of(operation), operation.path_to, 0);
    case OpCode::allocate:
      return io_uring_prep_fallocate(sqe, fd, 0, static_cast<off_t>(operation.offset), static_cast<off_t>(operation.size64));
    case OpCode::make_directory:
      return io_uring_prep_mkdirat(sqe, directory_of(operation), operation.path, static_cast<mode_t>(operation.offset));
    case OpCode::shutdown: break;  // done in submit()
  }
  RP_ASSERT(!"an operation the ring does not know");
}

void UringRing::fill_file_io(Operation& operation, io_uring_sqe* sqe) {
  bool reads = operation.code == OpCode::read;
  int fd = operation.fd.value;
  for (std::size_t index = 0; index < io_regions_.size(); ++index) {
    const IoRegion& region = io_regions_[index];
    auto place = reinterpret_cast<std::uintptr_t>(operation.buffer) - reinterpret_cast<std::uintptr_t>(region.data);
    if (place >= region.bytes_registered || operation.size > region.bytes_registered - place) continue;
    int slot = static_cast<int>(index);
    if (reads) return io_uring_prep_read_fixed(sqe, fd, operation.buffer, operation.size, operation.offset, slot);
    return io_uring_prep_write_fixed(sqe, fd, operation.buffer, operation.size, operation.offset, slot);
  }
  if (reads) return io_uring_prep_read(sqe, fd, operation.buffer, operation.size, operation.offset);
  io_uring_prep_write(sqe, fd, operation.buffer, operation.size, operation.offset);
}

void UringRing::drain_backlog() {
  // Cancellations first: their targets entered the queue before anything that waits, and an operation that waits may
  // live where a finished target lived.
  while (!cancels_.empty()) {
    if (!try_cancel(*cancels_.front())) return;
    cancels_.erase(cancels_.begin());
  }
  while (!backlog_.empty()) {
    if (!try_prepare(*backlog_.front())) return;
    backlog_.pop_front();
  }
}

void UringRing::rearm_parked() {
  // One receive for each free buffer. One that has nothing to read arms without taking a buffer, so the next turn goes on
  // with the others; one that is refused again comes back to the end of the line.
  for (unsigned count = buffers_free_; count > 0 && !parked_.empty() && backlog_.empty(); --count) {
    if (!try_prepare(*parked_.front())) return;
    parked_.pop_front();
  }
}

void UringRing::flush() {
  if (io_uring_sq_ready(uring_.get()) == 0) return;
  check_enter(io_uring_submit(uring_.get()));
  mend_cut_chain();
  chain_queued_ = chain_queued_ && io_uring_sq_ready(uring_.get()) > 0;
}

void UringRing::mend_cut_chain() {
  // Short of memory, the kernel may take the first part of a chain and leave the rest in the queue, where it would start as
  // an operation of its own: an fdatasync that does not wait for its write. It becomes one that fails, seen as cancelled.
  if (io_uring_sq_ready(uring_.get()) == 0) return;
  io_uring_sq& queue = uring_->sq;
  unsigned head = *queue.khead;
  bool cut = queue.sqes[(head - 1) & queue.ring_mask].flags & IOSQE_IO_LINK;
  for (; cut && head != queue.sqe_tail; ++head) {
    io_uring_sqe& sqe = queue.sqes[head & queue.ring_mask];
    cut = sqe.flags & IOSQE_IO_LINK;
    std::uint64_t tag = sqe.user_data;
    tags::object<Operation>(tag).submitted |= kChainCut;
    io_uring_prep_fsync(&sqe, -1, 0);
    io_uring_sqe_set_data64(&sqe, tag);
    ++stats_.chains_cut;
  }
}

}  // namespace ringpost::runtime
