// What every test of coroutines on a simulated ring begins with.
#pragma once

#include <gtest/gtest.h>

#include "ringpost/runtime/scope.hh"
#include "ringpost/runtime/task.hh"
#include "ringpost/sim/sim_ring.hh"
#include "ringpost/sim/world.hh"

namespace ringpost::sim {

/// Runs `task` on `ring` until it has ended; fails the test when that takes more than `limit` of the world's time.
inline void drive(SimRing& ring, runtime::Task<void> task, Duration limit = std::chrono::hours{1}) {
  runtime::Scope scope(ring);
  scope.spawn(std::move(task));
  ASSERT_EQ(ring.world().run_until([&] { return scope.running() == 0; }, limit), Stop::reached);
}

}  // namespace ringpost::sim
