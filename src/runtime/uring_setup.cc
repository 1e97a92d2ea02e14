// Making a UringRing: probing the kernel, arenas, restrictions, affinity.
#include <fcntl.h>
#include <liburing.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <bit>

#include "arena.hh"
#include "uring_tags.hh"
#include "uring_worker.hh"

namespace ringpost::runtime {

namespace {

struct Named {
  unsigned value;
  const char* name;
};

// Everything the ring submits: what is probed for is what a restricted ring allows.
constexpr Named kOperations[] = {
    {IORING_OP_ACCEPT, "accept"},
    {IORING_OP_RECV, "recv"},
    {IORING_OP_SEND, "send"},
    {IORING_OP_CONNECT, "connect"},
    {IORING_OP_CLOSE, "close"},
    {IORING_OP_OPENAT, "openat"},
    {IORING_OP_READ, "read"},
    {IORING_OP_WRITE, "write"},
    {IORING_OP_READ_FIXED, "read_fixed"},
    {IORING_OP_WRITE_FIXED, "write_fixed"},
    {IORING_OP_FSYNC, "fsync"},
    {IORING_OP_UNLINKAT, "unlinkat"},
    {IORING_OP_RENAMEAT, "renameat"},
    {IORING_OP_FALLOCATE, "fallocate"},
    {IORING_OP_MKDIRAT, "mkdirat"},
    {IORING_OP_ASYNC_CANCEL, "async_cancel"},
    {IORING_OP_MSG_RING, "msg_ring"},
};

constexpr Named kFeatures[] = {
    {IORING_FEAT_NODROP, "completions kept on overflow (NODROP)"},
    {IORING_FEAT_SUBMIT_STABLE, "stable submissions (SUBMIT_STABLE)"},
    {IORING_FEAT_FAST_POLL, "poll without workers (FAST_POLL)"},
    {IORING_FEAT_EXT_ARG, "waits with a time-out (EXT_ARG)"},
    {IORING_FEAT_RSRC_TAGS, "registered buffers one by one (RSRC_TAGS)"},
    {IORING_FEAT_NATIVE_WORKERS, "native workers (NATIVE_WORKERS)"},
};

// Calls of io_uring_register that follow the restrictions.
constexpr unsigned kRegisters[] = {IORING_REGISTER_ENABLE_RINGS, IORING_REGISTER_RING_FDS, IORING_UNREGISTER_RING_FDS,
                                   IORING_REGISTER_IOWQ_AFF, IORING_REGISTER_IOWQ_MAX_WORKERS};

constexpr unsigned kSetup = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_COOP_TASKRUN |
                            IORING_SETUP_R_DISABLED | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE;

const char* why_no_ring(int error) {
  switch (error) {
    case ENOSYS: return "io_uring itself (the kernel is built without it, or a filter hides it)";
    case EPERM:
    case EACCES: return "permission to make a ring (sysctl kernel.io_uring_disabled, or a seccomp filter)";
    case EINVAL: return "Linux 6.1 (SINGLE_ISSUER and DEFER_TASKRUN)";
    case ENOMEM: return "lockable memory (RLIMIT_MEMLOCK)";
    case EMFILE:
    case ENFILE: return "a free file descriptor (RLIMIT_NOFILE)";
    default: return "a ring (io_uring_setup failed)";
  }
}

Error setup_error(int error) { return error == EINVAL ? Error{Errc::unsupported, error} : error_from_errno(error); }

void probe(io_uring& uring, Missing& missing) {
  for (const Named& feature : kFeatures) {
    if (!(uring.features & feature.value)) missing.names.emplace_back(feature.name);
  }
  io_uring_probe* found = io_uring_get_probe_ring(&uring);
  for (const Named& operation : kOperations) {
    if (!found || !io_uring_opcode_supported(found, static_cast<int>(operation.value))) {
      missing.names.emplace_back("operation " + std::string(operation.name));
    }
  }
  if (found) io_uring_free_probe(found);
}

}  // namespace

std::string Missing::text() const {
  if (names.empty()) return {};
  std::string text = "io_uring needs Linux 6.1; missing here: ";
  for (const std::string& name : names) {
    if (&name != &names.front()) text += ", ";
    text += name;
  }
  return text;
}

UringRing::UringRing(const UringOptions& options) : options_(options) { refresh_now(); }

Result<std::unique_ptr<UringRing>> UringRing::create(const UringOptions& options, Missing* missing) {
  bool usable = options.entries >= 8 && std::has_single_bit(options.receive_buffers) && options.receive_buffers <= 32768 &&
                options.receive_buffer_bytes > 0;
  if (!usable) return std::unexpected(Error{Errc::invalid, EINVAL});
  std::unique_ptr<UringRing> ring(new UringRing(options));
  Missing unseen;
  if (auto made = ring->set_up(missing ? *missing : unseen); !made) return std::unexpected(made.error());
  return ring;
}

Result<> UringRing::set_up(Missing& missing) {
  io_uring_params parameters{};
  parameters.flags = kSetup;
  parameters.cq_entries = options_.completions ? options_.completions : options_.entries * 4;
  auto uring = std::make_unique<io_uring>();
  if (int result = io_uring_queue_init_params(options_.entries, uring.get(), &parameters); result < 0) {
    missing.names.emplace_back(why_no_ring(-result));
    return std::unexpected(setup_error(-result));
  }
  uring_ = std::move(uring);
  probe(*uring_, missing);
  if (!missing.empty()) return std::unexpected(Error{Errc::unsupported, ENOSYS});

  if (int result = io_uring_register_buffers_sparse(uring_.get(), kIoRegionsMax); result < 0) {
    missing.names.emplace_back("registered buffers");
    return std::unexpected(setup_error(-result));
  }
  if (auto buffers = set_up_receive_buffers(); !buffers) {
    missing.names.emplace_back("provided-buffer rings, or memory for one");
    return buffers;
  }
  poke_fd_ = ::eventfd(0, EFD_CLOEXEC);
  if (poke_fd_ < 0) return std::unexpected(error_from_errno(errno));
  worker_ = std::make_unique<Worker>(poke_fd_);
  return {};
}

Result<> UringRing::set_up_receive_buffers() {
  for (unsigned count = options_.receive_buffers; count > 0; count /= 2) {
    std::size_t arena_bytes = count * options_.receive_buffer_bytes, ring_bytes = count * sizeof(io_uring_buf);
    auto arena = map_arena(arena_bytes);
    if (!arena) continue;
    auto ring = map_arena(ring_bytes);
    io_uring_buf_reg request{};
    request.ring_addr = ring ? reinterpret_cast<std::uintptr_t>(*ring) : 0;
    request.ring_entries = count;
    request.bgid = kBufferGroup;
    int result = ring ? io_uring_register_buf_ring(uring_.get(), &request, 0) : -ENOMEM;
    if (result == 0) {
      buffer_arena_ = *arena;
      buffer_ring_ = *ring;
      buffer_count_ = count;
      buffers_spare_.reserve(count);
      while (buffers_free_ < count) release_buffer(static_cast<std::int32_t>(buffers_free_));
      return {};
    }
    unmap_arena(*arena, arena_bytes);
    if (ring) unmap_arena(*ring, ring_bytes);
    if (result != -ENOMEM) return std::unexpected(setup_error(-result));
  }
  return std::unexpected(Error{Errc::no_memory, ENOMEM});
}

Result<MutableBytes> UringRing::make_io_buffer(std::size_t bytes) {
  bytes = round_up(bytes, kPageBytes);
  if (bytes == 0 || io_bytes_ + bytes > options_.io_buffer_bytes_max) return std::unexpected(Error{Errc::limit, 0});
  auto memory = map_arena(bytes);
  if (!memory) return std::unexpected(memory.error());
  IoRegion region{*memory, bytes, 0};
  if (!started_ && io_regions_.size() < kIoRegionsMax) {
    // What the kernel will not pin is used unregistered: try the whole, then a half, and so on.
    for (std::size_t part = std::min<std::size_t>(bytes, 1_GiB); part >= kPageBytes; part = (part / 2) & ~(kPageBytes - 1)) {
      iovec vector{region.data, part};
      int result =
          io_uring_register_buffers_update_tag(uring_.get(), static_cast<unsigned>(io_regions_.size()), &vector, nullptr, 1);
      if (result == 1) region.bytes_registered = part;
      if (result != -ENOMEM) break;
    }
  }
  io_regions_.push_back(region);
  io_bytes_ += bytes;
  io_bytes_registered_ += region.bytes_registered;
  return MutableBytes{region.data, bytes};
}

Result<> UringRing::start() {
  RP_ASSERT(!started_);
  cpu_set_t before;
  if (::sched_getaffinity(0, sizeof before, &before) != 0) return std::unexpected(error_from_errno(errno));
  if (options_.cpu >= 0) {
    if (options_.cpu >= CPU_SETSIZE) return std::unexpected(Error{Errc::invalid, EINVAL});
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(options_.cpu, &one);
    if (::sched_setaffinity(0, sizeof one, &one) != 0) return std::unexpected(error_from_errno(errno));
  }
  if (options_.restricted) {
    if (auto limited = restrict(); !limited) return limited;
  }
  if (int result = io_uring_enable_rings(uring_.get()); result < 0) return std::unexpected(error_from_errno(-result));
  started_ = true;
  // Saves a descriptor lookup in every call, and makes this thread known to the ring, which the next step needs.
  if (int result = io_uring_register_ring_fd(uring_.get()); result < 0) return std::unexpected(error_from_errno(-result));
  if (auto bounded = bound_workers(); !bounded) return bounded;
  if (auto running = worker_->start(before); !running) return running;
  refresh_now();
  arm_poke();
  return {};
}

Result<> UringRing::restrict() {
  std::vector<io_uring_restriction> rules;
  for (const Named& operation : kOperations) {
    rules.push_back({.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = static_cast<__u8>(operation.value)});
  }
  for (unsigned call : kRegisters) {
    rules.push_back({.opcode = IORING_RESTRICTION_REGISTER_OP, .register_op = static_cast<__u8>(call)});
  }
  rules.push_back({.opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED, .sqe_flags = IOSQE_IO_LINK | IOSQE_BUFFER_SELECT});
  int result = io_uring_register_restrictions(uring_.get(), rules.data(), static_cast<unsigned>(rules.size()));
  if (result < 0) return std::unexpected(error_from_errno(-result));
  return {};
}

Result<> UringRing::bound_workers() {
  unsigned bounds[2] = {options_.io_workers, options_.io_workers};
  if (int result = io_uring_register_iowq_max_workers(uring_.get(), bounds); result < 0) {
    return std::unexpected(error_from_errno(-result));
  }
  if (options_.cpu < 0) return {};
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(options_.cpu, &one);
  int result = io_uring_register_iowq_aff(uring_.get(), sizeof one, &one);
  if (result < 0) return std::unexpected(error_from_errno(-result));
  return {};
}

UringRing::~UringRing() {
  RP_ASSERT(stats_.operations_in == stats_.completions_out);
  RP_ASSERT(buffers_free_ == buffer_count_);
  worker_.reset();
  if (uring_) io_uring_queue_exit(uring_.get());
  if (poke_fd_ >= 0) ::close(poke_fd_);
  unmap_arena(buffer_arena_, buffer_count_ * options_.receive_buffer_bytes);
  unmap_arena(buffer_ring_, buffer_count_ * sizeof(io_uring_buf));
  for (const IoRegion& region : io_regions_) unmap_arena(region.data, region.bytes);
}

}  // namespace ringpost::runtime
