// AUTH (RFC 4954), the client's part: who we are to a next hop that takes mail from users alone.
#include <array>
#include <string>
#include <vector>

#include "deliver/connection.hh"
#include "ringpost/base/base64.hh"

namespace ringpost::deliver {

namespace {

using event::Reason;
using Turn = sasl::ClientExchange::Next;

// SCRAM's work is done in pieces of about a millisecond, so that nobody else waits for it.
constexpr std::uint32_t kIterationsPerTurn = 1000;
// RFC 5321 section 4.5.3.1.4, without CRLF: a longer initial response is said when it is asked for.
constexpr std::size_t kCommandBytesMax = 510;

std::string_view explanation_of(sasl::ClientFailure failure) {
  switch (failure) {
    case sasl::ClientFailure::malformed: return "The next hop's words in a log-in make no sense";
    case sasl::ClientFailure::too_weak: return "The next hop keeps our password too weakly for a log-in";
    case sasl::ClientFailure::too_costly: return "The next hop asks for more work in a log-in than is done for anybody";
    case sasl::ClientFailure::refused: return "The next hop refuses the login that is configured for it";
    case sasl::ClientFailure::forged: return "The next hop does not know the password of the login that is configured for it";
  }
  return {};
}

}  // namespace

runtime::Task<Outcome> Connection::log_in() {
  if (!own_ || own_->login.username.empty()) co_return Outcome{};
  if (!secured() || !own_->login.password)
    co_return std::unexpected(no_login(Reason::hop_login_impossible, {}, "A login is configured, and is not said in clear"));
  const auto binding = channel_->handshake().channel_binding;
  const auto mechanism = sasl::strongest(capabilities_.auth, binding.has_value());
  if (!mechanism)
    co_return std::unexpected(no_login(Reason::hop_login_impossible, {}, "A login is configured, and the next hop offers no way to use it"));
  std::array<std::byte, 18> random;
  ring_.random(random);
  const std::string nonce = encode_base64(random);
  sasl::ClientExchange exchange{*mechanism, {.name = own_->login.username, .password = own_->login.password->text()},
                                {.client_nonce = nonce, .channel_binding = binding, .kept = hop_.login_keys}};
  auto let_in = co_await converse(exchange, "AUTH " + std::string{sasl::name_of(*mechanism)});
  if (!let_in) hop_.login_keys.reset();  // perhaps of a password that is another by now
  co_return let_in;
}

// Question and answer until the next hop says how it ended, which must be what the exchange says, too.
runtime::Task<Outcome> Connection::converse(sasl::ClientExchange& exchange, std::string_view command) {
  Turn next = exchange.start();
  bool owed = exchange.words() && command.size() + 1 + (exchange.words()->size() + 2) / 3 * 4 > kCommandBytesMax;
  auto sent = co_await say_words(command, owed ? std::nullopt : exchange.words());
  while (sent) {
    auto answer = co_await read_reply(settings_->deliver.timeout.command);
    if (!answer) co_return std::unexpected(answer.error());
    if (answer->positive()) {
      if (exchange.complete() && !owed) co_return Outcome{};
      co_return std::unexpected(no_login(Reason::hop_login_impossible, {}, explanation_of(sasl::ClientFailure::forged)));
    }
    if (answer->code != 334) co_return std::unexpected(not_logged_in(*answer));
    const std::string_view text = parser_->text();
    std::vector<std::byte> challenge(base64_bytes_max(text.size()));
    const auto size = decode_base64(text, challenge);
    if (!owed) next = size ? exchange.take(Bytes{challenge}.first(*size)) : Turn::failed;
    owed = false;
    while (next == Turn::work) {
      next = exchange.work(kIterationsPerTurn);
      co_await ring_.sleep_for(Duration{1});
    }
    if (next == Turn::failed) {
      const bool refused = exchange.failure() == sasl::ClientFailure::refused;
      co_return std::unexpected(no_login(refused ? Reason::hop_login_refused : Reason::hop_login_impossible, {}, explanation_of(exchange.failure())));
    }
    sent = co_await say_words({}, exchange.words());
  }
  co_return sent;
}

// `command` with a response behind it, or a response alone, in a buffer that is wiped.
runtime::Task<Outcome> Connection::say_words(std::string_view command, std::optional<Bytes> words) {
  auto in_step_still = co_await in_step();
  if (!in_step_still) co_return in_step_still;
  std::string text = words ? encode_base64(*words) : std::string{};
  if (words && words->empty() && !command.empty()) text = "=";
  const bool both = !command.empty() && words;
  std::vector<std::byte> line;
  line.reserve(command.size() + text.size() + 3);
  for (std::string_view part : {command, std::string_view{both ? " " : ""}, std::string_view{text}, std::string_view{"\r\n"}})
    line.insert(line.end(), as_bytes(part).begin(), as_bytes(part).end());
  wipe(std::as_writable_bytes(std::span{text}));
  const SecretBytes secret{std::move(line)};
  co_return co_await send_all(secret.view(), settings_->deliver.timeout.command);
}

// Its words are not kept: some servers say again what they were told.
Trouble Connection::not_logged_in(const Answer& answer) {
  const event::ReplyCode reply{answer.code, answer.enhanced.klass, answer.enhanced.subject, answer.enhanced.detail};
  if (answer.code >= 500) return no_login(Reason::hop_login_refused, reply, explanation_of(sasl::ClientFailure::refused));
  if (answer.code >= 400) return no_login(Reason::next_hop_deferred, reply, "The next hop lets nobody log in now");
  return no_login(Reason::next_hop_protocol, {}, explanation_of(sasl::ClientFailure::malformed));
}

// The mail stays ours: it is the login that is to be set right.
Trouble Connection::no_login(Reason reason, const event::ReplyCode& reply, std::string_view text) {
  usable_ = false;
  return {RecipientResult::Verdict::deferred, reason, reply.code == 0 ? event::ReplyCode{454, 4, 7, 0} : reply, std::string{text}};
}

}  // namespace ringpost::deliver
