#include "user.hh"

#include <sys/random.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "accounts_file.hh"
#include "programs/config_files.hh"
#include "server.hh"

namespace ringpost::ctl {

namespace {

constexpr std::size_t kPasswordBytesMax = 1024;

/// One line of standard input, without its end.
SecretBytes read_line() {
  std::vector<std::byte> line;
  line.reserve(kPasswordBytesMax + 1);  // never moved, so never copied
  for (;;) {
    std::byte octet;
    const ssize_t got = ::read(STDIN_FILENO, &octet, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0 || octet == std::byte{'\n'}) break;
    if (line.size() >= kPasswordBytesMax) throw Failure{kNotAsked, "the password is longer than 1024 octets"};
    line.push_back(octet);
  }
  if (!line.empty() && line.back() == std::byte{'\r'}) line.pop_back();
  return SecretBytes{std::move(line)};
}

/// A terminal that does not show what is typed, for as long as this lives.
class Quiet {
 public:
  Quiet() {
    ::tcgetattr(STDIN_FILENO, &before_);
    termios quiet = before_;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
  }
  ~Quiet() { ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_); }

 private:
  termios before_{};
};

SecretBytes ask_for(const char* prompt) {
  const Quiet quiet;
  std::fprintf(stderr, "%s: ", prompt);
  SecretBytes password = read_line();
  std::fprintf(stderr, "\n");
  return password;
}

SecretBytes read_password(bool from_stdin) {
  SecretBytes password;
  if (from_stdin) {
    password = read_line();
  } else if (::isatty(STDIN_FILENO)) {
    password = ask_for("New password");
    if (ask_for("The same again").text() != password.text()) throw Failure{kNotAsked, "these are two passwords"};
  } else {
    throw Failure{kNotAsked, "there is no terminal to ask for a password: give it with --password-stdin"};
  }
  if (!accounts::may_be_chosen(password.text()))
    throw Failure{kNotAsked, "a password has 8 characters or more, no control characters, and is no app password"};
  return password;
}

void draw(MutableBytes out) {
  if (::getrandom(out.data(), out.size(), 0) != static_cast<ssize_t>(out.size())) throw Failure{kNotAsked, "no random numbers"};
}

accounts::PasswordHash hash_of(std::string_view password) {
  std::array<std::byte, accounts::kSaltBytes> salt;
  draw(salt);
  auto hash = accounts::hash_password(password, salt);
  if (!hash) throw Failure{kNotAsked, hash.error().code == Errc::no_memory ? "not enough memory to hash the password" : "this password cannot be used"};
  return std::move(*hash);
}

void check(const Result<>& done, const std::string& login) {
  if (done) return;
  switch (done.error().code) {
    case Errc::exists: throw Failure{kRefused, "there is one already: " + login};
    case Errc::not_found: throw Failure{kRefused, "there is no such one: " + login};
    case Errc::limit: throw Failure{kRefused, "there are too many"};
    default: throw Failure{kNotAsked, "not a usable name, address or number"};
  }
}

void set_password(accounts::Accounts& all, const std::string& login, std::string_view password, bool scram) {
  std::optional<sasl::ScramKeys> keys;
  if (scram) {
    std::array<std::byte, sasl::kScramSaltBytes> salt;
    draw(salt);
    keys = sasl::make_scram_keys(password, salt, sasl::kScramIterations);
  }
  check(all.set_password(login, hash_of(password), std::move(keys)), login);
}

/// "90d" from now, or a day: 2027-01-31.
std::optional<accounts::Second> expiry(const std::string& text) {
  if (text.empty()) return std::nullopt;
  using namespace std::chrono;
  unsigned count = 0;
  int used = 0, year = 0;
  unsigned month = 0, day = 0;
  if (std::sscanf(text.c_str(), "%u%n", &count, &used) == 1 && text.substr(static_cast<std::size_t>(used)) == "d" && count > 0 && count < 36525)
    return floor<seconds>(system_clock::now()) + days{count};
  if (std::sscanf(text.c_str(), "%4d-%2u-%2u%n", &year, &month, &day, &used) == 3 && static_cast<std::size_t>(used) == text.size()) {
    const year_month_day date{std::chrono::year{year}, std::chrono::month{month}, std::chrono::day{day}};
    if (date.ok()) return sys_days{date};
  }
  throw Failure{kNotAsked, text + " is no expiry: 90d for ninety days from now, or a day such as 2027-01-31"};
}

nlohmann::json describe(const accounts::Account& account) {
  nlohmann::json apps = nlohmann::json::array();
  for (const accounts::AppPassword& app : account.app_passwords) {
    nlohmann::json each{{"name", app.name}, {"scope", app.scope}};
    if (app.expires) each["expires"] = app.expires->time_since_epoch().count();
    for (const Network& network : app.networks) each["networks"].push_back(network.text());
    apps.push_back(each);
  }
  return {{"login", account.login},         {"disabled", account.disabled},
          {"password", account.password.has_value()}, {"scram", account.scram.has_value()},
          {"send_as", accounts::senders_of(account)}, {"app_passwords", apps},
          {"note", account.note}};
}

}  // namespace

