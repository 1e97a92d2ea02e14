// The one seam under everything: time, randomness, sockets, files and timers of a shard.
// Two implementations: UringRing (the kernel) and sim::SimRing (a seeded simulator).
#pragma once

#include <coroutine>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ringpost/base/bytes.hh"
#include "ringpost/base/error.hh"
#include "ringpost/base/sealed.hh"
#include "ringpost/base/socket_address.hh"
#include "ringpost/base/units.hh"
#include "ringpost/runtime/operation.hh"
#include "ringpost/runtime/timer.hh"

namespace ringpost::runtime {

class Ring;

/// Work for the helper thread of a ring: LMDB commits and other calls that block. Never mail, never keys.
/// `run` happens on that thread (jobs of one ring run one after the other), then `done` on the ring's own thread.
struct OffloadJob {
  void (*run)(OffloadJob&) = nullptr;
  void (*done)(OffloadJob&) = nullptr;
  OffloadJob* next = nullptr;  ///< belongs to the ring
};

/// A coroutine nobody awaits, listed in its ring so that the simulator can destroy it when the process "crashes".
struct DetachedFrame {
  std::coroutine_handle<> frame;
  DetachedFrame *before = nullptr, *after = nullptr;
};

/// What a loop does besides completions: draining the mailboxes of its shard.
class LoopHook {
 public:
  virtual ~LoopHook() = default;
  /// Handles what has arrived. Returns true when it did anything. Never suspends.
  virtual bool poll() = 0;
  /// Called before the loop sleeps: announce it. Returns false when something has just arrived (then poll() follows).
  virtual bool may_sleep() = 0;
  /// Called after the loop slept.
  virtual void awake() = 0;
};

/// Who lends buffers: a ring those it receives into, others what they made of received bytes.
class BufferHome {
 public:
  virtual ~BufferHome() = default;
  /// Takes a lent buffer back, by its number. Once.
  virtual void release_buffer(std::int32_t buffer) = 0;
};

struct ListenOptions {
  bool reuse_port = true;   ///< one listening socket per shard
  int backlog = 4096;
  int mode = 0600;          ///< Unix sockets: permission of the path
};

/// datagram: UDP. `listen` binds one and nothing more; connected, it takes datagrams from its peer alone, and the kernel chose a
/// random port for it. A send is one datagram or nothing; a receive is one, cut to the buffer; `refused` is told once, by
/// either. No receive_stream.
enum class SocketKind : std::uint8_t { stream, seqpacket, datagram };

struct DirectoryEntry {
  std::string name;
  bool is_directory = false;
};

struct DiskInfo {
  std::uint64_t bytes_total = 0;
  std::uint64_t bytes_free = 0;   ///< for unprivileged writers
  std::uint64_t device = 0;       ///< equal for two paths on one filesystem
};

struct FileInfo {
  std::uint64_t size = 0;
  std::uint32_t mode = 0;
  std::uint32_t owner = 0;
  std::uint32_t links = 0;
  std::uint64_t device = 0;
  bool is_regular = false;
  bool is_directory = false;
  bool is_symlink = false;
};

/// Awaits one operation. Made by the functions of Ring only; awaited at once, in the frame that holds it.
/// Errors: timed_out when `deadline` passed first (the operation was cancelled and is finished), else from errno.
class [[nodiscard]] OpAwait {
 public:
  OpAwait(Ring& ring, const Operation& arguments, Instant deadline);
  OpAwait(const OpAwait&) = delete;

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> frame);
  Result<std::uint32_t> await_resume() const;
  /// Asks for an early end while another frame awaits it (Ring::cancel).
  void cancel();

 private:
  struct State : Operation {
    OpAwait* owner;
  };
  struct Deadline : Timer {
    using Timer::Timer;
    OpAwait* owner;
  };
  static void on_complete(Operation& operation, const Completion& completion);
  static void on_deadline(Timer& timer);

  Ring& ring_;
  State operation_;
  Deadline deadline_timer_;
  Instant deadline_;
  std::coroutine_handle<> frame_;
  std::int32_t result_ = 0;
  bool timed_out_ = false;
};

