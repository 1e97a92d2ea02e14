#include "operators.hh"

#include <algorithm>
#include <optional>

#include "ledger.hh"
#include "wire.hh"

namespace ringpost::sim::relay {

using runtime::Task;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr Duration kPatience = seconds{40};

/// The message that an order was carried out for: {"id":"...","result":"done"...}.
std::optional<std::string> done(std::string_view line) {
  constexpr std::string_view kId = "{\"id\":\"", kDone = "\",\"result\":\"done\"";
  if (!line.starts_with(kId)) return std::nullopt;
  const std::string_view id = line.substr(kId.size(), 32);
  if (!line.substr(kId.size() + 32).starts_with(kDone)) return std::nullopt;
  return std::string{id};
}

}  // namespace

Operators::Operators(World& world, const SocketAddress& control, std::size_t shards)
    : world_(world), control_(control), shards_(shards), ring_(world.make_ring("operators")), scope_(ring_) {}

std::string Operators::draw() {
  Prng& prng = world_.prng();
  if (tidy_) return "queue-release";
  const std::string domain = (prng.one_in(2) ? "b." : "") + std::string{kRecipientDomain};
  switch (prng.below(8)) {
    case 0: return "queue-hold state=deferred";
    case 1: return "queue-hold domain=" + domain;
    case 2: return "queue-retry";
    case 3: return "queue-summary";
    case 4: return "queue-list recipient=@" + domain;
    case 5: return "explain anna@" + domain;
    default: return "queue-release";
  }
}

Task<void> Operators::live() {
  while (!stopping_) {
    co_await ring_.sleep_for(tidy_ ? Duration{seconds{1}} : Duration{milliseconds{500 + world_.prng().below(8000)}});
    const std::string command = draw();
    const Instant asked = ring_.now();
    for (std::size_t shard = 0; shard < shards_ && !stopping_; ++shard) {
      // A release counts from when it was asked for: it may be durable although its answer is lost.
      if (command == "queue-release")
        for (auto& [id, holds] : holds_)
          for (Hold& hold : holds) hold.released = std::min(hold.released, asked);
      const std::vector<std::string> lines = co_await ask(std::to_string(shard) + " " + command + "\n");
      for (const std::string& line : lines) {
        const std::optional<std::string> id = done(line);
        if (id && command.starts_with("queue-hold")) holds_[*id].push_back({.held = ring_.now(), .released = loose_end_ ? Instant{} : kNever});
        retried_ += id && command == "queue-retry";
      }
      // It may still be at work, and release what is held next.
      loose_end_ |= command == "queue-release" && (lines.empty() || lines.back() != ".");
    }
  }
}

Task<std::vector<std::string>> Operators::ask(std::string request) {
  std::vector<std::string> lines;
  auto socket = ring_.open_socket(control_, runtime::SocketKind::stream);
  RP_ASSERT(socket);
  auto connected = co_await ring_.connect(*socket, control_, ring_.now() + seconds{10});
  Wire wire{ring_, *socket};
  bool going = connected.has_value();
  if (going) going = co_await wire.send(request, kPatience);
  std::string text;
  while (going && !text.ends_with("\n.\n") && text != ".\n" && !text.starts_with("! ")) going = co_await wire.read_bytes(text, 1, kPatience);
  (void)co_await ring_.close(*socket);
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  co_return lines;
}

}  // namespace ringpost::sim::relay