UserCommands::UserCommands(CLI::App& app) {
  user_ = app.add_subcommand("user", "Who may authenticate: auth.password_file");
  user_->require_subcommand(1);
  const auto command = [&](const char* name, const char* help) {
    CLI::App* made = user_->add_subcommand(name, help);
    made->add_option("name", name_, "The login, best an address")->required();
    return made;
  };
  const auto takes_password = [&](CLI::App* made) {
    made->add_flag("--password-stdin", password_stdin_, "Read the password from standard input, one line");
  };
  const auto takes_senders = [&](CLI::App* made) {
    made->add_option("--send-as", send_as_, "Addresses it may send from, or @DOMAIN for all of one (default: the login)")->allow_extra_args(false);
    made->add_option("--note", note_, "Words of yours");
  };
  add_ = command("add", "A new account");
  takes_password(add_);
  takes_senders(add_);
  add_->add_flag("--no-password", no_password_, "It has other ways to authenticate, such as app passwords");
  passwd_ = command("passwd", "Another password");
  takes_password(passwd_);
  disable_ = command("disable", "It may not authenticate any more");
  enable_ = command("enable", "It may again");
  remove_ = command("remove", "The account is gone, with its app passwords");
  app_password_ = command("app-password", "A password for one device or program, made and shown once");
  app_password_->add_option("label", label_, "Its name: a-z, 0-9, hyphens")->required();
  app_password_->add_option("--scope", scope_, "Good for this service only: submission");
  app_password_->add_option("--expires", expires_, "90d, or a day such as 2027-01-31");
  app_password_->add_option("--network", networks_, "Good from there only: 192.0.2.0/24")->allow_extra_args(false);
  app_password_->add_flag("--remove", remove_label_, "Take it away");
  list_ = user_->add_subcommand("list", "All accounts");
  list_->add_flag("--json", json_, "One JSON object a line");
}

void UserCommands::run(const std::string& config_path) const {
  auto configuration = programs::load_configuration(config_path);
  if (!configuration) throw Failure{kNotAsked, configuration.error()};
  const config::Settings& settings = configuration->settings();
  // Asked for before the file is locked: a person takes their time.
  SecretBytes password;
  if (*passwd_ || (*add_ && !no_password_)) password = read_password(password_stdin_);

  AccountsFile file{settings.auth.password_file};
  accounts::Accounts& all = file.accounts();
  if (*list_) {
    for (const accounts::Account& account : all.all()) {
      if (json_) std::printf("%s\n", describe(account).dump().c_str());
      else
        std::printf("%s%s%s, %zu app passwords\n", account.login.c_str(), account.disabled ? " (disabled)" : "",
                    account.password ? "" : " (no password)", account.app_passwords.size());
    }
    return;
  }
  if (*add_) {
    check(all.add(name_), name_);
    if (!no_password_) set_password(all, name_, password.text(), settings.auth.scram);
    if (!send_as_.empty()) check(all.set_send_as(name_, send_as_), name_);
    if (!note_.empty()) check(all.set_note(name_, note_), name_);
  } else if (*passwd_) {
    set_password(all, name_, password.text(), settings.auth.scram);
  } else if (*disable_ || *enable_) {
    check(all.set_disabled(name_, disable_->parsed()), name_);
  } else if (*remove_) {
    check(all.remove(name_), name_);
  } else if (remove_label_) {
    check(all.remove_app_password(name_, label_), name_ + " " + label_);
  } else {
    Secret<accounts::kAppPasswordRandomBytes> random;
    draw(random.mutable_view());
    const SecretBytes text = accounts::app_password_text(label_, random);
    accounts::AppPassword made{.name = label_, .scope = scope_, .expires = expiry(expires_), .networks = {}, .hash = hash_of(text.text())};
    for (const std::string& network : networks_) {
      const auto parsed = Network::parse(network);
      if (!parsed) throw Failure{kNotAsked, network + " is no network"};
      made.networks.push_back(*parsed);
    }
    check(all.add_app_password(name_, std::move(made)), name_ + " " + label_);
    file.write();
    std::printf("%.*s\n", static_cast<int>(text.text().size()), text.text().data());  // once, and never again
    return;
  }
  file.write();
}

}  // namespace ringpost::ctl
