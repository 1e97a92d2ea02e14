// SimRing: the ring of one simulated shard or helper process.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ringpost/base/prng.hh"
#include "ringpost/runtime/ring.hh"
#include "ringpost/sim/world.hh"

namespace ringpost::sim {

class DatagramSocket;
class Description;
class FileHandle;
class Socket;

/// What the rings of one process share.
struct Process {
  std::string name;
  std::size_t descriptors_max;
  std::map<int, std::shared_ptr<Description>> descriptors;  ///< the lowest free number is given out, as the kernel does

  std::shared_ptr<Description> find(Fd fd) const;
  /// Descriptor, or -EMFILE.
  std::int32_t add(std::shared_ptr<Description> description);
};

class SimRing final : public runtime::Ring {
 public:
  SimRing(World& world, std::uint64_t number, std::string name, Process& process, const RingOptions& options);
  ~SimRing() override;

  // ---- runtime::Ring
  Instant now() const override { return now_; }
  WallTime wall_now() const override { return world_.wall_now(); }
  void random(MutableBytes target) override;
  void submit(runtime::Operation& operation) override;
  void cancel(runtime::Operation& operation) override;
  void release_buffer(std::int32_t buffer) override;
  Result<Fd> listen(const SocketAddress& address, runtime::SocketKind kind, const runtime::ListenOptions& options) override;
  Result<Fd> open_socket(const SocketAddress& target, runtime::SocketKind kind) override;
  Result<SocketAddress> peer_address(Fd socket) override;
  Result<SocketAddress> local_address(Fd socket) override;
  Result<std::vector<runtime::DirectoryEntry>> list_directory(const std::string& path) override;
  Result<runtime::FileInfo> file_info(Fd fd) override;
  Result<runtime::FileInfo> path_info(const std::string& path) override;
  Result<runtime::DiskInfo> disk_info(const std::string& path) override;
  Result<> lock_file(Fd fd) override;
  Result<MutableBytes> make_io_buffer(std::size_t bytes) override;
  void wake(runtime::Ring& other) override;
  void offload(runtime::OffloadJob& job) override;

  // ---- what tests and harnesses look at
  World& world() { return world_; }
  Process& process() { return process_; }
  const std::string& name() const { return name_; }
  std::uint64_t number() const { return number_; }
  bool alive() const { return alive_; }
  std::uint64_t operations_in() const { return in_; }
  std::uint64_t operations_out() const { return out_; }
  std::size_t buffers_out() const { return buffers_.size() - free_buffers_.size(); }
  /// No operation, timer, buffer, offload job or posted frame is left.
  bool quiet() const;

  // ---- for the world
  /// When the loop turns next; kNever when it sleeps for good.
  Instant next_turn() const;
  void turn();
  void die();
  void destroy_frames();

  // ---- for sockets
  enum class Deliver : std::uint8_t { done, no_buffer };
  /// Completes an operation (or one round of a multishot one). No effect when it was completed already.
  void finish(std::uint64_t ticket, const runtime::Completion& completion);
  /// Hands `socket`'s next bytes to a multishot receive.
  Deliver deliver_stream(std::uint64_t ticket, Socket& socket);
  std::int32_t accept_into_process(std::shared_ptr<Socket> socket);
  runtime::Operation& operation(std::uint64_t ticket) { return *pending_.at(ticket).operation; }
  /// True while an operation has not got its last completion.
  bool waiting(std::uint64_t ticket) const;

 private:
  struct Pending {
    runtime::Operation* operation;
    std::shared_ptr<Description> target;
    bool performed = false;        ///< it had its effect: too late to cancel
    bool finishing = false;        ///< its last completion is queued
    std::uint64_t bytes_hash = 0;  ///< of what it writes: nobody may touch that meanwhile
  };
  struct Queued {
    std::uint64_t ticket;
    runtime::Completion completion;
  };

  void start(runtime::Operation& operation);
  void start_file(std::uint64_t ticket, const runtime::Operation& operation);
  void start_socket(std::uint64_t ticket, const runtime::Operation& operation, Description& target);
  void start_datagram(std::uint64_t ticket, const runtime::Operation& operation, DatagramSocket& socket);
  std::int32_t close_descriptor(Fd fd);
  std::int32_t perform(const runtime::Operation& operation, FileHandle* file);
  std::int32_t perform_write(FileHandle& file, Bytes bytes, std::uint64_t offset);
  std::int32_t perform_sync(FileHandle& file);
  bool deliver(const Queued& queued);
  void feed_starved();

  World& world_;
  std::uint64_t number_;
  std::string name_;
  Process& process_;
  RingOptions options_;
  Disk& disk_;
  Prng random_;
  std::vector<std::byte> last_draw_;  // to be repeated; of Deceit
  Instant now_, busy_until_, last_turn_, offload_free_;
  bool alive_ = true, turning_ = false, asleep_ = false, woken_ = false;

  std::uint64_t in_ = 0, out_ = 0, tickets_ = 0;
  std::map<std::uint64_t, Pending> pending_;
  std::deque<Queued> completions_;
  std::deque<runtime::OffloadJob*> finished_jobs_;
  std::size_t jobs_ = 0;

  std::vector<std::vector<std::byte>> buffers_;
  std::vector<std::int32_t> free_buffers_;  // the last one is used next
  std::deque<std::weak_ptr<Socket>> starved_;
  bool feeds_soon_ = false;
  std::vector<std::unique_ptr<std::byte, void (*)(void*)>> io_buffers_;
};

}  // namespace ringpost::sim
