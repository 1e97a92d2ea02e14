#include "contradictions.hh"

#include <algorithm>
#include <bit>

#include "values.hh"

namespace ringpost::config {
namespace {

struct Checker {
  const OriginOf& origin_of;
  const IsSound& is_sound;
  Problems& problems;

  bool sound(std::initializer_list<std::string_view> keys) const { return std::ranges::all_of(keys, is_sound); }
  bool given(std::string_view key) const { return origin_of(key) != nullptr; }

  /// The problem stands where the first of `keys` that was given stands.
  void report(std::initializer_list<std::string_view> keys, std::string reason) {
    std::string key{*keys.begin()};
    const Origin* origin = nullptr;
    for (std::string_view candidate : keys) {
      if ((origin = origin_of(candidate)) != nullptr) {
        key = candidate;
        break;
      }
    }
    problems.push_back({.file = origin ? origin->file : "",
                        .line = origin ? origin->line : 0,
                        .key = key,
                        .nearest = key,
                        .reason = std::move(reason)});
  }

  /// `lower` must not exceed `upper`; a default `lower` that does is no contradiction but the smaller limit's business.
  template <typename Value>
  void at_most(std::string_view lower_key, Value lower, std::string_view upper_key, Value upper, bool defaults_too) {
    if (lower <= upper || !sound({lower_key, upper_key}) || !(defaults_too || given(lower_key))) return;
    std::string bound;
    if constexpr (std::is_same_v<Value, Duration>) {
      bound = duration_text(upper);
    } else {
      bound = std::to_string(upper);
    }
    report({lower_key, upper_key}, std::string{lower_key} + " must not exceed " + std::string{upper_key} + ", which is " + bound);
  }

  void power_of_two(std::string_view key, std::uint64_t value) {
    if (!std::has_single_bit(value) && sound({key})) report({key}, bytes_text(value) + " is no power of two");
  }

  void apart(std::string_view key, const std::string& path, std::string_view other_key, const std::string& other) {
    bool inside = path == other || path.starts_with(other + "/") || other.starts_with(path + "/");
    if (inside && sound({key, other_key}))
      report({key, other_key}, std::string{key} + " and " + std::string{other_key} + " must lie apart: different users own them");
  }

  void listeners(const std::vector<Listener>& all) {
    for (const Listener& listener : all) {
      std::string prefix = "listener." + listener.name + ".", address_key = prefix + "address";
      if (!sound({address_key})) continue;
      if (!listener.address) {
        report({address_key, prefix + "role", prefix + "bare_newline", prefix + "greeting_delay", prefix + "tls",
                prefix + "client_certificates", prefix + "proxy_protocol", prefix + "proxy_peers"},
               "listener " + listener.name + " has no address");
        continue;
      }
      const std::string protocol_key = prefix + "proxy_protocol", peers_key = prefix + "proxy_peers";
      if (listener.proxy_protocol == ProxyProtocol::required && listener.proxy_peers.empty() && sound({protocol_key, peers_key}))
        report({protocol_key}, "nobody could connect: " + peers_key + " is missing");
      auto same = [&](const Listener& other) { return other.address == listener.address; };
      auto first = std::ranges::find_if(all, same);
      if (first->name != listener.name && sound({"listener." + first->name + ".address"}))
        report({address_key}, listener.address.text() + " is already the address of listener " + first->name);
    }
  }

  /// A login without TLS is everybody's (RFC 8314 section 3).
  void submission(const std::vector<Listener>& all) {
    for (const Listener& listener : all) {
      const std::string role_key = "listener." + listener.name + ".role", tls_key = "listener." + listener.name + ".tls";
      if (!config::is_submission(listener.role) || !sound({role_key, tls_key})) continue;
      const bool implicit = listener.role == ListenerRole::submissions;
      if (implicit && listener.tls != ListenerTls::implicit)
        report({tls_key, role_key}, "role submissions is TLS from the first byte: set " + tls_key + " = implicit, or role = submission");
      if (!implicit && listener.tls == ListenerTls::none)
        report({tls_key, role_key}, "users authenticate under TLS only: set " + tls_key + " = required");
    }
  }

