// The event socket: takes batches from ringpostd and keyd, and acknowledges what is durable.
#pragma once

#include <functional>
#include <vector>

#include "ringpost/auditd/journal.hh"
#include "ringpost/base/log.hh"
#include "ringpost/runtime/receiver.hh"
#include "ringpost/runtime/ring.hh"
#include "ringpost/runtime/scope.hh"
#include "ringpost/runtime/signal.hh"

namespace ringpost::auditd {

/// Decides by its credentials whether a peer may report events. Runs once for each connection.
using MayConnect = std::function<bool(Fd)>;

/// Lifetime: start() once, await stop() before it dies.
class Server {
 public:
  Server(runtime::Ring& ring, Log& log, Journal& journal, Fd listener, MayConnect may_connect);
  Server(const Server&) = delete;
  ~Server();

  void start();
  runtime::Task<void> stop();

 private:
  runtime::Task<void> accept_loop();
  runtime::Task<void> serve(Fd socket);
  runtime::Task<bool> handle(Fd socket, Bytes packet);

  runtime::Ring& ring_;
  Log& log_;
  Journal& journal_;
  MayConnect may_connect_;
  runtime::Acceptor acceptor_;
  runtime::Scope scope_;
  runtime::Signal journal_free_;
  bool journal_busy_ = false, stopping_ = false;
  std::vector<Fd> open_;
};

}  // namespace ringpost::auditd
