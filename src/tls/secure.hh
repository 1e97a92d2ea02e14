// What a channel is made of once it speaks TLS: wolfSSL's object, and the bytes on either side of it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ringpost/runtime/signal.hh"
#include "ringpost/tls/channel.hh"
#include "tls/library.hh"

namespace ringpost::tls {

struct FreeSsl {
  void operator()(WOLFSSL* ssl) const { wolfSSL_free(ssl); }
};

struct Secure {
  Secure(Engine& engine_in, runtime::Receiver& receiver_in)
      : engine(engine_in), receiver(receiver_in), flushed(engine_in.ring()) {}
  ~Secure() { release_output(); }

  // wolfSSL's I/O, on our own bytes: it never waits.
  static int receive(WOLFSSL* ssl, char* target, int size, void* self);
  static int send(WOLFSSL* ssl, char* bytes, int size, void* self);
  static int on_peer_certificate(int good, WOLFSSL_X509_STORE_CTX* store);
  /// What to make of it: false ends the handshake.
  bool on_client_certificate(PeerChain chain);
  const TrustStore& trust_or_nobody() const;
  static int on_ticket(WOLFSSL* ssl, unsigned char* key_name, unsigned char* iv, unsigned char* mac, int seal,
                       unsigned char* ticket, int size, int* size_after, void*);

  /// Takes wolfSSL's object into service. Errors: no_memory.
  Result<> begin(WOLFSSL_CTX* context);
  /// What the handshake that just ended came to.
  void finish();

  bool has_input() const { return early_at < early.size() || !input.empty(); }
  bool has_output() const { return output_begin < output_end; }
  std::size_t output_room() const { return BufferPool::kBlockBytes - output_end; }
  void release_output();

  Engine& engine;
  runtime::Receiver& receiver;
  ServerContext* server = nullptr;
  std::string purpose;                   ///< server: what a ticket is for
  const ClientOptions* asked = nullptr;  ///< client: while the handshake runs
  const TrustStore* trust = nullptr;
  std::shared_ptr<const TrustStore> clients;  ///< server: keeps `trust`
  std::unique_ptr<WOLFSSL, FreeSsl> ssl;

  // From the wire: `early` first.
  std::vector<std::byte> early;
  std::size_t early_at = 0;
  runtime::Chunk input;
  std::optional<Error> wire_end;  ///< nothing more comes from the wire
  std::size_t barren_bytes = 0;   ///< taken from the wire since there was plaintext

  // To the wire.
  std::int32_t output = -1;  ///< a block of the pool, while there is something in it
  std::size_t output_begin = 0, output_end = 0;
  bool flushing = false;
  runtime::Signal flushed;

  runtime::Chunk decrypted;
  std::optional<Error> end;  ///< of the plaintext
  bool done = false;         ///< the handshake succeeded
  Handshake handshake;
};

}  // namespace ringpost::tls
