#include "tune.hh"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "machine.hh"
#include "programs/config_files.hh"
#include "server.hh"

namespace ringpost::ctl {

TuneCommands::TuneCommands(CLI::App& app) : tune_(app.add_subcommand("tune", "Whether this machine is set up for the server")) {
  tune_->require_subcommand(1);
  CLI::App* check = tune_->add_subcommand("check", "Kernel, limits, file system, disk, cores, network: what is so, and what would be better");
  check->add_flag("--json", json_, "One JSON object a line");
  check->add_option("--root", root_, "Where the machine's /proc and /sys lie")->group("");
}

int TuneCommands::run(const std::string& config_path) const {
  auto configuration = programs::load_configuration(config_path);
  if (!configuration) throw Failure{kNotAsked, configuration.error()};
  const auto findings = look_at(Machine{root_}, configuration->settings());
  if (findings.empty()) throw Failure{kNotAsked, "there is nothing to look at below " + root_};
  bool advice = false;
  for (const Finding& finding : findings) {
    advice |= !finding.good;
    if (json_) {
      const nlohmann::ordered_json line = {
          {"check", finding.name}, {"good", finding.good}, {"found", finding.found}, {"wanted", finding.wanted}};
      std::printf("%s\n", line.dump().c_str());
      continue;
    }
    std::printf("%-6s %-20s %s\n", finding.good ? "ok" : "advice", finding.name.c_str(), finding.found.c_str());
    if (!finding.good) std::printf("       %-20s wanted: %s\n", "", finding.wanted.c_str());
  }
  return advice ? 1 : 0;
}

}  // namespace ringpost::ctl
