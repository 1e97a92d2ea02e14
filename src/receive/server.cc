#include "ringpost/receive/server.hh"

#include <sys/socket.h>

#include <algorithm>

#include "receive/session.hh"
#include "ringpost/policy/relay.hh"
#include "ringpost/runtime/memory_reserve.hh"

namespace ringpost::receive {

namespace {
// After the kernel ran out of descriptors or memory, accepting pauses for this long instead of spinning (attack H11).
constexpr Duration kAcceptPause = std::chrono::milliseconds(100);
constexpr Duration kTurnAwayPatience = std::chrono::seconds(1);

constexpr std::size_t kClientCertificates = 3;  // words of listener.NAME.client_certificates

tls::ClientCertificates client_certificates_of(const config::Listener& listener) {
  switch (listener.client_certificates) {
    case config::ClientCertificates::none: break;
    case config::ClientCertificates::optional: return tls::ClientCertificates::optional;
    case config::ClientCertificates::required: return tls::ClientCertificates::required;
  }
  return tls::ClientCertificates::none;
}

/// The listener as the settings in force have it: some of its keys change while it listens.
const config::Listener& listener_of(const config::Settings& settings, const config::Listener& opened) {
  const auto found = std::ranges::find(settings.listeners, opened.name, &config::Listener::name);
  return found == settings.listeners.end() ? opened : *found;
}
}  // namespace

struct Server::Listening {
  Listening(runtime::Ring& ring, const ListeningSocket& socket)
      : fd(socket.fd), listener(socket.listener), acceptor(ring, socket.fd) {}
  Fd fd;
  config::Listener listener;
  runtime::Acceptor acceptor;
};

Server::Server(Surroundings surroundings, std::shared_ptr<const config::Settings> settings)
    : surroundings_(surroundings),
      settings_(std::move(settings)),
      scope_(surroundings.ring),
      session_ended_(surroundings.ring),
      refused_log_(5, std::chrono::seconds(1)),
      early_log_(5, std::chrono::seconds(1)),
      headers_log_(5, std::chrono::seconds(1)),
      certificates_log_(5, std::chrono::seconds(1)) {}

Server::~Server() = default;

void Server::reconfigure(std::shared_ptr<const config::Settings> settings) {
  settings_ = std::move(settings);
  take_certificates();
}

void Server::take_certificates() {
  std::vector<const tls::Certificate*> certificates;
  for (const config::CertificateFiles& each : settings_->tls.certificates)
    if (each.loaded) certificates.push_back(each.loaded.get());
  const tls::Version minimum = settings_->tls.minimum == config::TlsMinimum::tls13 ? tls::Version::tls13 : tls::Version::tls12;
  for (auto& context : tls_contexts_) {
    if (!context) continue;
    if (auto used = context->use(certificates, minimum, settings_->tls.clients); !used)
      surroundings_.log.error("new certificates are not taken up", {{"reason", OperatorText{used.error()}}});
  }
}

// Tickets are good for one role: what a listener of another one let a client do says nothing here (attack T5). Where clients are asked for
// a certificate there are none at all.
tls::ServerContext& Server::tls_context(const config::Listener& listener) {
  RP_ASSERT(surroundings_.tls);
  const auto role = static_cast<std::size_t>(listener.role);
  const std::size_t index = role * kClientCertificates + static_cast<std::size_t>(listener.client_certificates);
  if (tls_contexts_.size() <= index) tls_contexts_.resize(index + 1);
  if (!tls_contexts_[index]) {
    tls_contexts_[index] = std::make_unique<tls::ServerContext>(
        *surroundings_.tls,
        tls::ServerOptions{.hostname = settings_->hostname, .role = std::to_string(role), .tickets = surroundings_.tickets,
                           .client_certificates = client_certificates_of(listener)});
    take_certificates();
  }
  return *tls_contexts_[index];
}

void Server::listen(const ListeningSocket& socket) {
  listening_.push_back(std::make_unique<Listening>(surroundings_.ring, socket));
  scope_.spawn(accept_loop(*listening_.back()));
}

runtime::Task<void> Server::accept_loop(Listening& listening) {
  while (!stopping_) {
    auto accepted = co_await listening.acceptor.next();
    if (accepted) {
      scope_.spawn(run_session(*accepted, listening));
    } else if (accepted.error().code != Errc::cancelled) {
      surroundings_.log.warning("cannot accept connections for now", {{"error", accepted.error()}});
      co_await surroundings_.ring.sleep_for(kAcceptPause);
    }
  }
}

runtime::Task<void> Server::run_session(Fd socket, Listening& listening) {
  metrics::ShardMetrics& metrics = surroundings_.metrics;
  auto peer = surroundings_.ring.peer_address(socket);
  if (!peer || !peer->is_ip()) {  // gone again already
    (void)co_await surroundings_.ring.close(socket);
    co_return;
  }
  std::shared_ptr<const config::Settings> settings = settings_;
  const config::Listener& listener = listener_of(*settings, listening.listener);
  const bool proxied = listener.proxy_protocol == config::ProxyProtocol::required;
  const bool in_clear = listener.tls != config::ListenerTls::implicit && !proxied;
  if (stopping_) co_return co_await turn_away(socket, smtp::replies::kShuttingDown, in_clear);
  if (runtime::MemoryReserve::is_spent()) {
    metrics.connections_refused.add();
    co_return co_await turn_away(socket, smtp::replies::kNoMemory, in_clear);
  }
  policy::ConnectionPlace place{surroundings_.connections};  // given up when the connection is closed, not before
  if (proxied) {  // whose it is is not known yet
    if (!policy::is_listed(peer->ip(), listener.proxy_peers)) {
      log_without_header(peer->ip());
      (void)co_await surroundings_.ring.close(socket);
      co_return;
    }
  } else if (!admit(place, *settings, peer->ip())) {
    co_return co_await turn_away(socket, smtp::replies::kTooManyConnections, in_clear);
  }
  metrics.connections_accepted.add();
  metrics.connections_open.add(1);
  metrics.sessions_open.add(1);
  {
    Session session{*this, settings, listener, socket, *peer, place};
    sessions_.push_back(&session);
    co_await session.run();
    std::erase(sessions_, &session);
  }
  (void)co_await surroundings_.ring.close(socket);
  metrics.sessions_open.add(-1);
  metrics.connections_open.add(-1);
  session_ended_.notify_all();
}

bool Server::admit(policy::ConnectionPlace& place, const config::Settings& settings, const IpAddress& client) {
  const auto& limits = settings.limits;
  const policy::Admission admission =
      place.take(client, {limits.connections_max, limits.connections_per_client, limits.connections_per_prefix});
  if (admission == policy::Admission::admitted) return true;
  surroundings_.metrics.connections_refused.add();
  if (auto suppressed = refused_log_.admit(surroundings_.ring.now()))
    surroundings_.log.warning("connection limit reached", {{"client", client}, {"suppressed", *suppressed}});
  return false;
}

void Server::log_without_header(const IpAddress& peer) {
  surroundings_.metrics.connections_refused.add();
  if (auto suppressed = headers_log_.admit(surroundings_.ring.now()))
    surroundings_.log.warning("a connection without a good PROXY header was closed", {{"peer", peer}, {"suppressed", *suppressed}});
}

void Server::log_bad_certificate(const IpAddress& client, tls::PeerVerdict verdict) {
  if (auto suppressed = certificates_log_.admit(surroundings_.ring.now()))
    surroundings_.log.warning("a client's certificate says nothing",
                              {{"client", client}, {"why", verdict}, {"suppressed", *suppressed}});
}

void Server::log_early_talker(const IpAddress& client) {
  if (auto suppressed = early_log_.admit(surroundings_.ring.now()))
    surroundings_.log.warning("a client that talked before the banner was sent away", {{"client", client}, {"suppressed", *suppressed}});
}

// One reply, then the end, without waiting long for a client that does not read. Who waits for TLS is not worth a handshake, and who is
// still to say whom it is for is told nothing.
runtime::Task<void> Server::turn_away(Fd socket, smtp::Reply reply, bool in_clear) {
  std::array<std::byte, 512> line;
  const std::size_t written = smtp::write_reply(reply, line);
  if (in_clear)
    (void)co_await surroundings_.ring.send(socket, Bytes{line}.first(written), surroundings_.ring.now() + kTurnAwayPatience);
  (void)co_await surroundings_.ring.close(socket);
}

runtime::Task<void> Server::stop(Instant deadline) {
  stopping_ = true;
  for (auto& listening : listening_) {
    co_await listening->acceptor.stop();
    (void)co_await surroundings_.ring.close(listening->fd);
  }
  // A session that waits for a command sees the end of its input and says 421; the others do so after their message.
  const std::vector<Session*> running = sessions_;
  for (Session* session : running)
    if (runs(session) && session->ask_to_end()) (void)co_await surroundings_.ring.shutdown(session->socket(), SHUT_RD);
  while (!sessions_.empty()) {
    bool ended = co_await session_ended_.wait(deadline);
    if (!ended) break;
  }
  const std::vector<Session*> late = sessions_;
  for (Session* session : late)
    if (runs(session)) (void)co_await surroundings_.ring.shutdown(session->socket(), SHUT_RDWR);
  co_await scope_.join();
}

bool Server::runs(const Session* session) const {
  return std::find(sessions_.begin(), sessions_.end(), session) != sessions_.end();
}

}  // namespace ringpost::receive
