#include "receive/session.hh"

#include <functional>

#include <sys/socket.h>

#include <algorithm>

#include "ringpost/accounts/accounts.hh"
#include "ringpost/policy/recipients.hh"
#include "ringpost/policy/relay.hh"
#include "ringpost/smtp/extensions.hh"

namespace ringpost::receive {

namespace replies = smtp::replies;

namespace {
// A line that is too long is refused twice at most, a bare newline three times: such a client will not get better.
constexpr std::uint64_t kLongLineCost = 2, kBareNewlineCost = 3;
// How long a closed session reads on, so that our last reply is not lost to a reset.
constexpr Duration kLinger = std::chrono::milliseconds(500);
constexpr std::size_t kLingerChunks = 64;
// A handshake is two exchanges of a few packets.
constexpr Duration kHandshakePatience = std::chrono::seconds(30);

smtp::TlsOffer offer_of(config::ListenerTls tls) {
  switch (tls) {
    case config::ListenerTls::none: return smtp::TlsOffer::none;
    case config::ListenerTls::offered: return smtp::TlsOffer::offered;
    case config::ListenerTls::required: return smtp::TlsOffer::required;
    case config::ListenerTls::implicit: break;
  }
  return smtp::TlsOffer::active;
}

smtp::AuthOffer auth_of(config::ListenerRole role) {
  return config::is_submission(role) ? smtp::AuthOffer::required : smtp::AuthOffer::none;
}
}  // namespace

Session::Session(Server& server, std::shared_ptr<const config::Settings> settings, const config::Listener& listener, Fd socket,
                 const SocketAddress& peer, policy::ConnectionPlace& place)
    : server_(server),
      ring_(server.surroundings_.ring),
      settings_(std::move(settings)),
      listener_(listener),
      socket_(socket),
      peer_(peer),
      origin_(peer),
      place_(place),
      channel_(ring_, socket),
      session_deadline_(ring_.now() + settings_->smtp.session_max),
      state_(offer_of(listener.tls), auth_of(listener.role)) {
  envelope_.client = peer.ip();
  if (auth_of(listener.role) != smtp::AuthOffer::none) reader_.set_line_bytes_max(smtp::kExtendedLineBytesMax);
}

runtime::Task<void> Session::run() {
  if (listener_.proxy_protocol == config::ProxyProtocol::required) {
    const bool introduced = co_await read_proxy_header();
    if (!introduced) co_return co_await channel_.stop();
  }
  if (listener_.tls == config::ListenerTls::implicit) {
    const bool shaken = co_await begin_tls();
    if (!shaken) co_return co_await channel_.stop();
  }
  bool greeted = co_await greet();
  if (greeted) co_await converse();
  bool told = co_await flush();
  drop_message();
  if (told) {
    // Our FIN first, then whatever the client still sends: closing with unread bytes would reset the connection (RFC 1122 4.2.2.13).
    const Instant deadline = ring_.now() + kLinger;
    co_await channel_.shutdown(deadline);
    co_await channel_.drain(deadline, kLingerChunks);
  }
  input_.release();
  co_await channel_.stop();
}

// Under TLS from here on, or not at all: after a handshake that failed there is nobody to talk to.
runtime::Task<bool> Session::begin_tls() {
  metrics::ShardMetrics& metrics = server_.surroundings_.metrics;
  const Instant deadline = std::min(ring_.now() + kHandshakePatience, session_deadline_);
  idle_ = true;
  Result<> accepted = co_await channel_.accept_tls(server_.tls_context(listener_), deadline);
  idle_ = false;
  const tls::PeerVerdict verdict = channel_.handshake().peer;
  certified_ = accepted && verdict == tls::PeerVerdict::ok;
  if (!certified_ && verdict != tls::PeerVerdict::none) server_.log_bad_certificate(peer_.ip(), verdict);
  if (!accepted) {
    broken_ = true;
    open_ = false;
    metrics.tls_handshakes_failed.add();
    co_return false;
  }
  metrics.tls_handshakes.add();
  if (channel_.handshake().resumed) metrics.tls_handshakes_resumed.add();
  co_return true;
}

// STARTTLS was allowed. What the client sent behind it was perhaps put there by somebody on the path: it is dropped, and so is all
// that was said before (RFC 3207 section 4.2, attacks C1 and C3).
runtime::Task<void> Session::start_tls() {
  if (!server_.can_start_tls(listener_)) co_return answer(replies::kTlsUnavailable);
  if (!become(origin_, origin_known_)) co_return;
  input_.release();
  (void)channel_.discard_input();
  out_.add(replies::kStartTls);
  const bool told = co_await flush();
  if (!told) co_return;
  end_transaction();
  helo_.clear();
  login_ = {};
  authentication_.reset();
  state_.forget_all();
  (void)co_await begin_tls();
}

// Waits for the listener's delay, or at least for one turn of the loop, which sees what is here already: bytes before the banner
// come from a client that does not listen (attack C6). A deadline of now would pass before the first receive is even submitted.
runtime::Task<bool> Session::greet() {
  idle_ = true;
  auto early = co_await channel_.next(ring_.now() + std::max(listener_.greeting_delay, Duration{1}));
  idle_ = false;
  if (early) {
    server_.log_early_talker(peer_.ip());
    answer(replies::kEarlyTalker);
    co_return false;
  }
  if (end_asked_) {
    out_.add(replies::kShuttingDown);
    co_return false;
  }
  if (early.error().code != Errc::timed_out) {
    broken_ = true;
    co_return false;
  }
  out_.add_written([&](MutableBytes to) { return smtp::write_greeting(settings_->hostname, to); });
  server_.surroundings_.metrics.sessions_started.add();
  co_return true;
}

runtime::Task<void> Session::converse() {
  expect_command(settings_->smtp.timeout.greeting);
  while (open_) {
    if (input_.empty()) {
      if (end_asked_ && !reader_.in_line()) co_return close_with(replies::kShuttingDown);
      idle_ = true;
      bool filled = co_await fill(command_deadline_, replies::kTimedOut);
      idle_ = false;
      if (!filled) co_return;
    }
    const smtp::LineStep step = next_line();
    if (step.status == smtp::LineStatus::need_more) continue;
    if (step.status == smtp::LineStatus::line) {
      smtp::CommandRules rules{.extended = state_.extended() || !state_.greeted(),
                               .smtputf8 = envelope_.smtputf8,
                               .auth = auth_of(listener_.role) != smtp::AuthOffer::none,
                               .require_tls = channel_.secured(),
                               .future_release = future_release_max() > Duration{},
                               .priority = offers_priority_,
                               .deliver_by = config::is_submission(listener_.role),
                               .deliver_by_min_s = deliver_by_min_s(),
                               .message_bytes_max = settings_->smtp.message_bytes_max};
      smtp::Command command = smtp::parse_command(step.text, rules);
      co_await handle(command);
    } else {
      refuse_line(step);
    }
    expect_command(settings_->smtp.timeout.command);
    if (out_.should_flush()) {
      bool flushed = co_await flush();
      if (!flushed) co_return;
    }
  }
}

// Takes a line off the input. Where users log in it may hold a password: nothing of it stays here, but for the line that is handed out.
smtp::LineStep Session::next_line() {
  const smtp::LineStep step = reader_.next(input_.bytes());
  const Bytes taken = input_.bytes().first(step.consumed);
  const std::byte* line = step.text.data();
  const bool is_here = !step.text.empty() && std::less_equal<>{}(taken.data(), line) && std::less<>{}(line, taken.data() + taken.size());
  if (auth_of(listener_.role) != smtp::AuthOffer::none) wipe_line(is_here ? taken.first(static_cast<std::size_t>(line - taken.data())) : taken);
  input_.consume(step.consumed);
  return step;
}

// The whole line has this long, however slowly it drips (attack C16), and a transaction has its own end.
void Session::expect_command(Duration patience) {
  command_deadline_ = ring_.now() + patience;
  if (state_.in_transaction()) command_deadline_ = std::min(command_deadline_, transaction_since_ + settings_->smtp.timeout.message);
}

runtime::Task<void> Session::handle(const smtp::Command& command) {
  using smtp::Verb;
  if (smtp::traits(command.verb).junk && ++junk_ > settings_->smtp.commands_without_mail_max)
    co_return close_with(replies::kTooMuchJunk);
  if (!may_introduce(command.verb)) co_return answer(replies::kNotAuthorized);
  // What the line itself has wrong comes after what the state has wrong: a RCPT without MAIL is 503 whatever its address is.
  smtp::Decision decision = state_.decide(command.verb);
  if (command.verb == Verb::auth && !(command.ok() && decision.allowed())) wipe_line(as_bytes(command.argument));
  if (command.close || command.verb == Verb::alien) {
    open_ = false;
    co_return answer(command.refusal ? command.refusal : decision.refusal);
  }
  if (!command.ok() && (decision.allowed() || !decision.swallow)) {
    co_return answer(decision.allowed() ? command.refusal : decision.refusal);
  }
  if (!decision.allowed()) {
    // DATA ends a pipelined group (RFC 2920 section 3.1): what lies behind a refused one is no command but a message.
    if (command.verb == Verb::data && !input_.empty()) co_return refuse_early_text();
    if (!decision.swallow) co_return answer(decision.refusal);
    bool swallowed = co_await swallow(command.chunk.size, decision.refusal);
    if (swallowed) state_.chunk_refused(command.chunk.last);
    if (!state_.in_transaction()) end_transaction();
    co_return;
  }
  switch (command.verb) {
    case Verb::ehlo:
    case Verb::helo: on_greeting(command); break;
    case Verb::mail: on_mail(command); break;
    case Verb::rcpt:
      if (on_rcpt(command) == Rcpt::to_be_verified) co_await verify_rcpt(command);
      break;
    case Verb::data: co_await receive_data(); break;
    case Verb::bdat: co_await receive_chunk(command.chunk); break;
    case Verb::rset:
      end_transaction();
      answer(replies::kOk);
      break;
    case Verb::noop: answer(replies::kOk); break;
    case Verb::vrfy:
    case Verb::expn: answer(replies::kCannotVerify); break;
    case Verb::help: answer(replies::kHelp); break;
    case Verb::quit: close_with(replies::kClosing); break;
    case Verb::starttls: co_await start_tls(); break;
    case Verb::auth: co_await authenticate(command); break;
    case Verb::xclient: on_xclient(command); break;
    case Verb::xforward: on_xforward(command); break;
    default: answer(replies::kNotImplemented); break;
  }
}

void Session::on_greeting(const smtp::Command& command) {
  bool extended = command.verb == smtp::Verb::ehlo;
  const std::string offered = mechanisms();
  end_transaction();
  state_.greeted(extended);
  helo_.assign(command.argument);
  // Priority is for those whose mail goes anywhere.
  offers_priority_ = config::is_submission(listener_.role) || policy::may_relay(client_for_relay(), settings_->relay.clients);
  out_.add_written([&](MutableBytes to) {
    if (!extended) return smtp::write_helo(settings_->hostname, to);
    return smtp::write_ehlo({.host = settings_->hostname,
                             .message_bytes_max = settings_->smtp.message_bytes_max,
                             .starttls = state_.offers_tls(),
                             .require_tls = channel_.secured(),
                             .auth = offered,
                             .xclient = may_introduce(smtp::Verb::xclient),
                             .xforward = may_introduce(smtp::Verb::xforward),
                             .future_release_max_s = static_cast<std::uint32_t>(future_release_max() / std::chrono::seconds(1)),
                             .now = std::chrono::floor<std::chrono::seconds>(ring_.wall_now()),
                             .deliver_by = config::is_submission(listener_.role),
                             .deliver_by_min_s = deliver_by_min_s(),
                             .priority = offers_priority_,
                             .rcpt_max = static_cast<std::uint32_t>(settings_->smtp.recipients_max)},
                            to);
  });
}

void Session::on_mail(const smtp::Command& command) {
  // Whoever has authenticated sends as themselves (RFC 6409 section 6.1); the null sender is nobody (section 5.1).
  const std::string_view sender = command.path.address();
  if (state_.is_authenticated() && !sender.empty() && !accounts::may_send_as(login_.senders, sender))
    return answer(replies::kNotYourAddress);
  const Duration hold = command.mail.terms.release ? hold_of(*command.mail.terms.release) : Duration{};
  if (hold > future_release_max()) return answer(replies::kReleaseTooLate);
  auto admitted = server_.surroundings_.intake.admit(command.mail.size.value_or(0));
  if (!admitted) {
    failure_ = admitted.error();
    answer(failure_reply());
    failure_.reset();
    return;
  }
  state_.mail_accepted();
  envelope_.set_reverse_path(command.path.address());
  envelope_.login = login_.name;
  envelope_.authentication = authentication_;
  if (!authentication_ && relays_by_certificate()) envelope_.authentication = event::Authentication::client_certificate;
  envelope_.smtputf8 = command.mail.smtputf8;
  envelope_.eight_bit_body = command.mail.body == smtp::BodyType::eight_bit_mime;
  if (command.mail.require_tls) envelope_.tls_wish = smtp::TlsWish::required;
  parameters_.clear();
  append_parameters(command.mail.notification, parameters_);
  append_parameters(command.mail.terms, parameters_);
  envelope_.set_parameters(parameters_);
  if (hold > Duration{}) envelope_.release = ring_.now() + hold;
  transaction_since_ = ring_.now();
  grant(command.mail.terms);
}

Session::Rcpt Session::on_rcpt(const smtp::Command& command) {
  const policy::RecipientAnswer known = policy::answer_recipient(
      *settings_,
      {.role = listener_.role, .client = client_for_relay(), .authenticated = state_.is_authenticated(), .certified = relays_by_certificate()},
      command.path);
  const bool full = envelope_.recipients() >= settings_->smtp.recipients_max;
  parameters_.clear();
  append_parameters(command.rcpt.notification, parameters_);
  if (known.refusal) answer(known.refusal);
  else if (full) answer(replies::kTooManyRecipients);
  else if (state_.is_authenticated() && !within_budget()) answer(replies::kTooMuchForToday);
  else if (known.ask_next_hop) return Rcpt::to_be_verified;
  else accept_rcpt(command.path.address());
  return Rcpt::answered;
}

// Beyond its budget the mail of a login is kept, but held; far beyond it nothing more is taken.
bool Session::within_budget() {
  const policy::RecipientBudget budget{settings_->submission.recipients_per_hour, settings_->submission.recipients_per_day};
  const policy::BudgetVerdict verdict = server_.surroundings_.budgets->take(login_.name, budget, ring_.now());
  if (verdict == policy::BudgetVerdict::over) envelope_.held = true;
  return verdict != policy::BudgetVerdict::far_over;
}

void Session::accept_rcpt(std::string_view address) {
  envelope_.add_recipient(address, parameters_);
  state_.rcpt_accepted();
  answer(replies::kRecipientOk);
}

// This may take a while: the replies so far go out first, and a buffer with nothing more in it goes back.
runtime::Task<void> Session::verify_rcpt(const smtp::Command& command) {
  const std::string address{command.path.address()};
  if (input_.empty()) input_.release();
  bool flushed = co_await flush();
  if (!flushed) co_return;
  RecipientVerifier* verifier = server_.surroundings_.verifier;
  const smtp::Reply refusal = verifier ? co_await verifier->verify(address) : replies::kCannotTell;
  if (refusal) answer(refusal);
  else accept_rcpt(address);
}

void Session::refuse_early_text() {
  end_transaction();
  answer(replies::kEarlyTalker);
  open_ = false;
}

void Session::refuse_line(const smtp::LineStep& step) {
  using smtp::LineStatus;
  std::uint64_t budget = settings_->smtp.errors_max;
  if (step.status == LineStatus::too_long) errors_ += budget / kLongLineCost;
  if (step.status == LineStatus::bare_cr || step.status == LineStatus::bare_lf) errors_ += budget / kBareNewlineCost;
  // A NUL is no slip of a mail client (attack E16).
  if (step.close || step.status == LineStatus::nul) open_ = false;
  answer(smtp::line_refusal(step.status));
}

void Session::answer(const smtp::Reply& reply) {
  out_.add(reply);
  if (!reply.permanent() && !reply.transient()) return;
  server_.surroundings_.metrics.commands_refused.add();
  if (reply.permanent() && ++errors_ >= settings_->smtp.errors_max && open_) {
    open_ = false;
    out_.add(replies::kTooManyErrors);
  }
}

void Session::close_with(const smtp::Reply& reply) {
  out_.add(reply);
  open_ = false;
}

// Waits for input; the replies so far go out first, and the old buffer goes back: an idle session owns none.
// When `deadline` passes, `too_late` is the last thing said.
runtime::Task<bool> Session::fill(Instant deadline, const smtp::Reply& too_late) {
  input_.release();
  bool flushed = co_await flush();
  if (!flushed) co_return false;
  auto next = co_await channel_.next(std::min(deadline, session_deadline_));
  if (next) {
    input_ = std::move(*next);
    co_return true;
  }
  open_ = false;
  if (next.error().code == Errc::timed_out) {
    server_.surroundings_.metrics.sessions_timed_out.add();
    out_.add(too_late);
  } else if (end_asked_) {
    out_.add(replies::kShuttingDown);
  } else if (next.error().code != Errc::closed) {
    broken_ = true;
  }
  co_return false;
}

runtime::Task<bool> Session::flush() {
  Bytes rest = out_.bytes();
  if (broken_) co_return false;
  Instant deadline = ring_.now() + settings_->smtp.timeout.reply;
  while (!rest.empty()) {
    auto sent = co_await channel_.send(rest, deadline);
    if (!sent) {
      open_ = false;
      broken_ = true;
      co_return false;
    }
    rest = rest.subspan(*sent);
  }
  out_.clear();
  co_return true;
}

void Session::end_transaction() {
  state_.reset();
  envelope_.clear();
  forwarded_.reset();
  drop_message();
  failure_.reset();
}

bool Session::ask_to_end() {
  end_asked_ = true;
  return idle_;
}

}  // namespace ringpost::receive
