// The client's side of a SASL exchange: a login of ours at another server, without I/O.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "ringpost/base/bytes.hh"
#include "ringpost/base/secret.hh"
#include "ringpost/sasl/mechanism.hh"

namespace ringpost::sasl {

/// The strongest mechanism that a password will do for among `offered`, names with blanks between them, in any case: SCRAM-SHA-256-PLUS
/// (where there is a channel to bind to), SCRAM-SHA-256, PLAIN, LOGIN. Nothing: none of them.
std::optional<Mechanism> strongest(std::string_view offered, bool has_channel_binding);

/// Who we are there. Both are prepared (SASLprep), neither is empty. The views outlive the exchange.
struct Login {
  std::string_view name;
  std::string_view password;
};

/// What SCRAM makes of a password for one server (RFC 5802 section 3): who has it can log in. Dear to make, good for as long as the server
/// keeps its salt.
struct ScramClientKeys {
  std::uint32_t iterations = 0;
  std::vector<std::byte> salt;
  Key256 client_key;
  Key256 server_key;
};

/// What a log-in must know of its connection. The views outlive the constructor.
struct ClientCircumstances {
  /// As Circumstances::server_nonce. For SCRAM only.
  std::string_view client_nonce;
  /// tls-exporter of this connection; nothing: there is none.
  std::optional<std::array<std::byte, 32>> channel_binding;
  /// Keys of an earlier log-in with the same password; those of this one are put there. Outlives the exchange.
  std::optional<ScramClientKeys>& kept;
};

enum class ClientFailure : std::uint8_t {
  malformed,   ///< a challenge against the mechanism's grammar, or one too many
  too_weak,    ///< fewer iterations than RFC 7677 section 4 wants, or a salt too short: whoever overhears it could guess
  too_costly,  ///< more work, or a longer salt, than we do for anybody
  refused,     ///< it says that the login is wrong ("e=")
  forged,      ///< it does not know the password itself (RFC 5802 section 3): not the server that we have a login at
};

/// Order:   start() once, take() for each challenge; where either answers `work`, work() until it answers otherwise. After `failed` there
///          is nothing more to say. Whatever the server says has an answer; a call out of order is an error of ours (asserted).
/// Success: is the server's to say, and worth as much as complete() says.
class ClientExchange {
 public:
  enum class Next : std::uint8_t {
    say,   ///< words() are for the server
    work,  ///< first there is something to compute
    failed,
  };
  /// `mechanism`: one that strongest() answers.
  ClientExchange(Mechanism mechanism, const Login& login, const ClientCircumstances& circumstances);
  ClientExchange(ClientExchange&&) noexcept;
  ~ClientExchange();

  /// The initial response; where there is none (LOGIN), words() are nothing at all.
  Next start();
  Next take(Bytes challenge);
  /// Goes on with what is to be computed, for so many iterations of an HMAC (about a microsecond each).
  Next work(std::uint32_t iterations);

  /// What to say now: secret, as the case may be. Until the next call. Nothing: the server is to speak first.
  std::optional<Bytes> words() const;
  ClientFailure failure() const;
  /// The server has shown all that it must show before its word for success counts.
  bool complete() const;

  class Machine;  // one for each mechanism, in src/sasl

 private:
  std::unique_ptr<Machine> machine_;
};

}  // namespace ringpost::sasl
