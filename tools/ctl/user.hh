// ringpostctl user ...: who may authenticate. It works on the file of accounts, with or without a running server.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace ringpost::ctl {

/// The subcommands of "user" and their options. Lifetime: it outlives the parsing and run().
class UserCommands {
 public:
  explicit UserCommands(CLI::App& app);

  bool is_wanted() const { return user_->parsed(); }
  /// `config_path`: of the server. Throws Failure.
  void run(const std::string& config_path) const;

 private:
  CLI::App *user_, *add_, *passwd_, *disable_, *enable_, *remove_, *list_, *app_password_;
  std::string name_, note_, label_, scope_, expires_;
  std::vector<std::string> send_as_, networks_;
  bool password_stdin_ = false, no_password_ = false, remove_label_ = false, json_ = false;
};

}  // namespace ringpost::ctl
