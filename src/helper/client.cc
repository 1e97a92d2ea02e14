#include "ringpost/helper/client.hh"

#include <utility>

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

struct Client::Pending : Waiter {
  Pending(runtime::Ring& ring, Kind kind, std::uint32_t id) : Waiter(ring, id), kind(kind) {}
  Kind kind;
  std::optional<Result<SecretBytes>> outcome;
};

Client::Client(runtime::Ring& ring, Log& log, const SocketAddress& helperd)
    : Link(ring, log,
           {.address = helperd, .connect_patience = kConnectPatience, .waiting_max = kPendingMax, .trouble = "no connection to helperd"}),
      buffer_(protocol::kReplyBytesMax + 1) {}

Task<bool> Client::read_answer() {
  const MutableBytes buffer = buffer_;
  Result<std::uint32_t> received = co_await ring().receive(socket(), buffer);
  if (!received || *received == 0 || *received == buffer.size()) co_return false;
  const Bytes frame = buffer.first(*received);
  const std::optional<protocol::Header> header = protocol::decode_header(frame);
  if (!header || !header->is_reply) co_return false;
  auto* asked = static_cast<Pending*>(waiter(header->id));
  if (asked && asked->kind == header->kind) {
    if (header->status == Status::ok) asked->outcome = SecretBytes{{frame.begin(), frame.end()}};
    else asked->outcome = std::unexpected(Error{Errc::unavailable, static_cast<std::int32_t>(header->status)});
    settle(*asked);
  }  // else its sender gave up waiting
  wipe(buffer.first(*received));
  co_return true;
}

Task<Result<SecretBytes>> Client::ask(Kind kind, Duration patience, Encode encode) {
  const Instant deadline = ring().now() + patience;
  const Error away{Errc::unavailable};
  const bool possible = co_await ready(deadline);
  if (!possible) co_return std::unexpected(away);
  Pending pending{ring(), kind, next_id()};
  const SecretBytes frame = encode(pending.id);
  co_await Link::ask(pending, frame.view(), deadline);
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
