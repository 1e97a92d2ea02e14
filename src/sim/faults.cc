#include "ringpost/sim/faults.hh"

#include "ringpost/base/assert.hh"

namespace ringpost::sim {

namespace {

constexpr std::array<std::string_view, static_cast<std::size_t>(Fault::count_)> kNames = {
    "disk_short_write",  "disk_write_error", "disk_sync_error",     "disk_read_error",   "disk_short_read",
    "disk_open_error",   "disk_name_error",  "disk_no_space",       "disk_slow",         "net_refused",
    "net_connect_lost",  "net_reset",        "net_stall",           "net_black_hole",    "net_short_send",
    "net_split",         "net_packet_lost",  "net_no_descriptors",  "net_datagram_lost", "net_datagram_twice",
    "net_datagram_late", "ring_no_buffers",  "ring_multishot_ends", "ring_stall",        "offload_slow",
    "wall_jump"};
static_assert(!kNames.back().empty());

}  // namespace

std::string_view fault_name(Fault fault) { return kNames[static_cast<std::size_t>(fault)]; }

void Faults::fail_nth(Fault fault, std::uint64_t nth, std::uint64_t times) {
  RP_ASSERT(nth > 0);
  of(fault).at = of(fault).chances + nth;
  of(fault).times = times;
}

void Faults::heal() {
  for (Point& point : points_) point.one_in = point.at = point.times = 0;
  for (auto& [name, point] : named_) point.one_in = point.at = point.times = 0;
}

Faults::Point& Faults::point(std::string_view name) {
  auto place = named_.find(name);
  if (place == named_.end()) place = named_.emplace(std::string{name}, Point{}).first;
  return place->second;
}

bool Faults::strike(Point& point) {
  ++point.chances;
  bool planned = point.times > 0 && point.chances >= point.at && point.chances - point.at < point.times;
  bool struck = planned || (point.one_in > 0 && prng_.one_in(point.one_in));
  if (struck) ++point.hits;
  return struck;
}

std::map<std::string, std::uint64_t> Faults::hits() const {
  std::map<std::string, std::uint64_t> all;
  for (std::size_t i = 0; i < points_.size(); ++i) {
    if (points_[i].hits > 0) all.emplace(kNames[i], points_[i].hits);
  }
  for (const auto& [name, point] : named_) {
    if (point.hits > 0) all.emplace(name, point.hits);
  }
  return all;
}

}  // namespace ringpost::sim