  /// Certificates that nobody is asked for, or that none could be good.
  void client_certificates(const Settings& s) {
    constexpr std::string_view kAuthorities = "tls.client_ca_file", kRelay = "relay.client_certificates", kRevoked = "tls.client_revocation_file";
    bool asked = false;
    for (const Listener& listener : s.listeners) {
      if (listener.client_certificates == ClientCertificates::none) continue;
      asked = true;
      const std::string key = "listener." + listener.name + ".client_certificates", tls_key = "listener." + listener.name + ".tls";
      if (!sound({key, tls_key, kAuthorities})) continue;
      if (listener.tls == ListenerTls::none) report({key}, "certificates are shown under TLS only: set " + tls_key);
      if (s.tls.client_ca_file.empty()) report({key}, "no client's certificate could be good: " + std::string{kAuthorities} + " is missing");
    }
    if (!asked && !s.relay.client_certificates.empty() && sound({kRelay}))
      report({kRelay}, "no listener asks for certificates: set listener.NAME.client_certificates");
    if (s.tls.client_ca_file.empty() && !s.tls.client_revocation_file.empty() && sound({kRevoked, kAuthorities}))
      report({kRevoked}, "there is nobody to revoke: " + std::string{kAuthorities} + " is missing");
  }

  /// Dovecot says whether a password is right, and nothing that would prove it without saying it.
  void dovecot(const Settings& s) {
    constexpr std::string_view kSocket = "auth.dovecot_socket", kScram = "auth.scram";
    if (!sound({kSocket, kScram}) || s.auth.dovecot_socket.empty()) return;
    if (s.auth.scram) report({kScram}, std::string{kScram} + " needs keys that Dovecot does not tell: leave it, or " + std::string{kSocket});
    if (s.auth.dovecot_socket.size() > SocketAddress::kPathMax)
      report({kSocket}, "the path is longer than the " + std::to_string(SocketAddress::kPathMax) + " octets a socket's name may have");
  }

  /// Tokens that nobody could check, or that others could make.
  void oauth(const Settings& s) {
    constexpr std::string_view kIssuer = "auth.oauth.issuer", kAudience = "auth.oauth.audience", kKeys = "auth.oauth.key_file",
                               kUrl = "auth.oauth.introspection_url", kClient = "auth.oauth.introspection_client_id",
                               kSecret = "auth.oauth.introspection_secret_file";
    const auto& oauth = s.auth.oauth;
    if (!sound({kIssuer, kAudience, kKeys, kUrl, kClient, kSecret})) return;
    for (const auto& [key, value] : {std::pair{kClient, &oauth.introspection_client_id}, std::pair{kSecret, &oauth.introspection_secret_file}}) {
      if (oauth.asks_issuer() && value->empty()) report({kUrl}, "who asks there? " + std::string{key} + " is missing");
      if (!oauth.asks_issuer() && !value->empty()) report({key}, "whom to ask? " + std::string{kUrl} + " is missing");
    }
    if (!oauth.is_set() && oauth.asks_issuer()) report({kUrl}, "whose tokens are they? " + std::string{kIssuer} + " is missing");
    if (!oauth.is_set() && !oauth.key_file.empty()) report({kKeys}, "whose keys are they? " + std::string{kIssuer} + " is missing");
    if (!oauth.is_set()) return;
    if (oauth.audience.empty()) report({kIssuer}, "tokens for whom? " + std::string{kAudience} + " is missing");
    if (oauth.key_file.empty() && !oauth.asks_issuer())
      report({kIssuer}, "nobody could check a token: " + std::string{kKeys} + " or " + std::string{kUrl} + " is missing");
  }

  /// Mail that could never go.
  void dane(const Settings& s) {
    if (s.dns.trust_ad != TrustAd::no) return;
    for (const DestinationLimits& each : s.destinations) {
      const std::string key = "destination." + each.domain + ".tls";
      if (each.tls == TlsPolicy::dane && sound({key, "dns.trust_ad"}))
        report({key}, "DANE rests on what resolvers prove, and by dns.trust_ad = no none of them is believed");
    }
  }

  void mta_sts(const Settings& s) {
    if (s.tls.mta_sts) return;
    for (const DestinationLimits& each : s.destinations) {
      const std::string key = "destination." + each.domain + ".tls";
      if (each.tls == TlsPolicy::mta_sts && sound({key, "tls.mta_sts"}))
        report({key}, "mail would wait for a policy that tls.mta_sts = no does not ask for");
    }
  }

