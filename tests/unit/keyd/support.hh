// keyd and a client in a simulated world.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "ringpost/keyd/server.hh"
#include "ringpost/keyd/store.hh"
#include "ringpost/keys/client.hh"
#include "ringpost/runtime/crash.hh"
#include "ringpost/sim/disk.hh"
#include "ringpost/sim/network.hh"
#include "ringpost/sim/sim_ring.hh"
#include "ringpost/sim/world.hh"

namespace ringpost::keyd {

using keys::KeyClass;
using keys::protocol::Status;
using runtime::Task;

inline constexpr Duration kLong = std::chrono::hours{1};
inline constexpr char kDirectory[] = "/keys";
inline constexpr char kKek[] = "/keys/kek";
inline constexpr char kKeystore[] = "/keys/keystore";

struct RecordedEvents final : EventSink {
  std::vector<std::pair<event::Kind, std::optional<KeyId>>> all;
  void key_event(event::Kind kind, std::optional<KeyId> key) override { all.emplace_back(kind, key); }
  std::size_t count(event::Kind kind) const {
    std::size_t count = 0;
    for (const auto& event : all) count += event.first == kind;
    return count;
  }
};

inline StoreOptions store_options() {
  return {.directory = kDirectory, .kek_file = kKek, .spool_directory = "/spool", .allow_same_filesystem = true};
}

/// The daemon: one life of it.
struct Keyd {
  Keyd(sim::World& world, const SocketAddress& address, StoreOptions options, ServerOptions limits)
      : ring(world.make_ring("keyd")), log(LogLevel::error), scope(ring), store(ring, log, events, std::move(options)) {
    listener = *ring.listen(address, runtime::SocketKind::seqpacket, {});
    limits.listener = listener;
    limits.peer_is = [](Fd, std::uint32_t user) { return user == 0; };
    server.emplace(ring, log, store, events, limits);
    scope.spawn(server->run());
  }

  sim::SimRing& ring;
  Log log;
  runtime::Scope scope;
  RecordedEvents events;
  Store store;
  Fd listener;
  std::optional<Server> server;
};

/// Everything a test needs; what is still running at the end is stopped in order.
class KeydWorld {
 public:
  explicit KeydWorld(std::uint64_t seed = 1) : world_(seed), ring_(world_.make_ring("ringpostd")), log_(LogLevel::error) {
    world_.disk().make_directory(kDirectory);
    world_.disk().set_owner(kDirectory, 0, 0700);
    world_.disk().make_directory("/spool");
  }
  ~KeydWorld() {
    for (auto& client : clients_) stop(*client);
    clients_.clear();
    stop_keyd();
  }

  sim::World& world() { return world_; }
  sim::SimRing& ring() { return ring_; }
  sim::Disk& disk() { return world_.disk(); }
  Keyd& keyd() { return *keyd_; }

  void start_keyd(StoreOptions options = store_options(), ServerOptions limits = {}) {
    keyd_ = std::make_unique<Keyd>(world_, address_, std::move(options), limits);
  }
  void stop_keyd() {
    if (!keyd_) return;
    sim::SimRing& ring = keyd_->ring;
    run_on(ring, shut_down(*keyd_));
    keyd_.reset();
    world_.retire(ring);
  }
  /// As SIGKILL does it.
  void kill_keyd() {
    world_.kill(keyd_->ring);
    {
      runtime::CrashGuard guard;
      keyd_.reset();
    }
    world_.bury();
  }

  keys::Client& make_client(bool spool_empty, Duration patience = std::chrono::seconds{5}) {
    keys::ClientOptions options{.socket = address_, .spool_empty = spool_empty, .patience = patience};
    ring_.random(options.incarnation.bytes);
    ring_.random(options.partition.bytes);
    clients_.push_back(std::make_unique<keys::Client>(ring_, log_, options));
    clients_.back()->start();
    return *clients_.back();
  }
  void stop(keys::Client& client) { run_on(ring_, client.stop()); }

  template <typename T>
  T run(Task<T> task) {
    std::optional<T> result;
    run_on(ring_, store_result(std::move(task), result));
    return std::move(*result);
  }
  void run_on(sim::SimRing& ring, Task<void> task) {
    runtime::Scope scope(ring);
    scope.spawn(within_a_turn(ring, std::move(task)));
    RP_ASSERT(world_.run_until([&] { return scope.running() == 0; }, kLong) == sim::Stop::reached);
  }
  /// What a hello comes to: ok, or why keyd refuses.
  Status hello_status(keys::Client& client) {
    Result<keys::Hello> hello = run(client.hello(ring_.now() + std::chrono::minutes{1}));
    if (hello) return Status::ok;
    EXPECT_EQ(hello.error().code, Errc::permission);
    return static_cast<Status>(hello.error().detail);
  }

 private:
  /// A ring tells the time of its latest turn, which may be long ago when a test has let time pass.
  static Task<void> within_a_turn(sim::SimRing& ring, Task<void> task) {
    co_await ring.sleep_for({});
    co_await task;
  }
  template <typename T>
  static Task<void> store_result(Task<T> task, std::optional<T>& result) {
    result.emplace(co_await task);
  }
  static Task<void> shut_down(Keyd& keyd) {
    co_await keyd.server->stop();
    co_await keyd.scope.join();
    keyd.server.reset();
    co_await keyd.store.close();
    (void)co_await keyd.ring.close(keyd.listener);
  }

  sim::World world_;
  sim::SimRing& ring_;
  Log log_;
  SocketAddress address_ = *SocketAddress::from_path("/run/keyd.sock");
  std::unique_ptr<Keyd> keyd_;
  std::vector<std::unique_ptr<keys::Client>> clients_;
};

inline std::string text_of(Bytes bytes) { return std::string{as_text(bytes)}; }

}  // namespace ringpost::keyd
