// A hop with a certificate, for the tests of TLS towards next hops.
#pragma once

#include <algorithm>

#include "../tls/certificates.hh"
#include "support.hh"

namespace ringpost::deliver::testing {

using config::TlsPolicy;
using tls::testing::files;
using tls::testing::made_of;

inline const std::string kOffer = "250-hop.test\r\n250-STARTTLS\r\n250-PIPELINING\r\n250 SIZE 1000000\r\n";
inline constexpr std::array<std::byte, 32> kSecret{std::byte{1}};

/// A hop with a certificate, and a client that knows whom to trust. The hop's engine runs on the bench's ring: it says the same time.
class Secured {
 public:
  explicit Secured(TlsPolicy policy, std::string host = "mx.test", const tls::Certificate& certificate = mx())
      : Secured(policy, std::move(host), certificate, {}) {}
  /// DNS was asked about the host, and proves that.
  Secured(TlsPolicy policy, HostProof proof, const tls::Certificate& certificate = mx()) : Secured(policy, "mx.test", certificate, {std::move(proof)}) {}
  /// We have a login there, and it offers these mechanisms under TLS.
  Secured(TlsPolicy policy, config::HopLogin login, const std::string& mechanisms) : Secured(policy, "mx.test", mx(), {}, std::move(login)) {
    hop().script.ehlo = "250-hop.test\r\n250-STARTTLS\r\n" + (mechanisms.empty() ? "" : "250-AUTH " + mechanisms + "\r\n") + "250 SIZE 1000000\r\n";
  }
  ~Secured() {
    bench_->stop(minutes{1});
    bench_->hop.reset();
    EXPECT_EQ(engine_->buffers().lent(), 0u);
    bench_->deliverer.secure_with(nullptr);
    server_.reset();
    engine_.reset();
    bench_.reset();
  }
  static const tls::Certificate& mx() {
    static const tls::Certificate made = made_of("mx", files().mx_chain, files().mx_key);
    return made;
  }
  static const tls::Certificate& alone() {
    static const tls::Certificate made = made_of("alone", files().alone, files().alone_key);
    return made;
  }
  static const tls::Certificate& other() {
    static const tls::Certificate made = made_of("other", files().other_chain, files().other_key);
    return made;
  }
  static const tls::Certificate& stranger() {
    static const tls::Certificate made = made_of("stranger", files().stranger_chain, files().stranger_key);
    return made;
  }

  Bench& bench() { return *bench_; }
  Hop& hop() { return *bench_->hop; }
  /// What became of one message: "+ clear", "+ tls", "~ tls_failed"...
  std::string outcome(smtp::TlsWish wish = smtp::TlsWish::none) {
    const int secured_before = hop().secured;
    const Attempt& attempt = bench_->deliver({.tls_wish = wish});
    const RecipientResult& result = attempt.results.at(0);
    if (result.verdict == Verdict::delivered) return hop().secured > secured_before ? "+ tls" : "+ clear";
    return (result.verdict == Verdict::deferred ? "~ " : "x ") + std::string{event::name_of(result.reason)};
  }
  /// How the last attempt's connection was secured.
  event::TlsResult last_tls() {
    const Attempt& last = bench_->attempts.back().back();
    EXPECT_TRUE(last.tls);
    return last.tls.value_or(event::TlsResult{});
  }
  bool told_anything() const {
    return std::ranges::any_of(bench_->hop->lines, [](const std::string& line) { return line.starts_with("MAIL") || line.starts_with("RCPT"); });
  }

 private:
  Secured(TlsPolicy policy, std::string host, const tls::Certificate& certificate, Proofs proofs, config::HopLogin login = {}) {
    world_clock_.set(tls::testing::today() + minutes{1});
    auto store = tls::TrustStore::read(as_bytes(files().root), world_clock_);
    trust_ = std::move(*store);
    config::Settings settings = small_settings();
    settings.route.fallback = {.kind = config::Route::Kind::smtp, .host = host, .port = 25, .address = kHop};
    if (!proofs.empty()) settings.route.fallback.address = {};
    settings.destinations = {{.domain = host, .tls = policy, .login = std::move(login)}};
    bench_ = std::make_unique<Bench>(Script{.ehlo = kOffer}, settings);
    for (HostProof& proof : proofs) proof.addresses = {kHop};
    if (!proofs.empty()) bench_->hosts.hosts[host] = Hosts{.names = {host}, .addresses = {kHop}, .proofs = proofs};
    engine_ = std::make_unique<tls::Engine>(bench_->ring);
    bench_->deliverer.secure_with(std::make_shared<tls::ClientContext>(*engine_, tls::Version::tls12, &trust_));
    bench_->world.jump_wall(tls::testing::today() + minutes{1} - bench_->world.wall_now());
    server_ = std::make_unique<tls::ServerContext>(*engine_, tls::ServerOptions{.hostname = "mx.test", .tickets = {kSecret, bench_->ring.now()}});
    EXPECT_TRUE(server_->use(std::array{&certificate}));
    bench_->hop->script.tls = server_.get();
  }

  tls::testing::FixedWorld world_clock_{WallTime{}};
  tls::TrustStore trust_;
  std::unique_ptr<tls::Engine> engine_;
  std::unique_ptr<tls::ServerContext> server_;
  std::unique_ptr<Bench> bench_;
};

}  // namespace ringpost::deliver::testing
