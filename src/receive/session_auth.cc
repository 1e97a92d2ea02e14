// The part of a session in which a client says who it is: AUTH (RFC 4954).
#include <algorithm>

#include "receive/session.hh"
#include "ringpost/base/ascii.hh"
#include "ringpost/base/base64.hh"
#include "ringpost/sasl/exchange.hh"

namespace ringpost::receive {

namespace replies = smtp::replies;

namespace {

constexpr std::size_t kNonceBytes = 24;
/// A server's message of SCRAM has the client's nonce in it, however long that is; a reply buffer has its bound.
constexpr std::size_t kChallengeBytesMax = 1024;
/// What accounts may be limited to; both submission listeners are one service.
constexpr std::string_view kScope = "submission";

/// What a client said is a secret, and lies in a buffer of ours that others will use after it.
void wipe_line(Bytes text) { wipe({const_cast<std::byte*>(text.data()), text.size()}); }

smtp::Reply reply_to(sasl::FailureKind kind) {
  switch (kind) {
    case sasl::FailureKind::empty:
    case sasl::FailureKind::not_base64: return replies::kAuthMalformed;
    case sasl::FailureKind::cancelled: return replies::kAuthCancelled;
    default: return replies::kAuthFailed;
  }
}

bool is_attempt(sasl::FailureKind kind) { return reply_to(kind) == replies::kAuthFailed; }

policy::LoginLimits limits_of(const config::Settings& settings) {
  return {settings.auth.failures_max, settings.auth.failures_window, settings.auth.ban, settings.auth.failure_delay, settings.auth.never_ban};
}

}  // namespace

bool Session::offers(sasl::Mechanism mechanism) const {
  switch (mechanism) {
    case sasl::Mechanism::plain:
    case sasl::Mechanism::login: return true;
    case sasl::Mechanism::scram_sha_256: return settings_->auth.scram;
    case sasl::Mechanism::scram_sha_256_plus: return settings_->auth.scram && channel_.handshake().channel_binding.has_value();
    default: return false;
  }
}

/// For EHLO: the strongest first, for clients that take the first they know.
std::string_view Session::mechanisms() const {
  if (!state_.offers_auth()) return {};
  if (offers(sasl::Mechanism::scram_sha_256_plus)) return "SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN";
  return offers(sasl::Mechanism::scram_sha_256) ? "SCRAM-SHA-256 PLAIN LOGIN" : "PLAIN LOGIN";
}

runtime::Task<void> Session::authenticate(const smtp::Command& command) {
  const auto mechanism = sasl::mechanism_named(command.auth.mechanism);
  const bool known = mechanism && offers(*mechanism);
  sasl::Response initial = sasl::parse_initial_response(command.auth.initial_response.value_or(std::string_view{}));
  wipe_line(as_bytes(command.argument));
  if (!known) co_return answer(replies::kUnknownMechanism);
  if (!server_.surroundings_.authenticator) co_return answer(replies::kAuthUnavailable);
  policy::LoginGuard& guard = *server_.surroundings_.logins;
  if (!guard.may_try(peer_.ip(), {}, ring_.now())) co_return close_with(replies::kTooManyLogins);

  std::array<std::byte, kNonceBytes> random;
  ring_.random(random);
  const std::string nonce = encode_base64(random);
  sasl::Exchange exchange{*mechanism, {.server_nonce = nonce,
                                       .plus_offered = offers(sasl::Mechanism::scram_sha_256_plus),
                                       .channel_binding = channel_.handshake().channel_binding}};
  sasl::Step step = exchange.start(std::move(initial));
  helper::Login candidate;
  for (;;) {
    if (const auto* challenge = std::get_if<sasl::Challenge>(&step)) {
      if (challenge->bytes.size() > kChallengeBytesMax) co_return co_await turn_down(replies::kAuthFailed, true, candidate.name);
      add_challenge(challenge->bytes);
      auto response = co_await read_response();
      if (!response) co_return;
      step = exchange.respond(std::move(*response));
    } else if (const auto* success = std::get_if<sasl::Success>(&step)) {
      if (equal_ignoring_case(success->login, success->identity)) co_return let_in(std::move(candidate));
      step = sasl::Failure{sasl::FailureKind::rejected};  // nobody acts as somebody else
    } else if (const auto* failure = std::get_if<sasl::Failure>(&step)) {
      co_return co_await turn_down(reply_to(failure->kind), is_attempt(failure->kind), candidate.name);
    } else {
      const auto* password = std::get_if<sasl::CheckPassword>(&step);
      const auto* keys = std::get_if<sasl::FetchKeys>(&step);
      RP_ASSERT(password || keys);  // no other mechanism is offered
      candidate.name = password ? password->login : keys->login;
      if (!guard.may_try(peer_.ip(), candidate.name, ring_.now())) co_return close_with(replies::kTooManyLogins);
      if (input_.empty()) input_.release();
      const helper::Visit visit{kScope, peer_.ip()};
      if (password) {
        auto answer_of = co_await server_.surroundings_.authenticator->check_password(visit, password->login, password->password);
        if (!answer_of) co_return answer(replies::kAuthUnavailable);
        if (*answer_of) candidate = std::move(**answer_of);
        step = *answer_of ? exchange.accept(candidate.name) : exchange.refuse();
      } else {
        auto answer_of = co_await server_.surroundings_.authenticator->scram_keys(visit, keys->login);
        if (!answer_of) co_return answer(replies::kAuthUnavailable);
        candidate = std::move(answer_of->login);
        step = exchange.give_keys(std::move(answer_of->keys), candidate.name);
      }
    }
  }
}

void Session::add_challenge(Bytes bytes) {
  const std::string text = encode_base64(bytes);
  out_.add_written([&](MutableBytes to) -> std::size_t {
    constexpr std::string_view kCode = "334 ", kEnd = "\r\n";
    if (to.size() < kCode.size() + text.size() + kEnd.size()) return 0;
    std::size_t at = 0;
    for (std::string_view part : {kCode, std::string_view{text}, kEnd}) {
      copy_bytes(to.subspan(at), as_bytes(part));
      at += part.size();
    }
    return at;
  });
}

// The client's next line. Nothing: there is none, or none that can be one; what had to be said is said.
runtime::Task<std::optional<sasl::Response>> Session::read_response() {
  expect_command(settings_->smtp.timeout.command);
  for (;;) {
    if (input_.empty() || !out_.empty()) {
      const bool here = !input_.empty();
      const bool ready = here ? co_await flush() : co_await fill(command_deadline_, replies::kTimedOut);
      if (!ready) co_return std::nullopt;
    }
    const smtp::LineStep step = reader_.next(input_.bytes());
    input_.consume(step.consumed);
    if (step.status == smtp::LineStatus::need_more) continue;
    if (step.status == smtp::LineStatus::line) {
      sasl::Response response = sasl::parse_response(as_text(step.text));
      wipe_line(step.text);
      co_return response;
    }
    if (step.status == smtp::LineStatus::too_long) answer(replies::kAuthLineTooLong);
    else refuse_line(step);
    co_return std::nullopt;
  }
}

void Session::let_in(helper::Login login) {
  server_.surroundings_.logins->succeeded(peer_.ip(), login.name);
  server_.surroundings_.metrics.logins_accepted.add();
  login_ = std::move(login);
  state_.authenticated();
  junk_ = 0;
  answer(replies::kAuthenticated);
}

// The longer the more often it went wrong: somebody who guesses has time.
runtime::Task<void> Session::turn_down(const smtp::Reply& reply, bool was_attempt, std::string_view login) {
  if (was_attempt) {
    server_.surroundings_.metrics.logins_refused.add();
    server_.surroundings_.intake.login_refused(peer_.ip(), login);
    const Duration wait = server_.surroundings_.logins->failed(peer_.ip(), login, limits_of(*settings_), ring_.now());
    if (input_.empty()) input_.release();
    co_await ring_.sleep_for(wait);
  }
  answer(reply);
}

}  // namespace ringpost::receive
