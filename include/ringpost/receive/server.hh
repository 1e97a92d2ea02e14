// The receiving side of one shard: its listeners and the SMTP sessions on them.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "ringpost/base/log.hh"
#include "ringpost/config/settings.hh"
#include "ringpost/helper/authenticator.hh"
#include "ringpost/metrics/shard_metrics.hh"
#include "ringpost/policy/budgets.hh"
#include "ringpost/policy/connections.hh"
#include "ringpost/policy/logins.hh"
#include "ringpost/receive/intake.hh"
#include "ringpost/receive/verifier.hh"
#include "ringpost/runtime/receiver.hh"
#include "ringpost/runtime/ring.hh"
#include "ringpost/runtime/scope.hh"
#include "ringpost/runtime/signal.hh"
#include "ringpost/runtime/task.hh"
#include "ringpost/smtp/reply.hh"
#include "ringpost/tls/channel.hh"

namespace ringpost::receive {

class Session;

/// What sessions share. Everything outlives the server.
struct Surroundings {
  runtime::Ring& ring;
  Intake& intake;
  policy::ConnectionBook& connections;
  metrics::ShardMetrics& metrics;
  Log& log;
  RecipientVerifier* verifier = nullptr;  ///< null: of recipients that are to be verified nobody knows anything
  tls::Engine* tls = nullptr;    ///< null: no listener may want TLS
  tls::TicketRoot tickets = {};  ///< the view is needed for as long as the server lives
  helper::Authenticator* authenticator = nullptr;  ///< null: nobody can authenticate for now
  policy::LoginGuard* logins = nullptr;            ///< beside an authenticator never null
  policy::RecipientBudgets* budgets = nullptr;     ///< likewise
};

/// A listening socket, made (as root if need be) before the shard starts.
struct ListeningSocket {
  Fd fd;
  config::Listener listener;
};

/// Accepts connections and runs a session on each.
///
/// Lifetime: await stop() before it dies.
class Server {
 public:
  Server(Surroundings surroundings, std::shared_ptr<const config::Settings> settings);
  Server(const Server&) = delete;
  ~Server();

  /// Starts accepting on `socket`, which it owns from here on.
  void listen(const ListeningSocket& socket);
  /// Sessions that begin from now on follow `settings`; those that run keep theirs.
  void reconfigure(std::shared_ptr<const config::Settings> settings);
  /// Stops accepting. Sessions that wait for a command get 421; those with a message on its way may finish it until `deadline`,
  /// then all are cut. A message whose commit() runs is always waited for.
  runtime::Task<void> stop(Instant deadline);
  std::size_t sessions() const { return sessions_.size(); }

 private:
  friend class Session;
  struct Listening;
  runtime::Task<void> accept_loop(Listening& listening);
  runtime::Task<void> run_session(Fd socket, Listening& listening);
  runtime::Task<void> turn_away(Fd socket, smtp::Reply reply, bool in_clear);
  void take_certificates();
  tls::ServerContext& tls_context(const config::Listener& listener);
  bool can_start_tls(const config::Listener& listener) { return surroundings_.tls && tls_context(listener).has_certificates(); }
  bool runs(const Session* session) const;
  bool admit(policy::ConnectionPlace& place, const config::Settings& settings, const IpAddress& client);
  void log_without_header(const IpAddress& peer);
  void log_early_talker(const IpAddress& client);
  void log_bad_certificate(const IpAddress& client, tls::PeerVerdict verdict);

  Surroundings surroundings_;
  std::shared_ptr<const config::Settings> settings_;
  runtime::Scope scope_;
  runtime::Signal session_ended_;
  std::vector<std::unique_ptr<Listening>> listening_;
  std::vector<std::unique_ptr<tls::ServerContext>> tls_contexts_;  // by role and client_certificates; made when one is wanted
  std::vector<Session*> sessions_;
  bool stopping_ = false;
  LogLimit refused_log_, early_log_, headers_log_, certificates_log_;
};

}  // namespace ringpost::receive
