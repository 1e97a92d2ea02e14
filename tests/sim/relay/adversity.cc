#include "adversity.hh"

#include <algorithm>
#include <iterator>

#include "name_server.hh"
#include "next_hop.hh"

namespace ringpost::sim::relay {

namespace {

using runtime::OpCode;

/// A fault, and the range its rarity is drawn from.
struct Possible {
  Fault fault;
  std::uint64_t least, most;
};
constexpr Possible kDiskFaults[] = {
    {Fault::disk_short_write, 4, 60},  {Fault::disk_write_error, 10, 200}, {Fault::disk_sync_error, 10, 200},
    {Fault::disk_read_error, 10, 200}, {Fault::disk_short_read, 4, 60},    {Fault::disk_open_error, 10, 100},
    {Fault::disk_name_error, 4, 40},   {Fault::disk_no_space, 10, 200},    {Fault::disk_slow, 20, 300}};
constexpr Possible kNetworkFaults[] = {
    {Fault::net_refused, 4, 40},   {Fault::net_connect_lost, 10, 60},   {Fault::net_reset, 50, 1000},
    {Fault::net_stall, 100, 2000}, {Fault::net_black_hole, 300, 3000},  {Fault::net_short_send, 4, 60},
    {Fault::net_split, 3, 30},     {Fault::net_packet_lost, 100, 1000}, {Fault::net_no_descriptors, 5, 50}};
constexpr Possible kDatagramFaults[] = {
    {Fault::net_datagram_lost, 3, 30}, {Fault::net_datagram_twice, 3, 30}, {Fault::net_datagram_late, 3, 30}};
/// How rare a mood is where everything is slow, and where mail is put off.
struct Usual {
  std::string_view mood;
  std::uint64_t one_in;
};
constexpr Usual kSlowMoods[] = {{"hop is slow", 2}, {"dns is slow", 2}, {"dns is silent", 3}};
constexpr Usual kDeferringMoods[] = {{"hop defers MAIL", 4}, {"hop defers RCPT", 1}};
constexpr Possible kMachineFaults[] = {{Fault::ring_no_buffers, 5, 100},
                                       {Fault::ring_multishot_ends, 5, 100},
                                       {Fault::ring_stall, 300, 3000},
                                       {Fault::offload_slow, 10, 100},
                                       {Fault::wall_jump, 500, 5000}};

/// Where a process may be made to die: at the completion of one of these, its effect done and nobody told.
struct CrashPoint {
  std::string_view process;
  OpCode code;
  std::string_view name;
  std::uint64_t most;  ///< the completion is drawn from 1 to this
};
constexpr CrashPoint kCrashPoints[] = {
    {"ringpostd", OpCode::accept, "ringpostd dies at accept", 5},
    {"ringpostd", OpCode::receive_stream, "ringpostd dies at receive_stream", 100},
    {"ringpostd", OpCode::receive, "ringpostd dies at receive", 20},
    {"ringpostd", OpCode::send, "ringpostd dies at send", 100},
    {"ringpostd", OpCode::connect, "ringpostd dies at connect", 3},
    {"ringpostd", OpCode::close, "ringpostd dies at close", 10},
    {"ringpostd", OpCode::open, "ringpostd dies at open", 12},
    {"ringpostd", OpCode::read, "ringpostd dies at read", 40},
    {"ringpostd", OpCode::write, "ringpostd dies at write", 60},
    {"ringpostd", OpCode::sync_data, "ringpostd dies at sync_data", 60},
    {"ringpostd", OpCode::sync_all, "ringpostd dies at sync_all", 4},
    {"auditd", OpCode::receive, "auditd dies at receive", 60},
    {"auditd", OpCode::write, "auditd dies at write", 60},
    {"auditd", OpCode::sync_data, "auditd dies at sync_data", 60},
    {"auditd", OpCode::send, "auditd dies at send", 60},
    {"keyd", OpCode::receive, "keyd dies at receive", 20},
    {"keyd", OpCode::send, "keyd dies at send", 20},
};

}  // namespace

std::vector<std::string_view> Adversity::points() {
  std::vector<std::string_view> names{kPowerCut, kRingpostdKilled, kKeydKilled, kAuditdKilled};
  const auto add = [&](const auto& possible) { names.push_back(fault_name(possible.fault)); };
  std::ranges::for_each(kDiskFaults, add);
  std::ranges::for_each(kNetworkFaults, add);
  std::ranges::for_each(kDatagramFaults, add);
  std::ranges::for_each(kMachineFaults, add);
  names.insert(names.end(), {kTakenUp, kCopied, kHeld, kRetried});
  names.insert(names.end(), std::begin(kHopMoods), std::end(kHopMoods));
  names.insert(names.end(), std::begin(kDnsMoods), std::end(kDnsMoods));
  names.insert(names.end(), std::begin(kIndexStates), std::end(kIndexStates));
  for (const CrashPoint& point : kCrashPoints) names.push_back(point.name);
  return names;
}

std::vector<std::string_view> Adversity::points_of_slowness() {
  std::vector<std::string_view> names{fault_name(Fault::disk_slow)};
  for (const Usual& usual : kSlowMoods) names.push_back(usual.mood);
  return names;
}

std::vector<std::string_view> Adversity::points_of_clock() {
  std::vector<std::string_view> names{std::begin(kClockPoints), std::end(kClockPoints)};
  names.insert(names.end(), {kRingpostdKilled, kPowerCut, kTakenUp});
  for (const Usual& usual : kDeferringMoods) names.push_back(usual.mood);
  return names;
}

void Adversity::slow_everything() {
  world_.faults().set(Fault::disk_slow, 2);
  for (const Usual& usual : kSlowMoods) world_.faults().point(usual.mood).one_in = usual.one_in;
}

void Adversity::defer_mail() {
  for (const Usual& usual : kDeferringMoods) world_.faults().point(usual.mood).one_in = usual.one_in;
}

template <typename Possible, std::size_t Count>
void Adversity::draw(const Possible (&all)[Count], std::uint64_t one_in) {
  for (const Possible& possible : all) {
    const bool on = prng().one_in(one_in);
    world_.faults().set(possible.fault, on ? possible.least + prng().below(possible.most - possible.least) : 0);
  }
}

template <typename Possible, std::size_t Count>
void Adversity::draw_one(const Possible (&all)[Count], std::uint64_t most) {
  world_.faults().set(all[prng().below(Count)].fault, 20 + prng().below(most - 20));
}

void Adversity::draw_faults() {
  draw(kDiskFaults, 3);
  draw(kNetworkFaults, 3);
  draw(kDatagramFaults, 2);
  draw(kMachineFaults, 2);
  for (std::string_view mood : kHopMoods) world_.faults().point(mood).one_in = prng().one_in(3) ? 5 + prng().below(60) : 0;
  for (std::string_view mood : kDnsMoods) world_.faults().point(mood).one_in = prng().one_in(3) ? 3 + prng().below(10) : 0;
  // At least one of each kind.
  draw_one(kDiskFaults, 100);
  draw_one(kNetworkFaults, 220);
}

std::size_t Adversity::kinds_struck() {
  std::size_t kinds = 0;
  const auto count = [&](const auto& possible) { kinds += world_.faults().hits(possible.fault) > 0; };
  std::ranges::for_each(kDiskFaults, count);
  std::ranges::for_each(kNetworkFaults, count);
  std::ranges::for_each(kMachineFaults, count);
  std::ranges::for_each(kDatagramFaults, count);
  for (std::string_view mood : kDnsMoods) kinds += world_.faults().point(mood).hits > 0;
  for (std::string_view mood : kHopMoods) kinds += world_.faults().point(mood).hits > 0;
  return kinds;
}

void Adversity::plan_crash() {
  const CrashPoint& point = kCrashPoints[prng().below(std::size(kCrashPoints))];
  planned_ = {point.name, prng().one_in(2)};
  world_.plan_crash({.process = std::string{point.process}, .code = point.code, .nth = 1 + prng().below(point.most)});
}

PlannedCrash Adversity::crashed() {
  count(planned_.name);
  return planned_;
}

}  // namespace ringpost::sim::relay
