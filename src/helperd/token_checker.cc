#include "ringpost/helperd/token_checker.hh"

#include <chrono>

namespace ringpost::helperd {

TokenChecker::TokenChecker(Log& log, const config::Settings::Auth::Oauth& demands)
    : log_(log), demands_(demands), file_(log, demands.key_file, tokens::kKeySetBytesMax) {}

Result<std::optional<std::string>> TokenChecker::owner_of(std::string_view token, std::chrono::sys_seconds now) {
  const std::shared_ptr<const Keys> keys = demands_.is_set() ? this->keys() : nullptr;
  if (!keys) return std::unexpected(Error{Errc::unavailable});
  const tokens::Demands demands{.issuer = demands_.issuer,
                                .audience = demands_.audience,
                                .login_claim = demands_.login_claim,
                                .scope = demands_.scope,
                                .now = now};
  auto owner = tokens::check_jwt(token, *keys, demands);
  if (owner) return std::optional{std::move(owner->login)};
  tell(owner.error());
  return std::nullopt;
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
void TokenChecker::tell(tokens::TokenFault fault) {
  std::lock_guard lock{mutex_};
  if (auto suppressed = refused_lines_.admit(Instant{std::chrono::steady_clock::now().time_since_epoch()}))
    log_.warning("a token was refused", {{"why", fault}, {"suppressed", *suppressed}});
}

}  // namespace ringpost::helperd
