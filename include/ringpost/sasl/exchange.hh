// One log-in: the server's side of a SASL exchange (RFC 4422), without I/O and without knowing any account.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <variant>

#include "ringpost/base/bytes.hh"
#include "ringpost/base/secret.hh"
#include "ringpost/sasl/mechanism.hh"
#include "ringpost/sasl/scram.hh"

namespace ringpost::sasl {

/// Octets of a login or an authorization identity at most (RFC 4616 section 2 wants so many).
inline constexpr std::size_t kIdentityBytesMax = 255;

/// What a step came to. All views are of the exchange and last until its next call; copy them across an await.

/// Send "334 " and this as base64 (it may be empty), and give the answer to respond().
struct Challenge {
  Bytes bytes;
};
/// Is this the password? Answer accept() or refuse(). Login and password are prepared (SASLprep), neither is empty.
struct CheckPassword {
  std::string_view login;
  std::string_view password;
  std::string_view identity;  ///< whom the client wants to act as; empty: itself
};
/// What is kept of this login's password? Answer give_keys(); for an unknown login with made-up keys that are the same each time.
struct FetchKeys {
  std::string_view login;
  std::string_view identity;
};
/// Is this token good, and whose is it? Answer accept() with its owner, or refuse().
struct CheckToken {
  std::string_view token;
  std::string_view identity;  ///< whom the client wants to act as; may be empty with OAUTHBEARER
  std::string_view host;      ///< the server the client thinks it speaks to; empty: it did not say
  std::uint16_t port = 0;     ///< 0: it did not say
};
/// Whose is the client's certificate? Answer accept() with its owner, or refuse().
struct CheckCertificate {
  std::string_view identity;  ///< whom the client wants to act as; empty: whoever the certificate names
};
/// The client is who it says. Whether `login` may act as `identity` is the caller's to decide, before it answers 235.
struct Success {
  std::string_view login;
  std::string_view identity;  ///< never empty: `login` where the client named none
};
enum class FailureKind : std::uint8_t {
  malformed,   ///< against the mechanism's grammar, one NUL too many, a name that cannot be prepared: 535 5.7.8
  empty,       ///< an empty response where a name or a secret must be: 501 5.5.2
  not_base64,  ///< 501 5.5.2
  cancelled,   ///< the client gave up: 501
  rejected,    ///< wrong, unknown, expired: 535 5.7.8, and no word about which
  downgraded,  ///< the client did not see the -PLUS we offered: somebody on the path took it away (RFC 5802 section 6): 535 5.7.8
  channel_binding,  ///< another channel, or a kind of binding other than tls-exporter: 535 5.7.8
  too_long,         ///< a name, password or token beyond its bound: 535 5.7.8
};
/// "malformed", for logs and metrics.
std::string_view name_of(FailureKind kind);
struct Failure {
  FailureKind kind;
};

using Step = std::variant<Challenge, CheckPassword, FetchKeys, CheckToken, CheckCertificate, Success, Failure>;

/// What an exchange must know of its connection. The views must outlive start().
struct Circumstances {
  /// Printable ASCII without commas, 18 characters or more, never twice the same: base64 of random bytes. For SCRAM only.
  std::string_view server_nonce;
  /// SCRAM-SHA-256-PLUS stood in the EHLO answer of this connection.
  bool plus_offered = false;
  /// tls-exporter of this connection; nothing: there is none, and -PLUS must not be offered.
  std::optional<std::array<std::byte, 32>> channel_binding;
};

/// Order:    start() once; then each step says which call comes next. After Success and Failure there is none. A call that was
/// not
///           asked for is an error of ours (asserted); whatever the client sends is a Step.
/// Secrets:  kept in memory that is wiped when the exchange dies.
/// Size:     steps of the client are bounded by the caller's line (RFC 4954 section 4: 12288 octets).
class Exchange {
 public:
  Exchange(Mechanism mechanism, const Circumstances& circumstances);
  Exchange(Exchange&&) noexcept;
  Exchange& operator=(Exchange&&) noexcept;
  ~Exchange();

  Mechanism mechanism() const;

  /// What stood behind AUTH and the mechanism's name.
  Step start(Response initial);
  /// The line that answered a Challenge. Never of kind `absent`.
  Step respond(Response response);

  /// To CheckPassword, CheckToken, CheckCertificate: right. `login`: the account's own spelling, or the owner of the token or
  /// certificate; 1..kIdentityBytesMax octets.
  Step accept(std::string_view login);
  /// To the same: wrong, for whatever reason. With tokens one more challenge follows before the Failure.
  Step refuse();
  /// To FetchKeys. `login`: the account's own spelling, as above.
  Step give_keys(ScramKeys keys, std::string_view login);

  class Machine;  // one for each mechanism, in src/sasl

 private:
  Mechanism mechanism_;
  std::unique_ptr<Machine> machine_;
};

}  // namespace ringpost::sasl
