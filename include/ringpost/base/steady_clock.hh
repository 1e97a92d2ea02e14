// The time for what has no ring to ask: programs' main threads, and helpers' own ones.
#pragma once

#include <chrono>

#include "ringpost/base/units.hh"

namespace ringpost {

/// The clock of every UringRing (CLOCK_MONOTONIC). Threads: any.
inline Instant steady_now() { return Instant{std::chrono::steady_clock::now().time_since_epoch()}; }

}  // namespace ringpost
