#include "ringpost/helperd/token_introspector.hh"

#include <utility>

#include "ringpost/base/steady_clock.hh"
#include "ringpost/tokens/introspection.hh"

namespace ringpost::helperd {

namespace {

constexpr std::size_t kSecretBytesMax = 4096;
constexpr std::uint16_t kOk = 200;

std::string_view first_line_of(std::string_view text) {
  text = text.substr(0, text.find('\n'));
  if (text.ends_with('\r')) text.remove_suffix(1);
  return text;
}

}  // namespace

TokenIntrospector::TokenIntrospector(Log& log, const config::Settings::Auth::Oauth& settings, Fetch fetch)
    : log_(log), settings_(settings), fetch_(std::move(fetch)), secret_(log, settings.introspection_secret_file, kSecretBytesMax) {}

std::optional<std::expected<tokens::Owner, tokens::TokenFault>> TokenIntrospector::ask(std::string_view token, std::vector<IpAddress> addresses,
                                                                                       const tokens::Demands& demands) {
  const std::shared_ptr<const SecretBytes> credentials = this->credentials();
  if (!credentials) return std::nullopt;  // the log has it
  const SecretBytes form = tokens::introspection_form(token);
  const helper::WebAnswer answer = fetch_({.url = settings_.introspection_url,
                                           .addresses = std::move(addresses),
                                           .post = true,
                                           .body = form.text(),
                                           .header_lines = {"Content-Type: application/x-www-form-urlencoded", "Accept: application/json"},
                                           .credentials = credentials->text().data(),
                                           .patience = kIssuerPatience,
                                           .connect_patience = kIssuerConnectPatience});
  if (answer.fault != helper::WebFault::none || answer.status != kOk) {
    tell_trouble(answer.fault != helper::WebFault::none ? name_of(answer.fault) : "status", answer.status);
    return std::nullopt;
  }
  auto owner = tokens::read_introspection(answer.body, demands);
  if (!owner && owner.error() == tokens::TokenFault::malformed) {
    tell_trouble("its answer is none", answer.status);
    return std::nullopt;
  }
  return owner;
}

/// As the file has them now; one without a first line leaves those that were in force.
std::shared_ptr<const SecretBytes> TokenIntrospector::credentials() {
  std::lock_guard lock{mutex_};
  const auto text = secret_.renewed();
  if (!text) return credentials_;
  const std::string_view secret = first_line_of(text->text());
  if (secret.empty()) log_.error("a file's first line is empty, which would be a secret", {{"file", OperatorText{secret_.path()}}});
  else credentials_ = std::make_shared<const SecretBytes>(tokens::introspection_credentials(settings_.introspection_client_id, secret));
  return credentials_;
}

void TokenIntrospector::tell_trouble(std::string_view why, std::uint16_t status) {
  std::lock_guard lock{mutex_};
  if (auto suppressed = trouble_lines_.admit(steady_now()))
    log_.warning("the issuer cannot be asked about tokens", {{"why", OperatorText{why}}, {"status", status}, {"suppressed", *suppressed}});
}

}  // namespace ringpost::helperd
