// Our passwords at next hops, from the files the configuration names to the settings in force.
#pragma once

#include <expected>
#include <string>

#include "ringpost/config/configuration.hh"

namespace ringpost::programs {

/// Reads every destination.DOMAIN.auth.password_file of `settings`, which came of `configuration`. Names and passwords are brought into
/// the form they are sent in (SASLprep).
///
/// What we may not read any more, `in_force` (which may be null) keeps, if it is the same file.
/// Errors: text for the operator, which quotes nothing of a password; `settings` must not come into force then.
std::expected<void, std::string> read_hop_passwords(config::Settings& settings, const config::Configuration& configuration,
                                                    const config::Settings* in_force);

}  // namespace ringpost::programs
