#include <fmt/core.h>

#include <cstdio>
#include <deque>

#include "bench/crew.hh"
#include "bench/files.hh"
#include "bench/report.hh"
#include "bench/modes.hh"
#include "ringpost/runtime/scope.hh"

namespace ringpost::bench {

namespace {

constexpr Duration kLook = std::chrono::milliseconds(50);
constexpr unsigned kOpeningMax = 64;  // at once: less than anybody's backlog of connections

/// Connections up to EHLO, held. On one ring.
class Held {
 public:
  Held(runtime::Ring& ring, const ClientOptions& options) : shared_(ring), options_(options), scope_(ring) {}

  void open(unsigned connections) {
    left_ = connections;
    for (unsigned i = 0; i < std::min(kOpeningMax, connections); ++i) scope_.spawn(open_some());
  }
  /// NOOP on each: who does not answer is gone.
  void ask() { scope_.spawn(ask_each()); }
  void close() { scope_.spawn(close_all()); }
  bool busy() const { return scope_.running() > 0; }
  void give_up() { left_ = 0; }

  std::size_t count() const { return clients_.size(); }
  std::uint64_t failed = 0, answered = 0;
  const Troubles& troubles() const { return shared_.troubles; }

 private:
  runtime::Task<void> open_some() {
    while (left_ > 0) {
      --left_;
      auto client = std::make_unique<Client>(shared_, options_);
      bool ready = co_await client->open();
      if (ready) {
        clients_.push_back(std::move(client));
        continue;
      }
      ++failed;
      co_await client->close();
    }
  }
  runtime::Task<void> ask_each() {
    for (auto& client : clients_) {
      client->out().append("NOOP\r\n");
      bool sent = co_await client->flush();
      if (!sent) continue;
      Answer answer = co_await client->read(Step::rset);
      if (answer.code == 250) ++answered;
    }
  }
  runtime::Task<void> close_all() {
    for (auto& client : clients_) co_await client->close();
  }

  ClientShared shared_;
  const ClientOptions& options_;
  runtime::Scope scope_;
  std::deque<std::unique_ptr<Client>> clients_;
  unsigned left_ = 0;
};

}  // namespace

int run_idle(const IdleSetup& setup) {
  StopSignals signals;
  raise_descriptor_limit();
  auto ring = start_ring();
  if (!ring) return kExitUsage;
  auto server_memory = [&] {
    return setup.server_pid != 0 ? ServerProcesses{setup.server_pid}.memory_bytes() : std::nullopt;
  };
  const auto memory_before = server_memory();
  if (setup.server_pid != 0 && !memory_before) {
    fmt::print(stderr, "ringpost-bench: the memory of process {} cannot be read\n", setup.server_pid);
    return kExitUsage;
  }
  Held held{*ring, setup.client};
  auto run = [&] {
    while (held.busy()) {
      ring->run_once(kLook);
      if (signals.wait(Duration{})) held.give_up();
    }
  };
  held.open(setup.connections);
  run();
  const auto memory_with = server_memory();
  fmt::print("{} open\n", held.count());
  std::fflush(stdout);
  {
    LiveLine line{!setup.quiet};
    const Instant end = setup.span == Duration::zero() ? kNever : ring->now() + setup.span;
    bool ended = false;
    while (!ended && ring->now() < end) {
      ring->run_once(kLook);
      ended = signals.wait(Duration{});
      line.show(fmt::format("{} connections held", held.count()));
    }
  }
  held.ask();
  run();
  nlohmann::ordered_json json = {
      {"mode", "idle"},
      {"to", setup.client.to.text()},
      {"tls", security_name(setup.client.security)},
      {"connections", setup.connections},
      {"accepted", held.count()},
      {"refused", held.failed},
      {"lost", held.count() - held.answered},
      {"troubles", readable(held.troubles())},
  };
  if (memory_before && memory_with)
    json["server_bytes_per_connection"] =
        ratio(static_cast<double>(*memory_with) - static_cast<double>(*memory_before), static_cast<double>(held.count()));
  held.close();
  run();
  bool written = write_results(setup.json, json.dump(2) + "\n");
  return written && held.count() == setup.connections && held.answered == held.count() ? kExitOk : kExitFailed;
}

}  // namespace ringpost::bench
