// ringpostctl queue ...: what waits, and what is to become of it.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "server.hh"

namespace ringpost::ctl {

/// The subcommands of "queue" and their options. Lifetime: it outlives the parsing and run().
class QueueCommands {
 public:
  explicit QueueCommands(CLI::App& app);

  bool is_wanted() const { return queue_->parsed(); }
  /// Returns the exit code. Throws Failure.
  int run(const Server& server) const;

 private:
  struct Order {
    CLI::App* command;
    std::string name, done;  // "hold", "held"
  };
  void add_filters(CLI::App& command);
  void add_order(const char* name, const char* done, const char* help);
  std::string filter_words() const;
  void list(const Server& server) const;
  void show(const Server& server) const;
  void summary(const Server& server) const;
  int carry_out(const Server& server, const Order& order) const;

  CLI::App *queue_, *list_, *show_, *summary_;
  std::vector<Order> orders_;
  std::string sender_, recipient_, domain_, destination_, reason_, state_, older_, younger_, id_, address_;
  std::vector<std::string> ids_;
  bool null_sender_ = false, all_ = false, json_ = false;
};

}  // namespace ringpost::ctl
