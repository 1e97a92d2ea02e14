// Bugs planted in ringpostd without touching it: below its rings, or in place of one of its functions.
#pragma once

#include <string_view>
#include <vector>

#include "ringpost/sim/world.hh"

namespace ringpost::sim::relay {

std::vector<std::string_view> plant_names();

/// Plants one bug (none: an empty name) for as long as it lives. One at a time.
class Plant {
 public:
  Plant(World& world, std::string_view name);
  Plant(const Plant&) = delete;
  ~Plant();

  /// For the rings of ringpostd.
  const Deceit& deceit() const { return deceit_; }

 private:
  Deceit deceit_;
};

}  // namespace ringpost::sim::relay
