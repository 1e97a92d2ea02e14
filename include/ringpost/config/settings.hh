// Every setting as a plain typed field. Which key fills which field, its default, range and help stand once, in
// the *_keys.cc of src/config; docs/configuration.md is generated from there.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ringpost/base/log.hh"
#include "ringpost/base/secret.hh"
#include "ringpost/base/socket_address.hh"
#include "ringpost/base/units.hh"
#include "ringpost/config/recipient_list.hh"

namespace ringpost::tls {
struct Certificate;
class TrustStore;
}

namespace ringpost::config {

inline constexpr std::string_view kHttps = "https://";  ///< what every URL begins with

/// What a listener is for: mail from our own hosts to anywhere, mail from anywhere to our own domains, or mail of users who say who
/// they are (RFC 6409), after STARTTLS or under TLS from the first byte (RFC 8314).
enum class ListenerRole : std::uint8_t { relay, mx, submission, submissions };
constexpr bool is_submission(ListenerRole role) { return role == ListenerRole::submission || role == ListenerRole::submissions; }
/// What happens to mail whose lines end in a bare LF or CR.
enum class BareNewline : std::uint8_t { refuse, repair };
/// TLS on a listener: never, for who asks for it (STARTTLS), for everybody who has mail, or before the first word.
enum class ListenerTls : std::uint8_t { none, offered, required, implicit };
/// Whether clients are asked for a certificate under TLS, and must have one.
enum class ClientCertificates : std::uint8_t { none, optional, required };
/// Who says where a connection comes from: its socket, or the proxy that passes it on, in the PROXY protocol.
enum class ProxyProtocol : std::uint8_t { no, required };
/// The oldest version that is spoken.
enum class TlsMinimum : std::uint8_t { tls12, tls13 };
/// What happens to new mail while auditd is away.
enum class WhenUnavailable : std::uint8_t { defer, buffer };
/// What a RCPT is answered when the next hop cannot say whether its recipient exists.
enum class WhenUnsure : std::uint8_t { defer, accept };
struct Listener {
  std::string name;
  SocketAddress address;
  ListenerRole role = ListenerRole::relay;
  BareNewline bare_newline = BareNewline::refuse;
  Duration greeting_delay{};  ///< who talks within it, before our banner, is refused
  ListenerTls tls = ListenerTls::none;
  ClientCertificates client_certificates = ClientCertificates::none;
  ProxyProtocol proxy_protocol = ProxyProtocol::no;
  std::vector<Network> proxy_peers;  ///< who may speak it; others are closed
  friend bool operator==(const Listener&, const Listener&) = default;
};

/// Where mail goes.
struct Route {
  enum class Kind : std::uint8_t {
    hold,    ///< nowhere yet: it stays in the spool, untried
    smtp,    ///< a next hop
    lmtp,    ///< a next hop that answers for each recipient (RFC 2033)
    mx,      ///< the mail hosts of each recipient's domain
    reject,  ///< nowhere ever: refused at RCPT, and what waits fails
  };
  Kind kind = Kind::hold;
  std::string host;        ///< smtp, lmtp: as written
  std::uint16_t port = 0;
  SocketAddress address;   ///< set when `host` is an IP address, a socket's path or known to this machine; else DNS is asked for it
  std::string text;        ///< reject: what the client is told
  bool is_hold() const { return kind == Kind::hold; }
  bool is_next_hop() const { return kind == Kind::smtp || kind == Kind::lmtp; }
  /// Its way needs an answer of DNS.
  bool asks_dns() const { return kind == Kind::mx || (is_next_hop() && !address); }
  friend bool operator==(const Route&, const Route&) = default;
};

// Keys that name a domain: `domain` is lower case, and "*.example.org" stands for every domain below example.org.

/// route.DOMAIN
struct DomainRoute {
  std::string domain;
  Route route;
};

/// recipients.DOMAIN: who exists there.
struct RecipientRule {
  enum class Kind : std::uint8_t {
    any,      ///< the next hop knows
    file,     ///< only those in the list
    callout,  ///< those that the next hop takes when it is asked before the client has its answer
  };
  struct Value {
    Kind kind = Kind::any;
    std::string path;  ///< file
  };
  std::string domain;
  Value value;
  /// file: what stood in it when these settings were made. The program reads it; never null in settings that are in force.
  std::shared_ptr<const RecipientList> list;
};

/// tls.certificate.NAME.*: one of our certificates.
struct CertificateFiles {
  std::string name;
  std::string chain;  ///< PEM files
  std::string key;
  /// What stood in them when these settings were made. The program reads it; never null in settings that are in force.
  std::shared_ptr<const tls::Certificate> loaded;
};

/// So many messages in so much time.
struct Rate {
  std::uint64_t messages = 0;  ///< 0: as fast as it goes
  Duration per{};
  friend bool operator==(const Rate&, const Rate&) = default;
};

/// What decides how many shards new connections go to.
enum class ConnectionSpread : std::uint8_t {
  load,  ///< as few as the load needs
  even,  ///< all of them, each its part
};

/// Whose word counts for "DNSSEC proves it" (the AD bit).
enum class TrustAd : std::uint8_t {
  local,  ///< resolvers at a loopback address: nobody can change their answers on the way
  yes,
  no,
};

/// How connections to a next hop are secured.
enum class TlsPolicy : std::uint8_t {
  automatic,      ///< as well as it can be without losing mail: dane where DNS has proven TLSA records, else as the domain's MTA-STS policy
                  ///< says, else opportunistic
  none,           ///< in clear, though TLS is offered
  opportunistic,  ///< where it is offered, whoever it is; in clear where it is not, or does not work
  encrypt,        ///< always, whoever it is
  verify,         ///< always, and with a certificate that the trust store and the name agree with
  dane,           ///< always, and with a certificate that proven TLSA records agree with
  mta_sts,        ///< always, as the domain's MTA-STS policy says, also where it only tests; or dane, where DNS has proven TLSA records
};
/// No mail goes in clear under it, whatever that costs.
constexpr bool demands_tls(TlsPolicy policy) {
  return policy == TlsPolicy::encrypt || policy == TlsPolicy::verify || policy == TlsPolicy::dane || policy == TlsPolicy::mta_sts;
}

/// destination.DOMAIN.auth.*: who we are to a next hop.
struct HopLogin {
  std::string username;       ///< empty: nobody in particular
  std::string password_file;  ///< empty, as above
  /// What stood in it when these settings were made. The program reads it; never null in settings that are in force, where there is a login.
  std::shared_ptr<const SecretBytes> password;
};

/// destination.DOMAIN.*: limits for the mail hosts of that name. Zero: the general setting counts.
struct DestinationLimits {
  std::string domain;
  TlsPolicy tls = TlsPolicy::automatic;  ///< for this domain's mail where its route is mx, else for the next hop of this name
  std::uint64_t connections_max = 0;
  std::uint64_t messages_per_connection = 0;
  Rate rate;
  HopLogin login;               ///< of whom `tls` is of, as is:
  std::string tls_certificate;  ///< one of tls.certificate, shown where it is asked for; empty: none
  bool shows_who_we_are() const { return !login.username.empty() || !tls_certificate.empty(); }
};

/// Immutable once a Configuration holds it: the hot path reads these fields directly. A default-constructed one is all
/// zeros; `Configuration::defaults` has the real defaults.
struct Settings {
  std::uint64_t shards = 0;         ///< 0: one for each core of the affinity mask
  ConnectionSpread spread = ConnectionSpread::load;
  std::string hostname;             ///< never empty in a Configuration
  std::vector<Listener> listeners;  ///< sorted by name; may be empty (the server then only delivers)

