// The audit event: what happened to a message, a key or a process, in numbers, ids, hosts and keyed hashes. There is no
// field that could hold an address, a domain of an envelope, a subject, content, a reply's text or a credential. The only
// words are an operator's own: what was changed of the configuration.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "ringpost/base/bytes.hh"
#include "ringpost/base/id.hh"
#include "ringpost/base/log.hh"
#include "ringpost/base/socket_address.hh"
#include "ringpost/base/units.hh"

namespace ringpost::event {

/// What happened. Numbers are part of the format: never reused, never renumbered.
enum class Kind : std::uint8_t {
  message_accepted = 1,     ///< durable, 250 follows
  message_refused = 2,      ///< 4xx or 5xx, nothing kept
  recipient_delivered = 3,  ///< the next hop answered 2xx
  recipient_deferred = 4,   ///< kept, to be tried again
  recipient_failed = 5,     ///< given up
  key_created = 6,          ///< a key of the key tree was made
  key_leased = 7,           ///< keyd lent a scope key to ringpostd
  kek_created = 8,          ///< an empty store got its first key-encryption key
  process_started = 9,
  process_stopped = 10,
  config_changed = 11,       ///< one event for each setting that changed while running
  separation_none = 12,      ///< all processes run as one user
  audit_gap = 13,            ///< auditd missed events of a source, or saw it step back
  refusals_suppressed = 14,  ///< observational events dropped by sampling, counted
  key_budget_exceeded = 15,  ///< ringpostd asked keyd for more than a minute allows: an alarm
  report_sent = 16,          ///< a report about recipients of a message was put into the queue, for its sender
  message_held = 17,         ///< an operator wants no attempt until it is released
  message_released = 18,     ///< an operator let go of a message that was held or set aside
  message_retried = 19,      ///< an operator had it tried before its time
  message_bounced = 20,      ///< an operator gave up recipients of it; senders are told
  message_deleted = 21,      ///< an operator gave up recipients of it; nobody is told
  message_redirected = 22,   ///< an operator had it go to another address, as a message of its own
  message_over_budget = 23,  ///< its login has sent to more recipients than it may: kept, and held for an operator: an alarm
  login_refused = 24,        ///< somebody could not prove to be who they said
};
inline constexpr std::size_t kKindCount = 24;

/// Mandatory events may defer mail when they cannot be recorded; observational ones may be sampled.
enum class Class : std::uint8_t { mandatory, observational };

enum class Process : std::uint8_t { ringpostd = 1, keyd = 2, auditd = 3, helperd = 4 };

/// Why a message was refused or a recipient deferred or failed.
enum class Reason : std::uint16_t {
  none = 0,
  policy = 1,  ///< relaying denied, or another rule of ours
  syntax = 2,  ///< command, address or line ends
  too_large = 3,
  too_many_hops = 4,
  too_many_recipients = 5,
  no_space = 6,
  storage_failed = 7,  ///< a write or sync failed
  keys_unavailable = 8,
  audit_unavailable = 9,
  overloaded = 10,  ///< a limit or pool of ours
  timed_out = 11,
  connection_lost = 12,
  connection_refused = 13,
  unreachable = 14,
  next_hop_deferred = 15,  ///< it answered 4xx
  next_hop_refused = 16,   ///< it answered 5xx
  next_hop_protocol = 17,  ///< it broke SMTP
  incompatible = 18,       ///< it lacks an extension this message needs
  expired = 19,
  damaged = 20,             ///< our stored copy does not authenticate
  poison = 21,              ///< the server died twice while it had the message in work
  dns_temporary = 22,       ///< no usable answer from DNS: SERVFAIL, REFUSED, silence or nonsense
  dns_no_such_domain = 23,  ///< the recipient's domain does not exist
  null_mx = 24,             ///< the domain says that it takes no mail (RFC 7505)
  no_mail_host = 25,        ///< the domain exists, but none of its mail hosts has an address
  mail_loop = 26,           ///< the domain's mail hosts are this server, or this machine's loopback
  private_address = 27,     ///< the domain's mail hosts have addresses that only a private network can mean
  destination_suspended = 28,  ///< where it goes cannot be reached lately; it was not tried again
  route_holds = 29,            ///< the route for its domain holds mail
  operator_bounced = 30,       ///< an operator gave it up, and the sender is told
  operator_deleted = 31,       ///< an operator gave it up, and nobody is told
  operator_redirected = 32,    ///< an operator had it go to another address
  tls_not_offered = 33,        ///< its way demands TLS, and the next hop has none
  tls_failed = 34,             ///< a handshake that its way demands came to nothing
  peer_not_verified = 35,      ///< the next hop's certificate is not what its way demands
  tlsa_missing = 36,             ///< its way demands DANE, and DNS proves no usable TLSA record of the next hop
  tlsa_unavailable = 37,         ///< nobody answers whether the next hop has TLSA records, or DNSSEC does not hold for them
  tlsa_mismatch = 38,            ///< the next hop's certificate is not what its TLSA records say
  resolver_not_validating = 39,  ///< its way demands DANE, and our resolvers prove nothing
  sts_missing = 40,              ///< its way demands MTA-STS, and no policy of its domain is known
  sts_mx_mismatch = 41,          ///< its domain's MTA-STS policy does not name the mail host
  hop_login_refused = 42,        ///< the next hop refuses the login that is configured for it
  hop_login_impossible = 43,     ///< a login is configured, and the next hop offers no way to use it, or is not who we have it at
  hop_login_demanded = 44,       ///< the next hop takes mail from clients that log in, and we have no login there
  requiretls_unmet = 45,         ///< it came with REQUIRETLS, and no host that it could go to has all that this takes (RFC 8689 section 4.2.1)
  future_release = 46,           ///< its sender asked for it to be released later (RFC 4865)
  deliver_by_expired = 47,       ///< the time is over in which its sender wanted it delivered (RFC 2852)
};
inline constexpr std::size_t kReasonCount = 48;

/// Keyed 128-bit hash of an address (made by crypto): equal addresses of one store give equal hashes.
using AddressHash = Id<struct AddressHashTag>;

/// An SMTP reply without its text. An enhanced code of 0.0.0 means that there was none.
struct ReplyCode {
  std::uint16_t code = 0;            ///< 200..599
  std::uint16_t enhanced_class = 0;  ///< 0, or 2, 4, 5: the same as the first digit of `code`
  std::uint16_t enhanced_subject = 0;
  std::uint16_t enhanced_detail = 0;
  friend bool operator==(const ReplyCode&, const ReplyCode&) = default;
};

/// What a next hop answered, made fit for an event: an enhanced code that RFC 3463 does not allow beside `code` is left out.
/// Empty when `code` itself is no final reply (200..599).
std::optional<ReplyCode> reply_code(unsigned code, unsigned enhanced_class = 0, unsigned subject = 0, unsigned detail = 0);

/// A next hop: IP and port.
struct Host {
  IpAddress ip;
  std::uint16_t port = 0;
  friend bool operator==(const Host&, const Host&) = default;
};

/// How a connection to a next hop was secured, or was to be. Numbers are part of the format.
struct TlsResult {
  /// What was asked of it in the end.
  enum class Policy : std::uint8_t { none = 1, opportunistic = 2, encrypt = 3, verify = 4, dane = 5, mta_sts = 6 };
  /// Why it is not better than it is.
  enum class Shortfall : std::uint8_t {
    none = 0,
    not_asked = 1,    ///< the policy asks for no more
    not_offered = 2,  ///< the next hop has no TLS
    failed = 3,       ///< its TLS does not work
    certificate = 4,  ///< its certificate is not what the policy asks for
    dns_insecure = 5,  ///< DNS proves nothing of it
    no_tlsa = 6,       ///< DNS proves that it has no TLSA records
    tlsa_unusable = 7,
    tlsa_unavailable = 8,
    resolver_not_validating = 9,
    sts_missing = 10,  ///< no MTA-STS policy of the domain is known
    sts_mx = 11,       ///< the domain's MTA-STS policy does not name the host
    sts_testing = 12,  ///< the domain only tests its MTA-STS policy, which would have held
  };
  std::uint16_t version = 0;  ///< as on the wire (0x0303: TLS 1.2); 0: in clear, or nothing came of it
  std::uint16_t suite = 0;    ///< IANA's number; 0: as above
  Policy policy = Policy::none;
  bool verified = false;  ///< whose it is, by the trust store, MTA-STS included, or by DANE
  Shortfall shortfall = Shortfall::none;
  friend bool operator==(const TlsResult&, const TlsResult&) = default;
};

/// How a client said who it is. Numbers are part of the format.
enum class Authentication : std::uint8_t {
  plain = 1,
  login = 2,
  scram_sha_256 = 3,
  scram_sha_256_plus = 4,
  external = 5,
  oauthbearer = 6,
  xoauth2 = 7,
  client_certificate = 8,  ///< without AUTH: by relay.client_certificates
};

/// Words of the configuration, at most kBytesMax octets of them; longer ones are cut and end in "...".
struct SettingText {
  static constexpr std::size_t kBytesMax = 64;
  std::uint8_t size = 0;  ///< from 1
  std::array<char, kBytesMax> octets{};
  SettingText() = default;
  explicit SettingText(std::string_view words);
  std::string_view view() const { return {octets.data(), size}; }
  friend bool operator==(const SettingText&, const SettingText&) = default;
};

/// Who says it, in which order, when. (incarnation, sequence) is the event's id; sequences of an incarnation start at 1
/// and have no holes. Shards share no counter, so each shard's start is an incarnation of its own.
struct Stamp {
  IncarnationId incarnation;
  std::uint64_t sequence = 0;
  WallTime time{};
  Process process = Process::ringpostd;
  std::uint16_t shard = 0;
  friend bool operator==(const Stamp&, const Stamp&) = default;
};

/// One event. Plain and of fixed size. Which fields a kind requires and allows stands in src/event/rules.cc and in
/// docs/formats/audit-event.md; `is_valid` checks it.
struct Event {
  Kind kind = Kind::process_started;
  Stamp stamp;
  std::optional<PartitionId> partition;
  std::optional<MessageId> message;
  std::optional<std::uint64_t>
      size;  ///< bytes of the message as kept and relayed, with our Received field; if refused: what came in
  std::optional<std::uint32_t> recipients;  ///< how many
  std::optional<IpAddress> client;          ///< the sending host
  std::optional<Host> next_hop;
  std::optional<ReplyCode> reply;  ///< what we answered, or the next hop did
  std::optional<Reason> reason;
  std::optional<AddressHash> sender;  ///< absent for the null sender
  std::optional<AddressHash> recipient;
  std::optional<std::uint32_t> attempt;  ///< from 1
  std::optional<KeyId> key;
  std::optional<std::uint32_t> setting;  ///< config::key_id
  std::optional<std::uint32_t> user;     ///< uid of the operator who asked
  std::optional<IncarnationId> source;   ///< of an audit gap
  std::optional<std::uint64_t> first;    ///< first missing sequence of `source`
  std::optional<std::uint64_t> count;    ///< how many are missing, or were suppressed
  std::optional<MessageId> report;       ///< the message that is the report
  std::optional<MessageId> successor;    ///< the message that goes on in its place
  std::optional<SettingText> instance;   ///< of a setting that belongs to a family: what stands for NAME or DOMAIN
  std::optional<SettingText> before;     ///< its value so far; absent: it was not set
  std::optional<SettingText> after;      ///< its value from now on; absent: it is not set any more
  std::optional<AddressHash> login;      ///< who has authenticated, or was said to
  std::optional<TlsResult> tls;          ///< of the connection to the next hop
  std::optional<Authentication> authentication;  ///< of the client
  friend bool operator==(const Event&, const Event&) = default;
};

Class class_of(Kind kind);
/// "message_accepted" and the like, as JSON writes them; empty for a number that is none.
std::string_view name_of(Kind kind);
std::string_view name_of(Class value);
std::string_view name_of(Process process);
std::string_view name_of(Reason reason);
std::string_view name_of(Authentication authentication);
std::string_view name_of(TlsResult::Policy policy);
std::string_view name_of(TlsResult::Shortfall shortfall);

/// Every field in its range, all that the kind requires there, nothing that it does not allow.
bool is_valid(const Event& event);

}  // namespace ringpost::event
