// STARTTLS (RFC 3207), the client's part: when it is asked for, and what is made of what comes of it.
#include <algorithm>
#include <optional>
#include <vector>

#include "deliver/connection.hh"
#include "deliver/session_facts.hh"
#include "deliver/tls_sessions.hh"

namespace ringpost::deliver {

namespace {

// After TLS with a host did not work, mail that may goes there in clear for so long.
constexpr Duration kInClear = std::chrono::minutes(10);

// This host is nothing for a message with REQUIRETLS; where all are like that it goes back (RFC 8689 section 5).
Trouble unmet(std::uint16_t detail, std::string_view text) {
  return {RecipientResult::Verdict::failed, event::Reason::requiretls_unmet, {550, 5, 7, detail}, std::string{text}};
}

}  // namespace

// What the policy rules out before anything is said to the host.
std::optional<Trouble> Connection::forbidden() const {
  using event::Reason;
  auto deferred = [this](const event::ReplyCode& reply, std::string_view text) {
    return Trouble{RecipientResult::Verdict::deferred, protection_.refusal, reply, std::string{text}};
  };
  switch (protection_.refusal) {
    case Reason::none: return std::nullopt;
    case Reason::tlsa_unavailable: return deferred({451, 4, 4, 3}, "No usable answer from DNS about the next hop's TLSA records");
    case Reason::resolver_not_validating: return deferred({451, 4, 3, 5}, "DANE is demanded, and the resolvers of this server do not validate");
    case Reason::sts_missing: return deferred({451, 4, 7, 4}, "MTA-STS is demanded, and no policy of the domain is known");
    case Reason::sts_mx_mismatch: return deferred({451, 4, 7, 4}, "The domain's MTA-STS policy does not name this mail host");
    case Reason::requiretls_unmet: return unmet(30, "Nobody vouches for this mail host, and the message demands that (REQUIRETLS)");
    default: return deferred({451, 4, 7, 4}, "DANE is demanded, and no usable TLSA record of the next hop is proven");
  }
}

bool Connection::wants_tls() const {
  if (!security_.context || protection_.policy == config::TlsPolicy::none) return false;
  if (config::demands_tls(protection_.policy)) return true;
  return std::ranges::none_of(hop_.in_clear, [this](const HopMemory::InClear& one) { return one.host == target_ && ring_.now() < one.until; });
}

event::TlsResult Connection::result_so_far() const {
  return {.policy = applied(protection_.policy), .shortfall = protection_.shortfall};
}

// Good where it is allowed; the text is for where it is not.
Outcome Connection::in_clear(event::TlsResult::Shortfall why) {
  tls_result_ = result_so_far();
  if (protection_.policy == config::TlsPolicy::none) return {};
  tls_result_->shortfall = why;
  if (!config::demands_tls(protection_.policy)) return {};
  return std::unexpected(insecure(event::Reason::tls_not_offered, "No TLS is to be had, and this mail is not sent without"));
}

// In clear where that is allowed and nothing else was to be had.
runtime::Task<Outcome> Connection::secure() {
  using Shortfall = event::TlsResult::Shortfall;
  const Duration patience = settings_->deliver.timeout.command;
  if (!capabilities_.starttls) co_return in_clear(Shortfall::not_offered);
  if (!wants_tls()) co_return in_clear(Shortfall::failed);
  tls_result_ = result_so_far();
  tls_result_->shortfall = Shortfall::failed;
  queue_line({"STARTTLS"});
  auto sent = co_await flush(patience);
  if (!sent) co_return std::unexpected(in_vain(sent.error()));
  auto answer = co_await read_final(patience);
  if (!answer) co_return std::unexpected(in_vain(answer.error()));
  if (answer->code != 220) co_return in_clear(Shortfall::not_offered);
  // What lies behind the 220 came in clear, perhaps from somebody on the path: it must not be read as said under TLS (attack C2).
  if (!input_.empty()) co_return std::unexpected(in_vain(insecure(event::Reason::tls_failed, "Something stands behind the answer to STARTTLS")));
  input_.release();
  auto shaken = co_await shake_hands();
  if (!shaken) co_return shaken;
  auto welcomed = co_await say_hello();
  if (welcomed) keep_session();
  co_return welcomed;
}

// All that this session would be good for: whoever would have verified otherwise begins anew.
std::string Connection::key_of_session(std::string_view server_name) const {
  std::string key = security_.session_scope + " " + target_.text() + " " + std::to_string(static_cast<int>(protection_.policy)) + " ";
  key += server_name;
  if (protection_.policy != config::TlsPolicy::dane) return key;
  for (const std::string& name : proof_->names) key += " " + name;
  for (const tls::Association& record : proof_->records) {
    for (std::uint8_t part : {record.usage, record.selector, record.matching}) key += " " + std::to_string(part);
    key.append(" ").append(as_text(record.data));
  }
  return key;
}

// Under TLS 1.3 the ticket came with the answer to EHLO.
void Connection::keep_session() {
  if (security_.sessions) security_.sessions->put(session_key_, channel_->session(), ring_.now());
}

// What we show when the next hop asks who we are; null: nothing.
const tls::Certificate* Connection::own_certificate() const {
  if (!own_ || own_->tls_certificate.empty()) return nullptr;
  const auto& all = settings_->tls.certificates;
  const auto found = std::ranges::find(all, own_->tls_certificate, &config::CertificateFiles::name);
  return found == all.end() ? nullptr : found->loaded.get();
}

runtime::Task<Outcome> Connection::shake_hands() {
  const bool dane = protection_.policy == config::TlsPolicy::dane;
  const bool by_sts = protection_.policy == config::TlsPolicy::mta_sts || protection_.tested;
  const bool verify = dane || protection_.policy == config::TlsPolicy::verify || protection_.policy == config::TlsPolicy::mta_sts;
  // With TLSA records it is asked for by their name, usable or not (RFC 7672 section 8.1).
  const bool by_proof = dane || protection_.as_proven || security_.policy == config::TlsPolicy::automatic;
  std::string_view name = by_proof && proof_ && proof_->status == HostProof::Status::found ? proof_->base : security_.name;
  const bool by_host = by_sts || (protection_.as_proven && proof_->status == HostProof::Status::none);
  if (by_host && proof_) name = proof_->host;  // RFC 8461 section 4.2
  std::vector<std::string_view> names;
  if (dane) names.assign(proof_->names.begin(), proof_->names.end());
  else if (!name.empty()) names = {name};
  std::optional<tls::DaneJudge> judge;
  if (dane) judge.emplace(proof_->records, names, security_.context->engine());
  session_key_ = key_of_session(name);
  std::optional<tls::ClientSession> earlier;
  if (security_.sessions) earlier = security_.sessions->take(session_key_, ring_.now());
  const tls::ClientOptions options{.server_name = name,
                                   .names = names,
                                   .must_be_ok = verify,
                                   .judge = judge ? &*judge : nullptr,
                                   .certificate = own_certificate(),
                                   .session = earlier ? &*earlier : nullptr};
  shaken_ = true;
  auto shaken = co_await channel_->connect_tls(*security_.context, options, deadline(settings_->deliver.timeout.command));
  if (!shaken && shaken.error().code == Errc::permission) {
    std::string text{"The next hop's certificate is not accepted: "};
    text += tls::verdict_name(channel_->handshake().peer);
    tls_result_->shortfall = event::TlsResult::Shortfall::certificate;
    co_return std::unexpected(insecure(dane ? event::Reason::tlsa_mismatch : event::Reason::peer_not_verified, text));
  }
  if (!shaken && earlier) {
    session_in_vain_ = true;
    co_return std::unexpected(insecure(event::Reason::tls_failed, "The TLS handshake failed with an earlier session"));
  }
  if (!shaken) co_return std::unexpected(in_vain(insecure(event::Reason::tls_failed, "The TLS handshake failed")));
  const tls::Handshake& handshake = channel_->handshake();
  tls_result_ = result_so_far();
  tls_result_->version = handshake.version == tls::Version::tls13 ? 0x0304 : 0x0303;
  tls_result_->suite = handshake.suite_number;
  const bool passes = handshake.peer == tls::PeerVerdict::ok;
  tls_result_->verified = verify || (protection_.tested && passes);
  if (protection_.tested && !passes && tls_result_->shortfall == event::TlsResult::Shortfall::sts_testing)
    tls_result_->shortfall = event::TlsResult::Shortfall::certificate;
  co_return Outcome{};
}

// The message asks for a promise: to go on in the same way (RFC 8689 section 4.2.1). What is handed to this machine has arrived.
Outcome Connection::takes_duty() const {
  if (security_.wish != smtp::TlsWish::required || capabilities_.require_tls || !target_.is_ip()) return {};
  return std::unexpected(unmet(30, "The next hop does not offer REQUIRETLS, and the message demands it"));
}

SessionFacts Connection::facts(event::Reason trouble) const {
  SessionFacts facts{.asked = security_.policy, .proof = proof_, .tls = tls_result_, .trouble = trouble};
  if (channel_ && shaken_) facts.peer = channel_->handshake().peer;
  if (target_.is_ip()) facts.host = target_.ip();
  if (!socket_) return facts;
  const Result<SocketAddress> own = ring_.local_address(socket_);
  if (own && own->is_ip()) facts.own = own->ip();
  return facts;
}

bool Connection::first_of(const std::string& domain) {
  if (std::ranges::find(carried_, domain) != carried_.end()) return false;
  carried_.push_back(domain);
  return true;
}

// The mail stays ours: an hour later the hop may be well again (RFC 3463 sections 3.8, X.7.4 and X.7.5).
Trouble Connection::insecure(event::Reason reason, std::string_view text) {
  usable_ = false;
  // To a message with REQUIRETLS it is one host less to go to.
  if (security_.wish == smtp::TlsWish::required && reason != event::Reason::tls_failed)
    return unmet(reason == event::Reason::tls_not_offered ? 10 : 30, text);
  const std::uint16_t detail = reason == event::Reason::tls_not_offered ? 4 : 5;
  return {RecipientResult::Verdict::deferred, reason, {451, 4, 7, detail}, std::string{text}};
}

// TLS did not work. Unless it is demanded, the next connection does without.
Trouble Connection::in_vain(Trouble trouble) {
  usable_ = false;
  if (config::demands_tls(protection_.policy)) return trouble;
  tls_in_vain_ = true;
  std::erase_if(hop_.in_clear, [this](const HopMemory::InClear& one) { return one.host == target_ || one.until <= ring_.now(); });
  hop_.in_clear.push_back({target_, ring_.now() + kInClear});
  return trouble;
}

}  // namespace ringpost::deliver
