#include "bench/options.hh"

#include "bench/files.hh"

namespace ringpost::bench {

void bad(const std::string& option, const std::string& why) { throw CLI::ValidationError(option, why); }

SocketAddress read_address(const std::string& option, const std::string& text) {
  auto address = SocketAddress::parse(text);
  if (!address) bad(option, "\"" + text + "\" is not IP:PORT, such as 127.0.0.1:2525 or [::1]:2525");
  return *address;
}

Duration seconds(double value) { return Duration{static_cast<Duration::rep>(value * 1e9)}; }

void declare(CLI::App& app, ClientOptions& options, ClientWords& words) {
  app.add_option("--to", words.to, "IP:PORT of the server")->required();
  app.add_flag("--lmtp", options.lmtp, "speak LMTP");
  app.add_option("--tls", words.tls, "none, starttls, implicit; nobody's certificate is looked at (none)")
      ->check(CLI::IsMember({"none", "starttls", "implicit"}));
  app.add_flag("--resume", options.resume, "each connection goes on with the TLS session of the one before it");
  app.add_option("--user", options.user, "log in with AUTH PLAIN");
  app.add_option("--password-file", words.password_file, "with --user: its first line is the password");
  app.add_option("--from-network", words.from, "IPv4 addresses or network that connections come from, such as 127.64.0.0/10");
  app.add_option("--hostname", options.hostname, "name for EHLO");
  app.add_option("--timeout", words.timeout_s, "seconds to wait for a reply (60)")->check(CLI::PositiveNumber);
}

void complete(ClientOptions& options, const ClientWords& words) {
  options.to = read_address("--to", words.to);
  options.security = security_named(words.tls);
  if (options.resume && options.security == Security::none) bad("--resume", "needs --tls");
  if (options.user.empty() != words.password_file.empty()) bad("--user", "goes with --password-file");
  if (!words.password_file.empty()) {
    auto text = read_file(words.password_file);
    if (!text) bad("--password-file", "\"" + words.password_file + "\" cannot be read");
    const Bytes line = as_bytes(std::string_view{*text}.substr(0, text->find_first_of("\r\n")));
    options.password = std::make_shared<SecretBytes>(std::vector<std::byte>{line.begin(), line.end()});
    wipe(std::as_writable_bytes(std::span{*text}));
  }
  if (!words.from.empty()) {
    options.from = Network::parse(words.from);
    if (!options.from || !options.from->address.is_ipv4()) bad("--from-network", "\"" + words.from + "\" is no IPv4 network");
  }
  options.reply_max = seconds(words.timeout_s);
}

}  // namespace ringpost::bench