  struct Relay {
    std::vector<Network> clients;
    std::vector<std::string> client_certificates;  ///< hosts, in lower case, sorted; may hold "*.example.org"
    std::vector<std::string> domains;  ///< ours: lower case, sorted; may hold "*.example.org"
  } relay;

  std::vector<RecipientRule> recipients;  ///< sorted by domain

  struct Callout {
    Duration timeout{};
    Duration positive_ttl{};
    Duration negative_ttl{};
    Duration stale_ttl{};
    std::uint64_t connections_max = 0;  ///< to one next hop, of each shard
    WhenUnsure when_unsure = WhenUnsure::defer;
  } callout;

  struct Routes {
    Route fallback;                    ///< route.default
    std::vector<DomainRoute> domains;  ///< sorted by domain
  } route;

  struct Dns {
    std::vector<SocketAddress> servers;    ///< empty: those of /etc/resolv.conf, which the program fills in
    TrustAd trust_ad = TrustAd::local;
    bool allow_private = false;            ///< mail hosts at loopback and private addresses count
    Duration timeout{};                    ///< for one question, all attempts together
    std::uint64_t cache_entries = 0;       ///< each shard
    std::vector<IpAddress> own_addresses;  ///< no key: where this machine takes mail; the program fills it in
  } dns;

