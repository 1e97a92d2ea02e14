// Reading configuration files from disk: the part of configuration that does I/O.
#pragma once

#include <expected>
#include <string>
#include <vector>

#include "ringpost/config/configuration.hh"

namespace ringpost::programs {

/// `path` and then conf.d/*.conf beside it, by name. Errors: text for the operator.
/// `opened`: another name of the file, for a process that cannot come to it by `path`; conf.d must not exist then.
std::expected<std::vector<config::Source>, std::string> read_sources(const std::string& path, const std::string& opened = {});

config::Environment system_environment();

/// All of it. With an empty path: the defaults. Errors: every problem, one a line.
std::expected<config::Configuration, std::string> load_configuration(const std::string& path);

/// Where the server of this configuration listens to operators, whatever else is wrong with the files: an operator needs it most
/// then. Errors: text; the files cannot be read, or what is wrong with them is control.socket.
struct ControlSocket {
  std::string path;
  std::string warning;  ///< what is wrong with the files; empty when they are right
};
std::expected<ControlSocket, std::string> find_control_socket(const std::string& path);

/// One problem a line.
std::string text_of(const config::Problems& problems);

}  // namespace ringpost::programs
