// ringpostctl tune check: is this machine set up for a mail server?
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace ringpost::ctl {

/// The subcommands of "tune" and their options. Lifetime: it outlives the parsing and run().
class TuneCommands {
 public:
  explicit TuneCommands(CLI::App& app);

  bool is_wanted() const { return tune_->parsed(); }
  /// Returns the exit code: 0 nothing to say, 1 there is advice. Throws Failure.
  int run(const std::string& config_path) const;

 private:
  CLI::App* tune_;
  std::string root_ = "/";
  bool json_ = false;
};

}  // namespace ringpost::ctl
