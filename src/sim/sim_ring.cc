#include "ringpost/sim/sim_ring.hh"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include "datagram.hh"
#include "inode.hh"
#include "ringpost/sim/disk.hh"
#include "ringpost/sim/network.hh"
#include "socket.hh"

namespace ringpost::sim {

namespace {

using runtime::OpCode;
using runtime::Operation;
using std::chrono::milliseconds;

constexpr Range kHandOver{Duration{200}, std::chrono::microseconds{10}};  // from effect to completion queue
constexpr Duration kHookTick = milliseconds{100};  // a loop with a hook looks at it this often, woken or not
constexpr std::byte kStale{0xdd};                  // fills buffers that were given back

constexpr std::string_view op_name(OpCode code) {
  constexpr std::array<std::string_view, 16> kNames = {
      "accept", "receive_stream", "receive",   "send",     "connect", "shutdown", "close",    "open",
      "read",   "write",          "sync_data", "sync_all", "unlink",  "rename",   "allocate", "make_directory"};
  return kNames[static_cast<std::size_t>(code)];
}

bool carries_bytes(const Operation& operation) { return operation.code == OpCode::write || operation.code == OpCode::send; }

std::uint64_t bytes_hash(const Operation& operation) {
  return carries_bytes(operation) ? XXH3_64bits(operation.buffer, operation.size) : 0;
}

bool complete_in_full(const Operation& operation, std::int32_t result) {
  const bool counted = carries_bytes(operation) || operation.code == OpCode::read || operation.code == OpCode::receive;
  return result >= 0 && (!counted || static_cast<std::uint32_t>(result) == operation.size);
}

}  // namespace

// ---- Process

std::shared_ptr<Description> Process::find(Fd fd) const {
  auto place = descriptors.find(fd.value);
  return place == descriptors.end() ? nullptr : place->second;
}

std::int32_t Process::add(std::shared_ptr<Description> description) {
  if (descriptors.size() >= descriptors_max) return -EMFILE;
  int free = 3;
  for (const auto& [number, open] : descriptors) {
    if (number != free) break;
    ++free;
  }
  descriptors.emplace(free, std::move(description));
  return free;
}

// ---- life

SimRing::SimRing(World& world, std::uint64_t number, std::string name, Process& process, const RingOptions& options)
    : world_(world),
      number_(number),
      name_(std::move(name)),
      process_(process),
      options_(options),
      disk_(options.disk ? *options.disk : world.disk()),
      random_(world.prng().next()),
      now_(world.now()),
      busy_until_(now_),
      last_turn_(now_),
      offload_free_(now_) {
  buffers_.assign(options.receive_buffers, std::vector<std::byte>(options.receive_buffer_bytes, kStale));
  for (std::size_t i = buffers_.size(); i > 0; --i) free_buffers_.push_back(static_cast<std::int32_t>(i - 1));
}

SimRing::~SimRing() = default;

bool SimRing::quiet() const {
  return in_ == out_ && timers_.size() == 0 && buffers_out() == 0 && jobs_ == 0 && !has_ready() && !has_detached();
}

void SimRing::die() {
  RP_ASSERT(!turning_);
  alive_ = false;
  for (auto& [ticket, pending] : pending_) {
    if (pending.target) pending.target->forget(number_, ticket);
  }
  pending_.clear();
  completions_.clear();
  finished_jobs_.clear();
}

void SimRing::destroy_frames() { destroy_detached(); }

// ---- the loop

Instant SimRing::next_turn() const {
  if (!alive_) return kNever;
  if (!completions_.empty() || !finished_jobs_.empty() || has_ready() || woken_ || wants_pause()) return busy_until_;
  Instant at = timers_.next();
  if (hook_) at = std::min(at, last_turn_ + kHookTick);
  return at == kNever ? kNever : std::max(at, busy_until_);
}

void SimRing::turn() {
  turning_ = true;
  now_ = last_turn_ = world_.now();
  if (std::exchange(asleep_, false)) hook_->awake();
  woken_ = false;
  bool quiet = completions_.empty() && finished_jobs_.empty() && !has_ready();
  for (std::size_t count = completions_.size(); count > 0; --count) {
    const Queued queued = completions_.front();
    completions_.pop_front();
    if (!deliver(queued)) {
      turning_ = false;
      return;  // the process dies here
    }
  }
  for (std::size_t count = finished_jobs_.size(); count > 0; --count) {
    runtime::OffloadJob& job = *finished_jobs_.front();
    finished_jobs_.pop_front();
    --jobs_;
    world_.trace("offloaded", number_, 0);
    job.done(job);
  }
  if (const std::size_t fired = timers_.fire_due(now_)) {
    world_.trace("timers", number_, static_cast<std::int64_t>(fired));
    quiet = false;
  }
  run_ready();
  run_pausing(quiet);
  if (hook_) {
    woken_ = hook_->poll();
    if (!woken_ && completions_.empty() && !has_ready()) {
      asleep_ = hook_->may_sleep();
      woken_ = !asleep_;
    }
  }
  turning_ = false;
  busy_until_ = now_ + world_.draw(world_.timing().turn);
  if (world_.faults().strike(Fault::ring_stall)) busy_until_ += world_.draw({milliseconds{10}, milliseconds{2000}});
}

bool SimRing::deliver(const Queued& queued) {
  auto place = pending_.find(queued.ticket);
  RP_ASSERT(place != pending_.end());
  Operation& operation = *place->second.operation;
  if (world_.crash_here(*this, operation.code)) return false;
  world_.trace(op_name(operation.code), number_, queued.completion.result);
  if (!queued.completion.more) {
    pending_.erase(place);
    operation.submitted = 0;
    ++out_;
  }
  operation.complete(operation, queued.completion);
  return true;
}

// ---- operations

void SimRing::submit(Operation& operation) {
  if (!alive_) return;
  for (Operation* each = &operation; each; each = each->linked) {
    RP_ASSERT(!each->submitted && each->complete);
    each->submitted = 1;
    each->ring_data[0] = 0;
    ++in_;
  }
  start(operation);
}

void SimRing::start(Operation& operation) {
  const std::uint64_t ticket = ++tickets_;
  operation.ring_data[0] = ticket;
  const bool has_base = !operation.path || !std::string_view{operation.path}.starts_with('/');
  std::shared_ptr<Description> target = has_base ? process_.find(operation.fd) : nullptr;
  pending_.emplace(ticket, Pending{&operation, target, false, false, bytes_hash(operation)});
  if (has_base && !target) return finish(ticket, {.result = -EBADF});
  switch (operation.code) {
    case OpCode::close:
      pending_.at(ticket).target.reset();
      target.reset();
      return finish(ticket, {.result = close_descriptor(operation.fd)});
    case OpCode::accept:
    case OpCode::receive_stream:
    case OpCode::receive:
    case OpCode::send:
    case OpCode::connect:
    case OpCode::shutdown: return start_socket(ticket, operation, *target);
    default: return start_file(ticket, operation);
  }
}

std::int32_t SimRing::close_descriptor(Fd fd) {
  process_.descriptors.erase(fd.value);
  return 0;
}

void SimRing::start_socket(std::uint64_t ticket, const Operation& operation, Description& target) {
  if (DatagramSocket* socket = target.as_datagram()) return start_datagram(ticket, operation, *socket);
  if (operation.code == OpCode::accept) {
    Listener* listener = target.as_listener();
    return listener ? listener->accept(*this, ticket) : finish(ticket, {.result = -EINVAL});
  }
  Socket* socket = target.as_socket();
  if (!socket) return finish(ticket, {.result = target.as_listener() ? -ENOTCONN : -ENOTSOCK});
  switch (operation.code) {
    case OpCode::receive_stream: return socket->receive(*this, ticket, true);
    case OpCode::receive: return socket->receive(*this, ticket, false);
    case OpCode::send: return socket->send(*this, ticket);
    case OpCode::shutdown: return finish(ticket, {.result = socket->shutdown(operation.flags)});
    default: return world_.network().connect(socket->shared_from_this(), *operation.address, *this, ticket);
  }
}

void SimRing::start_datagram(std::uint64_t ticket, const Operation& operation, DatagramSocket& socket) {
  switch (operation.code) {
    case OpCode::connect: return socket.connect(*operation.address, *this, ticket);
    case OpCode::send: return socket.send(*this, ticket);
    case OpCode::receive: return socket.receive(*this, ticket);
    case OpCode::shutdown: return finish(ticket, {.result = socket.connected() ? 0 : -ENOTCONN});
    default: return finish(ticket, {.result = -EOPNOTSUPP});
  }
}

void SimRing::start_file(std::uint64_t ticket, const Operation& operation) {
  const bool sync = operation.code == OpCode::sync_data || operation.code == OpCode::sync_all;
  Duration delay = world_.draw(sync ? world_.timing().sync : world_.timing().disk);
  if (world_.faults().strike(Fault::disk_slow)) delay += world_.draw({milliseconds{50}, milliseconds{5000}});
  world_.after(*this, delay, [this, ticket] {
    if (!waiting(ticket)) return;
    Pending& pending = pending_.at(ticket);
    pending.performed = true;
    FileHandle* file = pending.target ? pending.target->as_file() : nullptr;
    const std::int32_t result = pending.target && !file ? -EINVAL : perform(*pending.operation, file);
    world_.after(*this, world_.draw(kHandOver), [this, ticket, result] { finish(ticket, {.result = result}); });
  });
}

std::int32_t SimRing::perform(const Operation& operation, FileHandle* file) {
  Disk& disk = file ? file->disk() : disk_;
  switch (operation.code) {
    case OpCode::open: {
      std::shared_ptr<FileHandle> opened;
      const int error = disk.open(file, operation.path, operation.flags, static_cast<unsigned>(operation.offset), opened);
      return error != 0 ? error : process_.add(std::move(opened));
    }
    case OpCode::read: return disk.read(*file, {operation.buffer, operation.size}, operation.offset);
    case OpCode::write: return perform_write(*file, {operation.buffer, operation.size}, operation.offset);
    case OpCode::sync_data: return perform_sync(*file);
    case OpCode::sync_all: return disk.sync(*file);
    case OpCode::allocate: return disk.allocate(*file, operation.flags, operation.offset, operation.size64);
    case OpCode::unlink: return disk.unlink(file, operation.path, operation.flags != 0);
    case OpCode::rename: return disk.rename(file, operation.path, operation.path_to);
    case OpCode::make_directory: return disk.make_directory(file, operation.path, static_cast<unsigned>(operation.offset));
    default: return -EINVAL;
  }
}

bool SimRing::waiting(std::uint64_t ticket) const {
  auto place = pending_.find(ticket);
  return place != pending_.end() && !place->second.finishing;
}

void SimRing::finish(std::uint64_t ticket, const runtime::Completion& completion) {
  if (!waiting(ticket)) return;
  completions_.push_back({ticket, completion});
  if (completion.more) return;
  Pending& pending = pending_.at(ticket);
  pending.finishing = true;
  Operation& operation = *pending.operation;
  RP_ASSERT(pending.bytes_hash == bytes_hash(operation));  // changed under the operation
  if (auto target = std::move(pending.target)) target->forget(number_, ticket);
  Operation* next = operation.linked;
  if (!next) return;
  if (complete_in_full(operation, completion.result)) return start(*next);
  const std::uint64_t cancelled = ++tickets_;
  next->ring_data[0] = cancelled;
  pending_.emplace(cancelled, Pending{next, nullptr, false, false, bytes_hash(*next)});
  finish(cancelled, {.result = -ECANCELED});
}

void SimRing::cancel(Operation& operation) {
  if (!alive_ || !operation.submitted || !waiting(operation.ring_data[0])) return;
  const Pending& pending = pending_.at(operation.ring_data[0]);
  const bool on_socket = pending.target && !pending.target->as_file();
  // A socket operation waits and can be taken back. The kernel has mostly started on a file by now.
  if (on_socket || (!pending.performed && world_.prng().one_in(4))) finish(operation.ring_data[0], {.result = -ECANCELED});
}

// ---- receive buffers

SimRing::Deliver SimRing::deliver_stream(std::uint64_t ticket, Socket& socket) {
  Faults& faults = world_.faults();
  if (!socket.has_bytes()) {
    finish(ticket, {.result = socket.take({})});
    return Deliver::done;
  }
  const bool robbed = faults.strike(Fault::ring_no_buffers);
  if (free_buffers_.empty() || robbed) {
    if (!robbed) ++faults.point("ring_out_of_buffers").hits;
    const auto same = [&](const std::weak_ptr<Socket>& other) { return other.lock().get() == &socket; };
    if (std::none_of(starved_.begin(), starved_.end(), same)) starved_.push_back(socket.weak_from_this());
    // One look is enough for all that wait: with one for each, many sockets on a ring without buffers would breed looks.
    if (robbed && !std::exchange(feeds_soon_, true))
      world_.after(*this, milliseconds{1}, [this] {
        feeds_soon_ = false;
        feed_starved();
      });
    return Deliver::no_buffer;
  }
  const std::int32_t buffer = free_buffers_.back();
  free_buffers_.pop_back();
  auto& memory = buffers_[static_cast<std::size_t>(buffer)];
  const std::int32_t count = socket.take(memory);
  const bool more = !faults.strike(Fault::ring_multishot_ends);
  finish(ticket, {.result = count, .more = more, .buffer = buffer, .data = memory.data()});
  return Deliver::done;
}

void SimRing::release_buffer(std::int32_t buffer) {
  if (!alive_) return;
  RP_ASSERT(buffer >= 0 && static_cast<std::size_t>(buffer) < buffers_.size());
  RP_ASSERT(std::find(free_buffers_.begin(), free_buffers_.end(), buffer) == free_buffers_.end());
  std::fill(buffers_[static_cast<std::size_t>(buffer)].begin(), buffers_[static_cast<std::size_t>(buffer)].end(), kStale);
  free_buffers_.push_back(buffer);
  feed_starved();
}

void SimRing::feed_starved() {
  for (const auto& weak : std::exchange(starved_, {})) {
    if (auto socket = weak.lock()) socket->serve();
  }
}

}  // namespace ringpost::sim
