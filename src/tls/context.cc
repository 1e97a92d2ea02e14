#include "ringpost/tls/context.hh"

#include <algorithm>
#include <utility>

#include "ringpost/runtime/crash.hh"
#include "tls/client_hello.hh"
#include "tls/secure.hh"

namespace ringpost::tls {

namespace {

// RFC 9325 section 4.2: forward secrecy and AEAD, nothing else. In this order.
constexpr const char* kSuites =
    "TLS13-AES128-GCM-SHA256:TLS13-AES256-GCM-SHA384:TLS13-CHACHA20-POLY1305-SHA256:"
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
int groups[] = {WOLFSSL_ECC_X25519, WOLFSSL_ECC_SECP256R1, WOLFSSL_ECC_SECP384R1};  // wolfSSL does not write to it

/// What both sides have in common.
ContextPtr make_context(WOLFSSL_METHOD* method, Version minimum, Version maximum = Version::tls13) {
  ContextPtr context{wolfSSL_CTX_new(method)};
  RP_ASSERT(context);
  const int least = minimum == Version::tls13 ? WOLFSSL_TLSV1_3 : WOLFSSL_TLSV1_2;
  RP_ASSERT(wolfSSL_CTX_SetMinVersion(context.get(), least) == WOLFSSL_SUCCESS);
  RP_ASSERT(wolfSSL_CTX_set_cipher_list(context.get(), kSuites) == WOLFSSL_SUCCESS);
  if (maximum == Version::tls13) {
    RP_ASSERT(wolfSSL_CTX_set_groups(context.get(), groups, std::size(groups)) == WOLFSSL_SUCCESS);
  } else {
    for (int group : groups)
      RP_ASSERT(wolfSSL_CTX_UseSupportedCurve(context.get(), static_cast<word16>(group)) == WOLFSSL_SUCCESS);
  }
  wolfSSL_CTX_SetIORecv(context.get(), &Secure::receive);
  wolfSSL_CTX_SetIOSend(context.get(), &Secure::send);
  return context;
}

}  // namespace

std::string_view version_name(Version version) { return version == Version::tls13 ? "TLSv1.3" : "TLSv1.2"; }

// ---- BufferPool

std::int32_t BufferPool::take() {
  ++lent_;
  std::vector<std::int32_t>& from = idle_.empty() ? vacant_ : idle_;
  std::int32_t number;
  if (from.empty()) {
    number = static_cast<std::int32_t>(blocks_.size());
    blocks_.emplace_back();
  } else {
    number = from.back();
    from.pop_back();
  }
  auto& block = blocks_[static_cast<std::size_t>(number)];
  if (!block) block = std::make_unique_for_overwrite<std::byte[]>(kBlockBytes);
  return number;
}

void BufferPool::release_buffer(std::int32_t number) {
  --lent_;
  if (idle_.size() < kIdleMax) return idle_.push_back(number);
  blocks_[static_cast<std::size_t>(number)].reset();
  vacant_.push_back(number);
}

// ---- HandshakeGate

HandshakeGate::~HandshakeGate() { RP_ASSERT(waiting_.empty() || runtime::crashing()); }

bool HandshakeGate::enter() {
  if (const Instant now = ring_.now(); now != turn_) {
    turn_ = now;
    steps_ = 0;
  }
  if (!waiting_.empty() || steps_ >= kStepsPerTurn) return false;
  ++steps_;
  return true;
}

void HandshakeGate::queue(std::coroutine_handle<> frame) {
  if (waiting_.empty()) ring_.arm(timer_, ring_.now() + Duration{1});
  waiting_.push_back(frame);
}

void HandshakeGate::on_turn(runtime::Timer& timer) {
  HandshakeGate& self = *static_cast<Turn&>(timer).owner;
  self.turn_ = self.ring_.now();
  for (self.steps_ = 0; self.steps_ < kStepsPerTurn && !self.waiting_.empty(); ++self.steps_) {
    const auto frame = self.waiting_.front();
    self.waiting_.pop_front();
    self.ring_.post(frame);
  }
  if (!self.waiting_.empty()) self.ring_.arm(self.timer_, self.ring_.now() + Duration{1});
}

// ---- ServerContext

struct ServerContext::Identity {
  std::string name;
  std::vector<std::string> hosts;
  KeyKind kind;
  ContextPtr context;
};

ServerContext::ServerContext(Engine& engine, const ServerOptions& options)
    : engine_(engine),
      client_certificates_(options.client_certificates),
      hostname_(options.hostname),
      tickets_(options.tickets, options.role, options.ticket_period),
      ticket_life_(std::chrono::duration_cast<std::chrono::seconds>(2 * options.ticket_period)) {
  start_library();
}

ServerContext::~ServerContext() = default;

std::expected<void, std::string> ServerContext::use(std::span<const Certificate* const> certificates, Version minimum,
                                                    std::shared_ptr<const TrustStore> clients) {
  const crypto::LibraryCalls calls{engine_};
  std::vector<std::unique_ptr<Identity>> identities;
  for (const Certificate* certificate : certificates) {
    ContextPtr context = make_context(wolfSSLv23_server_method(), minimum);
    auto raw = [](std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); };
    const std::string& chain = certificate->chain;
    const std::string_view key = certificate->key.text();
    if (wolfSSL_CTX_use_certificate_chain_buffer(context.get(), raw(chain), static_cast<long>(chain.size())) != WOLFSSL_SUCCESS ||
        wolfSSL_CTX_use_PrivateKey_buffer(context.get(), raw(key), static_cast<long>(key.size()), WOLFSSL_FILETYPE_PEM) !=
            WOLFSSL_SUCCESS)
      return std::unexpected("the certificate " + certificate->name + " cannot be used");
    (void)wolfSSL_CTX_set_session_cache_mode(context.get(),
                                             WOLFSSL_SESS_CACHE_OFF);  // tickets only: nothing is kept of a session
    RP_ASSERT(wolfSSL_CTX_set_TicketEncCb(context.get(), &Secure::on_ticket) == WOLFSSL_SUCCESS);
    const auto life = static_cast<int>(ticket_life_.count());
    RP_ASSERT(wolfSSL_CTX_set_TicketHint(context.get(), life) == WOLFSSL_SUCCESS);
    (void)wolfSSL_CTX_set_timeout(context.get(), static_cast<unsigned>(life));
    if (client_certificates_ != ClientCertificates::none) {
      const bool required = client_certificates_ == ClientCertificates::required;
      wolfSSL_CTX_set_verify(context.get(), WOLFSSL_VERIFY_PEER | (required ? WOLFSSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                             &Secure::on_peer_certificate);
      RP_ASSERT(wolfSSL_CTX_NoTicketTLSv12(context.get()) == WOLFSSL_SUCCESS && wolfSSL_CTX_no_ticket_TLSv13(context.get()) == 0);
    }
    identities.push_back(
        std::make_unique<Identity>(Identity{certificate->name, certificate->hosts, certificate->kind, std::move(context)}));
  }
  identities_ = std::move(identities);
  clients_ = std::move(clients);
  return {};
}

// By the name asked for, else by our own; among those of a name the one whose signature the client can verify, ECDSA first.
const ServerContext::Identity& ServerContext::choose(std::string_view server_name, bool ecdsa, bool rsa) const {
  auto rank = [&](const Identity& identity) {
    if (identity.kind == KeyKind::ecdsa) return ecdsa ? 2 : 0;
    return rsa ? 1 : 0;
  };
  const Identity* best = nullptr;
  for (std::string_view name : {server_name, std::string_view{hostname_}}) {
    for (const auto& identity : identities_) {
      const bool fits = std::ranges::any_of(identity->hosts, [&](const std::string& host) { return stands_for(host, name); });
      if (fits && (!best || rank(*identity) > rank(*best))) best = identity.get();
    }
    if (best) return *best;
  }
  for (const auto& identity : identities_)
    if (!best || rank(*identity) > rank(*best)) best = identity.get();
  return *best;
}

Result<> ServerContext::prepare(Secure& secure, const ClientHello& hello) {
  const Identity& identity = choose(hello.server_name, hello.ecdsa, hello.rsa);
  secure.purpose = identity.name;
  Result<> begun = secure.begin(identity.context.get());
  if (!begun) return begun;
  const crypto::LibraryCalls calls{engine_};
  wolfSSL_SetCertCbCtx(secure.ssl.get(), &secure);
  secure.trust = clients_.get();
  secure.clients = clients_;
  return begun;
}

void ServerContext::forget_authorities(WOLFSSL* ssl) const {
  if (client_certificates_ == ClientCertificates::none) return;
  RP_ASSERT(wolfSSL_CTX_UnloadCAs(wolfSSL_get_SSL_CTX(ssl)) == WOLFSSL_SUCCESS);
}

// ---- ClientContext and ClientSession

ClientContext::ClientContext(Engine& engine, Version minimum, const TrustStore* trust, Version maximum)
    : engine_(engine), trust_(trust) {
  start_library();
  const crypto::LibraryCalls calls{engine_};
  context_ = make_context(maximum == Version::tls13 ? wolfSSLv23_client_method() : wolfTLSv1_2_client_method(), minimum, maximum)
                 .release();
  wolfSSL_CTX_set_verify(context_, WOLFSSL_VERIFY_NONE, &Secure::on_peer_certificate);
  // A client's sessions pass through wolfSSL's own small cache, or it would not hand them out; only ClientSession keeps them.
  (void)wolfSSL_CTX_UseSessionTicket(context_);
}

ClientContext::~ClientContext() { wolfSSL_CTX_free(context_); }

Result<> ClientContext::prepare(Secure& secure, const ClientOptions& options) {
  secure.trust = trust_;
  Result<> begun = secure.begin(context_);
  if (!begun) return begun;
  WOLFSSL* ssl = secure.ssl.get();
  const crypto::LibraryCalls calls{engine_};
  wolfSSL_SetCertCbCtx(ssl, &secure);
  if (!options.server_name.empty() && wolfSSL_UseSNI(ssl, WOLFSSL_SNI_HOST_NAME, options.server_name.data(),
                                                     static_cast<unsigned short>(options.server_name.size())) != WOLFSSL_SUCCESS)
    return std::unexpected(Error{Errc::invalid});
  if (options.certificate) {
    const auto raw = [](std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); };
    const std::string_view chain = options.certificate->chain, key = options.certificate->key.text();
    if (wolfSSL_use_certificate_chain_buffer(ssl, raw(chain), static_cast<long>(chain.size())) != WOLFSSL_SUCCESS ||
        wolfSSL_use_PrivateKey_buffer(ssl, raw(key), static_cast<long>(key.size()), WOLFSSL_FILETYPE_PEM) != WOLFSSL_SUCCESS)
      return std::unexpected(Error{Errc::invalid});
  }
  // An old session whose peer was not good enough for this time is of no use: a resumed one shows no certificate again.
  if (options.session && *options.session && (!options.must_be_ok || options.session->verdict_ == PeerVerdict::ok))
    (void)wolfSSL_set_session(ssl, options.session->session_);
  return {};
}

ClientSession::ClientSession(WOLFSSL_SESSION* session, PeerVerdict verdict, std::vector<std::byte> certificate)
    : session_(session), verdict_(verdict), certificate_(std::move(certificate)) {}
ClientSession::ClientSession(ClientSession&& other) noexcept
    : session_(std::exchange(other.session_, nullptr)), verdict_(other.verdict_), certificate_(std::move(other.certificate_)) {}
ClientSession& ClientSession::operator=(ClientSession&& other) noexcept {
  std::swap(session_, other.session_);
  std::swap(verdict_, other.verdict_);
  certificate_.swap(other.certificate_);
  return *this;
}
ClientSession::~ClientSession() {
  if (session_) wolfSSL_SESSION_free(session_);
}

}  // namespace ringpost::tls
