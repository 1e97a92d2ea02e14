#include "top.hh"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <thread>
#include <tuple>
#include <vector>

#include "print.hh"

namespace ringpost::ctl {

using nlohmann::json;

namespace {

constexpr const char* kCounters[] = {"accepted", "delivered", "deferred", "failed"};

struct Destination {
  std::uint64_t waiting = 0, connections = 0, connections_max = 0, delivered = 0, suspended_s = 0, failures = 0;
};

struct Frame {
  std::chrono::steady_clock::time_point when = std::chrono::steady_clock::now();
  json status;
  std::map<std::string, Destination> destinations;  // all shards together
};

Frame look(const Server& server) {
  Frame frame{.status = parse(server.ask("- status")), .destinations = {}};
  server.ask_all("destinations", [&](std::string_view line) {
    const json one = parse(line);
    Destination& sum = frame.destinations[one["name"].get<std::string>()];
    sum.waiting += one["waiting"].get<std::uint64_t>();
    sum.connections += one["connections"].get<std::uint64_t>();
    sum.connections_max = one["connections_max"].get<std::uint64_t>();
    sum.delivered += one["delivered_last_second"].get<std::uint64_t>();
    sum.suspended_s = std::max(sum.suspended_s, one["suspended_s"].get<std::uint64_t>());
    sum.failures = std::max(sum.failures, one["failures"].get<std::uint64_t>());
  });
  return frame;
}

std::size_t terminal_rows() {
  winsize size{};
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 ? size.ws_row : 24;
}

std::string draw(const Frame& now, const Frame& before, std::size_t rows) {
  const double seconds = std::max(std::chrono::duration<double>(now.when - before.when).count(), 0.001);
  char line[256];
  std::string out;
  const auto add = [&](auto... arguments) {
    std::snprintf(line, sizeof line, arguments...);
    out += line;
    out += '\n';
  };
  const auto number = [](const json& status, const char* key) { return status.value(key, std::uint64_t{0}); };
  add("ringpost  up %s   %s queued   %s connections   %llu shards%s", duration_text(number(now.status, "uptime_s")).c_str(),
      grouped(number(now.status, "queued")).c_str(), grouped(number(now.status, "connections")).c_str(),
      static_cast<unsigned long long>(number(now.status, "shards")), number(now.status, "recovering") > 0 ? "   reading its log" : "");
  std::string rates;
  for (const char* counter : kCounters) {
    const double per_s = static_cast<double>(number(now.status, counter) - std::min(number(before.status, counter), number(now.status, counter))) / seconds;
    std::snprintf(line, sizeof line, "%s %s (%.0f/s)   ", counter, grouped(number(now.status, counter)).c_str(), per_s);
    rates += line;
  }
  out += rates + "\n\n";
  add("%9s %11s %10s  %-14s %s", "WAITING", "CONNECTIONS", "DELIVERED/s", "STATE", "DESTINATION");
  std::vector<std::pair<std::string, Destination>> destinations(now.destinations.begin(), now.destinations.end());
  std::ranges::sort(destinations, [](const auto& a, const auto& b) {
    return std::tuple{b.second.waiting, b.second.delivered, a.first} < std::tuple{a.second.waiting, a.second.delivered, b.first};
  });
  for (const auto& [name, one] : destinations) {
    if (rows <= 6) break;
    --rows;
    const std::string state = one.suspended_s > 0 ? "rests " + duration_text(one.suspended_s) : one.failures > 0 ? "trying" : one.connections > 0 ? "open" : "idle";
    add("%9s %5s of %-5s %8s  %-14s %s", grouped(one.waiting).c_str(), grouped(one.connections).c_str(), grouped(one.connections_max).c_str(),
        grouped(one.delivered).c_str(), state.c_str(), name.c_str());
  }
  return out;
}

}  // namespace

void run_top(const Server& server, double interval_s, unsigned frames) {
  const bool is_terminal = isatty(STDOUT_FILENO) != 0;
  Frame before = look(server);
  for (unsigned drawn = 0; frames == 0 || drawn < frames; ++drawn) {
    std::this_thread::sleep_for(std::chrono::duration<double>(interval_s));
    Frame now = look(server);
    const std::string text = draw(now, before, is_terminal ? terminal_rows() : 1000);
    std::printf("%s%s%s", is_terminal ? "\033[H\033[2J" : "", text.c_str(), is_terminal ? "" : "\n");
    std::fflush(stdout);
    before = std::move(now);
  }
}

}  // namespace ringpost::ctl
