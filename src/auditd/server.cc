#include "ringpost/auditd/server.hh"

#include <sys/socket.h>

#include <algorithm>

namespace ringpost::auditd {

namespace {
constexpr Duration kDiskPause = std::chrono::seconds(1);
constexpr Duration kAckPatience = std::chrono::seconds(30);
}  // namespace

Server::Server(runtime::Ring& ring, Log& log, Journal& journal, Fd listener, MayConnect may_connect)
    : ring_(ring),
      log_(log),
      journal_(journal),
      may_connect_(std::move(may_connect)),
      acceptor_(ring, listener),
      scope_(ring),
      journal_free_(ring) {}

Server::~Server() = default;

void Server::start() { scope_.spawn(accept_loop()); }

runtime::Task<void> Server::accept_loop() {
  while (!stopping_) {
    auto accepted = co_await acceptor_.next();
    if (!accepted) {
      if (accepted.error().code == Errc::cancelled) co_return;
      co_await ring_.sleep_for(std::chrono::milliseconds(100));
      continue;
    }
    if (may_connect_(*accepted)) {
      open_.push_back(*accepted);
      scope_.spawn(serve(*accepted));
    } else {
      log_.error("a process that is none of ours tried to report events, refused");
      (void)co_await ring_.close(*accepted);
    }
  }
}

runtime::Task<void> Server::serve(Fd socket) {
  std::vector<std::byte> packet(event::kBatchBytesMax + 1);
  for (bool go_on = true; go_on && !stopping_;) {
    auto received = co_await ring_.receive(socket, packet);
    if (!received || *received == 0) break;
    go_on = co_await handle(socket, Bytes{packet}.first(*received));
  }
  std::erase(open_, socket);
  (void)co_await ring_.close(socket);
}

// One batch: durable, then acknowledged. A disk that fails holds the sender back; nothing is acknowledged meanwhile.
runtime::Task<bool> Server::handle(Fd socket, Bytes packet) {
  auto batch = event::Batch::decode(packet);
  if (!batch) {
    log_.error("a batch of events is malformed, connection closed", {{"error", batch.error()}});
    co_return false;
  }
  while (journal_busy_) (void)co_await journal_free_.wait();
  journal_busy_ = true;
  Result<std::uint64_t> durable;
  for (;;) {
    durable = co_await journal_.append(*batch);
    if (durable || stopping_) break;
    log_.error("the audit log cannot be written, trying again", {{"error", durable.error()}});
    co_await ring_.sleep_for(kDiskPause);
  }
  journal_busy_ = false;
  journal_free_.notify_one();
  if (!durable) co_return false;
  auto ack = event::encode(event::Ack{batch->incarnation(), *durable});
  auto sent = co_await ring_.send(socket, ack, ring_.now() + kAckPatience);
  co_return sent && *sent == ack.size();
}

runtime::Task<void> Server::stop() {
  stopping_ = true;
  co_await acceptor_.stop();
  for (Fd socket : std::vector<Fd>{open_}) (void)co_await ring_.shutdown(socket, SHUT_RD);
  co_await scope_.join();
}

}  // namespace ringpost::auditd
