// One connection on which questions overlap: the part that clients of helpers have in common, whatever they speak.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ringpost/base/log.hh"
#include "ringpost/base/socket_address.hh"
#include "ringpost/runtime/ring.hh"
#include "ringpost/runtime/scope.hh"
#include "ringpost/runtime/signal.hh"

namespace ringpost::helper {

struct LinkOptions {
  SocketAddress address;
  runtime::SocketKind kind = runtime::SocketKind::seqpacket;
  Duration connect_patience{};  ///< to be connected, and again to be greeted
  std::size_t waiting_max = 0;  ///< questions at once; further ones are turned down
  Literal trouble;              ///< what the log says when nobody is there
};

/// Connects when there is something to ask, and again after the connection broke. One question is sent at a time; answers come in any order.
///
/// Lifetime: await stop() before it dies. Everything on the ring's own thread.
class Link {
 public:
  Link(runtime::Ring& ring, Log& log, const LinkOptions& options) : ring_(ring), log_(log), options_(options), scope_(ring), changed_(ring) {}
  Link(const Link&) = delete;

  /// Ends the connection; who waits hears nothing more.
  runtime::Task<void> stop();

 protected:
  /// A question, in the frame that asks it.
  struct Waiter {
    Waiter(runtime::Ring& ring, std::uint32_t id) : id(id), answered(ring) {}
    std::uint32_t id;
    bool over = false;  ///< it is answered, or will not be
    runtime::Signal answered;
  };
  ~Link();

  /// What is said first, on a connection that was just made. Errors: it is none that can be used.
  virtual runtime::Task<Result<>> greet(Instant deadline);
  /// Takes in one answer, and calls settle() for whoever asked. False: the connection is over.
  virtual runtime::Task<bool> read_answer() = 0;

  /// Until a question may be sent. False: nobody is there, or too many ask. Nothing may be awaited between this and ask().
  runtime::Task<bool> ready(Instant deadline);
  std::uint32_t next_id() { return next_id_++; }
  /// Sends it, and waits until it is over, `deadline`, or the end of the connection.
  runtime::Task<void> ask(Waiter& waiter, Bytes question, Instant deadline);
  /// Who asked that; null when nobody waits for it any more.
  Waiter* waiter(std::uint32_t id) const;
  static void settle(Waiter& waiter);
  /// All of it. Errors: as Ring::send().
  runtime::Task<Result<>> send(Bytes bytes, Instant deadline);
  runtime::Ring& ring() { return ring_; }
  Fd socket() const { return socket_; }

 private:
  runtime::Task<Result<>> connect(Instant deadline);
  runtime::Task<void> read_answers();
  runtime::Task<void> close();
  runtime::Task<void> shut_down();
  void give_up();

  runtime::Ring& ring_;
  Log& log_;
  LinkOptions options_;
  runtime::Scope scope_;
  runtime::Signal changed_;  // the socket is free, connected or gone
  Fd socket_;
  bool connecting_ = false, connected_ = false, sending_ = false, stopping_ = false;
  std::uint32_t next_id_ = 1;
  std::vector<Waiter*> waiting_;
  LogLimit trouble_lines_{3, std::chrono::minutes{1}};
};

}  // namespace ringpost::helper
