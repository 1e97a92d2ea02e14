// Asks Dovecot whether a password is right.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "ringpost/base/log.hh"
#include "ringpost/base/socket_address.hh"
#include "ringpost/helper/link.hh"
#include "ringpost/helperd/dovecot_protocol.hh"

namespace ringpost::helperd {

/// One connection, made when there is something to ask, and again after it broke; questions overlap on it.
///
/// Lifetime: await stop() before it dies. Everything on the ring's own thread.
class DovecotClient final : private helper::Link {
 public:
  /// `socket`: Dovecot's service auth, unix_listener of type "auth". `process`: a number that none of its other clients has.
  DovecotClient(runtime::Ring& ring, Log& log, const SocketAddress& socket, std::uint32_t process);

  /// Whose password it is, as Dovecot writes the login; nothing: it is not right. Views last until completion.
  /// Errors: unavailable: Dovecot is away, cannot say, or did not answer in time.
  runtime::Task<Result<std::optional<std::string>>> check_password(std::string_view login, std::string_view password, IpAddress client);

  /// Ends the connection; who waits gets `unavailable`.
  using Link::stop;

 private:
  struct Pending;
  runtime::Task<Result<>> greet(Instant deadline) override;
  runtime::Task<bool> read_answer() override;
  runtime::Task<Result<std::string_view>> next_line(Instant deadline);

  std::uint32_t process_;
  std::string received_;      // what came in, and is no whole line yet
  std::size_t line_end_ = 0;  // of the line that was handed out last, in `received_`
};

}  // namespace ringpost::helperd
