// Listeners of role submission, and users who talk to them under TLS.
#pragma once

#include "certified.hh"
#include "ringpost/base/base64.hh"

namespace ringpost::receive::testing {

using config::ListenerRole;
using config::ListenerTls;

inline std::string base64(std::string_view text) { return encode_base64(as_bytes(text)); }
inline std::string plain(std::string_view login, std::string_view password, std::string_view identity = {}) {
  return "AUTH PLAIN " + base64(std::string{identity} + '\0' + std::string{login} + '\0' + std::string{password});
}
inline const std::string kGood = plain("anna@our.test", "correct horse"), kBad = plain("anna@our.test", "wrong");

struct SubmissionBench : Bench {
  explicit SubmissionBench(config::Settings settings = with_certificate(), ListenerTls tls = ListenerTls::implicit)
      : Bench(std::move(settings), 1, config::BareNewline::refuse, tls, ListenerRole::submission) {}
};

/// A client that has said EHLO under TLS.
struct User : Client {
  explicit User(Bench& bench, std::string_view address = "198.51.100.7") : Client(bench, address) {
    EXPECT_TRUE(start_tls());
    greet();
  }
  void log_in() { EXPECT_EQ(ask(kGood), "235 2.7.0 Authentication successful\r\n"); }
  std::string submit(std::string_view content, std::string_view sender = "anna@our.test", std::string_view recipient = "b@next.test") {
    EXPECT_EQ(ask("MAIL FROM:<" + std::string{sender} + ">").substr(0, 3), "250");
    EXPECT_EQ(ask("RCPT TO:<" + std::string{recipient} + ">").substr(0, 3), "250");
    EXPECT_EQ(ask("DATA").substr(0, 3), "354");
    return ask(std::string{content} + ".");
  }
};

}  // namespace ringpost::receive::testing
