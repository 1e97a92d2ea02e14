// A server with a certificate.
#pragma once

#include "../tls/certificates.hh"
#include "support.hh"

namespace ringpost::receive::testing {

inline config::Settings with_certificate(config::Settings settings = small_settings()) {
  static const auto certificate = std::make_shared<const tls::Certificate>(
      tls::testing::made_of("mx", tls::testing::files().mx_chain, tls::testing::files().mx_key));
  settings.tls.certificates = {{.name = "mx", .loaded = certificate}};
  return settings;
}

}  // namespace ringpost::receive::testing
