// The file of accounts, read and written: docs/formats/accounts.md.
#include <algorithm>

#include "accounts/grammar.hh"
#include "ringpost/accounts/accounts.hh"
#include "ringpost/base/ascii.hh"
#include "ringpost/base/utc_time.hh"

namespace ringpost::accounts {

namespace {

constexpr std::string_view kVersion = "ringpost-accounts 1";

class Parser {
 public:
  struct Numbered {
    Account account;
    std::size_t line;
  };

  std::expected<std::vector<Numbered>, ParseError> parse(std::string_view text) {
    bool versioned = false;
    while (!text.empty()) {
      ++line_;
      const std::size_t end = text.find('\n');
      if (end == text.npos)
        return std::unexpected(ParseError{line_, "the last line does not end: the file may have been cut off"});
      std::string_view line = text.substr(0, end);
      text.remove_prefix(end + 1);
      line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
      line = line.substr(0, line.find_last_not_of(' ') + 1);
      if (line.empty()) continue;
      std::string_view why;
      if (std::ranges::any_of(line, is_control)) {
        why = "a control character";
      } else if (!versioned) {
        versioned = line == kVersion;
        if (!versioned) why = "the first line must be: ringpost-accounts 1";
      } else {
        why = statement(line);
      }
      if (!why.empty()) return std::unexpected(ParseError{line_, why});
    }
    if (!versioned)
      return std::unexpected(ParseError{std::max<std::size_t>(line_, 1), "the first line must be: ringpost-accounts 1"});
    return std::move(found_);
  }

 private:
  /// What is wrong with it; empty: nothing.
  std::string_view statement(std::string_view line) {
    const std::size_t blank = line.find(' ');
    const std::string_view word = line.substr(0, blank);
    std::string_view value = blank == line.npos ? std::string_view{} : line.substr(blank);
    value.remove_prefix(std::min(value.find_first_not_of(' '), value.size()));
    if (word.starts_with('#')) return "a comment would be lost when the file is written anew: use a note";
    if (word == "account") return account(value);
    if (found_.empty()) return "an account must come first";
    Account& account = found_.back().account;
    if (word == "app") return app(account, value);
    if (!account.app_passwords.empty()) return restriction(account.app_passwords.back(), word, value);
    return property(account, word, value);
  }

  std::string_view account(std::string_view value) {
    if (!is_login(value)) return "not a login";
    found_.push_back({Account{.login = std::string{value}}, line_});
    return {};
  }

  std::string_view property(Account& account, std::string_view word, std::string_view value) {
    if (word == "note") {
      if (!account.note.empty()) return "a second note";
      if (value.empty() || !is_note(value)) return "not a note";
      account.note = value;
    } else if (word == "disabled") {
      if (account.disabled || !value.empty()) return "\"disabled\" stands alone, and once";
      account.disabled = true;
    } else if (word == "send-as") {
      if (!is_sender(value)) return "neither an address nor @domain";
      if (account.send_as.size() == kSendAsMax) return "too many addresses";
      account.send_as.emplace_back(value);
    } else if (word == "password") {
      if (account.password) return "a second password";
      account.password = parse_hash(value);
      if (!account.password) return "not an Argon2id hash within the bounds";
    } else if (word == "scram") {
      if (account.scram) return "a second set of SCRAM keys";
      account.scram = sasl::parse_scram_keys(value);
      if (!account.scram) return "not SCRAM-SHA-256 keys within the bounds";
    } else {
      return "an unknown word";
    }
    return {};
  }

  std::string_view app(Account& account, std::string_view value) {
    const std::size_t blank = std::min(value.find(' '), value.size());
    AppPassword app_password{.name = std::string{value.substr(0, blank)}};
    if (!is_name(app_password.name)) return "not a name of an app password";
    if (account.find_app_password(app_password.name)) return "a second app password of this name";
    if (account.app_passwords.size() == kAppPasswordsMax) return "too many app passwords";
    value.remove_prefix(std::min(value.find_first_not_of(' ', blank), value.size()));
    std::optional<PasswordHash> hash = parse_hash(value);
    if (!hash) return "not an Argon2id hash within the bounds";
    app_password.hash = std::move(*hash);
    account.app_passwords.push_back(std::move(app_password));
    return {};
  }

