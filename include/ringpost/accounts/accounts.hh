// The file of accounts as a value: docs/formats/accounts.md.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ringpost/accounts/password.hh"
#include "ringpost/base/error.hh"
#include "ringpost/base/socket_address.hh"
#include "ringpost/sasl/scram.hh"

namespace ringpost::accounts {

inline constexpr std::size_t kLoginBytesMax = 255, kNameBytesMax = 32, kNoteBytesMax = 200;
inline constexpr std::size_t kAppPasswordsMax = 64, kNetworksMax = 32, kSendAsMax = 256;

/// A whole second on the wall clock: what an expiry is written in.
using Second = std::chrono::sys_seconds;

/// A password of one device or program, made by us and never chosen.
struct AppPassword {
  std::string name;               ///< a-z, 0-9, hyphens within; its own within the account
  std::string scope;              ///< as `name`: the one service it is good for, such as "submission"; empty: all
  std::optional<Second> expires;  ///< not good from then on
  std::vector<Network> networks;  ///< where it may come from; none: anywhere
  PasswordHash hash;
};

struct Account {
  std::string login;  ///< as written; compared without regard to ASCII case
  std::string note;   ///< the operator's own words; may be empty
  bool disabled = false;
  /// Mailboxes, "@domain" for all of one. Empty: the login itself, if it is a mailbox.
  std::vector<std::string> send_as;
  std::optional<PasswordHash> password;    ///< none: it has other ways (certificate, token, app passwords)
  std::optional<sasl::ScramKeys> scram;    ///< of the same password
  std::vector<AppPassword> app_passwords;  ///< by name

  const AppPassword* find_app_password(std::string_view name) const;
};

/// What a file has wrong, and where.
struct ParseError {
  std::size_t line = 0;  ///< from 1
  std::string_view why;  ///< "unknown word"; lasts for ever, and never holds any of the file
};

/// All accounts, sorted by login. Move-only, as secrets are.
class Accounts {
 public:
  Accounts() = default;

  /// The whole of a file. Nothing in it is guessed at: one bad line and there are no accounts.
  static std::expected<Accounts, ParseError> parse(std::string_view text);
  /// The text that parse() reads, in one form only: parse(format()) has the same format().
  SecretBytes format() const;

  std::span<const Account> all() const { return accounts_; }
  const Account* find(std::string_view login) const;

  // Changes. Errors: exists, not_found, invalid (a name, address or number against the grammar), limit (too many of them).
  Result<> add(std::string_view login);
  Result<> remove(std::string_view login);
  Result<> set_disabled(std::string_view login, bool disabled);
  Result<> set_note(std::string_view login, std::string_view note);
  Result<> set_send_as(std::string_view login, std::vector<std::string> addresses);
  /// Replaces both; keys of an old password would let it in for ever. Nothing and nothing: log in with it no more.
  Result<> set_password(std::string_view login, std::optional<PasswordHash> password, std::optional<sasl::ScramKeys> scram);
  Result<> add_app_password(std::string_view login, AppPassword app_password);
  Result<> remove_app_password(std::string_view login, std::string_view name);

 private:
  Account* find_mutable(std::string_view login);

  std::vector<Account> accounts_;
};

/// The words of a new app password: "app-NAME-" and 32 characters of a-z and 2-7 for the 20 random bytes. By its name a log-in
/// finds the one hash to try, so that it costs the same with sixty of them as with none. Hash it, show it once, forget it.
inline constexpr std::size_t kAppPasswordRandomBytes = 20;
SecretBytes app_password_text(std::string_view name, const Secret<kAppPasswordRandomBytes>& random);

/// A person may choose this one: it can be prepared, has 8 characters or more, and not the form of an app password.
bool may_be_chosen(std::string_view password);

/// The addresses that an account may use as sender: its list, or the login itself if that is a mailbox.
std::vector<std::string> senders_of(const Account& account);
/// `address` is one of `senders`, or in a domain that is. Domains without regard to case; local parts too (as we find logins).
bool may_send_as(std::span<const std::string> senders, std::string_view address);

}  // namespace ringpost::accounts
