#include "ringpost/helper/client.hh"

#include <sys/socket.h>

#include <algorithm>

#include "ringpost/base/assert.hh"
#include "ringpost/runtime/crash.hh"

namespace ringpost::helper {

using protocol::Kind;
using protocol::Status;
using runtime::Task;

namespace {
constexpr Duration kConnectPatience = std::chrono::seconds{1};
/// Password checks queue up at helperd; a client that logs in waits for longer than this with no server.
constexpr Duration kPatience = std::chrono::seconds{20};
/// Web servers have 20 s (helperd/web.hh), behind others that do not answer either.
constexpr Duration kWebPatience = std::chrono::seconds{60};
constexpr std::size_t kPendingMax = 1024;
}  // namespace

/// A request that waits for its answer, in the frame that sent it.
struct Client::Pending {
  Pending(runtime::Ring& ring, Kind kind, std::uint32_t id) : kind(kind), id(id), answered(ring) {}
  Kind kind;
  std::uint32_t id;
  std::optional<Result<SecretBytes>> outcome;
  runtime::Signal answered;
};

Client::Client(runtime::Ring& ring, Log& log, const SocketAddress& helperd)
    : ring_(ring), log_(log), helperd_(helperd), scope_(ring), changed_(ring), buffer_(protocol::kReplyBytesMax + 1) {}

Client::~Client() { RP_ASSERT(runtime::crashing() || scope_.running() == 0); }

Task<void> Client::stop() {
  stopping_ = true;
  give_up(Error{Errc::unavailable});
  changed_.notify_all();
  if (socket_) {
    Result<std::uint32_t> ended = co_await ring_.shutdown(socket_, SHUT_RDWR);
    static_cast<void>(ended);  // not connected yet: the connect has a deadline
  }
  co_await scope_.join();
}

// One at a time connects; the others wait for what comes of it.
Task<Result<>> Client::connect() {
  while (connecting_) co_await changed_.wait();
  if (connected_) co_return Result<>{};
  if (stopping_) co_return std::unexpected(Error{Errc::unavailable});
  connecting_ = true;
  Result<> outcome;
  Result<Fd> opened = ring_.open_socket(helperd_, runtime::SocketKind::seqpacket);
  if (opened) {
    socket_ = *opened;
    Result<std::uint32_t> reached = co_await ring_.connect(socket_, helperd_, ring_.now() + kConnectPatience);
    if (!reached) outcome = std::unexpected(reached.error());
    else if (stopping_) outcome = std::unexpected(Error{Errc::cancelled});
  } else {
    outcome = std::unexpected(opened.error());
  }
  if (!outcome && socket_) {
    Result<std::uint32_t> closed = co_await ring_.close(std::exchange(socket_, Fd{}));
    static_cast<void>(closed);
  }
  connecting_ = false;
  connected_ = outcome.has_value();
  changed_.notify_all();
  if (connected_) {
    scope_.spawn(read_answers());
  } else if (auto suppressed = trouble_lines_.admit(ring_.now())) {
    log_.warning("no connection to helperd", {{"why", outcome.error()}, {"suppressed", *suppressed}});
  }
  co_return outcome;
}

// Until the connection ends; then everybody who waits gets to know, and the next question connects anew.
Task<void> Client::read_answers() {
  const MutableBytes buffer = buffer_;
  for (;;) {
    Result<std::uint32_t> received = co_await ring_.receive(socket_, buffer);
    if (!received || *received == 0 || *received == buffer.size()) break;
    const Bytes frame = buffer.first(*received);
    const std::optional<protocol::Header> header = protocol::decode_header(frame);
    if (!header || !header->is_reply) break;
    const auto asked = std::ranges::find(pending_, header->id, &Pending::id);
    if (asked != pending_.end() && (*asked)->kind == header->kind) {
      if (header->status == Status::ok) (*asked)->outcome = SecretBytes{{frame.begin(), frame.end()}};
      else (*asked)->outcome = std::unexpected(Error{Errc::unavailable, static_cast<std::int32_t>(header->status)});
      (*asked)->answered.notify_all();
    }  // else its sender gave up waiting
    wipe(buffer.first(*received));
  }
  connected_ = false;
  connecting_ = true;  // until the socket is gone
  give_up(Error{Errc::unavailable});
  if (sending_) {
    Result<std::uint32_t> ended = co_await ring_.shutdown(socket_, SHUT_RDWR);
    static_cast<void>(ended);  // the send fails now, or has failed already
    while (sending_) co_await changed_.wait();
  }
  Result<std::uint32_t> closed = co_await ring_.close(std::exchange(socket_, Fd{}));
  static_cast<void>(closed);  // nothing was promised on it
  connecting_ = false;
  changed_.notify_all();
}

void Client::give_up(Error why) {
  for (Pending* pending : pending_) {
    if (!pending->outcome) pending->outcome = std::unexpected(why);
    pending->answered.notify_all();
  }
}

Task<Result<SecretBytes>> Client::ask(Kind kind, Duration patience, Encode encode) {
  const Instant deadline = ring_.now() + patience;
  const Error away{Errc::unavailable};
  if (pending_.size() >= kPendingMax) co_return std::unexpected(away);
  for (;;) {
    Result<> ready = co_await connect();
    if (!ready) co_return std::unexpected(away);
    if (!sending_) break;
    const bool notified = co_await changed_.wait(deadline);
    if (!notified) co_return std::unexpected(away);
  }
  Pending pending{ring_, kind, next_id_++};
  pending_.push_back(&pending);
  const SecretBytes frame = encode(pending.id);
  sending_ = true;
  Result<std::uint32_t> sent = co_await ring_.send(socket_, frame.view(), deadline);
  sending_ = false;
  changed_.notify_all();
  bool waiting = sent && *sent == frame.view().size();
  while (waiting && !pending.outcome) waiting = co_await pending.answered.wait(deadline);
  std::erase(pending_, &pending);
  if (!pending.outcome) co_return std::unexpected(away);
  co_return std::move(*pending.outcome);
}

Task<Result<SecretBytes>> Client::ask_about_login(Kind kind, protocol::LoginRequest request) {
  co_return co_await ask(kind, kPatience, [&](std::uint32_t id) { return protocol::encode(id, kind, request); });
}

Task<Result<WebAnswer>> Client::ask_web(Kind kind, protocol::WebRequest request) {
  if (request.addresses.size() > kWebAddressesMax) request.addresses.resize(kWebAddressesMax);
  Result<SecretBytes> frame = co_await ask(kind, kWebPatience, [&](std::uint32_t id) { return protocol::encode(id, kind, request); });
  if (!frame) co_return std::unexpected(frame.error());
  auto answer = protocol::decode_web_answer(frame->view());
  if (!answer) co_return std::unexpected(Error{Errc::unavailable});
  co_return std::move(*answer);
}

Task<Result<WebAnswer>> Client::fetch_policy(std::string_view domain, std::vector<IpAddress> addresses) {
  return ask_web(Kind::fetch_policy, {domain, std::move(addresses), {}});
}

Task<Result<WebAnswer>> Client::post_report(std::string_view uri, std::vector<IpAddress> addresses, Bytes report) {
  return ask_web(Kind::post_report, {uri, std::move(addresses), as_text(report)});
}

Task<Result<std::optional<Login>>> Client::ask_for_login(Kind kind, protocol::LoginRequest request) {
  Result<SecretBytes> answer = co_await ask_about_login(kind, request);
  if (!answer) co_return std::unexpected(answer.error());
  auto reply = protocol::decode_login_reply(kind, answer->view());
  if (!reply) co_return std::unexpected(Error{Errc::unavailable});
  if (!reply->right) co_return std::nullopt;
  co_return Login{std::move(reply->account.login), std::move(reply->account.senders)};
}

Task<Result<std::optional<Login>>> Client::check_password(Visit visit, std::string_view login, std::string_view password) {
  return ask_for_login(Kind::check_password, {visit.scope, visit.client, login, password});
}

Task<Result<std::optional<Login>>> Client::check_token(Visit visit, std::string_view token) {
  std::vector<IpAddress> issuer;
  if (find_issuer_) issuer = co_await find_issuer_();
  if (issuer.size() > kWebAddressesMax) issuer.resize(kWebAddressesMax);
  co_return co_await ask_for_login(Kind::check_token, {visit.scope, visit.client, {}, token, std::move(issuer)});
}

Task<Result<std::optional<Login>>> Client::admit(Visit visit, std::string_view login) {
  return ask_for_login(Kind::admit, {visit.scope, visit.client, login, {}});
}

Task<Result<ScramAnswer>> Client::scram_keys(Visit visit, std::string_view login) {
  Result<SecretBytes> answer = co_await ask_about_login(Kind::scram_keys, {visit.scope, visit.client, login, {}});
  if (!answer) co_return std::unexpected(answer.error());
  auto reply = protocol::decode_keys_reply(answer->view());
  if (!reply) co_return std::unexpected(Error{Errc::unavailable});
  co_return ScramAnswer{std::move(reply->keys), {std::move(reply->account.login), std::move(reply->account.senders)}};
}

}  // namespace ringpost::helper
