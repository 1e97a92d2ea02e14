#include "bench/sink.hh"

#include <sys/socket.h>

#include <algorithm>
#include <array>

#include "bench/sink_session.hh"

namespace ringpost::bench {

namespace {
constexpr Duration kAcceptPause = std::chrono::milliseconds(100);
}

struct SinkWorker::Listening {
  Listening(runtime::Ring& ring, Fd listener) : fd(listener), acceptor(ring, listener) {}
  Fd fd;
  runtime::Acceptor acceptor;
};

SinkWorker::SinkWorker(runtime::Ring& ring, SinkShared& shared, unsigned index)
    : ring_(ring), shared_(shared), engine_(ring), scope_(ring), prng_(shared.options.seed + index) {}
SinkWorker::~SinkWorker() = default;

std::expected<void, std::string> SinkWorker::prepare_tls() {
  if (shared_.options.security == Security::none) return {};
  Key256 secret;
  ring_.random(secret.mutable_view());
  tls_ = std::make_unique<tls::ServerContext>(
      engine_, tls::ServerOptions{.hostname = shared_.options.hostname, .tickets = {secret.view(), ring_.now()}});
  return tls_->use(std::array<const tls::Certificate*, 1>{&*shared_.certificate});
}

void SinkWorker::serve(Fd listener) {
  listening_.push_back(std::make_unique<Listening>(ring_, listener));
  scope_.spawn(accept_loop(*listening_.back()));
}

runtime::Task<void> SinkWorker::accept_loop(Listening& listening) {
  while (!stopping_) {
    auto accepted = co_await listening.acceptor.next();
    if (accepted) {
      scope_.spawn(run_session(*accepted));
    } else if (accepted.error().code != Errc::cancelled) {
      co_await ring_.sleep_for(kAcceptPause);
    }
  }
}

runtime::Task<void> SinkWorker::run_session(Fd socket) {
  counters_.connections.add();
  counters_.connections_open.add(1);
  {
    SinkSession session{*this, socket};
    sessions_.push_back(&session);
    co_await session.run();
    std::erase(sessions_, &session);
  }
  (void)co_await ring_.close(socket);
  counters_.connections_open.subtract(1);
}

void SinkWorker::count_message(std::size_t recipients, std::uint64_t bytes) {
  auto now = static_cast<std::int64_t>(ring_.now().time_since_epoch().count());
  if (counters_.messages.value() == 0) counters_.first_message_ns.set(now);
  counters_.last_message_ns.set(now);
  counters_.messages.add();
  counters_.recipients.add(recipients);
  counters_.bytes.add(bytes);
}

runtime::Task<void> SinkWorker::stop() {
  stopping_ = true;
  for (auto& listening : listening_) {
    co_await listening->acceptor.stop();
    (void)co_await ring_.close(listening->fd);
  }
  std::vector<SinkSession*> cut = sessions_;
  for (SinkSession* session : cut) {
    if (std::find(sessions_.begin(), sessions_.end(), session) == sessions_.end()) continue;
    Fd socket = session->socket();
    (void)co_await ring_.shutdown(socket, SHUT_RDWR);
  }
  co_await scope_.join();
}

Result<> SinkWorker::write_ledger() {
  if (ledger_ && !ledger_lines_.empty()) {
    ledger_ = shared_.ledger.write(ledger_lines_);
    ledger_lines_.clear();
  }
  return ledger_;
}

}  // namespace ringpost::bench
