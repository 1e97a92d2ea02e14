// helperd's socket: answers ringpostd's questions about logins, and asks web servers for it.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "ringpost/base/log.hh"
#include "ringpost/base/secret.hh"
#include "ringpost/helper/protocol.hh"
#include "ringpost/helperd/accounts_file.hh"
#include "ringpost/helperd/dovecot_client.hh"
#include "ringpost/helperd/token_checker.hh"
#include "ringpost/helperd/web.hh"
#include "ringpost/helperd/workers.hh"
#include "ringpost/runtime/receiver.hh"
#include "ringpost/runtime/ring.hh"
#include "ringpost/runtime/scope.hh"
#include "ringpost/runtime/task.hh"

namespace ringpost::helperd {

/// What the server works with. Everything outlives it.
struct ServerParts {
  Workers& workers;  ///< for passwords
  AccountsFile& accounts;
  TokenChecker& tokens;
  DovecotClient* dovecot;  ///< asked about passwords in place of `accounts`; may be null
  Workers& web_workers;  ///< for web servers: a slow one is not to keep a login waiting
  Web& web;
  Workers& issuer_workers;  ///< for the issuer of tokens: it is not to wait behind other web servers, nor they behind it
};

/// Lifetime: start() once; await stop() before it dies.
class Server {
 public:
  /// `is_client`: whether the process at the other end may ask. `decoy_key`: see accounts::verify; the same at each start, so that a
  /// start does not show who is made up.
  Server(runtime::Ring& ring, Log& log, const ServerParts& parts, Key256 decoy_key, Fd listener, std::function<bool(Fd)> is_client);
  Server(const Server&) = delete;

  void start();
  runtime::Task<void> stop();

 private:
  struct Connection;
  runtime::Task<void> accept_loop();
  runtime::Task<void> serve(Fd socket);
  runtime::Task<void> answer(Connection& connection, SecretBytes frame);
  runtime::Task<SecretBytes> reply_about_login(helper::protocol::Header header, Bytes frame);
  runtime::Task<SecretBytes> reply_of_web(helper::protocol::Header header, Bytes frame);

  runtime::Ring& ring_;
  Log& log_;
  ServerParts parts_;
  std::function<bool(Fd)> is_client_;
  runtime::Acceptor acceptor_;
  runtime::Scope scope_;
  std::vector<Fd> connections_;
  Key256 decoy_key_;
  bool stopping_ = false;
};

}  // namespace ringpost::helperd
