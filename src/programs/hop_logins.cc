#include "programs/hop_logins.hh"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "programs/named_files.hh"
#include "ringpost/sasl/saslprep.hh"

namespace ringpost::programs {

namespace {

std::shared_ptr<const SecretBytes> kept_from(const config::Settings* in_force, const std::string& domain, const std::string& path) {
  if (!in_force) return nullptr;
  const auto found = std::ranges::find(in_force->destinations, domain, &config::DestinationLimits::domain);
  return found != in_force->destinations.end() && found->login.password_file == path ? found->login.password : nullptr;
}

}  // namespace

std::expected<void, std::string> read_hop_passwords(config::Settings& settings, const config::Configuration& configuration,
                                                    const config::Settings* in_force) {
  for (config::DestinationLimits& each : settings.destinations) {
    config::HopLogin& login = each.login;
    if (login.username.empty()) continue;
    const std::string prefix = "destination." + each.domain + ".auth.";
    const auto name = sasl::saslprep(login.username);
    if (!name) return std::unexpected(at_line(configuration, prefix + "username") + "is no name that can be sent (RFC 4013)");
    login.username = name->text();
    const std::string at_file = at_line(configuration, prefix + "password_file") + login.password_file;
    const auto content = read_named_file(login.password_file);
    if (!content) {
      if (is_forbidden(content.error())) login.password = kept_from(in_force, each.domain, login.password_file);
      if (!login.password) return std::unexpected(at_file + ": " + std::strerror(content.error().detail));
      continue;
    }
    std::string_view first = content->text().substr(0, content->text().find('\n'));
    if (first.ends_with('\r')) first.remove_suffix(1);
    auto password = sasl::saslprep(first);
    if (!password) return std::unexpected(at_file + ": the first line is no password that can be sent: it is empty, too long, or no text (RFC 4013)");
    login.password = std::make_shared<const SecretBytes>(std::move(*password));
  }
  return {};
}

}  // namespace ringpost::programs
