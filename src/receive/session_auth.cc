// The part of a session in which a client says who it is: AUTH (RFC 4954).
#include <algorithm>

#include "receive/session.hh"
#include "ringpost/base/ascii.hh"
#include "ringpost/base/base64.hh"
#include "ringpost/policy/relay.hh"

namespace ringpost::receive {

namespace replies = smtp::replies;

namespace {

constexpr std::size_t kNonceBytes = 24;
/// A server's message of SCRAM has the client's nonce in it, however long that is; a reply buffer has its bound.
constexpr std::size_t kChallengeBytesMax = 1024;
/// What accounts may be limited to; both submission listeners are one service.
constexpr std::string_view kScope = "submission";

constexpr sasl::Mechanism kByStrength[] = {sasl::Mechanism::external,      sasl::Mechanism::scram_sha_256_plus,
                                           sasl::Mechanism::scram_sha_256, sasl::Mechanism::oauthbearer,
                                           sasl::Mechanism::xoauth2,       sasl::Mechanism::plain,
                                           sasl::Mechanism::login};

smtp::Reply reply_to(sasl::FailureKind kind) {
  switch (kind) {
    case sasl::FailureKind::empty:
    case sasl::FailureKind::not_base64: return replies::kAuthMalformed;
    case sasl::FailureKind::cancelled: return replies::kAuthCancelled;
    default: return replies::kAuthFailed;
  }
}

event::Authentication authentication_of(sasl::Mechanism mechanism) {
  switch (mechanism) {
    case sasl::Mechanism::plain: return event::Authentication::plain;
    case sasl::Mechanism::login: return event::Authentication::login;
    case sasl::Mechanism::scram_sha_256: return event::Authentication::scram_sha_256;
    case sasl::Mechanism::scram_sha_256_plus: return event::Authentication::scram_sha_256_plus;
    case sasl::Mechanism::external: return event::Authentication::external;
    case sasl::Mechanism::oauthbearer: return event::Authentication::oauthbearer;
    case sasl::Mechanism::xoauth2: return event::Authentication::xoauth2;
  }
  RP_ASSERT(false);
}

policy::LoginLimits limits_of(const config::Settings& settings) {
  return {settings.auth.failures_max, settings.auth.failures_window, settings.auth.ban, settings.auth.failure_delay,
          settings.auth.failures_rate, settings.auth.never_ban};
}

}  // namespace

bool Session::offers(sasl::Mechanism mechanism) const {
  switch (mechanism) {
    case sasl::Mechanism::plain:
    case sasl::Mechanism::login: return true;
    case sasl::Mechanism::scram_sha_256: return settings_->auth.scram;
    case sasl::Mechanism::scram_sha_256_plus: return settings_->auth.scram && channel_.handshake().channel_binding.has_value();
    case sasl::Mechanism::external: return certified_ && !channel_.handshake().peer_mailboxes.empty();
    case sasl::Mechanism::oauthbearer:
    case sasl::Mechanism::xoauth2: return settings_->auth.oauth.is_set();
  }
  RP_ASSERT(false);
}

/// For EHLO: the strongest first, for clients that take the first they know.
std::string Session::mechanisms() const {
  std::string names;
  if (!state_.offers_auth()) return names;
  for (sasl::Mechanism mechanism : kByStrength)
    if (offers(mechanism)) names.append(names.empty() ? "" : " ").append(sasl::name_of(mechanism));
  return names;
}

/// Not on submission listeners, where nobody relays without AUTH.
bool Session::relays_by_certificate() const {
  return certified_ && !config::is_submission(listener_.role) &&
         policy::may_relay(channel_.handshake().peer_hosts, settings_->relay.client_certificates);
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
      if (challenge->bytes.size() > kChallengeBytesMax) co_return co_await turn_down(replies::kAuthFailed, candidate.name, *mechanism);
      add_challenge(challenge->bytes);
      auto response = co_await read_response();
      if (!response) co_return;
      step = exchange.respond(std::move(*response));
    } else if (const auto* success = std::get_if<sasl::Success>(&step)) {
      if (equal_ignoring_case(success->login, success->identity)) co_return let_in(std::move(candidate), *mechanism);
      step = sasl::Failure{sasl::FailureKind::rejected};  // nobody acts as somebody else
    } else if (const auto* failure = std::get_if<sasl::Failure>(&step)) {
      co_return co_await turn_down(reply_to(failure->kind), candidate.name, *mechanism);
    } else {
      candidate.name = claimed_login(step);
      if (!guard.may_try(peer_.ip(), candidate.name, ring_.now())) co_return close_with(replies::kTooManyLogins);
      if (std::holds_alternative<sasl::CheckPassword>(step) &&
          !guard.may_check(peer_.ip(), candidate.name, limits_of(*settings_), ring_.now())) {
        server_.surroundings_.metrics.logins_put_off.add();
        co_return answer(replies::kAuthUnavailable);
      }
      if (input_.empty()) input_.release();
      auto next = co_await ask(exchange, step, candidate);
      if (!next) co_return answer(replies::kAuthUnavailable);
      step = std::move(*next);
    }
  }
}

