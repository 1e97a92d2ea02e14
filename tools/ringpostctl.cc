// ringpostctl: the operator's command. Talks to a running ringpostd over its control socket.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "programs/config_files.hh"

namespace {

using nlohmann::json;

/// Exit codes: 0 done, 1 the server refused, 2 it could not be asked.
constexpr int kRefused = 1, kNotAsked = 2;

struct Failure {
  int code;
  std::string text;
};

/// Why nobody answers at `path`, and what to do about it.
std::string unreachable(const std::string& path, int error) {
  const std::string text = "cannot reach ringpostd at " + path + ": " + std::strerror(error);
  switch (error) {
    case ENOENT: return text + "; it does not run, or its configuration names another control.socket (give that file with -c)";
    case ECONNREFUSED: return text + "; it has ended: start it with ringpostd -c FILE";
    case EACCES: return text + "; ask as root or as the user that ringpostd runs as";
    default: return text;
  }
}

class Connection {
 public:
  explicit Connection(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) throw Failure{kNotAsked, path + ": too long for a socket"};
    std::memcpy(address.sun_path, path.data(), path.size());
    fd_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd_ < 0 || connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      throw Failure{kNotAsked, unreachable(path, errno)};
    }
  }
  Connection(const Connection&) = delete;
  ~Connection() {
    if (fd_ >= 0) close(fd_);
  }

  /// Sends `request` and hands each line of the answer to `line`.
  void ask(const std::string& request, const std::function<void(std::string_view)>& line) {
    std::string bytes = request + "\n";
    for (std::size_t sent = 0; sent < bytes.size();) {
      ssize_t n = send(fd_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (n <= 0) throw Failure{kNotAsked, "the server closed the control connection"};
      sent += static_cast<std::size_t>(n);
    }
    std::string refusal, carry;
    char block[65536];
    for (;;) {
      ssize_t n = recv(fd_, block, sizeof block, 0);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) break;
      carry.append(block, static_cast<std::size_t>(n));
      std::size_t begin = 0;
      for (std::size_t end; (end = carry.find('\n', begin)) != std::string::npos; begin = end + 1) {
        std::string_view text{carry.data() + begin, end - begin};
        if (text == ".") return;
        if (text.starts_with("! ")) refusal += (refusal.empty() ? "" : "\n") + std::string{text.substr(2)};
        else line(text);
      }
      carry.erase(0, begin);
    }
    if (!refusal.empty()) throw Failure{kRefused, refusal};
    throw Failure{kNotAsked, "the server closed the control connection before its answer was complete"};
  }

 private:
  int fd_ = -1;
};

class Server {
 public:
  explicit Server(std::string socket) : socket_(std::move(socket)) {}

  void ask(const std::string& request, const std::function<void(std::string_view)>& line) const {
    Connection{socket_}.ask(request, line);
  }
  std::string ask(const std::string& request) const {
    std::string text;
    ask(request, [&](std::string_view line) { text.append(line) += '\n'; });
    return text;
  }
  std::size_t shards() const { return std::stoul(ask("- shards")); }

 private:
  std::string socket_;
};

void print_lines(std::string_view line) { std::printf("%.*s\n", static_cast<int>(line.size()), line.data()); }

/// One message on one line: id, size, arrival, state of its recipients.
void print_message(std::string_view line) {
  json message = json::parse(line, nullptr, false);
  if (message.is_discarded()) throw Failure{kNotAsked, "the server sent what is no JSON"};
  std::string recipients;
  for (const json& recipient : message["recipients"]) {
    if (!recipients.empty()) recipients += ", ";
    recipients += recipient["address"].is_string() ? recipient["address"].get<std::string>() : "(sealed)";
    recipients += " " + recipient["state"].get<std::string>();
    if (recipient["reason"].is_string()) recipients += " (" + recipient["reason"].get<std::string>() + ")";
  }
  std::printf("%s  %9llu  %s  %s\n", message["id"].get<std::string>().c_str(), message["size"].get<unsigned long long>(),
              message["arrived"].get<std::string>().c_str(), recipients.c_str());
}

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

