// The real ring: one io_uring per shard, used by the one thread that called start().
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "ringpost/runtime/ring.hh"

struct io_uring;
struct io_uring_sqe;
struct sockaddr_storage;

namespace ringpost::runtime {

struct UringOptions {
  unsigned entries = 1024;                    ///< submission queue, 8..32768, a power of two
  unsigned completions = 0;                   ///< completion queue; 0: four times `entries`. It may overflow, nothing is lost
  unsigned receive_buffers = 1024;            ///< a power of two up to 32768; halved while the kernel refuses for want of memory
  std::size_t receive_buffer_bytes = 8_KiB;   ///< size of each of them
  std::size_t io_buffer_bytes_max = 256_MiB;  ///< all that make_io_buffer may give out
  int cpu = -1;                               ///< core for the loop and its kernel workers; -1: wherever
  unsigned io_workers = 4;                    ///< bound of the kernel's worker threads of each kind (fsync runs there)
  Duration nap_max = std::chrono::milliseconds(100);  ///< longest sleep while a hook is set
  bool restricted = true;                             ///< limit the ring to the operations this class uses
  /// For what plays many machines at once: an operation begins in submit(), not with all others of the turn, so a turn's first
  /// answer does not wait for its last. One call into the kernel for each.
  bool submit_at_once = false;
  /// Before it sleeps, the loop looks for so long whether its only peer answers, when that did so at once before and neither the
  /// disk nor the helper thread is waited for: to be woken costs a virtual machine tens of microseconds. 0: it sleeps at once.
  Duration linger_max = Duration::zero();
};

/// What this machine lacks for a ring, by name. Empty: nothing.
struct Missing {
  std::vector<std::string> names;
  bool empty() const { return names.empty(); }
  /// "io_uring needs Linux 6.1; missing here: a, b"
  std::string text() const;
};

/// Counters since the ring was made; read them on its own thread.
struct UringStats {
  std::uint64_t operations_in = 0;         ///< submitted
  std::uint64_t completions_out = 0;       ///< last completions delivered: equal to the above when nothing is in flight
  std::uint64_t turns = 0;                 ///< turns of the loop
  std::uint64_t submission_full = 0;       ///< operations that had to wait for room in the submission queue
  std::uint64_t completion_overflows = 0;  ///< times the completion queue was found overflowed
  std::uint64_t buffers_exhausted = 0;     ///< receives that were parked because no buffer was free
  std::uint64_t chains_cut = 0;            ///< linked operations cancelled because the kernel took only their first half
  std::uint64_t lingers = 0;               ///< sleeps that were spared because a peer answered while the loop looked
  std::uint64_t wakes_sent = 0;
  std::uint64_t wakes_received = 0;
  std::uint64_t wakes_failed = 0;  ///< the other ring was not running (any more)
};

/// io_uring with SINGLE_ISSUER, DEFER_TASKRUN and COOP_TASKRUN (Linux 6.1).
///
/// Threads:  create() and make_io_buffer() anywhere before start(); everything else on the thread that called start(),
///           but for stop(), and for the destructor, which wants the loop to have ended.
/// Lifetime: every operation has completed and every Chunk is released before the destructor (asserted). Rings that wake
///           each other die after all their loops have ended.
class UringRing final : public Ring {
 public:
  /// Makes the ring, disabled, and its arenas; call it while the process may still lock memory.
  /// Errors: unsupported, permission: `missing` (when given) names what is lacking. no_memory, no_descriptors.
  static Result<std::unique_ptr<UringRing>> create(const UringOptions& options, Missing* missing = nullptr);
  ~UringRing() override;

  /// Pins, restricts and enables the ring, for the calling thread. Errors: invalid (no such core), from errno.
  Result<> start();
  /// Turns the loop until stop(). Nothing is cancelled: whoever owns operations ends them before stopping.
  void run();
  /// Ends run(). From any thread and from signal handlers.
  void stop();
  /// One turn of the loop: ready frames, hook, submit, completions, timers. Waits at most `wait_max` for something to do.
  void run_once(Duration wait_max = Duration::max());

  const UringStats& stats() const { return stats_; }
  /// How many receive buffers there are (fewer than asked for when memory could not be had), and how many are free.
  unsigned receive_buffers() const { return buffer_count_; }
  unsigned receive_buffers_free() const { return buffers_free_; }
  /// Bytes of make_io_buffer, and how many of them the kernel has registered (the rest works, a little slower).
  std::size_t io_buffer_bytes() const { return io_bytes_; }
  std::size_t io_buffer_bytes_registered() const { return io_bytes_registered_; }

  Instant now() const override { return now_; }
  WallTime wall_now() const override;
  void random(MutableBytes target) override;

