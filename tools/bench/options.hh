// What several modes read from the command line in the same way.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <expected>
#include <string>

#include "bench/client.hh"

namespace ringpost::bench {

/// An option's text that turns out not to mean anything; CLI11 prints it and exits.
[[noreturn]] void bad(const std::string& option, const std::string& why);

template <typename T>
T good(const std::string& option, std::expected<T, std::string> value) {
  if (!value) bad(option, value.error());
  return std::move(*value);
}

SocketAddress read_address(const std::string& option, const std::string& text);
Duration seconds(double value);

/// How to reach a server.
struct ClientWords {
  std::string to, tls = "none", password_file, from;
  double timeout_s = 60;
};
void declare(CLI::App& app, ClientOptions& options, ClientWords& words);
void complete(ClientOptions& options, const ClientWords& words);

}  // namespace ringpost::bench
