// STARTTLS (RFC 3207), the client's part: when it is asked for, and what is made of what comes of it.
#include <algorithm>
#include <array>

#include "deliver/connection.hh"

namespace ringpost::deliver {

namespace {

// After TLS with a host did not work, mail that may goes there in clear for so long.
constexpr Duration kInClear = std::chrono::minutes(10);

}  // namespace

bool Connection::wants_tls() const {
  if (!security_.context || security_.policy == config::TlsPolicy::none) return false;
  if (config::demands_tls(security_.policy)) return true;
  return std::ranges::none_of(hop_.in_clear, [this](const HopMemory::InClear& one) { return one.host == target_ && ring_.now() < one.until; });
}

// In clear where that is allowed and nothing else was to be had.
runtime::Task<Outcome> Connection::secure() {
  const bool demanded = config::demands_tls(security_.policy);
  const Duration patience = settings_->deliver.timeout.command;
  if (!wants_tls() || !capabilities_.starttls) {
    if (!demanded) co_return Outcome{};
    co_return std::unexpected(insecure(event::Reason::tls_not_offered, "No TLS is offered, and this mail is not sent without"));
  }
  queue_line({"STARTTLS"});
  auto sent = co_await flush(patience);
  if (!sent) co_return std::unexpected(in_vain(sent.error()));
  auto answer = co_await read_final(patience);
  if (!answer) co_return std::unexpected(in_vain(answer.error()));
  if (answer->code != 220) {
    if (!demanded) co_return Outcome{};
    co_return std::unexpected(insecure(event::Reason::tls_not_offered, "STARTTLS was refused, and this mail is not sent without"));
  }
  // What lies behind the 220 came in clear, perhaps from somebody on the path: it must not be read as said under TLS (attack C2).
  if (!input_.empty()) co_return std::unexpected(in_vain(insecure(event::Reason::tls_failed, "Something stands behind the answer to STARTTLS")));
  input_.release();
  const bool verify = security_.policy == config::TlsPolicy::verify;
  const std::array<std::string_view, 1> names{security_.name};
  const tls::ClientOptions options{.server_name = security_.name,
                                   .names = std::span{names}.first(security_.name.empty() ? 0 : 1),
                                   .must_be_ok = verify};
  auto shaken = co_await channel_->connect_tls(*security_.context, options, deadline(patience));
  if (!shaken && shaken.error().code == Errc::permission) {
    std::string text{"The next hop's certificate is not accepted: "};
    text += tls::verdict_name(channel_->handshake().peer);
    co_return std::unexpected(insecure(event::Reason::peer_not_verified, text));
  }
  if (!shaken) co_return std::unexpected(in_vain(insecure(event::Reason::tls_failed, "The TLS handshake failed")));
  co_return co_await say_hello();
}

// The mail stays ours: an hour later the hop may be well again (RFC 3463 sections 3.8, X.7.4 and X.7.5).
Trouble Connection::insecure(event::Reason reason, std::string_view text) {
  usable_ = false;
  const std::uint16_t detail = reason == event::Reason::tls_not_offered ? 4 : 5;
  return {RecipientResult::Verdict::deferred, reason, {451, 4, 7, detail}, std::string{text}};
}

// TLS did not work. Unless it is demanded, the next connection does without.
Trouble Connection::in_vain(Trouble trouble) {
  usable_ = false;
  if (config::demands_tls(security_.policy)) return trouble;
  tls_in_vain_ = true;
  std::erase_if(hop_.in_clear, [this](const HopMemory::InClear& one) { return one.host == target_ || one.until <= ring_.now(); });
  hop_.in_clear.push_back({target_, ring_.now() + kInClear});
  return trouble;
}

}  // namespace ringpost::deliver
