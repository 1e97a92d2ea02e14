#include "ringpost/helperd/dovecot_client.hh"

#include <array>
#include <utility>

#include "ringpost/base/wipe_stack.hh"

namespace ringpost::helperd {

using runtime::Task;

namespace {
constexpr Duration kConnectPatience = std::chrono::seconds{2};
/// Dovecot holds a refusal back for some seconds; ringpostd waits for 20.
constexpr Duration kPatience = std::chrono::seconds{15};
constexpr std::size_t kPendingMax = 256;
}  // namespace

struct DovecotClient::Pending : Waiter {
  using Waiter::Waiter;
  std::optional<dovecot::Answer> answer;
};

DovecotClient::DovecotClient(runtime::Ring& ring, Log& log, const SocketAddress& socket, std::uint32_t process)
    : Link(ring, log,
           {.address = socket,
            .kind = runtime::SocketKind::stream,
            .connect_patience = kConnectPatience,
            .waiting_max = kPendingMax,
            .trouble = "Dovecot cannot be asked about passwords"}),
      process_(process) {}

// Errors: protocol: it speaks another version, or does not know PLAIN.
Task<Result<>> DovecotClient::greet(Instant deadline) {
  received_.clear();
  line_end_ = 0;
  const std::string words = dovecot::hello(process_);
  Result<> sent = co_await send(as_bytes(words), deadline);
  if (!sent) co_return sent;
  bool knows_plain = false, same_version = false;
  for (;;) {
    Result<std::string_view> line = co_await next_line(deadline);
    if (!line) co_return std::unexpected(line.error());
    const auto message = dovecot::parse_line(*line);
    if (!message || std::holds_alternative<dovecot::Answer>(*message)) co_return std::unexpected(Error{Errc::protocol});
    if (const auto* version = std::get_if<dovecot::Version>(&*message)) same_version = version->major == dovecot::kVersionMajor;
    if (const auto* mechanism = std::get_if<dovecot::Mechanism>(&*message)) knows_plain = knows_plain || mechanism->name == "PLAIN";
    if (std::holds_alternative<dovecot::Ready>(*message)) break;
  }
  if (!knows_plain || !same_version) co_return std::unexpected(Error{Errc::protocol});
  co_return Result<>{};
}

Task<bool> DovecotClient::read_answer() {
  Result<std::string_view> line = co_await next_line(kNever);
  auto message = line ? dovecot::parse_line(*line) : std::nullopt;
  if (!message) co_return false;
  if (auto* answer = std::get_if<dovecot::Answer>(&*message)) {
    auto* asked = static_cast<Pending*>(waiter(answer->id));
    if (asked && !asked->over) {  // else its sender gave up waiting
      asked->answer = std::move(*answer);
      settle(*asked);
    }
  }
  co_return true;
}

/// The view lasts until the next call. Errors: closed; protocol: a line is too long.
Task<Result<std::string_view>> DovecotClient::next_line(Instant deadline) {
  received_.erase(0, std::exchange(line_end_, 0));
  for (;;) {
    const std::size_t end = received_.find('\n');
    if (end != received_.npos) {
      line_end_ = end + 1;
      co_return std::string_view{received_}.substr(0, end);
    }
    if (received_.size() > dovecot::kLineBytesMax) co_return std::unexpected(Error{Errc::protocol});
    std::array<std::byte, 1024> buffer;
    Result<std::uint32_t> received = co_await ring().receive(socket(), buffer, deadline);
    if (!received) co_return std::unexpected(received.error());
    if (*received == 0) co_return std::unexpected(Error{Errc::closed});
    received_ += as_text(Bytes{buffer}.first(*received));
  }
}

Task<Result<std::optional<std::string>>> DovecotClient::check_password(std::string_view login, std::string_view password, IpAddress client) {
  const Instant deadline = ring().now() + kPatience;
  const Error away{Errc::unavailable};
  const bool possible = co_await ready(deadline);
  if (!possible) co_return std::unexpected(away);
  Pending pending{ring(), next_id()};
  const SecretBytes request = dovecot::plain_request(pending.id, login, password, client);
  wipe_stack();
  if (request.view().size() > dovecot::kLineBytesMax) co_return std::nullopt;
  co_await ask(pending, request.view(), deadline);
  if (!pending.answer) co_return std::unexpected(away);
  dovecot::Answer& answer = *pending.answer;
  if (answer.outcome == dovecot::Answer::Outcome::ok) co_return std::move(answer.user);
  if (answer.outcome == dovecot::Answer::Outcome::refused) co_return std::nullopt;
  co_return std::unexpected(away);
}

}  // namespace ringpost::helperd