/// Outcome of a write and the fdatasync linked behind it.
struct WriteSyncResult {
  Result<std::uint32_t> written;  ///< bytes written; may be short
  Result<std::uint32_t> synced;   ///< cancelled when the write failed or was short
};

/// Awaits a write with an fdatasync linked behind it (a short write cancels the sync).
class [[nodiscard]] WriteSyncAwait {
 public:
  WriteSyncAwait(Ring& ring, Fd fd, SealedBytes bytes, std::uint64_t offset);
  WriteSyncAwait(const WriteSyncAwait&) = delete;

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> frame);
  WriteSyncResult await_resume() const;

 private:
  struct State : Operation {
    WriteSyncAwait* owner;
    std::int32_t result;
  };
  static void on_complete(Operation& operation, const Completion& completion);

  Ring& ring_;
  State write_{}, sync_{};
  int pending_ = 2;
  std::coroutine_handle<> frame_;
};

/// Sleeps until an instant.
class [[nodiscard]] SleepAwait {
 public:
  SleepAwait(Ring& ring, Instant until) : ring_(ring), until_(until), timer_(&on_fire) { timer_.owner = this; }
  SleepAwait(const SleepAwait&) = delete;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> frame);
  void await_resume() const noexcept {}

 private:
  struct Wake : Timer {
    using Timer::Timer;
    SleepAwait* owner;
  };
  static void on_fire(Timer& timer);
  Ring& ring_;
  Instant until_;
  Wake timer_;
  std::coroutine_handle<> frame_;
};

/// Awaits a pause of the loop: a turn in which nothing came in and nothing was ready. At `latest` it is over in any case.
class [[nodiscard]] PauseAwait {
 public:
  PauseAwait(Ring& ring, Instant latest) : ring_(ring), latest_(latest) {}
  PauseAwait(const PauseAwait&) = delete;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> frame);
  void await_resume() const noexcept {}
  /// Ends it with this turn.
  void hurry() { latest_ = Instant::min(); }

 private:
  friend class Ring;
  Ring& ring_;
  Instant latest_;
  std::coroutine_handle<> frame_;
};

/// I/O, time and randomness of one shard (or helper process).
///
/// Threads: everything here is called on the ring's own thread, but for construction.
/// Order:   operations complete in any order. A completion never runs inside submit().
class Ring : public BufferHome {
 public:
  ~Ring() override = default;

  // ---- time and randomness
  /// The monotonic clock, read once per turn of the loop.
  virtual Instant now() const = 0;
  /// The wall clock, for stamps that people read.
  virtual WallTime wall_now() const = 0;
  /// Cryptographic randomness, straight from the kernel: one call per key, never from a buffer.
  virtual void random(MutableBytes target) = 0;

  // ---- operations
  virtual void submit(Operation& operation) = 0;
  /// Asks for an early end; the operation still completes (with -ECANCELED or with what it had done). Harmless when finished.
  virtual void cancel(Operation& operation) = 0;
  /// Gives a receive buffer back (Completion::buffer).
  void release_buffer(std::int32_t buffer) override = 0;

  // ---- quick calls that do not wait for the world
  virtual Result<Fd> listen(const SocketAddress& address, SocketKind kind, const ListenOptions& options) = 0;
  virtual Result<Fd> open_socket(const SocketAddress& target, SocketKind kind) = 0;
  virtual Result<SocketAddress> peer_address(Fd socket) = 0;
  virtual Result<SocketAddress> local_address(Fd socket) = 0;

  // ---- files, at start only (they may block)
  virtual Result<std::vector<DirectoryEntry>> list_directory(const std::string& path) = 0;
  virtual Result<FileInfo> file_info(Fd fd) = 0;
  /// Does not follow a symbolic link at the end of `path`.
  virtual Result<FileInfo> path_info(const std::string& path) = 0;
  virtual Result<DiskInfo> disk_info(const std::string& path) = 0;
  /// Exclusive OFD lock on an open file; busy when another description holds it.
  virtual Result<> lock_file(Fd fd) = 0;