  /// Who we are to next hops: whole, and for nobody else to hear.
  void hop_logins(const Settings& s) {
    for (const DestinationLimits& each : s.destinations) {
      const std::string prefix = "destination." + each.domain + ".", name = prefix + "auth.username", file = prefix + "auth.password_file",
                        tls = prefix + "tls", certificate = prefix + "tls_certificate";
      if (!sound({name, file, tls, certificate})) continue;
      if (each.login.username.empty() != each.login.password_file.empty())
        report({each.login.username.empty() ? file : name},
               "a login is a name and a password: " + (each.login.username.empty() ? name : file) + " is missing");
      else if (!each.login.username.empty() && !demands_tls(each.tls))
        report({name, tls}, "a password is not for everybody to hear: set " + tls + " = verify (or dane, or encrypt)");
      const auto& known = s.tls.certificates;
      if (!each.tls_certificate.empty() && std::ranges::find(known, each.tls_certificate, &CertificateFiles::name) == known.end())
        report({certificate}, "there is no tls.certificate." + each.tls_certificate + ".chain");
    }
  }

  void certificates(const Settings& s) {
    for (const CertificateFiles& each : s.tls.certificates) {
      const std::string prefix = "tls.certificate." + each.name + ".", chain = prefix + "chain", key = prefix + "key";
      if (!sound({chain, key})) continue;
      if (each.key.empty()) report({chain}, "certificate " + each.name + " has no key: " + key + " is missing");
      if (each.chain.empty()) report({key}, "certificate " + each.name + " has no chain: " + chain + " is missing");
    }
    if (!s.tls.certificates.empty()) return;
    for (const Listener& listener : s.listeners) {
      const std::string key = "listener." + listener.name + ".tls";
      if (listener.tls != ListenerTls::none && sound({key})) report({key}, "TLS needs a certificate, and there is no tls.certificate.NAME.chain");
    }
  }
};

}  // namespace

void find_contradictions(const Settings& s, const OriginOf& origin_of, const IsSound& is_sound, Problems& problems) {
  Checker check{origin_of, is_sound, problems};
  check.listeners(s.listeners);
  check.submission(s.listeners);
  check.certificates(s);
  check.client_certificates(s);
  check.oauth(s);
  check.dovecot(s);
  check.dane(s);
  check.mta_sts(s);
  check.hop_logins(s);
  check.at_most("retry.first", s.retry.first, "retry.max", s.retry.max, true);
  check.at_most("retry.max", s.retry.max, "queue.lifetime", s.queue.lifetime, false);
  check.at_most("callout.positive_ttl", s.callout.positive_ttl, "callout.stale_ttl", s.callout.stale_ttl, false);
  check.at_most("limits.connections_per_client", s.limits.connections_per_client, "limits.connections_per_prefix",
                s.limits.connections_per_prefix, false);
  check.at_most("limits.connections_per_client", s.limits.connections_per_client, "limits.connections_max",
                s.limits.connections_max, false);
  check.at_most("limits.connections_per_prefix", s.limits.connections_per_prefix, "limits.connections_max",
                s.limits.connections_max, false);
  check.at_most("memory.receive_buffer_bytes", s.memory.receive_buffer_bytes, "memory.receive_bytes", s.memory.receive_bytes,
                true);
  check.power_of_two("memory.receive_buffer_bytes", s.memory.receive_buffer_bytes);
  check.apart("keys.directory", s.keys.directory, "spool.directory", s.spool.directory);
  check.apart("audit.directory", s.audit.directory, "spool.directory", s.spool.directory);
  check.apart("audit.directory", s.audit.directory, "keys.directory", s.keys.directory);
  if (s.control.socket.size() > SocketAddress::kPathMax && check.sound({"control.socket"}))
    check.report({"control.socket"},
                 "the path is longer than the " + std::to_string(SocketAddress::kPathMax) + " octets a socket's name may have");
  if (s.audit.when_unavailable == WhenUnavailable::buffer && s.audit.buffer_bytes_max == 0 &&
      check.sound({"audit.when_unavailable", "audit.buffer_bytes_max"}))
    check.report({"audit.buffer_bytes_max", "audit.when_unavailable"},
                 "audit.when_unavailable = buffer needs an audit.buffer_bytes_max above 0");
}

}  // namespace ringpost::config
