#include <fmt/core.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "bench/check.hh"
#include "bench/crew.hh"
#include "bench/files.hh"
#include "bench/modes.hh"

namespace ringpost::bench {

int run_check(const CheckSetup& setup) {
  Checker checker;
  for (const std::string& path : setup.sent) {
    auto text = require_file(path);
    if (!text) return kExitUsage;
    checker.add_sent(*text);
  }
  for (const std::string& path : setup.received) {
    auto text = require_file(path);
    if (!text) return kExitUsage;
    checker.add_received(*text);
  }
  CheckReport report = checker.report();
  nlohmann::ordered_json json = {
      {"mode", "check"},
      {"sent", report.sent},
      {"received", report.received},
      {"lost", report.lost},
      {"changed", report.changed},
      {"partial", report.partial},
      {"duplicates", report.duplicates},
      {"extra", report.extra},
      {"untagged", report.untagged},
      {"torn", report.torn},
      {"malformed", report.malformed},
      {"repeated", report.repeated},
  };
  if (setup.json != "-") {  // otherwise standard output is the JSON's
    for (auto& [name, value] : json.items())
      if (value.is_number()) fmt::print("{:<11}{:>12}\n", name, value.dump());
    for (const std::string& example : report.examples) fmt::print("  {}\n", example);
  }
  json["examples"] = report.examples;
  if (!write_results(setup.json, json.dump(2) + "\n")) return kExitUsage;
  if (!report.readable()) {
    fmt::print(stderr, "ringpost-bench: {} lines are no ledger's, {} tokens stand twice among the sent\n", report.malformed,
               report.repeated);
    return kExitUsage;
  }
  return report.good() ? kExitOk : kExitFailed;
}

}  // namespace ringpost::bench
