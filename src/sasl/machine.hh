// What one mechanism does with the client's words.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ringpost/sasl/exchange.hh"

namespace ringpost::sasl {

/// Its owner keeps the order: each call below comes only when the last step asked for it.
class Exchange::Machine {
 public:
  enum class Awaits : std::uint8_t { start, response, verdict, keys, nothing };

  Machine() = default;
  Machine(const Machine&) = delete;
  virtual ~Machine() = default;

  /// AUTH came without an initial response. The client speaks first in most mechanisms: it is asked to, by nothing.
  virtual Step begin() { return Challenge{}; }
  virtual Step take(SecretBytes response) = 0;
  virtual Step accept(std::string_view login);
  virtual Step refuse();
  virtual Step give_keys(ScramKeys keys, std::string_view login);

  Awaits awaits = Awaits::start;

 protected:
  /// How the log-in ends well; `login_` and `identity_` are kept for it.
  Step succeed(std::string_view login);

  SecretBytes login_;     ///< as the client has it, prepared
  SecretBytes identity_;  ///< as the client has it, prepared; empty: it named none
  std::string success_login_, success_identity_;
};

/// A name the client sent, to be kept in `target`. Nothing: it is good.
std::optional<FailureKind> keep_name(std::string_view text, SecretBytes& target);
/// The same for a saslname, in which "=2C" stands for a comma and "=3D" for an equals sign (RFC 5802 section 5.1).
std::optional<FailureKind> keep_saslname(std::string_view text, SecretBytes& target);

std::unique_ptr<Exchange::Machine> make_plain();
std::unique_ptr<Exchange::Machine> make_login();
std::unique_ptr<Exchange::Machine> make_external();
std::unique_ptr<Exchange::Machine> make_scram(bool plus, const Circumstances& circumstances);
std::unique_ptr<Exchange::Machine> make_oauthbearer();
std::unique_ptr<Exchange::Machine> make_xoauth2();

}  // namespace ringpost::sasl
