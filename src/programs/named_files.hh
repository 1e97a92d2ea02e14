// Files that the configuration names: certificates, keys, passwords.
#pragma once

#include <string>

#include "ringpost/base/error.hh"
#include "ringpost/base/secret.hh"
#include "ringpost/config/configuration.hh"

namespace ringpost::programs {

/// All of it, up to a mebibyte and one byte more. Errors: io, with the system's number as its detail.
Result<SecretBytes> read_named_file(const std::string& path);

/// It is there, and we may not read it: what only root can read was read at the start, and is kept.
bool is_forbidden(const Error& error);

/// "FILE:LINE: KEY: ", for what is wrong with what `key` names.
std::string at_line(const config::Configuration& configuration, const std::string& key);

}  // namespace ringpost::programs