/// Who it would be, if the proof is good.
std::string Session::claimed_login(const sasl::Step& step) const {
  if (const auto* password = std::get_if<sasl::CheckPassword>(&step)) return std::string{password->login};
  if (const auto* keys = std::get_if<sasl::FetchKeys>(&step)) return std::string{keys->login};
  if (const auto* token = std::get_if<sasl::CheckToken>(&step)) return std::string{token->identity};
  return certified_login(std::get<sasl::CheckCertificate>(step).identity);
}

/// The mailbox of the certificate that the client wants to be; it must say which, unless there is but one. Empty: none of them.
std::string Session::certified_login(std::string_view identity) const {
  const std::vector<std::string>& mailboxes = channel_.handshake().peer_mailboxes;
  if (identity.empty() && mailboxes.size() == 1) return mailboxes[0];
  const auto meant = std::ranges::find_if(mailboxes, [&](std::string_view mailbox) { return equal_ignoring_case(mailbox, identity); });
  return meant == mailboxes.end() ? std::string{} : *meant;
}

// What an exchange wants to know, from whoever knows it. `candidate`: who it would be, and then who it is. Nothing: nobody can say now.
runtime::Task<std::optional<sasl::Step>> Session::ask(sasl::Exchange& exchange, const sasl::Step& step, helper::Login& candidate) {
  helper::Authenticator& authenticator = *server_.surroundings_.authenticator;
  const helper::Visit visit{kScope, peer_.ip()};
  if (std::holds_alternative<sasl::FetchKeys>(step)) {
    auto found = co_await authenticator.scram_keys(visit, std::get<sasl::FetchKeys>(step).login);
    if (!found) co_return std::nullopt;
    candidate = std::move(found->login);
    co_return exchange.give_keys(std::move(found->keys), candidate.name);
  }
  Result<std::optional<helper::Login>> known;
  if (const auto* password = std::get_if<sasl::CheckPassword>(&step)) {
    known = co_await authenticator.check_password(visit, password->login, password->password);
  } else if (const auto* token = std::get_if<sasl::CheckToken>(&step)) {
    known = co_await authenticator.check_token(visit, token->token);
  } else if (!candidate.name.empty()) {
    const std::string login = candidate.name;
    known = co_await authenticator.admit(visit, login);
  }
  if (!known) co_return std::nullopt;
  if (!*known) co_return exchange.refuse();
  candidate = std::move(**known);
  co_return exchange.accept(candidate.name);
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
    const smtp::LineStep step = next_line();
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

void Session::let_in(helper::Login login, sasl::Mechanism mechanism) {
  server_.surroundings_.logins->succeeded(peer_.ip(), login.name);
  server_.surroundings_.metrics.logins_accepted.add();
  login_ = std::move(login);
  authentication_ = authentication_of(mechanism);
  state_.authenticated();
  junk_ = 0;
  answer(replies::kAuthenticated);
}

// The longer the more often it went wrong: somebody who guesses has time.
runtime::Task<void> Session::turn_down(const smtp::Reply& reply, std::string_view login, sasl::Mechanism mechanism) {
  if (reply == replies::kAuthFailed) {
    server_.surroundings_.metrics.logins_refused.add();
    server_.surroundings_.intake.login_refused(peer_.ip(), login, authentication_of(mechanism));
    const Duration wait = server_.surroundings_.logins->failed(peer_.ip(), login, limits_of(*settings_), ring_.now());
    if (input_.empty()) input_.release();
    co_await ring_.sleep_for(wait);
  }
  answer(reply);
}

}  // namespace ringpost::receive
