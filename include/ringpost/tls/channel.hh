// Channel: the bytes of one connection, in clear until a handshake, and under TLS from then on.
#pragma once

#include <array>
#include <coroutine>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ringpost/runtime/receiver.hh"
#include "ringpost/runtime/ring.hh"
#include "ringpost/runtime/task.hh"
#include "ringpost/tls/context.hh"
#include "ringpost/tls/trust.hh"

namespace ringpost::tls {

/// What a handshake came to.
struct Handshake {
  Version version = Version::tls12;
  std::string_view suite;  ///< IANA's name; lasts for ever
  std::uint16_t suite_number = 0;  ///< IANA's
  std::string_view group;  ///< of the key exchange: "X25519"; lasts for ever; empty: none was needed
  bool resumed = false;    ///< an earlier session goes on
  /// Client: what the peer's certificate is worth by the trust store and the names asked for, or what the judge said instead.
  /// Server: what it is worth by the authorities for clients; none where it was not asked for.
  PeerVerdict peer = PeerVerdict::none;
  std::vector<std::byte> peer_certificate;  ///< client: DER, the peer's own
  std::vector<std::string> peer_hosts, peer_mailboxes;  ///< server: DNS names and rfc822Names of a certificate that is `ok`
  /// tls-exporter (RFC 9266) for channel binding. Nothing: the peer lacks what makes it unique (RFC 7627).
  std::optional<std::array<std::byte, 32>> channel_binding;
};

/// Looks at a peer's certificates in place of the trust store, or behind it: DANE.
class PeerJudge {
 public:
  virtual ~PeerJudge() = default;
  /// `by_trust`: what the trust store and the names say. Never suspends.
  virtual PeerVerdict judge(PeerChain chain, PeerVerdict by_trust) = 0;
};

struct ClientOptions {
  std::string_view server_name;             ///< sent in clear, and by it the server chooses; empty: none is sent
  std::span<const std::string_view> names;  ///< one of them must be in the certificate; none: whose it is does not matter
  bool must_be_ok = false;                  ///< any verdict but ok ends the handshake
  PeerJudge* judge = nullptr;               ///< has the last word
  const Certificate* certificate = nullptr;  ///< ours, shown when the peer asks for one
  const ClientSession* session = nullptr;   ///< an earlier session with this very peer, asked for under the same names
};

/// One connection as a stream of bytes. In clear it hands out the ring's own chunks, and nothing is copied.
///
/// Under TLS: a peer that ends the stream without saying so (close_notify) has perhaps been cut off by somebody on the path:
///            `reset`, not `closed`. What the peer's TLS gets wrong is `protocol` (detail: wolfSSL's number).
/// Lifetime:  await stop() before it dies. One coroutine reads, one writes; they may be two.
class Channel {
 public:
  Channel(runtime::Ring& ring, Fd socket);
  Channel(const Channel&) = delete;
  ~Channel();

  class [[nodiscard]] Next {
   public:
    Next(Channel& channel, Instant deadline) : channel_(channel), deadline_(deadline), plain_(channel.receiver_.next(deadline)) {}
    Next(const Next&) = delete;
    bool await_ready() { return channel_.secure_ ? channel_.decrypt() : plain_.await_ready(); }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> frame);
    Result<runtime::Chunk> await_resume();

   private:
    Channel& channel_;
    Instant deadline_;
    runtime::Receiver::Next plain_;
    runtime::Task<Result<>> secure_;
    bool waited_ = false;
  };

  class [[nodiscard]] Send {
   public:
    Send(Channel& channel, Bytes bytes, Instant deadline)
        : channel_(channel), bytes_(bytes), deadline_(deadline), plain_(channel.ring_.send(channel.socket_, bytes, deadline)) {}
    Send(const Send&) = delete;
    bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> frame);
    Result<std::uint32_t> await_resume();

   private:
    Channel& channel_;
    Bytes bytes_;
    Instant deadline_;
    runtime::OpAwait plain_;
    runtime::Task<Result<std::uint32_t>> secure_;
    bool in_clear_ = false;
  };

  /// The next bytes, in order. The chunk should die before the next call: under TLS it holds a buffer of the shard's.
  /// Errors: closed at the end of the stream, timed_out, cancelled, reset, protocol.
  Next next(Instant deadline = kNever) { return Next{*this, deadline}; }
  /// True when next() would not wait. Under TLS that may have to decrypt what is here.
  bool ready() { return secure_ ? decrypt() : receiver_.ready(); }
  /// Sends; in clear perhaps less than `bytes`. They stay unchanged until it ends. Errors: as next().
  Send send(Bytes bytes, Instant deadline = kNever) { return Send{*this, bytes, deadline}; }

  /// In clear: what is left of the last chunk comes again, from next() or into a handshake.
  void put_back(runtime::Chunk chunk);

  /// Before a handshake in the server's part: drops what has come in and was not taken. Whatever a client glued behind STARTTLS
  /// was perhaps put there by somebody on the path (attack C1). Call it when STARTTLS was read, before its 220 is sent: what
  /// comes later can only be read as TLS. Returns the bytes dropped.
  std::size_t discard_input();

  /// The server's part of a handshake, up to the end. Only in clear.
  /// Errors: as next(); not_found: there is no certificate. The connection is good for nothing then: close it.
  runtime::Task<Result<>> accept_tls(ServerContext& context, Instant deadline);
  /// The client's part. Bytes in clear that are here although the peer had to wait for us are an error (protocol, attack C2), as
  /// must be what the caller still holds of its last chunk.
  /// Errors: as next(); permission: `must_be_ok` and the verdict is not; handshake().peer says which.
  runtime::Task<Result<>> connect_tls(ClientContext& context, const ClientOptions& options, Instant deadline);

  /// A handshake succeeded.
  bool secured() const;
  /// Only after a handshake was begun.
  const Handshake& handshake() const;
  /// Client: what a later connection to the same peer may go on with; empty: nothing. Under TLS 1.3 it arrives with the peer's
  /// first words.
  ClientSession session();

  /// No more from us: close_notify under TLS, then a FIN.
  runtime::Task<void> shutdown(Instant deadline);
  /// Reads on and throws away, until the stream ends, `deadline`, or so many chunks: closing with unread bytes would reset the
  /// connection (RFC 1122 section 4.2.2.13).
  runtime::Task<void> drain(Instant deadline, std::size_t chunks_max);
  /// Ends the reading and gives all buffers back. Idempotent.
  runtime::Task<void> stop();

 private:
  friend class Next;
  friend class Send;
  bool decrypt();
  Result<runtime::Chunk> take_decrypted();
  runtime::Task<Result<>> read_more(Instant deadline);
  runtime::Task<Result<std::uint32_t>> encrypt_and_send(Bytes bytes, Instant deadline);
  runtime::Task<Result<>> flush(Instant deadline);
  runtime::Task<Result<>> shake_hands(int (*step)(WOLFSSL*), Instant deadline);

  runtime::Ring& ring_;
  Fd socket_;
  runtime::Receiver receiver_;
  std::unique_ptr<Secure> secure_;
};

}  // namespace ringpost::tls
