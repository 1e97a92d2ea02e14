// ringpostd's end of helperd's socket: one Client for each shard.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "ringpost/base/log.hh"
#include "ringpost/base/socket_address.hh"
#include "ringpost/helper/authenticator.hh"
#include "ringpost/helper/link.hh"
#include "ringpost/helper/protocol.hh"
#include "ringpost/helper/web.hh"
#include "ringpost/runtime/ring.hh"

namespace ringpost::helper {

/// Asks helperd; connects when there is something to ask, and again after the connection broke.
///
/// Lifetime: await stop() before it dies. Everything on the ring's own thread.
/// Errors:   unavailable: helperd is away, busy, or did not answer in time.
class Client final : public Authenticator, public Web, private Link {
 public:
  Client(runtime::Ring& ring, Log& log, const SocketAddress& helperd);

  /// With each token helperd hears where the issuer is that it may have to ask; without this, that nobody knows.
  using FindIssuer = std::function<runtime::Task<std::vector<IpAddress>>()>;
  void find_issuer_by(FindIssuer find) { find_issuer_ = std::move(find); }

  runtime::Task<Result<std::optional<Login>>> check_password(Visit visit, std::string_view login, std::string_view password) override;
  runtime::Task<Result<ScramAnswer>> scram_keys(Visit visit, std::string_view login) override;
  runtime::Task<Result<std::optional<Login>>> check_token(Visit visit, std::string_view token) override;
  runtime::Task<Result<std::optional<Login>>> admit(Visit visit, std::string_view login) override;

  runtime::Task<Result<WebAnswer>> fetch_policy(std::string_view domain, std::vector<IpAddress> addresses) override;
  runtime::Task<Result<WebAnswer>> post_report(std::string_view uri, std::vector<IpAddress> addresses, Bytes report) override;

  /// Ends the connection; who waits gets `unavailable`.
  using Link::stop;

 private:
  struct Pending;
  runtime::Task<bool> read_answer() override;
  using Encode = std::function<SecretBytes(std::uint32_t id)>;
  runtime::Task<Result<SecretBytes>> ask(protocol::Kind kind, Duration patience, Encode encode);
  runtime::Task<Result<SecretBytes>> ask_about_login(protocol::Kind kind, protocol::LoginRequest request);
  runtime::Task<Result<WebAnswer>> ask_web(protocol::Kind kind, protocol::WebRequest request);
  runtime::Task<Result<std::optional<Login>>> ask_for_login(protocol::Kind kind, protocol::LoginRequest request);

  FindIssuer find_issuer_;
  std::vector<std::byte> buffer_;  // of the reader; holds keys
};

}  // namespace ringpost::helper
