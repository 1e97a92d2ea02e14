#include "ringpost/policy/logins.hh"

#include <algorithm>

#include "ringpost/base/ascii.hh"
#include "ringpost/policy/rates.hh"
#include "ringpost/policy/relay.hh"

namespace ringpost::policy {
namespace {

constexpr std::uint64_t kDoublingsMax = 4;
constexpr std::size_t kLoginBytesMax = 255;

std::string name_of_network(const IpAddress& client) {
  return Network{client.prefix(), client.is_ipv4() ? 24 : 64}.text();
}

/// Logins are told apart as the accounts file does: without regard to the case of ASCII letters.
std::string lower(std::string_view login) {
  std::string text{login.substr(0, kLoginBytesMax)};
  for (char& c : text) c = ascii_lower(c);
  return text;
}

}  // namespace

std::uint64_t LoginGuard::count(Entry& entry, const LoginLimits& limits, Instant now) {
  if (entry.failures == 0 || now - entry.since > limits.window) {
    entry.failures = 0;
    entry.since = now;
  }
  return ++entry.failures;
}

bool LoginGuard::may_try(const IpAddress& client, std::string_view login, Instant now) {
  std::lock_guard lock{mutex_};
  if (is_banned(networks_.find(name_of_network(client)), now)) return false;
  const Entry* entry = login.empty() ? nullptr : logins_.find(lower(login));
  return !is_banned(entry, now) || is_trusted(entry, client);
}

bool LoginGuard::may_check(const IpAddress& client, std::string_view login, const LoginLimits& limits, Instant now) {
  std::lock_guard lock{mutex_};
  if (limits.rate.messages == 0 || is_trusted(logins_.find(lower(login)), client)) return true;
  const double passed_s = std::chrono::duration<double>(now - filled_).count(), most = kept_most(limits.rate);
  checks_ = filled_ == Instant{} ? most : std::min(most, checks_ + passed_s * per_second(limits.rate));
  filled_ = now;
  if (checks_ < 1) return false;
  checks_ -= 1;
  return true;
}

Duration LoginGuard::failed(const IpAddress& client, std::string_view login, const LoginLimits& limits, Instant now) {
  std::lock_guard lock{mutex_};
  std::uint64_t most = 0;
  const auto note = [&](Entry& entry) {
    const std::uint64_t failures = count(entry, limits, now);
    most = std::max(most, failures);
    if (failures < limits.failures_max) return;
    entry.banned_until = now + limits.ban;
    entry.failures = 0;
  };
  if (!is_listed(client, limits.never_ban)) note(networks_.touch(name_of_network(client)));
  if (!login.empty()) note(logins_.touch(lower(login)));
  return limits.delay * (std::int64_t{1} << std::min(most > 0 ? most - 1 : 0, kDoublingsMax));
}

void LoginGuard::succeeded(const IpAddress& client, std::string_view login) {
  std::lock_guard lock{mutex_};
  if (Entry* network = networks_.find(name_of_network(client))) network->failures = 0;
  Entry& entry = logins_.touch(lower(login));
  if (!is_trusted(&entry, client)) checks_ += 1;
  entry.failures = 0;
  entry.trusted = client.prefix();
  entry.has_trusted = true;
}

std::vector<LoginBan> LoginGuard::bans(Instant now) const {
  std::lock_guard lock{mutex_};
  std::vector<LoginBan> bans;
  for (const Recent<Entry>* table : {&networks_, &logins_})
    for (const Entry& entry : table->entries())
      if (is_banned(&entry, now)) bans.push_back({entry.who, table == &networks_, entry.banned_until});
  return bans;
}

}  // namespace ringpost::policy
