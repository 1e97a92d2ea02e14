// Our TLS certificates, from the files the configuration names to the settings in force, and again when the files change.
#pragma once

#include <expected>
#include <string>
#include <vector>

#include "ringpost/config/configuration.hh"

namespace ringpost::programs {

/// Reads and checks every tls.certificate of `settings`, which came of `configuration`. Never on a shard.
///
/// What we may not read any more keeps what `in_force` has for the same files (which may be null); `kept` tells about it. So a key
/// that only root can read lasts until the next start.
/// Errors: text for the operator, with the configuration's file and line; `settings` must not come into force then.
std::expected<void, std::string> read_certificates(config::Settings& settings, const config::Configuration& configuration,
                                                   const config::Settings* in_force, std::vector<std::string>& kept);

/// Reads the authorities by which next hops and clients are verified. Without those for next hops nobody is; that is an error only where a destination asks for it.
/// Those for clients, and what they revoked, must be readable and whole where they are configured.
/// What we may not read any more, `in_force` keeps, if it is the same file.
/// Errors: text for the operator.
std::expected<void, std::string> read_trust(config::Settings& settings, const config::Configuration& configuration,
                                            const config::Settings* in_force);

/// Whole days until the certificate ends; negative when it has. By the system's clock.
std::int64_t days_left(const config::CertificateFiles& certificate);

/// Tells when certificates' files have changed, and have then been left alone for a look.
class CertificateWatch {
 public:
  /// Made before the files are read: what changes from then on counts.
  explicit CertificateWatch(const config::Settings& settings) : known_(stamps(settings)), seen_(known_) {}
  /// Looks at the files of `settings`. True once for each change, when two looks in a row have seen the same.
  bool look(const config::Settings& settings);

 private:
  static std::string stamps(const config::Settings& settings);
  std::string known_, seen_;
};

}  // namespace ringpost::programs
