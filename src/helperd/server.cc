#include "ringpost/helperd/server.hh"

#include <sys/socket.h>

#include <algorithm>
#include <chrono>

#include "ringpost/accounts/verify.hh"
#include "ringpost/base/wipe_stack.hh"
#include "ringpost/smtp/address.hh"

namespace ringpost::helperd {

using helper::protocol::Kind;
using helper::protocol::Status;
using runtime::Task;

namespace {
constexpr std::size_t kConnectionsMax = 1024;
constexpr std::size_t kRequestsMax = 256;  // of one connection, under way
constexpr Duration kReplyPatience = std::chrono::seconds{5};
constexpr Duration kAcceptRetry = std::chrono::milliseconds{100};

accounts::Visit visit_of(const helper::protocol::LoginRequest& request, WallTime now) {
  return {.scope = request.scope, .client = request.client, .now = std::chrono::floor<std::chrono::seconds>(now)};
}

/// Who is Dovecot's user may send as itself, or as its account here says, if it has one; that may be disabled, too.
accounts::Verdict known_to_dovecot(std::string login, const accounts::Accounts* accounts) {
  if (accounts && accounts->find(login)) return accounts::admit(*accounts, login);
  accounts::Account account;
  account.login = login;
  return {.outcome = accounts::Outcome::ok, .login = std::move(login), .send_as = accounts::senders_of(account)};
}

/// Nothing: ringpostd has no business there.
std::optional<HttpRequest> http_request(Kind kind, helper::protocol::WebRequest request) {
  HttpRequest http{.addresses = std::move(request.addresses)};
  if (kind == Kind::fetch_policy) {
    if (smtp::parse_domain(request.target) != smtp::AddressFault::none) return std::nullopt;
    http.url = "https://mta-sts." + std::string{request.target} + "/.well-known/mta-sts.txt";
  } else {
    if (!request.target.starts_with("https://")) return std::nullopt;
    http.url = request.target;
    http.post = true;
    http.body = request.body;
    http.header_lines = {"Content-Type: application/tlsrpt+gzip"};
  }
  return http;
}
}  // namespace

/// What several answers on one connection share.
struct Server::Connection {
  Connection(runtime::Ring& ring, Fd socket) : socket(socket), requests(ring), free(ring) {}
  Fd socket;
  runtime::Scope requests;
  runtime::Signal free;
  bool sending = false;
};

Server::Server(runtime::Ring& ring, Log& log, const ServerParts& parts, Key256 decoy_key, Fd listener, std::function<bool(Fd)> is_client)
    : ring_(ring), log_(log), parts_(parts), is_client_(std::move(is_client)), acceptor_(ring, listener), scope_(ring),
      decoy_key_(std::move(decoy_key)) {}

void Server::start() { scope_.spawn(accept_loop()); }

Task<void> Server::accept_loop() {
  while (!stopping_) {
    Result<Fd> accepted = co_await acceptor_.next();
    if (accepted) {
      scope_.spawn(serve(*accepted));
    } else if (!stopping_) {
      log_.error("cannot accept a connection", {{"why", accepted.error()}});
      co_await ring_.sleep_for(kAcceptRetry);
    }
  }
}

Task<void> Server::stop() {
  stopping_ = true;
  co_await acceptor_.stop();
  const std::vector<Fd> connections = connections_;
  for (const Fd connection : connections) {
    if (std::ranges::find(connections_, connection) == connections_.end()) continue;
    Result<std::uint32_t> ended = co_await ring_.shutdown(connection, SHUT_RDWR);
    static_cast<void>(ended);  // it had ended already
  }
  co_await scope_.join();
}

Task<void> Server::serve(Fd socket) {
  const bool known = is_client_(socket);
  if (!known) log_.error("a process of another user tried helperd's socket");
  if (known && !stopping_ && connections_.size() < kConnectionsMax) {
    connections_.push_back(socket);
    Connection connection{ring_, socket};
    std::vector<std::byte> buffer(helper::protocol::kRequestBytesMax + 1);
    for (;;) {
      Result<std::uint32_t> received = co_await ring_.receive(socket, buffer);
      if (!received || *received == 0 || *received == buffer.size()) break;
      const Bytes frame = Bytes{buffer}.first(*received);
      connection.requests.spawn(answer(connection, SecretBytes{{frame.begin(), frame.end()}}));
      wipe(MutableBytes{buffer}.first(*received));
      wipe_stack();
    }
    Result<std::uint32_t> ended = co_await ring_.shutdown(socket, SHUT_RDWR);
    static_cast<void>(ended);  // a reply that is being sent fails now
    co_await connection.requests.join();
    std::erase(connections_, socket);
  }
  Result<std::uint32_t> closed = co_await ring_.close(socket);
  static_cast<void>(closed);  // nothing was promised on it
}

Task<void> Server::answer(Connection& connection, SecretBytes frame) {
  const auto header = helper::protocol::decode_header(frame.view());
  if (!header || header->is_reply) co_return;
  SecretBytes reply;
  if (connection.requests.running() > kRequestsMax) {
    reply = helper::protocol::encode_status(header->id, header->kind, Status::busy);
  } else if (header->kind == Kind::fetch_policy || header->kind == Kind::post_report) {
    reply = co_await reply_of_web(*header, frame.view());
  } else {
    reply = co_await reply_about_login(*header, frame.view());
  }
  while (connection.sending) co_await connection.free.wait();
  connection.sending = true;
  Result<std::uint32_t> sent = co_await ring_.send(connection.socket, reply.view(), ring_.now() + kReplyPatience);
  static_cast<void>(sent);  // a client that does not read has gone, or will
  connection.sending = false;
  connection.free.notify_one();
}

Task<SecretBytes> Server::reply_about_login(helper::protocol::Header header, Bytes frame) {
  const auto refuse = [&](Status status) { return helper::protocol::encode_status(header.id, header.kind, status); };
  const auto request = helper::protocol::decode_request(frame);
  if (!request) co_return refuse(Status::malformed);
  const accounts::Visit visit = visit_of(*request, ring_.wall_now());
  std::optional<std::string> dovecots;  // login of who has the password, by Dovecot
  if (header.kind == Kind::check_password && parts_.dovecot) {
    auto answer = co_await parts_.dovecot->check_password(request->login, request->secret, request->client);
    if (!answer) co_return refuse(Status::unavailable);
    if (!*answer) co_return helper::protocol::encode(header.id, header.kind, helper::protocol::LoginReply{});
    dovecots = std::move(**answer);
  }
  SecretBytes reply = refuse(Status::unavailable);
  bool asks_issuer = false;
  const auto work = [&] {
    const auto accounts = parts_.accounts.current();
    const auto tell = [&](accounts::Verdict verdict) {
      const bool right = verdict.outcome == accounts::Outcome::ok;
      reply = helper::protocol::encode(header.id, header.kind,
                                       helper::protocol::LoginReply{right, {std::move(verdict.login), std::move(verdict.send_as)}});
    };
    if (dovecots) return tell(known_to_dovecot(std::move(*dovecots), accounts.get()));
    if (!accounts) return;
    if (header.kind == Kind::check_password) {
      auto verdict = accounts::verify(*accounts, request->login, request->secret, visit, decoy_key_);
      if (verdict) tell(std::move(*verdict));
    } else if (header.kind == Kind::check_token) {
      const TokenVerdict owner = asks_issuer ? parts_.tokens.ask_issuer(request->secret, request->addresses, visit.now)
                                             : parts_.tokens.owner_of(request->secret, visit.now);
      if (owner) tell(accounts::admit(*accounts, *owner));
      else if (owner.error() == TokenDoubt::refused) tell({});
      asks_issuer = !owner && owner.error() == TokenDoubt::unknown;
    } else if (header.kind == Kind::admit) {
      tell(accounts::admit(*accounts, request->login));
    } else {
      accounts::ScramAnswer keys = accounts::scram_keys(*accounts, request->login, decoy_key_);
      helper::protocol::Account account{std::move(keys.login), {}};
      if (keys.real) account.senders = accounts::admit(*accounts, account.login).send_as;
      reply = helper::protocol::encode(header.id, helper::protocol::KeysReply{std::move(keys.keys), std::move(account)});
    }
  };
  bool done = co_await parts_.workers.run(work);
  if (done && asks_issuer) done = co_await parts_.issuer_workers.run(work);
  if (!done) co_return refuse(Status::busy);
  co_return reply;
}

Task<SecretBytes> Server::reply_of_web(helper::protocol::Header header, Bytes frame) {
  const auto refuse = [&](Status status) { return helper::protocol::encode_status(header.id, header.kind, status); };
  auto request = helper::protocol::decode_web_request(frame);
  if (!request) co_return refuse(Status::malformed);
  const auto http = http_request(header.kind, std::move(*request));
  if (!http) co_return refuse(Status::malformed);
  helper::WebAnswer answer;
  const bool done = co_await parts_.web_workers.run([&] { answer = parts_.web.request(*http); });
  if (!done) co_return refuse(Status::busy);
  co_return helper::protocol::encode(header.id, header.kind, answer);
}

}  // namespace ringpost::helperd
