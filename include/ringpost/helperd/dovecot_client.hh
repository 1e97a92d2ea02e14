// Asks Dovecot whether a password is right.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ringpost/base/log.hh"
#include "ringpost/base/socket_address.hh"
#include "ringpost/helperd/dovecot_protocol.hh"
#include "ringpost/runtime/ring.hh"
#include "ringpost/runtime/scope.hh"
#include "ringpost/runtime/signal.hh"

namespace ringpost::helperd {

/// One connection, made when there is something to ask, and again after it broke; questions overlap on it.
///
/// Lifetime: await stop() before it dies. Everything on the ring's own thread.
class DovecotClient {
 public:
  /// `socket`: Dovecot's service auth, unix_listener of type "auth". `process`: a number that none of its other clients has.
  DovecotClient(runtime::Ring& ring, Log& log, const SocketAddress& socket, std::uint32_t process);
  DovecotClient(const DovecotClient&) = delete;
  ~DovecotClient();

  /// Whose password it is, as Dovecot writes the login; nothing: it is not right. Views last until completion.
  /// Errors: unavailable: Dovecot is away, cannot say, or did not answer in time.
  runtime::Task<Result<std::optional<std::string>>> check_password(std::string_view login, std::string_view password, IpAddress client);

  /// Ends the connection; who waits gets `unavailable`.
  runtime::Task<void> stop();

 private:
  struct Pending;
  runtime::Task<Result<>> connect(Instant deadline);
  runtime::Task<Result<>> shake_hands(Instant deadline);
  runtime::Task<void> read_answers();
  runtime::Task<Result<>> send(Bytes bytes, Instant deadline);
  runtime::Task<Result<std::string_view>> next_line(Instant deadline);
  runtime::Task<void> close();
  void take_answer(dovecot::Answer answer);
  void give_up();

  runtime::Ring& ring_;
  Log& log_;
  SocketAddress address_;
  std::uint32_t process_;
  runtime::Scope scope_;
  runtime::Signal changed_;  // the socket is free, connected or gone
  Fd socket_;
  bool connecting_ = false, connected_ = false, sending_ = false, stopping_ = false;
  std::uint32_t next_id_ = 1;
  std::vector<Pending*> pending_;
  std::string received_;      // what came in, and is no whole line yet
  std::size_t line_end_ = 0;  // of the line that was handed out last, in `received_`
  LogLimit trouble_lines_{3, std::chrono::minutes{1}};
};

}  // namespace ringpost::helperd
