#include "tls/secure.hh"

#include <algorithm>

#include "tls/parsed.hh"

namespace ringpost::tls {

namespace {

constexpr std::string_view kChannelBindingLabel = "EXPORTER-Channel-Binding";  // RFC 9266 section 4.2

MutableBytes bytes_at(void* at, int size) { return {static_cast<std::byte*>(at), static_cast<std::size_t>(size)}; }

}  // namespace

int Secure::receive(WOLFSSL*, char* target, int size, void* self) {
  Secure& s = *static_cast<Secure*>(self);
  const auto wanted = static_cast<std::size_t>(size);
  std::size_t taken = 0;
  if (s.early_at < s.early.size()) {
    taken = std::min(wanted, s.early.size() - s.early_at);
    copy_bytes(bytes_at(target, size), Bytes{s.early}.subspan(s.early_at, taken));
    s.early_at += taken;
    if (s.early_at == s.early.size()) s.early = {};
    if (s.early.empty()) s.early_at = 0;
  } else {
    if (s.input.empty() && !s.wire_end) {
      auto next = s.receiver.take();
      if (next && *next) s.input = std::move(**next);
      if (next && !*next) s.wire_end = next->error();
    }
    if (s.input.empty()) return WOLFSSL_CBIO_ERR_WANT_READ;
    taken = std::min(wanted, s.input.bytes().size());
    copy_bytes(bytes_at(target, size), s.input.bytes().first(taken));
    s.input.consume(taken);
    if (s.input.empty()) s.input.release();
  }
  s.barren_bytes += taken;
  return static_cast<int>(taken);
}

int Secure::send(WOLFSSL*, char* bytes, int size, void* self) {
  Secure& s = *static_cast<Secure*>(self);
  if (s.output < 0) s.output = s.engine.buffers().take();
  const std::size_t taken = std::min(static_cast<std::size_t>(size), s.output_room());
  if (taken == 0) return WOLFSSL_CBIO_ERR_WANT_WRITE;
  copy_bytes(s.engine.buffers().block(s.output).subspan(s.output_end), bytes_at(bytes, size).first(taken));
  s.output_end += taken;
  return static_cast<int>(taken);
}

// The last word on a peer's certificates is ours. wolfSSL verified the handshake's signature with the key of the first one.
int Secure::on_peer_certificate(int, WOLFSSL_X509_STORE_CTX* store) {
  if (store->error_depth != 0) return 1;
  Secure& s = *static_cast<Secure*>(store->userCtx);
  std::vector<Bytes> chain;
  for (int i = 0; i < store->totalCerts; ++i)
    chain.push_back({reinterpret_cast<const std::byte*>(store->certs[i].buffer), store->certs[i].length});
  if (s.server) return s.on_client_certificate(chain);
  PeerVerdict verdict = s.trust_or_nobody().judge(chain, s.asked->names, s.engine);
  if (s.asked->judge) verdict = s.asked->judge->judge(chain, verdict);
  s.handshake.peer = verdict;
  if (!chain.empty()) s.handshake.peer_certificate.assign(chain[0].begin(), chain[0].end());
  return verdict == PeerVerdict::ok || !s.asked->must_be_ok;
}

const TrustStore& Secure::trust_or_nobody() const {
  static const TrustStore nobody;
  return trust ? *trust : nobody;
}

bool Secure::on_client_certificate(PeerChain chain) {
  handshake.peer = trust_or_nobody().judge(chain, {}, engine, PeerRole::client);
  if (handshake.peer == PeerVerdict::ok) {
    auto own = parse_der(chain[0]);
    RP_ASSERT(own);
    handshake.peer_hosts = std::move(own->hosts);
    handshake.peer_mailboxes = std::move(own->mailboxes);
  }
  return handshake.peer == PeerVerdict::ok || server->client_certificates_ != ClientCertificates::required;
}

int Secure::on_ticket(WOLFSSL* ssl, unsigned char* key_name, unsigned char* iv, unsigned char* mac, int seal,
                      unsigned char* ticket, int size, int* size_after, void*) {
  Secure& s = *static_cast<Secure*>(wolfSSL_GetIOReadCtx(ssl));
  if (s.server->client_certificates_ != ClientCertificates::none) return WOLFSSL_TICKET_RET_REJECT;
  TicketKeys& keys = s.server->tickets_;
  const MutableBytes text = bytes_at(ticket, size);
  *size_after = size;
  TicketKeys::Sealed with;
  if (seal) {
    std::array<std::byte, 12> nonce;
    s.engine.random(nonce);
    with = keys.seal(text, as_bytes(s.purpose), nonce, s.engine.ring().now());
    std::copy_n("ringpost ticket", WOLFSSL_TICKET_NAME_SZ, key_name);  // wolfSSL refuses none; which key it is stands in `iv`
    copy_bytes(bytes_at(iv, WOLFSSL_TICKET_IV_SZ), with.iv);
    copy_bytes(bytes_at(mac, WOLFSSL_TICKET_MAC_SZ), with.tag);
    return WOLFSSL_TICKET_RET_OK;
  }
  copy_bytes(with.iv, bytes_at(iv, WOLFSSL_TICKET_IV_SZ));
  copy_bytes(with.tag, bytes_at(mac, static_cast<int>(with.tag.size())));
  const TicketKeys::Opened opened = keys.open(text, as_bytes(s.purpose), with, s.engine.ring().now());
  if (opened == TicketKeys::Opened::no) return WOLFSSL_TICKET_RET_REJECT;
  // TLS 1.3 gives out a new ticket every time.
  const bool renew = opened == TicketKeys::Opened::previous && wolfSSL_GetVersion(ssl) == WOLFSSL_TLSV1_2;
  return renew ? WOLFSSL_TICKET_RET_CREATE : WOLFSSL_TICKET_RET_OK;
}

Result<> Secure::begin(WOLFSSL_CTX* context) {
  const crypto::LibraryCalls calls{engine};
  ssl.reset(wolfSSL_new(context));
  if (!ssl) return std::unexpected(Error{Errc::no_memory});
  wolfSSL_SetIOReadCtx(ssl.get(), this);
  wolfSSL_SetIOWriteCtx(ssl.get(), this);
  wolfSSL_KeepArrays(ssl.get());  // for the channel binding
  return {};
}

void Secure::finish() {
  const crypto::LibraryCalls calls{engine};
  handshake.version = wolfSSL_GetVersion(ssl.get()) == WOLFSSL_TLSV1_3 ? Version::tls13 : Version::tls12;
  const int suite = wolfSSL_get_current_cipher_suite(ssl.get());
  if (const char* name =
          wolfSSL_get_cipher_name_iana_from_suite(static_cast<unsigned char>(suite >> 8), static_cast<unsigned char>(suite)))
    handshake.suite = name;
  handshake.suite_number = static_cast<std::uint16_t>(suite);
  if (const char* group = wolfSSL_get_curve_name(ssl.get())) handshake.group = group;
  handshake.resumed = wolfSSL_session_reused(ssl.get()) != 0;
  std::array<std::byte, 32> binding;
  // wolfSSL has no word on whether TLS 1.2 used the extended master secret: only TLS 1.3 is unique for certain.
  if (handshake.version == Version::tls13 &&
      wolfSSL_export_keying_material(ssl.get(), reinterpret_cast<unsigned char*>(binding.data()), binding.size(),
                                     kChannelBindingLabel.data(), kChannelBindingLabel.size(), nullptr, 0, 0) == WOLFSSL_SUCCESS)
    handshake.channel_binding = binding;
  wolfSSL_FreeArrays(ssl.get());
  barren_bytes = 0;
  done = true;
}

void Secure::release_output() {
  if (output >= 0) engine.buffers().release_buffer(output);
  output = -1;
  output_begin = output_end = 0;
}

}  // namespace ringpost::tls