  struct Tls {
    std::vector<CertificateFiles> certificates;  ///< sorted by name
    TlsMinimum minimum = TlsMinimum::tls12;
    std::string trust_file;
    std::string revocation_file;  ///< empty: none is revoked
    bool mta_sts = false;  ///< policies that domains publish are asked for
    /// What stood in it when these settings were made. The program reads it; null where it cannot be had: then nobody is verified.
    std::shared_ptr<const tls::TrustStore> trust;
    std::string client_ca_file;   ///< empty: no client's certificate is good
    std::string client_revocation_file;  ///< empty: none is revoked
    /// What stood in both when these settings were made. The program reads it; null: nobody's is good.
    std::shared_ptr<const tls::TrustStore> clients;
  } tls;

  struct TlsReport {
    std::string contact;       ///< empty: nothing is counted, and nobody gets a report
    std::string organization;  ///< empty: the host name
  } tls_report;

  struct Auth {
    std::string password_file;
    bool scram = false;
    std::string dovecot_socket;  ///< empty: passwords are those of password_file
    std::uint64_t failures_max = 0;  ///< within failures_window, of one prefix or for one login
    Duration failures_window{};
    Rate failures_rate;             ///< of passwords that were wrong, before strangers are put off
    Duration failure_delay{};        ///< before the first refusal is said; twice as long each time, up to 16 times
    Duration ban{};
    std::vector<Network> never_ban;
    struct Oauth {
      std::string issuer;    ///< empty: no tokens
      std::string audience;  ///< likewise required of a token
      std::string scope;     ///< empty: any
      std::string login_claim;
      std::string key_file;                   ///< may be empty, if introspection_url is not
      std::string introspection_url;          ///< https; empty: nobody is asked
      std::string introspection_client_id;    ///< not empty where the URL is not
      std::string introspection_secret_file;  ///< likewise
      /// Tokens are taken at all.
      bool is_set() const { return !issuer.empty(); }
      bool asks_issuer() const { return !introspection_url.empty(); }
      std::string_view introspection_host() const {
        const std::string_view rest = std::string_view{introspection_url}.substr(kHttps.size());
        return rest.substr(0, rest.find_first_of(":/?"));
      }
    } oauth;
  } auth;

  struct Submission {
    std::uint64_t recipients_per_hour = 0;  ///< of one login; 0: no limit
    std::uint64_t recipients_per_day = 0;
    bool hide_client = false;
    Duration future_release_max{};  ///< zero: FUTURERELEASE is not offered
    Duration deliver_by_min{};      ///< the least that DELIVERBY takes in mode R
    std::uint64_t priority_max = 0; ///< the greatest MT-PRIORITY a login gets
  } submission;

