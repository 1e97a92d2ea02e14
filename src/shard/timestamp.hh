// Times as operators read them.
#pragma once

#include <chrono>
#include <cstdio>
#include <string>

#include "ringpost/base/units.hh"

namespace ringpost::shard {

/// 2026-11-22T18:35:15Z
inline std::string timestamp(WallTime time) {
  auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  auto day = std::chrono::floor<std::chrono::days>(seconds);
  std::chrono::year_month_day date{day};
  std::chrono::hh_mm_ss clock{seconds - day};
  char text[64];
  std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02ld:%02ld:%02ldZ", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), static_cast<long>(clock.hours().count()),
                static_cast<long>(clock.minutes().count()), static_cast<long>(clock.seconds().count()));
  return text;
}

}  // namespace ringpost::shard
