// The operators' socket. One shard listens; a request about another shard's queue is handed to that shard with its connection,
// so that no address of a message ever crosses shards.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ringpost/base/log.hh"
#include "ringpost/control/backend.hh"
#include "ringpost/runtime/receiver.hh"
#include "ringpost/runtime/ring.hh"
#include "ringpost/runtime/scope.hh"

namespace ringpost::control {

/// Answers requests for one shard.
///
/// Request:  one line, "SHARD COMMAND [ARGUMENT]\n"; SHARD is a number, or - for whoever listens.
/// Commands: shards, status, metrics, get [KEY], set KEY=VALUE, reload, stop; queue-list, queue-summary, queue-hold, queue-release,
///           queue-retry, queue-bounce, queue-delete, each with [FILTER], and queue-redirect to=ADDRESS [FILTER]
///           (filter.hh); destinations; explain ADDRESS. Orders answer with one JSON object for each message they found.
/// Answer:   lines, the last one "." (done) or "! TEXT" (refused, says why). Lines that begin with . or ! do not occur before it.
/// Lifetime: await stop() before it dies.
class Server {
 public:
  Server(runtime::Ring& ring, Log& log, std::size_t shard, Daemon& daemon, QueueView& queue, Handover& handover);
  Server(const Server&) = delete;
  ~Server();

  /// Accepts on `listener`, which it owns from here on. For the one shard that listens.
  void listen(Fd listener);
  /// Goes on with a connection that another shard accepted.
  void adopt(Fd connection, std::string_view request);
  runtime::Task<void> stop();

 private:
  runtime::Task<void> accept_loop();
  runtime::Task<void> greet(Fd connection);
  runtime::Task<void> serve(Fd connection, std::string request);
  runtime::Task<bool> answer(Fd connection, std::string_view command, std::string_view argument);
  runtime::Task<bool> answer_about_queue(Fd connection, std::string_view command, std::string_view argument);
  struct Work;
  runtime::Task<bool> go_through(Fd connection, const QueueFilter& filter, const Order* order);
  runtime::Task<void> look_at(Work& work, MessageId id);
  runtime::Task<void> watch(Work& work, Fd connection);
  runtime::Task<bool> give(Fd connection, const Answer& answer);
  runtime::Task<bool> send(Fd connection, std::string_view text);
  runtime::Task<void> end(Fd connection);

  runtime::Ring& ring_;
  Log& log_;
  std::size_t shard_;
  Daemon& daemon_;
  QueueView& queue_;
  Handover& handover_;
  runtime::Scope scope_;
  std::unique_ptr<runtime::Acceptor> acceptor_;
  Fd listener_;
  std::vector<Fd> open_;
  bool stopping_ = false;
};

}  // namespace ringpost::control
