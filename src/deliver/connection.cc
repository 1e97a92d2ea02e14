// The conversation's frame: connecting, greeting, sending, reading replies, closing.
#include "deliver/connection.hh"

#include <sys/socket.h>

#include <algorithm>
#include <utility>

namespace ringpost::deliver {

namespace {

event::Reason reason_of(Errc code) {
  switch (code) {
    case Errc::timed_out: return event::Reason::timed_out;
    case Errc::refused: return event::Reason::connection_refused;
    case Errc::unreachable: return event::Reason::unreachable;
    case Errc::no_memory:
    case Errc::no_descriptors: return event::Reason::overloaded;
    case Errc::corrupt: return event::Reason::damaged;
    case Errc::protocol: return event::Reason::next_hop_protocol;
    default: return event::Reason::connection_lost;
  }
}

constexpr Duration kQuitPatience = std::chrono::seconds(2);

}  // namespace

Connection::Connection(runtime::Ring& ring, std::shared_ptr<const config::Settings> settings, const SocketAddress& target,
                       Protocol protocol, HopMemory& hop, std::uint64_t messages_max, Security security)
    : ring_(ring),
      settings_(std::move(settings)),
      target_(target),
      protocol_(protocol),
      hop_(hop),
      messages_max_(messages_max),
      security_(std::move(security)),
      proof_(security_.proofs ? proof_of(*security_.proofs, target) : nullptr),
      protection_(protection(security_.policy, proof_, security_.sts ? &security_.sts->policy : nullptr,
                             target.is_ip() ? security_.wish : smtp::TlsWish::none)),
      parser_(std::make_unique<smtp::ReplyParser>()) {
  if (security_.shows.empty()) return;
  const auto own = std::ranges::find(settings_->destinations, security_.shows, &config::DestinationLimits::domain);
  if (own != settings_->destinations.end()) own_ = &*own;
}

Connection::~Connection() = default;

runtime::Task<Outcome> Connection::open(Instant latest) {
  if (auto trouble = forbidden()) {
    tls_result_ = result_so_far();
    co_return std::unexpected(std::move(*trouble));
  }
  auto socket = ring_.open_socket(target_, runtime::SocketKind::stream);
  if (!socket) co_return std::unexpected(broken(socket.error()));
  socket_ = *socket;
  const auto& timeout = settings_->deliver.timeout;
  transaction_deadline_ = std::min(ring_.now() + timeout.transaction, latest);
  auto connected = co_await ring_.connect(socket_, target_, deadline(timeout.connect));
  if (!connected) co_return std::unexpected(broken(connected.error()));
  channel_ = std::make_unique<tls::Channel>(ring_, socket_);
  usable_ = true;
  auto greeting = co_await read_reply(timeout.greeting);
  if (!greeting) co_return std::unexpected(greeting.error());
  // 554 (and 521, RFC 7504) mean that no mail is taken here; it stays ours, for another hour may see another server.
  if (greeting->code != 220) co_return std::unexpected(unwelcome(*greeting));
  auto welcomed = co_await say_hello();
  if (!welcomed) co_return welcomed;
  auto secured = co_await secure();
  if (secured) secured = takes_duty();
  if (!secured) co_return secured;
  co_return co_await log_in();
}

runtime::Task<Outcome> Connection::say_hello() {
  const auto& timeout = settings_->deliver.timeout;
  capabilities_ = {};
  queue_line({protocol_ == Protocol::lmtp ? "LHLO " : "EHLO ", settings_->hostname});
  auto sent = co_await flush(timeout.command);
  if (!sent) co_return sent;
  auto answer = co_await read_reply(timeout.command, &capabilities_);
  if (!answer) co_return std::unexpected(answer.error());
  if (protocol_ == Protocol::smtp && answer->code >= 500 && answer->code != 521 && answer->code != 554) {
    capabilities_ = {};
    queue_line({"HELO ", settings_->hostname});
    sent = co_await flush(timeout.command);
    if (!sent) co_return sent;
    answer = co_await read_reply(timeout.command);
    if (!answer) co_return std::unexpected(answer.error());
  }
  if (answer->code != 250) co_return std::unexpected(unwelcome(*answer));
  co_return Outcome{};
}

// Leaves nothing of a failed transaction behind on the other side.
runtime::Task<void> Connection::reset() {
  const Duration patience = settings_->deliver.timeout.command;
  queue_line({"RSET"});
  auto sent = co_await flush(patience);
  if (!sent) co_return;
  auto answer = co_await read_final(patience);
  if (answer && !answer->positive()) usable_ = false;
}

runtime::Task<void> Connection::close() {
  if (!socket_) co_return;
  if (usable_) {
    transaction_deadline_ = ring_.now() + kQuitPatience;
    queue_line({"QUIT"});
    auto sent = co_await flush(kQuitPatience);
    if (sent) (void)co_await read_reply(kQuitPatience);
  }
  usable_ = false;
  if (channel_) co_await channel_->stop();
  input_.release();
  Fd socket = std::exchange(socket_, {});
  (void)co_await ring_.close(socket);
}

runtime::Task<void> Connection::cut() {
  usable_ = false;
  if (!socket_) co_return;
  (void)co_await ring_.shutdown(socket_, SHUT_RDWR);
}

bool Connection::limit_reached() const {
  return messages_ >= messages_max_ || (capabilities_.mail_max != 0 && messages_ >= capabilities_.mail_max);
}

// ---- bytes out

void Connection::queue_line(std::initializer_list<std::string_view> parts) {
  for (std::string_view part : parts) out_.append(part);
  out_.append("\r\n");
}

// Commands go out only when every answer is in. Whatever lies here already was said unasked, and taking it for the answer to
// what follows could make "delivered" of a message nobody took.
runtime::Task<Outcome> Connection::in_step() {
  if (input_.empty() && channel_->ready()) {
    auto next = co_await channel_->next(ring_.now());
    if (!next) co_return std::unexpected(broken(next.error()));
    input_ = std::move(*next);
  }
  if (!input_.empty()) co_return std::unexpected(broken({Errc::protocol}));
  co_return Outcome{};
}

runtime::Task<Outcome> Connection::flush(Duration patience) {
  auto sent = co_await in_step();
  if (sent) sent = co_await send_all(as_bytes(out_), patience);
  out_.clear();
  co_return sent;
}

runtime::Task<Outcome> Connection::send_all(Bytes bytes, Duration patience) {
  while (!bytes.empty()) {
    auto sent = co_await channel_->send(bytes, deadline(patience));
    if (!sent) co_return std::unexpected(broken(sent.error()));
    bytes = bytes.subspan(*sent);
  }
  co_return Outcome{};
}

// ---- replies in

runtime::Task<std::expected<Connection::Answer, Trouble>> Connection::read_reply(Duration patience, smtp::Capabilities* capabilities) {
  Instant until = deadline(patience);
  std::size_t line = 0;
  for (;;) {
    if (input_.empty()) {
      input_.release();
      auto next = co_await channel_->next(until);
      if (!next) co_return std::unexpected(broken(next.error()));
      input_ = std::move(*next);
    }
    smtp::ReplyParser::Step step = parser_->next(input_.bytes());
    input_.consume(step.consumed);
    if (step.status == smtp::ReplyParser::Status::error) co_return std::unexpected(broken({Errc::protocol}));
    if (step.status == smtp::ReplyParser::Status::need_more) continue;
    if (capabilities && line++ > 0) capabilities->add_line(step.line);
    if (step.status == smtp::ReplyParser::Status::line) continue;
    Answer answer{parser_->code(), parser_->enhanced()};
    // 421 closes the channel at any stage (RFC 5321 section 3.8); whoever reads on would wait for nothing. On a connection that
    // was idle it means no more than that the hop did not want to wait: it does not count as heard.
    if (answer.code == 421) co_return std::unexpected(unwelcome(answer));
    heard_ = true;
    co_return answer;
  }
}

// 3xx asks for something only behind DATA; anywhere else the hop is out of step.
runtime::Task<std::expected<Connection::Answer, Trouble>> Connection::read_final(Duration patience) {
  auto answer = co_await read_reply(patience);
  if (answer && answer->code >= 300 && answer->code < 400) co_return std::unexpected(broken({Errc::protocol}));
  co_return answer;
}

Instant Connection::deadline(Duration patience) const { return std::min(ring_.now() + patience, transaction_deadline_); }

Trouble Connection::broken(Error error) {
  usable_ = false;
  return {.reason = reason_of(error.code)};
}

// An answer after which there is no connection; the mail stays ours.
Trouble Connection::unwelcome(const Answer& answer) {
  usable_ = false;
  RecipientResult result;
  fill(result, answer);
  if (answer.code < 400) result.reason = event::Reason::next_hop_protocol;
  return {RecipientResult::Verdict::deferred, result.reason, result.reply, std::move(result.text)};
}

// 2xx done, 5xx failed, everything else is to be tried again.
void Connection::fill(RecipientResult& result, const Answer& answer) const {
  result.reply = {answer.code, answer.enhanced.klass, answer.enhanced.subject, answer.enhanced.detail};
  result.text.assign(parser_->text());
  if (answer.positive()) {
    result.verdict = RecipientResult::Verdict::delivered;
    result.reports = capabilities_.dsn;
    result.keeps_time = keeps_time();
    result.reason = event::Reason::none;
  } else if (answer.code == 530) {
    // What is missing is ours to set right (RFC 4954 section 6, RFC 3207 section 4).
    result.verdict = RecipientResult::Verdict::deferred;
    result.reason = event::Reason::hop_login_demanded;
  } else if (answer.code >= 500) {
    result.verdict = RecipientResult::Verdict::failed;
    result.reason = event::Reason::next_hop_refused;
  } else {
    result.verdict = RecipientResult::Verdict::deferred;
    result.reason = answer.code >= 400 ? event::Reason::next_hop_deferred : event::Reason::next_hop_protocol;
    if (answer.code < 400) result.reply = {};
  }
}

}  // namespace ringpost::deliver
