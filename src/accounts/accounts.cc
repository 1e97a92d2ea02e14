#include "ringpost/accounts/accounts.hh"

#include <algorithm>

#include "accounts/grammar.hh"
#include "ringpost/base/ascii.hh"
#include "ringpost/sasl/saslprep.hh"
#include "ringpost/smtp/address.hh"

namespace ringpost::accounts {

namespace {

constexpr std::string_view kAppPrefix = "app-", kBase32 = "abcdefghijklmnopqrstuvwxyz234567";
constexpr std::size_t kAppDigits = kAppPasswordRandomBytes * 8 / 5;
constexpr std::size_t kChosenBytesMin = 8;

bool before(std::string_view left, std::string_view right) { return compare_ignoring_case(left, right) < 0; }
bool is_mailbox(std::string_view text) { return smtp::parse_mailbox(text, smtp::Utf8::allowed).ok(); }

std::unexpected<Error> failed(Errc code) { return std::unexpected(Error{code}); }

}  // namespace

bool is_login(std::string_view text) {
  if (text.empty() || text.size() > kLoginBytesMax || text.find(' ') != text.npos) return false;
  const std::optional<SecretBytes> prepared = sasl::saslprep(text);
  return prepared && prepared->text() == text;
}

bool is_name(std::string_view text) {
  if (text.empty() || text.size() > kNameBytesMax || text.starts_with('-') || text.ends_with('-')) return false;
  return std::ranges::all_of(text, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
}

bool is_note(std::string_view text) {
  return text.size() <= kNoteBytesMax && !text.starts_with(' ') && !text.ends_with(' ') && std::ranges::none_of(text, is_control);
}

bool is_sender(std::string_view text) {
  if (text.starts_with('@')) return smtp::parse_domain(text.substr(1), smtp::Utf8::allowed) == smtp::AddressFault::none;
  return is_mailbox(text);
}

bool is_sound(const AppPassword& app_password) {
  return is_name(app_password.name) && (app_password.scope.empty() || is_name(app_password.scope)) &&
         app_password.hash.cost.sane();
}

const AppPassword* Account::find_app_password(std::string_view name) const {
  const auto at = std::ranges::find(app_passwords, name, &AppPassword::name);
  return at == app_passwords.end() ? nullptr : &*at;
}

const Account* Accounts::find(std::string_view login) const {
  const auto at = std::ranges::lower_bound(accounts_, login, before, &Account::login);
  return at == accounts_.end() || before(login, at->login) ? nullptr : &*at;
}

Account* Accounts::find_mutable(std::string_view login) { return const_cast<Account*>(find(login)); }

Result<> Accounts::add(std::string_view login) {
  if (!is_login(login)) return failed(Errc::invalid);
  if (find(login)) return failed(Errc::exists);
  const auto at = std::ranges::lower_bound(accounts_, login, before, &Account::login);
  accounts_.insert(at, Account{.login = std::string{login}});
  return {};
}

Result<> Accounts::remove(std::string_view login) {
  const Account* account = find(login);
  if (!account) return failed(Errc::not_found);
  accounts_.erase(accounts_.begin() + (account - accounts_.data()));
  return {};
}

Result<> Accounts::set_disabled(std::string_view login, bool disabled) {
  Account* account = find_mutable(login);
  if (!account) return failed(Errc::not_found);
  account->disabled = disabled;
  return {};
}

Result<> Accounts::set_note(std::string_view login, std::string_view note) {
  Account* account = find_mutable(login);
  if (!account) return failed(Errc::not_found);
  if (!is_note(note)) return failed(Errc::invalid);
  account->note = note;
  return {};
}

Result<> Accounts::set_send_as(std::string_view login, std::vector<std::string> addresses) {
  Account* account = find_mutable(login);
  if (!account) return failed(Errc::not_found);
  if (!std::ranges::all_of(addresses, is_sender)) return failed(Errc::invalid);
  if (addresses.size() > kSendAsMax) return failed(Errc::limit);
  account->send_as = std::move(addresses);
  return {};
}

Result<> Accounts::set_password(std::string_view login, std::optional<PasswordHash> password,
                                std::optional<sasl::ScramKeys> scram) {
  Account* account = find_mutable(login);
  if (!account) return failed(Errc::not_found);
  if (password && !password->cost.sane()) return failed(Errc::invalid);
  account->password = std::move(password);
  account->scram = std::move(scram);
  return {};
}

Result<> Accounts::add_app_password(std::string_view login, AppPassword app_password) {
  Account* account = find_mutable(login);
  if (!account) return failed(Errc::not_found);
  if (!is_sound(app_password)) return failed(Errc::invalid);
  if (account->find_app_password(app_password.name)) return failed(Errc::exists);
  if (account->app_passwords.size() == kAppPasswordsMax || app_password.networks.size() > kNetworksMax)
    return failed(Errc::limit);
  const auto at = std::ranges::lower_bound(account->app_passwords, app_password.name, {}, &AppPassword::name);
  account->app_passwords.insert(at, std::move(app_password));
  return {};
}

Result<> Accounts::remove_app_password(std::string_view login, std::string_view name) {
  Account* account = find_mutable(login);
  const AppPassword* app_password = account ? account->find_app_password(name) : nullptr;
  if (!app_password) return failed(Errc::not_found);
  account->app_passwords.erase(account->app_passwords.begin() + (app_password - account->app_passwords.data()));
  return {};
}

SecretBytes app_password_text(std::string_view name, const Secret<kAppPasswordRandomBytes>& random) {
  RP_ASSERT(is_name(name));
  std::vector<std::byte> text;
  text.reserve(kAppPrefix.size() + name.size() + 1 + kAppDigits);
  for (std::string_view part : {kAppPrefix, name, std::string_view{"-"}})
    for (std::byte b : as_bytes(part)) text.push_back(b);
  std::uint32_t bits = 0;
  int have = 0;
  for (std::byte b : random.view()) {
    bits = bits << 8 | std::to_integer<std::uint32_t>(b);
    for (have += 8; have >= 5;) {
      have -= 5;
      text.push_back(static_cast<std::byte>(kBase32[bits >> have & 31]));
    }
  }
  return SecretBytes{std::move(text)};
}

std::string_view name_in_app_password(std::string_view password) {
  if (password.size() < kAppPrefix.size() + 2 + kAppDigits || !password.starts_with(kAppPrefix)) return {};
  password.remove_prefix(kAppPrefix.size());
  const std::size_t end = password.size() - kAppDigits - 1;
  const std::string_view name = password.substr(0, end), digits = password.substr(end + 1);
  return password[end] == '-' && is_name(name) && digits.find_first_not_of(kBase32) == digits.npos ? name : std::string_view{};
}

bool may_be_chosen(std::string_view password) {
  const std::optional<SecretBytes> prepared = sasl::saslprep(password);
  if (!prepared || !name_in_app_password(prepared->text()).empty()) return false;
  const auto starts_character = [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; };
  return std::ranges::count_if(prepared->text(), starts_character) >= static_cast<std::ptrdiff_t>(kChosenBytesMin);
}

std::vector<std::string> senders_of(const Account& account) {
  if (!account.send_as.empty() || !is_mailbox(account.login)) return account.send_as;
  return {account.login};
}

bool may_send_as(std::span<const std::string> senders, std::string_view address) {
  const std::size_t at = address.rfind('@');
  if (at == address.npos || at == 0) return false;
  return std::ranges::any_of(senders, [&](std::string_view sender) {
    return equal_ignoring_case(sender, sender.starts_with('@') ? address.substr(at) : address);
  });
}

}  // namespace ringpost::accounts
