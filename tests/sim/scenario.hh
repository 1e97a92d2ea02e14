// What a simulator run consists of. sim_main turns the command line into runs of a Scenario.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ringpost/sim/world.hh"

namespace ringpost::sim {

/// What a run found wrong. Empty is good.
class Findings {
 public:
  /// Notes `what`, once, when `holds` is false.
  void expect(bool holds, std::string_view what) {
    if (!holds && std::ranges::find(list_, what) == list_.end()) list_.emplace_back(what);
  }
  const std::vector<std::string>& list() const { return list_; }

 private:
  std::vector<std::string> list_;
};

/// A world full of actors, its faults, and the oracles that judge it.
///
/// A run has two parts: first faults on (safety: nothing acknowledged is lost, nothing forbidden is seen), then Faults::heal()
/// and drain within bounded virtual time (liveness). It draws every decision from World::prng(), and ends with every ring retired
/// or killed.
class Scenario {
 public:
  virtual ~Scenario() = default;
  virtual std::string_view name() const = 0;
  /// The fault and crash points it draws from: over many seeds each of them must strike.
  virtual std::vector<std::string_view> points() const = 0;
  /// Bugs it can plant in its own actors, to prove that its oracles find them.
  virtual std::vector<std::string_view> plants() const = 0;
  /// `plant`: one of plants(), or empty.
  virtual void run(World& world, std::string_view plant, Findings& findings) = 0;
};

std::unique_ptr<Scenario> make_echo_log_scenario();
std::unique_ptr<Scenario> make_relay_scenario();
std::unique_ptr<Scenario> make_slow_relay_scenario();
std::unique_ptr<Scenario> make_clock_relay_scenario();
std::unique_ptr<Scenario> make_audit_relay_scenario();
std::unique_ptr<Scenario> make_full_relay_scenario();

}  // namespace ringpost::sim
