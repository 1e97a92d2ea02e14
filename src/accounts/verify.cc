#include "ringpost/accounts/verify.hh"

#include <algorithm>

#include "accounts/grammar.hh"
#include "ringpost/crypto/hash.hh"

namespace ringpost::accounts {

namespace {

/// Of the accounts that `has` something, one that `decoy_key` and the login choose.
template <typename Has>
const Account* chosen(const Accounts& accounts, std::string_view login, const Key256& decoy_key, Has has) {
  const std::span<const Account> all = accounts.all();
  if (all.empty()) return nullptr;
  const auto number = load_le<std::uint64_t>(crypto::keyed_hash(decoy_key.view(), login).data());
  const auto first = all.begin() + static_cast<std::ptrdiff_t>(number % all.size());
  auto at = std::find_if(first, all.end(), has);
  if (at == all.end()) at = std::find_if(all.begin(), first, has);
  return at != all.end() && has(*at) ? &*at : nullptr;
}

/// What fails a right password.
Outcome allowed(const Account& account, const AppPassword* app_password, const Visit& visit) {
  if (account.disabled) return Outcome::disabled;
  if (!app_password) return Outcome::ok;
  if (app_password->expires && *app_password->expires <= visit.now) return Outcome::expired;
  if (!app_password->scope.empty() && app_password->scope != visit.scope) return Outcome::scope;
  const auto holds_client = [&](const Network& network) { return network.contains(visit.client); };
  if (!app_password->networks.empty() && std::ranges::none_of(app_password->networks, holds_client)) return Outcome::network;
  return Outcome::ok;
}

Verdict verdict_of(Outcome outcome, const Account& account) {
  Verdict verdict{.outcome = outcome};
  if (outcome == Outcome::ok) {
    verdict.login = account.login;
    verdict.send_as = senders_of(account);
  }
  return verdict;
}

}  // namespace

std::string_view name_of(Outcome outcome) {
  switch (outcome) {
    case Outcome::ok: return "ok";
    case Outcome::unknown: return "unknown";
    case Outcome::wrong: return "wrong";
    case Outcome::disabled: return "disabled";
    case Outcome::expired: return "expired";
    case Outcome::network: return "network";
    case Outcome::scope: return "scope";
  }
  RP_ASSERT(false);
}

Result<Verdict> verify(const Accounts& accounts, std::string_view login, std::string_view password, const Visit& visit,
                       const Key256& decoy_key) {
  // All of this is done for every login, known or not.
  const Account* decoy = chosen(accounts, login, decoy_key, [](const Account& account) { return account.password.has_value(); });
  const std::string_view app_name = name_in_app_password(password);

  const Account* account = accounts.find(login);
  const AppPassword* app_password = account && !app_name.empty() ? account->find_app_password(app_name) : nullptr;
  const PasswordHash* own = app_password ? &app_password->hash : account && account->password ? &*account->password : nullptr;

  static const PasswordHash kNobodys{};
  const PasswordHash& tried = own ? *own : decoy ? *decoy->password : kNobodys;
  const Result<bool> right = is_password(tried, password);
  if (!right) return std::unexpected(right.error());
  if (!own) return Verdict{.outcome = Outcome::unknown};
  if (!*right) return Verdict{.outcome = Outcome::wrong};
  Verdict verdict = verdict_of(allowed(*account, app_password, visit), *account);
  if (app_password) verdict.app_password = app_password->name;
  return verdict;
}

Verdict admit(const Accounts& accounts, std::string_view login) {
  const Account* account = accounts.find(login);
  if (!account) return {};
  return verdict_of(account->disabled ? Outcome::disabled : Outcome::ok, *account);
}

ScramAnswer scram_keys(const Accounts& accounts, std::string_view login, const Key256& decoy_key) {
  const Account* decoy = chosen(accounts, login, decoy_key, [](const Account& account) { return account.scram.has_value(); });
  const std::array<std::byte, 16> name = crypto::keyed_hash(decoy_key.view(), login);
  sasl::ScramKeys made_up{.iterations = sasl::kScramIterations, .salt = std::vector<std::byte>(sasl::kScramSaltBytes)};
  if (decoy) {
    made_up.iterations = decoy->scram->iterations;
    made_up.salt.resize(decoy->scram->salt.size());
  }
  crypto::hkdf_sha256(decoy_key.view(), name, {as_bytes("ringpost decoy salt")}, made_up.salt);
  made_up.stored_key = crypto::derive_key(decoy_key.view(), name, "ringpost decoy stored key", {});
  made_up.server_key = crypto::derive_key(decoy_key.view(), name, "ringpost decoy server key", {});

  const Account* account = accounts.find(login);
  if (!account || !account->scram) return {.keys = std::move(made_up), .login = std::string{login}};
  return {.keys = account->scram->duplicate(), .login = account->login, .real = true};
}

}  // namespace ringpost::accounts
