// What the TLS connections of one shard share: buffers, randomness and time, and the settings of each side.
#pragma once

#include <array>
#include <coroutine>
#include <cstdint>
#include <deque>
#include <expected>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ringpost/crypto/library.hh"
#include "ringpost/runtime/receiver.hh"
#include "ringpost/runtime/ring.hh"
#include "ringpost/tls/certificate.hh"
#include "ringpost/tls/tickets.hh"
#include "ringpost/tls/trust.hh"

struct WOLFSSL;
struct WOLFSSL_CTX;
struct WOLFSSL_SESSION;

namespace ringpost::tls {

class Channel;
struct ClientHello;
struct ClientOptions;
struct Secure;

enum class Version : std::uint8_t { tls12, tls13 };
/// "TLSv1.2", "TLSv1.3"
std::string_view version_name(Version version);

/// Room for one record, lent while plaintext or ciphertext is in somebody's hands. Idle connections hold none.
class BufferPool final : public runtime::BufferHome {
 public:
  static constexpr std::size_t kBlockBytes = 17 * 1024;
  /// The number of a block that is free.
  std::int32_t take();
  MutableBytes block(std::int32_t number) { return {blocks_[static_cast<std::size_t>(number)].get(), kBlockBytes}; }
  void release_buffer(std::int32_t number) override;
  std::size_t lent() const { return lent_; }

 private:
  static constexpr std::size_t kIdleMax = 64;  // blocks kept although nobody holds them
  std::vector<std::unique_ptr<std::byte[]>> blocks_;
  std::vector<std::int32_t> idle_, vacant_;  // with memory, without
  std::size_t lent_ = 0;
};

/// Lets a few steps of handshakes run in one turn of the loop, the others in the next ones: a flood of ClientHellos must not
/// keep everybody else waiting (attack T2).
class HandshakeGate {
 public:
  static constexpr unsigned kStepsPerTurn = 2;
  explicit HandshakeGate(runtime::Ring& ring) : ring_(ring), timer_(&on_turn) { timer_.owner = this; }
  HandshakeGate(const HandshakeGate&) = delete;
  ~HandshakeGate();

  class [[nodiscard]] Pass {
   public:
    explicit Pass(HandshakeGate& gate) : gate_(gate) {}
    bool await_ready() const noexcept { return gate_.enter(); }
    void await_suspend(std::coroutine_handle<> frame) { gate_.queue(frame); }
    void await_resume() const noexcept {}

   private:
    HandshakeGate& gate_;
  };
  /// Await it before each step.
  Pass pass() { return Pass{*this}; }

 private:
  struct Turn : runtime::Timer {
    using Timer::Timer;
    HandshakeGate* owner;
  };
  static void on_turn(runtime::Timer& timer);
  bool enter();
  void queue(std::coroutine_handle<> frame);

  runtime::Ring& ring_;
  Turn timer_;
  Instant turn_{};
  unsigned steps_ = 0;
  std::deque<std::coroutine_handle<>> waiting_;
};

/// One for each shard, made before its contexts and channels; outlives them.
class Engine final : public crypto::LibraryWorld {
 public:
  explicit Engine(runtime::Ring& ring) : ring_(ring), gate_(ring) {}
  Engine(const Engine&) = delete;

  runtime::Ring& ring() { return ring_; }
  BufferPool& buffers() { return buffers_; }
  HandshakeGate& gate() { return gate_; }
  void random(MutableBytes target) override { ring_.random(target); }
  WallTime wall_now() override { return ring_.wall_now(); }

 private:
  runtime::Ring& ring_;
  BufferPool buffers_;
  HandshakeGate gate_;
};

/// Whether clients are asked for a certificate.
enum class ClientCertificates : std::uint8_t {
  none,
  optional,  ///< what it is worth stands in Handshake::peer
  required,  ///< without a good one there is no handshake
};

struct ServerOptions {
  std::string hostname;         ///< whose certificate answers a client that names nobody we know
  std::string role = "server";  ///< tickets are good for listeners of one role only
  TicketRoot tickets;           ///< the same on every shard
  Duration ticket_period = std::chrono::hours(6);
  /// Where clients are asked, no session is resumed: each handshake shows the certificate anew, and it is judged anew.
  ClientCertificates client_certificates = ClientCertificates::none;
};

/// The server's side for one listener role.
///
/// Lifetime: outlives the handshakes that use it (Channel::accept_tls) and the channels that came of them. The certificates may
///           change at any time.
class ServerContext {
 public:
  ServerContext(Engine& engine, const ServerOptions& options);
  ServerContext(const ServerContext&) = delete;
  ~ServerContext();

  /// Handshakes from now on use these. Errors: text for the operator; the old ones stay.
  /// `clients`: by whom clients' certificates are judged; null: nobody's is good.
  std::expected<void, std::string> use(std::span<const Certificate* const> certificates, Version minimum = Version::tls12,
                                       std::shared_ptr<const TrustStore> clients = nullptr);
  /// Without a certificate no handshake succeeds.
  bool has_certificates() const { return !identities_.empty(); }

  Engine& engine() { return engine_; }

 private:
  friend class Channel;
  friend struct Secure;
  struct Identity;
  const Identity& choose(std::string_view server_name, bool ecdsa, bool rsa) const;
  Result<> prepare(Secure& secure, const ClientHello& hello);
  /// Behind each step of a handshake: wolfSSL would keep the authorities that a client sent along.
  void forget_authorities(WOLFSSL* ssl) const;

  Engine& engine_;
  ClientCertificates client_certificates_;
  std::shared_ptr<const TrustStore> clients_;
  std::string hostname_;
  TicketKeys tickets_;
  std::chrono::seconds ticket_life_;
  std::vector<std::unique_ptr<Identity>> identities_;
};

/// What a client may use to go on with an earlier session: a ticket, and what was known about the peer. Move-only.
class ClientSession {
 public:
  ClientSession() = default;
  ClientSession(WOLFSSL_SESSION* session, PeerVerdict verdict, std::vector<std::byte> certificate);
  ClientSession(ClientSession&& other) noexcept;
  ClientSession& operator=(ClientSession&& other) noexcept;
  ~ClientSession();
  explicit operator bool() const { return session_ != nullptr; }

 private:
  friend class Channel;
  friend class ClientContext;
  WOLFSSL_SESSION* session_ = nullptr;
  PeerVerdict verdict_ = PeerVerdict::none;
  std::vector<std::byte> certificate_;
};

/// The client's side: one for each minimum in use.
class ClientContext {
 public:
  /// `trust` may be null: then nobody's certificate is good. It outlives the context.
  ClientContext(Engine& engine, Version minimum, const TrustStore* trust, Version maximum = Version::tls13);
  ClientContext(const ClientContext&) = delete;
  ~ClientContext();

  Engine& engine() { return engine_; }

 private:
  friend class Channel;
  Result<> prepare(Secure& secure, const ClientOptions& options);

  Engine& engine_;
  const TrustStore* trust_;
  WOLFSSL_CTX* context_;
};

}  // namespace ringpost::tls