void print_object(const json& object, const std::string& indent) {
  for (const auto& [key, value] : object.items()) {
    if (value.is_object()) {
      std::printf("%s%s:\n", indent.c_str(), key.c_str());
      print_object(value, indent + "  ");
    } else if (value.is_array() && !value.empty() && value.front().is_object()) {
      for (std::size_t i = 0; i < value.size(); ++i) {
        std::printf("%s%s %zu:\n", indent.c_str(), key.c_str(), i);
        print_object(value[i], indent + "  ");
      }
    } else {
      std::string text = value.is_string() ? value.get<std::string>() : value.dump();
      std::printf("%s%-28s %s\n", indent.c_str(), key.c_str(), text.c_str());
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Operates a running ringpostd over its control socket."};
  std::string config_path, socket;
  app.add_option("-c,--config", config_path, "The server's configuration file (default: its defaults)");
  app.add_option("--socket", socket, "The control socket, instead of control.socket of the configuration");
  app.require_subcommand(1);

  bool all = false, as_json = false;
  std::string key, assignment, id;
  auto* get = app.add_subcommand("get", "Show one setting, or all of them");
  get->add_option("key", key, "The key");
  get->add_flag("-a,--all", all, "Every key with value, default and origin");
  auto* set = app.add_subcommand("set", "Change one setting of the running server");
  set->add_option("assignment", assignment, "KEY=VALUE")->required();
  auto* reload = app.add_subcommand("reload", "Read the configuration files again");
  auto* status = app.add_subcommand("status", "What the server is and does");
  status->add_flag("--json", as_json, "One JSON object");
  auto* metrics = app.add_subcommand("metrics", "All metrics in Prometheus' text format");
  auto* stop = app.add_subcommand("stop", "Stop the server in order; a new one may be started at once, it waits for the end of the old one");
  auto* queue = app.add_subcommand("queue", "The messages the server answers for");
  queue->require_subcommand(1);
  auto* list = queue->add_subcommand("list", "One line for every message: id, bytes, arrival (UTC), recipients with state and reason. The bytes are what is "
                                            "kept and relayed: what the client sent and our Received field");
  list->add_flag("--json", as_json, "One JSON object a line");
  auto* show = queue->add_subcommand("show", "Everything about one message");
  show->add_option("id", id, "Its id, 32 hexadecimal digits")->required();
  show->add_flag("--json", as_json, "One JSON object");
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
      server.ask(all ? "- get" : "- get " + key, print_lines);
    } else if (*set) {
      server.ask("- set " + assignment, print_lines);
    } else if (*reload) {
      server.ask("- reload", print_lines);
    } else if (*metrics) {
      server.ask("- metrics", print_lines);
    } else if (*stop) {
      server.ask("- stop", print_lines);
    } else if (*status) {
      std::string text = server.ask("- status");
      if (as_json) {
        std::printf("%s", text.c_str());
      } else {
        json object = json::parse(text, nullptr, false);
        if (object.is_discarded()) throw Failure{kNotAsked, "the server sent what is no JSON"};
        print_object(object, "");
      }
    } else if (*list) {
      std::size_t shards = server.shards();
      for (std::size_t shard = 0; shard < shards; ++shard)
        server.ask(std::to_string(shard) + " queue-list", as_json ? std::function<void(std::string_view)>{print_lines} : print_message);
    } else if (*show) {
      std::size_t shards = server.shards(), found = 0;
      for (std::size_t shard = 0; shard < shards && found == 0; ++shard) {
        server.ask(std::to_string(shard) + " queue-show " + id, [&](std::string_view line) {
          ++found;
          if (as_json) return print_lines(line);
          print_object(json::parse(line, nullptr, false), "");
        });
      }
      if (found == 0) throw Failure{kRefused, "no message has that id"};
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
