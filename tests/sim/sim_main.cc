// ringpost-sim: runs scenarios in the deterministic simulator, by seed.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <map>
#include <optional>

#include "scenario.hh"

namespace ringpost::sim {
namespace {

constexpr const char* kUsage =
    "usage: ringpost-sim [--scenario NAME] [--seed N | --seeds A..B] [--plant NAME] [--twice] [--trace] [--list]\n"
    "  --seed N      one run; a failing seed fails again, with the same trace hash\n"
    "  --seeds A..B  one run for each seed, both ends included (default 1..20)\n"
    "  --plant NAME  plants a bug; then the exit code is 0 when at least one seed finds it\n"
    "  --twice       runs every seed twice and compares the trace hashes\n"
    "  --trace       prints every event\n"
    "  --list        prints scenarios and the bugs they can plant\n"
    "At the end: how often each fault and crash point struck. Over 1000 seeds or more each must.\n"
    "exit code: 0 as expected, 1 not, 2 wrong usage\n";

constexpr std::uint64_t kManySeeds = 1000;

struct Arguments {
  std::string_view scenario, plant;
  std::uint64_t first = 1, last = 20;
  bool twice = false, trace = false, list = false;
};

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool read_seeds(std::string_view text, Arguments& arguments) {
  const std::size_t dots = text.find("..");
  auto first = number(text.substr(0, dots));
  auto last = dots == text.npos ? first : number(text.substr(dots + 2));
  if (!first || !last || *first > *last) return false;
  arguments.first = *first;
  arguments.last = *last;
  return true;
}

std::optional<Arguments> read_arguments(int count, char** words) {
  Arguments arguments;
  for (int i = 1; i < count; ++i) {
    const std::string_view word = words[i], value = i + 1 < count ? words[i + 1] : "";
    if (word == "--twice") {
      arguments.twice = true;
    } else if (word == "--trace") {
      arguments.trace = true;
    } else if (word == "--list") {
      arguments.list = true;
    } else if (value.empty()) {
      return std::nullopt;
    } else if (word == "--scenario") {
      arguments.scenario = words[++i];
    } else if (word == "--plant") {
      arguments.plant = words[++i];
    } else if (word == "--seed" || word == "--seeds") {
      if (!read_seeds(words[++i], arguments)) return std::nullopt;
    } else {
      return std::nullopt;
    }
  }
  return arguments;
}

// An assertion that fails ends the process: then the seed must be known all the same. It is one way to find a planted bug, because the same
// seeds without it fail none.
char current_run[200] = "";
bool planted_run = false;

extern "C" void tell_seed(int) {
  [[maybe_unused]] auto ignored = ::write(STDERR_FILENO, current_run, std::strlen(current_run));
  if (planted_run) ::_exit(0);
}

struct Outcome {
  std::uint64_t hash = 0;
  std::vector<std::string> findings;
};

Outcome run_once(Scenario& scenario, const Arguments& arguments, std::uint64_t seed, std::map<std::string, std::uint64_t>& hits) {
  planted_run = !arguments.plant.empty();
  std::snprintf(current_run, sizeof current_run, "ringpost-sim: %s at --scenario %.*s --seed %llu\n",
                planted_run ? "planted bug found by that assertion" : "died", static_cast<int>(scenario.name().size()), scenario.name().data(),
                static_cast<unsigned long long>(seed));
  World world(seed);
  world.print_trace(arguments.trace);
  Findings findings;
  scenario.run(world, arguments.plant, findings);
  for (const auto& [name, count] : world.faults().hits()) hits[name] += count;
  return {world.trace_hash(), findings.list()};
}

/// False when one of the points never struck although there were seeds enough.
bool print_hits(const Scenario& scenario, const std::map<std::string, std::uint64_t>& hits, std::uint64_t seeds) {
  for (const auto& [name, count] : hits) std::printf("  %-32s %llu\n", name.c_str(), static_cast<unsigned long long>(count));
  bool all = true;
  for (std::string_view point : scenario.points()) {
    if (hits.at(std::string{point}) > 0) continue;
    std::printf("%.*s: never struck: %.*s\n", static_cast<int>(scenario.name().size()), scenario.name().data(),
                static_cast<int>(point.size()), point.data());
    all = false;
  }
  return all || seeds < kManySeeds;
}

/// True when the runs were as they should be: nothing found, or the planted bug found.
bool run_scenario(Scenario& scenario, const Arguments& arguments) {
  std::map<std::string, std::uint64_t> hits;
  for (std::string_view point : scenario.points()) hits[std::string{point}] = 0;
  std::uint64_t failed = 0, hash = 0;
  for (std::uint64_t seed = arguments.first; seed <= arguments.last; ++seed) {
    Outcome outcome = run_once(scenario, arguments, seed, hits);
    if (arguments.twice && run_once(scenario, arguments, seed, hits).hash != outcome.hash) {
      outcome.findings.emplace_back("a second run took another course");
    }
    hash = hash * 1099511628211u ^ outcome.hash;
    if (outcome.findings.empty()) continue;
    ++failed;
    for (const auto& finding : outcome.findings) {
      std::printf("%.*s: seed %llu: %s\n", static_cast<int>(scenario.name().size()), scenario.name().data(),
                  static_cast<unsigned long long>(seed), finding.c_str());
    }
    if (arguments.plant.empty()) continue;
    std::printf("%.*s: planted bug %.*s found at seed %llu\n", static_cast<int>(scenario.name().size()), scenario.name().data(),
                static_cast<int>(arguments.plant.size()), arguments.plant.data(), static_cast<unsigned long long>(seed));
    break;
  }
  const bool planted = !arguments.plant.empty();
  const bool all_struck = planted || print_hits(scenario, hits, arguments.last - arguments.first + 1);
  std::printf("%.*s: seeds %llu..%llu, %llu with findings, trace hash %016llx\n", static_cast<int>(scenario.name().size()),
              scenario.name().data(), static_cast<unsigned long long>(arguments.first),
              static_cast<unsigned long long>(arguments.last), static_cast<unsigned long long>(failed),
              static_cast<unsigned long long>(hash));
  return planted ? failed > 0 : failed == 0 && all_struck;
}

int run(int count, char** words) {
  auto arguments = read_arguments(count, words);
  if (!arguments) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  std::vector<std::unique_ptr<Scenario>> scenarios;
  scenarios.push_back(make_echo_log_scenario());
  scenarios.push_back(make_relay_scenario());
  scenarios.push_back(make_slow_relay_scenario());
  scenarios.push_back(make_clock_relay_scenario());
  scenarios.push_back(make_audit_relay_scenario());
  scenarios.push_back(make_full_relay_scenario());
  bool known = false, as_expected = true;
  for (const auto& scenario : scenarios) {
    if (!arguments->scenario.empty() && scenario->name() != arguments->scenario) continue;
    const auto plants = scenario->plants();
    if (arguments->list) {
      std::printf("%.*s\n", static_cast<int>(scenario->name().size()), scenario->name().data());
      for (auto plant : plants) std::printf("  --plant %.*s\n", static_cast<int>(plant.size()), plant.data());
      known = true;
      continue;
    }
    if (!arguments->plant.empty() && std::find(plants.begin(), plants.end(), arguments->plant) == plants.end()) continue;
    known = true;
    as_expected = run_scenario(*scenario, *arguments) && as_expected;
  }
  if (!known) {
    std::fputs("ringpost-sim: no such scenario or planted bug (--list)\n", stderr);
    return 2;
  }
  return as_expected ? 0 : 1;
}

}  // namespace
}  // namespace ringpost::sim

int main(int count, char** words) {
  struct sigaction action{};
  action.sa_handler = &ringpost::sim::tell_seed;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  for (int signal : {SIGABRT, SIGSEGV}) sigaction(signal, &action, nullptr);
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // who waits for a long run sees its findings as they come
  return ringpost::sim::run(count, words);
}
