#include "ringpost/helperd/token_checker.hh"

#include <chrono>
#include <utility>

#include "ringpost/base/steady_clock.hh"

namespace ringpost::helperd {

namespace {

/// It is no JWT of which a key of ours could say anything.
bool is_unknown(tokens::TokenFault fault) {
  using enum tokens::TokenFault;
  return fault == malformed || fault == algorithm || fault == unknown_key;
}

}  // namespace

TokenChecker::TokenChecker(Log& log, const config::Settings::Auth::Oauth& demands, Key256 cache_key, TokenIntrospector::Fetch fetch)
    : log_(log),
      demands_(demands),
      cache_(std::move(cache_key)),
      introspector_(log, demands, std::move(fetch)),
      file_(log, demands.key_file, tokens::kKeySetBytesMax) {}

TokenVerdict TokenChecker::owner_of(std::string_view token, std::chrono::sys_seconds now) {
  if (!demands_.is_set()) return std::unexpected(TokenDoubt::unavailable);
  const std::shared_ptr<const Keys> keys = demands_.key_file.empty() ? nullptr : this->keys();
  if (keys) {
    auto owner = tokens::check_jwt(token, *keys, demands_at(now));
    if (owner) return std::move(owner->login);
    if (!demands_.asks_issuer() || !is_unknown(owner.error())) return refuse(owner.error());
  } else if (!demands_.asks_issuer()) {
    return std::unexpected(TokenDoubt::unavailable);
  }
  auto known = cache_.find(token, now);
  if (known) return std::move(*known);
  return std::unexpected(TokenDoubt::unknown);
}

TokenVerdict TokenChecker::ask_issuer(std::string_view token, std::vector<IpAddress> addresses, std::chrono::sys_seconds now) {
  const auto owner = introspector_.ask(token, std::move(addresses), demands_at(now));
  if (!owner) return std::unexpected(TokenDoubt::unavailable);
  if (!*owner) return refuse(owner->error());
  cache_.put(token, **owner, now);
  return (*owner)->login;
}

tokens::Demands TokenChecker::demands_at(std::chrono::sys_seconds now) const {
  return {.issuer = demands_.issuer, .audience = demands_.audience, .login_claim = demands_.login_claim, .scope = demands_.scope, .now = now};
}

/// As the file has them now; one that is no key set leaves those that were in force.
std::shared_ptr<const TokenChecker::Keys> TokenChecker::keys() {
  std::lock_guard lock{mutex_};
  const auto text = file_.renewed();
  if (!text) return keys_;
  auto parsed = tokens::parse_key_set(text->text());
  if (!parsed || parsed->empty()) {
    log_.error("the file of the issuer's keys holds no key set that can be used, and the keys stay as they were", {{"file", OperatorText{file_.path()}}});
    return keys_;
  }
  log_.info("the issuer's keys were read", {{"file", OperatorText{file_.path()}}, {"keys", parsed->size()}});
  keys_ = std::make_shared<const Keys>(std::move(*parsed));
  return keys_;
}

/// The client hears that the token is not good, and no more; whoever runs the issuer wants to know why.
TokenVerdict TokenChecker::refuse(tokens::TokenFault fault) {
  std::lock_guard lock{mutex_};
  if (auto suppressed = refused_lines_.admit(steady_now()))
    log_.warning("a token was refused", {{"why", fault}, {"suppressed", *suppressed}});
  return std::unexpected(TokenDoubt::refused);
}

}  // namespace ringpost::helperd