  void submit(Operation& operation) override;
  void cancel(Operation& operation) override;
  void release_buffer(std::int32_t buffer) override;

  Result<Fd> listen(const SocketAddress& address, SocketKind kind, const ListenOptions& options) override;
  /// New connections to the address of `listener` go to the first `sockets` of those that share it, in the order in which they began to
  /// listen; 0: to all. Errors: the kernel's.
  Result<> spread_connections(Fd listener, std::size_t sockets);
  Result<Fd> open_socket(const SocketAddress& target, SocketKind kind) override;
  Result<SocketAddress> peer_address(Fd socket) override;
  Result<SocketAddress> local_address(Fd socket) override;

  Result<std::vector<DirectoryEntry>> list_directory(const std::string& path) override;
  Result<FileInfo> file_info(Fd fd) override;
  Result<FileInfo> path_info(const std::string& path) override;
  Result<DiskInfo> disk_info(const std::string& path) override;
  Result<> lock_file(Fd fd) override;

  Result<MutableBytes> make_io_buffer(std::size_t bytes) override;

  void wake(Ring& other) override;
  void offload(OffloadJob& job) override;

 private:
  class Worker;
  /// The way from this ring to another one.
  struct WakeLine {
    UringRing* target;
    bool in_flight = false, again = false;
  };
  struct IoRegion {
    std::byte* data;
    std::size_t bytes, bytes_registered;
  };
  struct Late {
    Operation* operation;
    std::int32_t result;
  };

  explicit UringRing(const UringOptions& options);
  // uring_setup.cc
  Result<> set_up(Missing& missing);
  Result<> set_up_receive_buffers();
  Result<> restrict();
  Result<> bound_workers();
  // uring_ring.cc
  void refresh_now();
  bool idle() const;
  void enter(bool wait, Duration nap);
  bool linger(Duration& nap);
  void check_enter(int result);
  bool reap();
  void dispatch(std::uint64_t tag, std::int32_t result, std::uint32_t flags);
  void complete(Operation& operation, std::int32_t result, std::uint32_t flags);
  void offer_buffers();
  void finish(Operation& operation);
  void run_late();
  void on_poke(std::int32_t result);
  void arm_poke();
  void send_wake(WakeLine& line);
  void on_wake_sent(WakeLine& line, std::int32_t result);
  // uring_submit.cc
  bool make_room(unsigned count);
  bool try_prepare(Operation& first);
  bool try_cancel(Operation& operation);
  void prepare(Operation& operation);
  void fill(Operation& operation, io_uring_sqe* sqe);
  void fill_file_io(Operation& operation, io_uring_sqe* sqe);
  void drain_backlog();
  void rearm_parked();
  void flush();
  void mend_cut_chain();

  UringOptions options_;
  std::unique_ptr<io_uring> uring_;
  bool started_ = false;
  std::atomic<bool> stopping_{false};
  Instant now_{};
  UringStats stats_;

  // Receive buffers: one arena, and the ring through which the kernel takes them. It takes them in turn, so all that are offered pass
  // through the cache: only as many are as it needs at once, and what comes back last is offered first.
  std::byte* buffer_arena_ = nullptr;
  void* buffer_ring_ = nullptr;
  unsigned buffer_count_ = 0, buffers_free_ = 0;
  unsigned buffers_offered_ = 0, buffers_offered_max_ = 64;
  std::vector<std::uint16_t> buffers_spare_;  // free, and not offered
  std::deque<Operation*> parked_;  // receives that found no buffer, oldest first

  std::vector<IoRegion> io_regions_;
  std::size_t io_bytes_ = 0, io_bytes_registered_ = 0;

  std::deque<Operation*> backlog_;         // first operations of chains, waiting for room in the submission queue
  std::vector<Operation*> cancels_;        // cancellations waiting for room
  unsigned local_work_ = 0;                // operations on files and jobs of the helper thread that have not ended
  unsigned peers_ = 0;                     // streams that are received
  unsigned short_naps_ = 0;                // sleeps in a row that a peer ended at once
  bool chain_queued_ = false;              // the submission queue holds a chain not yet given to the kernel
  std::vector<Late> late_, late_running_;  // completions made here, not by the kernel
  std::vector<std::unique_ptr<sockaddr_storage>> idle_addresses_;

  std::vector<std::unique_ptr<WakeLine>> wake_lines_;
  bool woken_ = false;
  int poke_fd_ = -1;  // eventfd: stop() and finished offload jobs
  std::uint64_t poke_count_ = 0;
  bool poke_armed_ = false;
  std::unique_ptr<Worker> worker_;
};

}  // namespace ringpost::runtime
