#include "ringpost/helperd/dovecot_client.hh"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <utility>

#include "ringpost/base/assert.hh"
#include "ringpost/base/wipe_stack.hh"
#include "ringpost/runtime/crash.hh"

namespace ringpost::helperd {

using runtime::Task;

namespace {
constexpr Duration kConnectPatience = std::chrono::seconds{2};
/// Dovecot holds a refusal back for some seconds; ringpostd waits for 20.
constexpr Duration kPatience = std::chrono::seconds{15};
constexpr std::size_t kPendingMax = 256;
}  // namespace

/// A question that waits for its answer, in the frame that sent it.
struct DovecotClient::Pending {
  Pending(runtime::Ring& ring, std::uint32_t id) : id(id), answered(ring) {}
  std::uint32_t id;
  std::optional<Result<dovecot::Answer>> outcome;
  runtime::Signal answered;
};

DovecotClient::DovecotClient(runtime::Ring& ring, Log& log, const SocketAddress& socket, std::uint32_t process)
    : ring_(ring), log_(log), address_(socket), process_(process), scope_(ring), changed_(ring) {}

DovecotClient::~DovecotClient() { RP_ASSERT(runtime::crashing() || scope_.running() == 0); }

Task<void> DovecotClient::stop() {
  stopping_ = true;
  give_up();
  changed_.notify_all();
  if (socket_) {
    Result<std::uint32_t> ended = co_await ring_.shutdown(socket_, SHUT_RDWR);
    static_cast<void>(ended);  // not connected yet: the connect has a deadline
  }
  co_await scope_.join();
}

// One at a time connects; the others wait for what comes of it.
Task<Result<>> DovecotClient::connect(Instant deadline) {
  while (connecting_) co_await changed_.wait();
  if (connected_) co_return Result<>{};
  if (stopping_) co_return std::unexpected(Error{Errc::unavailable});
  connecting_ = true;
  Result<> outcome;
  Result<Fd> opened = ring_.open_socket(address_, runtime::SocketKind::stream);
  if (opened) {
    socket_ = *opened;
    Result<std::uint32_t> reached = co_await ring_.connect(socket_, address_, std::min(deadline, ring_.now() + kConnectPatience));
    if (reached) outcome = co_await shake_hands(std::min(deadline, ring_.now() + kConnectPatience));
    else outcome = std::unexpected(reached.error());
    if (outcome && stopping_) outcome = std::unexpected(Error{Errc::cancelled});
  } else {
    outcome = std::unexpected(opened.error());
  }
  if (!outcome && socket_) co_await close();
  connecting_ = false;
  connected_ = outcome.has_value();
  changed_.notify_all();
  if (connected_) {
    scope_.spawn(read_answers());
  } else if (auto suppressed = trouble_lines_.admit(ring_.now())) {
    log_.warning("Dovecot cannot be asked about passwords", {{"why", outcome.error()}, {"suppressed", *suppressed}});
  }
  co_return outcome;
}

// Errors: protocol: it speaks another version, or does not know PLAIN.
Task<Result<>> DovecotClient::shake_hands(Instant deadline) {
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

// Until the connection ends; then everybody who waits gets to know, and the next question connects anew.
Task<void> DovecotClient::read_answers() {
  for (;;) {
    Result<std::string_view> line = co_await next_line(kNever);
    if (!line) break;
    auto message = dovecot::parse_line(*line);
    if (!message) break;
    if (auto* answer = std::get_if<dovecot::Answer>(&*message)) take_answer(std::move(*answer));
  }
  connected_ = false;
  connecting_ = true;  // until the socket is gone
  give_up();
  if (sending_) {
    Result<std::uint32_t> ended = co_await ring_.shutdown(socket_, SHUT_RDWR);
    static_cast<void>(ended);  // the send fails now, or has failed already
    while (sending_) co_await changed_.wait();
  }
  co_await close();
  connecting_ = false;
  changed_.notify_all();
}

void DovecotClient::take_answer(dovecot::Answer answer) {
  const auto asked = std::ranges::find(pending_, answer.id, &Pending::id);
  if (asked == pending_.end() || (*asked)->outcome) return;  // its sender gave up waiting
  (*asked)->outcome = std::move(answer);
  (*asked)->answered.notify_all();
}

void DovecotClient::give_up() {
  for (Pending* pending : pending_) {
    if (!pending->outcome) pending->outcome = std::unexpected(Error{Errc::unavailable});
    pending->answered.notify_all();
  }
}

Task<void> DovecotClient::close() {
  Result<std::uint32_t> closed = co_await ring_.close(std::exchange(socket_, Fd{}));
  static_cast<void>(closed);  // nothing was promised on it
}

Task<Result<>> DovecotClient::send(Bytes bytes, Instant deadline) {
  while (!bytes.empty()) {
    Result<std::uint32_t> sent = co_await ring_.send(socket_, bytes, deadline);
    if (!sent) co_return std::unexpected(sent.error());
    bytes = bytes.subspan(*sent);
  }
  co_return Result<>{};
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
    Result<std::uint32_t> received = co_await ring_.receive(socket_, buffer, deadline);
    if (!received) co_return std::unexpected(received.error());
    if (*received == 0) co_return std::unexpected(Error{Errc::closed});
    received_ += as_text(Bytes{buffer}.first(*received));
  }
}

Task<Result<std::optional<std::string>>> DovecotClient::check_password(std::string_view login, std::string_view password, IpAddress client) {
  const Instant deadline = ring_.now() + kPatience;
  const Error away{Errc::unavailable};
  if (pending_.size() >= kPendingMax) co_return std::unexpected(away);
  for (;;) {
    Result<> ready = co_await connect(deadline);
    if (!ready) co_return std::unexpected(away);
    if (!sending_) break;
    const bool notified = co_await changed_.wait(deadline);
    if (!notified) co_return std::unexpected(away);
  }
  Pending pending{ring_, next_id_++};
  const SecretBytes request = dovecot::plain_request(pending.id, login, password, client);
  wipe_stack();
  if (request.view().size() > dovecot::kLineBytesMax) co_return std::nullopt;
  pending_.push_back(&pending);
  sending_ = true;
  Result<> sent = co_await send(request.view(), deadline);
  sending_ = false;
  if (!sent && socket_) {  // perhaps half of a line is out: nothing can follow it
    Result<std::uint32_t> ended = co_await ring_.shutdown(socket_, SHUT_RDWR);
    static_cast<void>(ended);
  }
  changed_.notify_all();
  bool waiting = sent.has_value();
  while (waiting && !pending.outcome) waiting = co_await pending.answered.wait(deadline);
  std::erase(pending_, &pending);
  if (!pending.outcome || !*pending.outcome) co_return std::unexpected(away);
  dovecot::Answer& answer = **pending.outcome;
  if (answer.outcome == dovecot::Answer::Outcome::ok) co_return std::move(answer.user);
  if (answer.outcome == dovecot::Answer::Outcome::refused) co_return std::nullopt;
  co_return std::unexpected(away);
}

}  // namespace ringpost::helperd