  struct Retry {
    Duration first{};
    Duration max{};
  } retry;

  struct Queue {
    Duration lifetime{};
    Duration delay_warning{};  ///< zero: never
  } queue;

  struct Dsn {
    std::uint64_t returned_bytes_max = 0;  ///< of the message that is reported
  } dsn;

  struct Deliver {
    std::uint64_t connections_max = 0;    ///< to one destination, all shards together
    std::uint64_t connections_total = 0;  ///< to all destinations, all shards together
    std::uint64_t messages_per_connection = 0;
    std::uint64_t bytes_per_s_min = 0;  ///< 0: no limit
    struct Timeout {                    // RFC 5321 section 4.5.3.2
      Duration connect{};
      Duration greeting{};
      Duration command{};  ///< EHLO, RSET, QUIT
      Duration mail{};
      Duration rcpt{};
      Duration data_start{};   ///< DATA until the 354
      Duration data_block{};   ///< each write of the message
      Duration data_done{};    ///< the final dot until the reply
      Duration transaction{};  ///< a whole delivery attempt, whatever happens in between
      Duration idle{};         ///< how long a reusable connection waits for the next message
    } timeout;
  } deliver;

  std::vector<DestinationLimits> destinations;  ///< sorted by domain

  struct Spool {
    std::string directory;
    bool direct = false;              ///< O_DIRECT required
    std::uint64_t segment_bytes = 0;  ///< 0: from the disk's size
    std::uint64_t reserve_bytes = 0;  ///< kept for outcomes and cleaning
    std::uint64_t low_space_percent = 0;
  } spool;

  struct Keys {
    std::string directory;
    std::string kek_file;  ///< never empty in a Configuration
    bool allow_same_filesystem = false;
  } keys;

  struct Audit {
    std::string directory;
    WhenUnavailable when_unavailable = WhenUnavailable::defer;
    std::uint64_t buffer_bytes_max = 0;
    Duration buffer_age_max{};
  } audit;

  struct Control {
    std::string socket;
  } control;

  struct Smtp {
    std::uint64_t message_bytes_max = 0;
    std::uint64_t recipients_max = 0;
    std::uint64_t line_bytes_max = 0;  ///< of content, without CRLF; 0: no limit but the message's
    std::uint64_t hops_max = 0;
    std::uint64_t commands_without_mail_max = 0;
    std::uint64_t errors_max = 0;
    std::uint64_t bytes_per_s_min = 0;  ///< 0: no limit
    Duration session_max{};
    std::vector<Network> xclient_peers;   ///< who may say for which client it speaks
    std::vector<Network> xforward_peers;  ///< who may say whose message it passes on
    struct Timeout {
      Duration greeting{};  ///< banner until the client's first command
      Duration command{};
      Duration data{};     ///< each block of DATA or BDAT
      Duration message{};  ///< MAIL until the message ends
      Duration reply{};    ///< until the client has read what we sent
    } timeout;
  } smtp;

  struct Limits {
    std::uint64_t connections_max = 0;
    std::uint64_t connections_per_client = 0;
    std::uint64_t connections_per_prefix = 0;  ///< IpAddress::prefix(): /24 or /64
  } limits;

  struct Memory {
    std::uint64_t staging_bytes = 0;         ///< each shard
    std::uint64_t queue_messages = 0;        ///< each shard
    std::uint64_t receive_bytes = 0;         ///< each shard, all receive buffers together
    std::uint64_t receive_buffer_bytes = 0;  ///< one receive buffer; a power of two
    bool allow_swap = false;
  } memory;

  struct Security {
    bool require_separation = false;
  } security;

  struct Crypto {
    bool require_hardware_aes = false;
  } crypto;

  struct Log {
    LogLevel level = LogLevel::info;
    LogStyle format = LogStyle::automatic;
  } log;
};

}  // namespace ringpost::config
