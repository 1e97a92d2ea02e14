// Times as operators read them.
#pragma once

#include <chrono>
#include <string>

#include "ringpost/base/units.hh"
#include "ringpost/base/utc_time.hh"

namespace ringpost::shard {

/// 2026-11-22T18:35:15Z
inline std::string timestamp(WallTime time) { return format_utc(std::chrono::floor<std::chrono::seconds>(time)); }

}  // namespace ringpost::shard
