#include <fmt/core.h>

#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "bench/crew.hh"
#include "bench/files.hh"
#include "bench/modes.hh"

namespace ringpost::bench {

namespace {

enum class Better : std::uint8_t { more, less };

struct Figure {
  const char* place;  ///< a JSON pointer
  Better better;
  bool judged;  ///< counts for the exit code
};
// Percentiles far out swing from run to run, so they are shown and not judged.
constexpr std::array<Figure, 14> kFigures = {{
    {"/rate", Better::more, true},
    {"/accept_rate", Better::more, true},
    {"/cpu_us_per_message", Better::less, true},
    {"/server_cpu_us_per_message", Better::less, true},
    {"/server_bytes_per_connection", Better::less, true},
    {"/latency_us/p50", Better::less, true},
    {"/latency_us/p99", Better::less, true},
    {"/latency_us/p99_9", Better::less, false},
    {"/latency_us/max", Better::less, false},
    {"/reply_latency_us/p50", Better::less, false},
    {"/reply_latency_us/p99", Better::less, false},
    {"/accepted", Better::more, false},
    {"/refused", Better::less, false},
    {"/lost", Better::less, true},
}};

std::optional<nlohmann::json> read_results(const std::string& path) {
  auto text = require_file(path);
  if (!text) return std::nullopt;
  auto json = nlohmann::json::parse(*text, nullptr, false);
  if (!json.is_discarded() && json.is_object()) return json;
  fmt::print(stderr, "ringpost-bench: {} holds no results\n", path);
  return std::nullopt;
}

std::optional<double> figure(const nlohmann::json& results, const char* place) {
  const nlohmann::json::json_pointer at{place};
  if (!results.contains(at) || !results[at].is_number()) return std::nullopt;
  return results[at].get<double>();
}

}  // namespace

int run_compare(const CompareSetup& setup) {
  auto before = read_results(setup.before), after = read_results(setup.after);
  if (!before || !after) return kExitUsage;
  for (const char* name : {"mode", "tls", "connections", "message_bytes", "loop"})
    if (before->value(name, nlohmann::json{}) != after->value(name, nlohmann::json{}))
      fmt::print(stderr, "note: \"{}\" differs: {} and {}\n", name, before->value(name, nlohmann::json{}).dump(),
                 after->value(name, nlohmann::json{}).dump());
  bool worse = false;
  fmt::print("{:<30} {:>14} {:>14} {:>9}\n", "", "before", "after", "change");
  for (const Figure& one : kFigures) {
    auto was = figure(*before, one.place), is = figure(*after, one.place);
    if (!was || !is) continue;
    std::string name{one.place + 1};
    std::replace(name.begin(), name.end(), '/', ' ');
    const double loss = one.better == Better::more ? *was - *is : *is - *was;
    const bool much = one.judged && setup.worse_max > 0 && loss > 0 && (*was == 0 || loss / *was * 100 > setup.worse_max);
    worse |= much;
    const std::string change = *was == 0 ? (*is == 0 ? "0" : "new") : fmt::format("{:+.1f} %", (*is - *was) / *was * 100);
    fmt::print("{:<30} {:>14.1f} {:>14.1f} {:>9}{}\n", name, *was, *is, change, much ? "  worse" : "");
  }
  return worse ? kExitFailed : kExitOk;
}

}  // namespace ringpost::bench
