// The contract of Ring: the same scripts run on every implementation, so that the simulator and the kernel agree.
//
// An executable that checks an implementation compiles the files of `ring_contract` (meson.build here) and says
//   INSTANTIATE_TEST_SUITE_P(Name, RingContract, testing::Values(&make_my_world));
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "ringpost/runtime/receiver.hh"
#include "ringpost/runtime/ring.hh"
#include "ringpost/runtime/scope.hh"
#include "ringpost/runtime/signal.hh"
#include "ringpost/runtime/task.hh"

namespace ringpost::runtime::contract {

/// How the rings of a world are built. An implementation may ignore what it has no notion of (queue sizes).
struct ContractOptions {
  unsigned entries = 64;
  unsigned completions = 0;  ///< 0: four times `entries`
  unsigned receive_buffers = 64;
  std::size_t receive_buffer_bytes = 4096;
};

/// Two rings that reach each other, driven by one thread.
class ContractWorld {
 public:
  virtual ~ContractWorld() = default;
  /// 0 or 1.
  virtual Ring& ring(std::size_t index = 0) = 0;
  /// Starts `task` and turns the loops of both rings until it has ended.
  virtual void drive(Task<void> task) = 0;
  /// Where to listen for stream sockets: a loopback address; port 0 when local_address() tells the port that was chosen.
  virtual SocketAddress stream_address() = 0;
  /// An existing directory (absolute path, no slash at the end), empty, the same one on each call.
  virtual std::string directory() = 0;
  /// Operations submitted minus operations completed, over both rings.
  virtual std::uint64_t in_flight() = 0;
};

using WorldFactory = std::unique_ptr<ContractWorld> (*)(const ContractOptions&);

class RingContract : public testing::TestWithParam<WorldFactory> {
 protected:
  /// Call at most once in a test, before anything else when the options matter.
  void make_world(const ContractOptions& options) { world_ = GetParam()(options); }
  ContractWorld& world() {
    if (!world_) make_world({});
    return *world_;
  }
  Ring& ring(std::size_t index = 0) { return world().ring(index); }
  void drive(Task<void> task) {
    world().drive(std::move(task));
    if (world_) EXPECT_EQ(world_->in_flight(), 0u);
  }

 private:
  std::unique_ptr<ContractWorld> world_;
};

}  // namespace ringpost::runtime::contract

/// EXPECT that leaves the coroutine when it fails.
#define CO_ASSERT(condition)                  \
  do {                                        \
    if (!(condition)) {                       \
      ADD_FAILURE() << "not so: " #condition; \
      co_return;                              \
    }                                         \
  } while (false)