  // ---- memory
  /// Page-aligned memory the ring may write from and read into directly (registered with the kernel while that fits).
  /// Lives as long as the ring. Call before the loop starts.
  virtual Result<MutableBytes> make_io_buffer(std::size_t bytes) = 0;

  // ---- other threads
  /// Makes the loop of `other` run its hook; cheap, at most one in flight per pair.
  virtual void wake(Ring& other) = 0;
  virtual void offload(OffloadJob& job) = 0;
  void set_hook(LoopHook* hook) { hook_ = hook; }

  // ---- timers and ready frames, shared by all implementations
  void arm(Timer& timer, Instant at) { timers_.arm(timer, at); }
  void disarm(Timer& timer) { timers_.disarm(timer); }
  /// Resumes `frame` soon, from the loop: the way to wake a coroutine from inside another one.
  void post(std::coroutine_handle<> frame) { ready_.push_back(frame); }

  /// Detached frames of all scopes of this ring, in the order they were started (Scope calls these).
  void attach(DetachedFrame& detached) {
    detached.before = newest_;
    if (newest_) newest_->after = &detached;
    newest_ = &detached;
  }
  void detach(DetachedFrame& detached) {
    if (detached.before) detached.before->after = detached.after;
    (detached.after ? detached.after->before : newest_) = detached.before;
  }

  // ---- awaitables. Every buffer, path and address must stay valid until the await ends.
  OpAwait receive(Fd fd, MutableBytes into, Instant deadline = kNever);
  OpAwait send(Fd fd, Bytes bytes, Instant deadline = kNever);
  OpAwait connect(Fd fd, const SocketAddress& address, Instant deadline = kNever);
  OpAwait shutdown(Fd fd, int how);
  OpAwait close(Fd fd);
  OpAwait open(const char* path, int flags, unsigned mode = 0600, Fd directory = {});
  OpAwait read(Fd fd, MutableBytes into, std::uint64_t offset);
  OpAwait write(Fd fd, SealedBytes bytes, std::uint64_t offset);
  /// For the few files that are public by design (audit lines, lock and mark files); mail and keys never pass here.
  OpAwait write_public(Fd fd, Bytes bytes, std::uint64_t offset);
  WriteSyncAwait write_then_sync(Fd fd, SealedBytes bytes, std::uint64_t offset) { return WriteSyncAwait{*this, fd, bytes, offset}; }
  OpAwait sync_data(Fd fd);
  OpAwait sync_all(Fd fd);
  OpAwait unlink(const char* path, Fd directory = {});
  OpAwait rename(const char* from, const char* to, Fd directory = {});
  OpAwait allocate(Fd fd, std::uint64_t offset, std::uint64_t bytes);
  OpAwait make_directory(const char* path, unsigned mode = 0700, Fd directory = {});
  SleepAwait sleep_until(Instant until) { return SleepAwait{*this, until}; }
  SleepAwait sleep_for(Duration time) { return SleepAwait{*this, now() + time}; }
  /// What is better done once for many things waits for a moment with nothing else to do, but not for long.
  PauseAwait pause(Instant latest) { return PauseAwait{*this, latest}; }

 protected:
  /// Resumes what was posted so far. Returns how many frames ran.
  std::size_t run_ready();
  bool has_ready() const { return !ready_.empty(); }
  /// Somebody waits for a pause: the loop must not sleep.
  bool wants_pause() const { return !pausing_.empty(); }
  /// Once at the end of each turn; `quiet`: nothing came in.
  void run_pausing(bool quiet);

  /// Destroys every detached frame, the newest first. Only while crashing(): their operations must be gone for good.
  void destroy_detached();
  bool has_detached() const { return newest_ != nullptr; }

  TimerQueue timers_;
  LoopHook* hook_ = nullptr;

 private:
  friend class PauseAwait;
  std::vector<std::coroutine_handle<>> ready_, running_;
  std::vector<PauseAwait*> pausing_, ended_pauses_;
  DetachedFrame* newest_ = nullptr;
};

}  // namespace ringpost::runtime
