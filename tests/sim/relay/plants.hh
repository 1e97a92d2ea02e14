// Bugs planted in ringpostd and auditd without touching them: below their rings, or in place of one of their functions.
#pragma once

#include <string_view>
#include <vector>

#include "ringpost/sim/world.hh"

namespace ringpost::sim::relay {

std::vector<std::string_view> plant_names();
/// The one of them that a mad clock brings to light.
inline constexpr std::string_view kClockPlant = "expires-by-wall-clock";

/// Plants one bug (none: an empty name) for as long as it lives. One at a time.
class Plant {
 public:
  Plant(World& world, std::string_view name);
  Plant(const Plant&) = delete;
  ~Plant();

  /// For the rings of ringpostd, and of auditd.
  const Deceit& deceit() const { return deceit_; }
  const Deceit& auditd_deceit() const { return auditd_deceit_; }

 private:
  Deceit deceit_, auditd_deceit_;
};

}  // namespace ringpost::sim::relay