  std::string_view restriction(AppPassword& app_password, std::string_view word, std::string_view value) {
    if (word == "scope") {
      if (!app_password.scope.empty()) return "a second scope";
      if (!is_name(value)) return "not a scope";
      app_password.scope = value;
    } else if (word == "expires") {
      if (app_password.expires) return "a second expiry";
      app_password.expires = parse_utc(value);
      if (!app_password.expires) return "not a time such as 2027-01-31T00:00:00Z";
    } else if (word == "network") {
      const std::optional<Network> network = Network::parse(value);
      if (!network) return "not a network such as 192.0.2.0/24";
      if (app_password.networks.size() == kNetworksMax) return "too many networks";
      app_password.networks.push_back(*network);
    } else {
      return "an unknown word behind an app password";
    }
    return {};
  }

  std::vector<Numbered> found_;
  std::size_t line_ = 0;
};

/// Text that leaves nothing behind where it grew.
class Writer {
 public:
  ~Writer() { wipe(bytes_); }
  void line(std::string_view indent, std::string_view word, std::string_view value = {}) {
    add(indent);
    add(word);
    if (!value.empty()) add(" ");
    add(value);
    add("\n");
  }
  void blank_line() { add("\n"); }
  SecretBytes take() { return SecretBytes{std::exchange(bytes_, {})}; }

 private:
  void add(std::string_view text) {
    if (bytes_.capacity() - bytes_.size() < text.size()) {
      std::vector<std::byte> larger;
      larger.reserve(2 * (bytes_.size() + text.size()));
      larger.insert(larger.end(), bytes_.begin(), bytes_.end());
      wipe(bytes_);
      bytes_.swap(larger);
    }
    const Bytes more = as_bytes(text);
    bytes_.insert(bytes_.end(), more.begin(), more.end());
  }

  std::vector<std::byte> bytes_;
};

}  // namespace

std::expected<Accounts, ParseError> Accounts::parse(std::string_view text) {
  auto found = Parser{}.parse(text);
  if (!found) return std::unexpected(found.error());
  std::ranges::sort(*found, [](const Parser::Numbered& left, const Parser::Numbered& right) {
    const auto order = compare_ignoring_case(left.account.login, right.account.login);
    return order < 0 || (order == 0 && left.line < right.line);
  });
  Accounts accounts;
  accounts.accounts_.reserve(found->size());
  for (Parser::Numbered& numbered : *found) {
    if (!accounts.accounts_.empty() && equal_ignoring_case(accounts.accounts_.back().login, numbered.account.login))
      return std::unexpected(ParseError{numbered.line, "a second account of this login"});
    std::ranges::sort(numbered.account.app_passwords, {}, &AppPassword::name);
    accounts.accounts_.push_back(std::move(numbered.account));
  }
  return accounts;
}

SecretBytes Accounts::format() const {
  Writer writer;
  writer.line("", kVersion);
  for (const Account& account : accounts_) {
    writer.blank_line();
    writer.line("", "account", account.login);
    if (!account.note.empty()) writer.line("  ", "note", account.note);
    if (account.disabled) writer.line("  ", "disabled");
    for (const std::string& sender : account.send_as) writer.line("  ", "send-as", sender);
    if (account.password) writer.line("  ", "password", format_hash(*account.password));
    if (account.scram) writer.line("  ", "scram", sasl::format_scram_keys(*account.scram));
    for (const AppPassword& app_password : account.app_passwords) {
      writer.line("  ", "app", app_password.name + ' ' + format_hash(app_password.hash));
      if (!app_password.scope.empty()) writer.line("    ", "scope", app_password.scope);
      if (app_password.expires) writer.line("    ", "expires", format_utc(*app_password.expires));
      for (const Network& network : app_password.networks) writer.line("    ", "network", network.text());
    }
  }
  return writer.take();
}

}  // namespace ringpost::accounts
