// ringpostctl: the operator's command. Talks to a running ringpostd over its control socket.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "ctl/print.hh"
#include "ctl/queue.hh"
#include "ctl/server.hh"
#include "ctl/top.hh"
#include "ctl/tune.hh"
#include "ctl/user.hh"
#include "programs/config_files.hh"

namespace {

using namespace ringpost::ctl;

/// `ringpostctl spool ...` is another program's work, for it needs no server but the spool itself. Returns only when that cannot run.
[[noreturn]] void run_spool_tool(const std::string& config_path, const std::vector<std::string>& words) {
  std::error_code error;
  const std::string program = std::filesystem::read_symlink("/proc/self/exe", error).parent_path() / "ringpost-spool";
  std::vector<std::string> arguments{program};
  if (!config_path.empty()) arguments.insert(arguments.end(), {"-c", config_path});
  arguments.insert(arguments.end(), words.begin(), words.end());
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  execv(program.c_str(), pointers.data());
  throw Failure{kNotAsked, program + ": " + std::strerror(errno)};
}

/// The first word that should have been a command of ours and is none; empty when there is no such word.
std::string unknown_command(const CLI::App& app, int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "-c" || word == "--config" || word == "--socket") {
      ++i;  // and its value
    } else if (!word.starts_with('-')) {
      const auto is_word = [&word](const CLI::App* command) { return command->get_name() == word; };
      return app.get_subcommands(is_word).empty() ? word : std::string{};
    }
  }
  return {};
}

/// The way is the same for all shards; what each knows of the hosts there is its own.
void explain_recipient(const Server& server, const std::string& recipient, bool as_json) {
  std::size_t shard = 0;
  server.ask_all("explain " + recipient, [&](std::string_view line) {
    if (as_json) return print_line(line);
    nlohmann::json way = parse(line);
    const nlohmann::json site = way["site"], waits = way["would_wait"];
    way.erase("site");
    way.erase("would_wait");
    if (shard == 0) print_object(way);
    std::printf("shard %zu:\n", shard++);
    print_object({{"would_wait", waits}}, "  ");
    if (site.is_object()) print_object(site, "  ");
    else std::printf("  no mail went there lately\n");
  });
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Operates a running ringpostd over its control socket."};
  std::string config_path, socket;
  app.add_option("-c,--config", config_path, "The server's configuration file (default: its defaults)");
  app.add_option("--socket", socket, "The control socket, instead of control.socket of the configuration");
  app.require_subcommand(1);

  bool all = false, as_json = false;
  std::string key, assignment, recipient;
  double interval_s = 2;
  unsigned frames = 0;
  auto* get = app.add_subcommand("get", "Show one setting, or all of them");
  get->add_option("key", key, "The key");
  get->add_flag("-a,--all", all, "Every key with value, default and origin");
  auto* set = app.add_subcommand("set", "Change one setting of the running server");
  set->add_option("assignment", assignment, "KEY=VALUE")->required();
  auto* reload = app.add_subcommand("reload", "Read the configuration files again");
  auto* status = app.add_subcommand("status", "What the server is and does");
  status->add_flag("--json", as_json, "One JSON object");
  auto* metrics = app.add_subcommand("metrics", "All metrics in Prometheus' text format");
  auto* bans = app.add_subcommand("bans", "Networks and logins that may not authenticate for now");
  bans->add_flag("--json", as_json, "One JSON object a line");
  auto* stop = app.add_subcommand("stop", "Stop the server in order; a new one may be started at once, it waits for the end of the old one");
  QueueCommands queue{app};
  UserCommands user{app};
  TuneCommands tune{app};
  auto* destinations = app.add_subcommand("destinations", "The hosts that mail went to lately: connections, permits, back-off");
  destinations->add_flag("--json", as_json, "One JSON object a line, for each shard");
  auto* explain = app.add_subcommand("explain", "Where mail for an address goes, and why it would wait");
  explain->add_option("recipient", recipient, "The address")->required();
  explain->add_flag("--json", as_json, "One JSON object a line, for each shard");
  auto* top = app.add_subcommand("top", "A live view of rates and destinations; Ctrl-C ends it");
  top->add_option("--interval", interval_s, "Seconds between two looks")->check(CLI::Range(0.1, 3600.0));
  top->add_option("--frames", frames, "End after so many (0: never)");
  auto* spool = app.add_subcommand("spool", "Examine the spool of a stopped server: spool verify, spool salvage (spool --help explains them)");
  spool->prefix_command();
  spool->set_help_flag();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const std::string unknown = unknown_command(app, argc, argv);
    if (error.get_exit_code() == 0 || unknown.empty()) return app.exit(error) == 0 ? 0 : kNotAsked;
    std::string commands;
    for (const CLI::App* command : app.get_subcommands(nullptr)) commands += (commands.empty() ? "" : ", ") + command->get_name();
    std::fprintf(stderr, "ringpostctl: there is no command %s; there are %s (--help explains them)\n", unknown.c_str(), commands.c_str());
    return kNotAsked;
  }

  try {
    if (*spool) run_spool_tool(config_path, spool->remaining());
    if (tune.is_wanted()) return tune.run(config_path);
    if (user.is_wanted()) {
      user.run(config_path);
      return 0;
    }
    if (socket.empty()) {
      auto found = ringpost::programs::find_control_socket(config_path);
      if (!found) throw Failure{kNotAsked, found.error()};
      socket = found->path;
      if (!found->warning.empty())
        std::fprintf(stderr, "ringpostctl: warning: the configuration has errors, the server keeps to what it read before: %s\n",
                     found->warning.c_str());
    }
    Server server{socket};
    if (*get) {
      if (key.empty() == !all) throw Failure{kNotAsked, "get needs a key, or -a for all of them"};
      server.ask(all ? "- get" : "- get " + key, print_line);
    } else if (*set) {
      server.ask("- set " + assignment, print_line);
    } else if (*reload) {
      server.ask("- reload", print_line);
    } else if (*metrics) {
      server.ask("- metrics", print_line);
    } else if (*bans) {
      server.ask("- bans", as_json ? TakeLine{print_line} : TakeLine{[](std::string_view line) {
        const nlohmann::json ban = parse(line);
        std::printf("%s, %s more\n", ban["who"].get<std::string>().c_str(), duration_text(ban["seconds_left"]).c_str());
      }});
    } else if (*stop) {
      server.ask("- stop", print_line);
    } else if (*status) {
      std::string text = server.ask("- status");
      if (as_json) {
        std::printf("%s", text.c_str());
      } else {
        print_object(parse(text));
      }
    } else if (queue.is_wanted()) {
      return queue.run(server);
    } else if (*destinations) {
      server.ask_all("destinations", as_json ? TakeLine{print_line} : TakeLine{[](std::string_view line) {
        print_object(parse(line));
        std::printf("\n");
      }});
    } else if (*explain) {
      explain_recipient(server, recipient, as_json);
    } else if (*top) {
      run_top(server, interval_s, frames);
    }
    return 0;
  } catch (const Failure& failure) {
    std::fprintf(stderr, "ringpostctl: %s\n", failure.text.c_str());
    return failure.code;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "ringpostctl: %s\n", error.what());
    return kNotAsked;
  }
}
