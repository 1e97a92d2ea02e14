// Every key, once: the parser, `get -a`, docs/configuration.md and the shell completion come from here.
#include "table.hh"

#include <algorithm>

#include "values.hh"

namespace ringpost::config {
namespace {

constexpr std::uint64_t kMs = 1'000'000, kSecond = 1'000 * kMs, kMinute = 60 * kSecond, kHour = 60 * kMinute, kDay = 24 * kHour;

// Families: the instance called `name` in a sorted list; made when it is new.
template <auto Name, typename Entry>
Entry& instance(std::vector<Entry>& entries, std::string_view name) {
  auto at = std::ranges::lower_bound(entries, name, {}, Name);
  if (at == entries.end() || (*at).*Name != name) {
    at = entries.emplace(at);
    (*at).*Name = name;
  }
  return *at;
}

template <auto Name, typename Entry>
const Entry& instance(const std::vector<Entry>& entries, std::string_view name) {
  auto at = std::ranges::lower_bound(entries, name, {}, Name);
  RP_ASSERT(at != entries.end() && (*at).*Name == name);
  return *at;
}

template <auto Name, typename Entry>
std::vector<std::string> names_in(const std::vector<Entry>& entries) {
  std::vector<std::string> names;
  for (const Entry& entry : entries) names.push_back(entry.*Name);
  return names;
}

template <typename Field>
std::string words_for(const Key& key) {
  switch (key.type) {
    case Type::boolean: return "yes | no";
    case Type::integer: return "integer";
    case Type::bytes: return "bytes";
    case Type::duration: return "duration";
    case Type::text: return "text";
    case Type::host_name: return "host name";
    case Type::path: return "path";
    case Type::mailbox: return "mail address";
    case Type::https_url: return "https URL";
    case Type::address: return "IP:PORT";
    case Type::addresses: return "IP:PORT, …";
    case Type::networks: return "networks";
    case Type::domains: return "domains";
    case Type::recipients: return "any | file:PATH";
    case Type::rate: return "rate";
    case Type::route: return "smtp://HOST[:PORT] | lmtp://HOST:PORT | lmtp:/PATH | mx | hold | reject TEXT";
    case Type::choice: {
      std::string words;
      for (std::string_view word : kWords<Field>) words.append(words.empty() ? "" : " | ").append(word);
      return words;
    }
  }
  return {};
}

/// Binds a declaration to the field of Settings that `Access` finds; a family's `Instances` says which of them there are.
template <auto Access, auto Instances = nullptr>
constexpr Key key(Key declaration) {
  declaration.assign = [](const Key& self, Settings& settings, std::string_view instance, std::string_view text,
                          std::string& reason) { return parse_value(self, text, Access(settings, instance), reason); };
  declaration.format = [](const Key& self, const Settings& settings, std::string_view instance) {
    return format_value(self, Access(settings, instance));
  };
  using Field = std::remove_cvref_t<decltype(Access(std::declval<Settings&>(), std::string_view{}))>;
  declaration.type_words = [](const Key& self) { return words_for<Field>(self); };
  declaration.instances = Instances;
  return declaration;
}

#define FIELD(member) [](auto& settings, std::string_view) -> auto& { return settings.member; }
#define MEMBER_OF(list, name_member, member)                                                                       \
  [](auto& settings, std::string_view name) -> auto& { return instance<&name_member>(settings.list, name).member; }, \
      [](const Settings& settings) { return names_in<&name_member>(settings.list); }
#define LISTENER(member) MEMBER_OF(listeners, Listener::name, member)

constexpr Key kTable[] = {
    key<FIELD(shards)>(
        {.name = "shards",
         .type = Type::integer,
         .fallback = "auto",
         .min = 1,
         .max = 256,
         .auto_word = "auto",
         .effect = Effect::restart,
         .help = "Threads that serve mail, each pinned to a core with its own ring and spool log. auto: one for each core "
                 "the process may run on. Partitions of another number are adopted at start."}),
    key<FIELD(hostname)>(
        {.name = "hostname",
         .type = Type::host_name,
         .fallback = "auto",
         .auto_word = "auto",
         .effect = Effect::restart,
         .help = "The name in the banner, in EHLO to next hops and in Received fields. auto: the system's host name. "
                 "Should resolve to this machine, or receivers may distrust the mail."}),

    key<LISTENER(address)>(
        {.name = "listener.NAME.address",
         .type = Type::address,
         .effect = Effect::restart,
         .help = "Where this listener takes connections, for example 0.0.0.0:25 or [::]:25. NAME is yours to choose: 1 to 32 "
                 "letters, digits, - or _. Without any listener the server only delivers what it holds."}),
    key<LISTENER(role)>(
        {.name = "listener.NAME.role",
         .type = Type::choice,
         .fallback = "relay",
         .effect = Effect::restart,
         .help = "What the listener is for. relay: takes mail for anywhere from relay.clients, and from nobody else. mx: takes mail for "
                 "relay.domains from everybody, and for anywhere from relay.clients. submission (port 587) and submissions (port 465, tls = "
                 "implicit): takes mail for anywhere from users who have authenticated, and from nobody else."}),
    key<LISTENER(bare_newline)>(
        {.name = "listener.NAME.bare_newline",
         .type = Type::choice,
         .fallback = "refuse",
         .help = "Mail whose lines end in a bare LF or CR. refuse: the message gets 554, which stops SMTP smuggling. "
                 "repair: bare line ends become CRLF, for old senders on your own network; the end of the message is CRLF.CRLF "
                 "either way."}),
    key<LISTENER(greeting_delay)>(
        {.name = "listener.NAME.greeting_delay",
         .type = Type::duration,
         .fallback = "0",
         .min = kMs,
         .max = 60 * kSecond,
         .zero = true,
         .help = "How long the banner waits. Whoever talks before it, which RFC 5321 section 4.3.1 forbids and many spam programs "
                 "do, gets 554 at once. 0: only what came with the connection itself is seen."}),

    key<LISTENER(tls)>(
        {.name = "listener.NAME.tls",
         .type = Type::choice,
         .fallback = "none",
         .help = "offered: whoever asks for it with STARTTLS gets TLS. required: whoever does not may not send mail (530); a server that "
                 "takes mail from everybody loses mail by that. implicit: TLS from the first byte, as on port 465. All but none need a "
                 "tls.certificate."}),
    key<LISTENER(client_certificates)>(
        {.name = "listener.NAME.client_certificates",
         .type = Type::choice,
         .fallback = "none",
         .help = "optional: clients are asked for a certificate under TLS, and one that tls.client_ca_file certifies is an identity: AUTH "
                 "EXTERNAL on submission listeners, relay.client_certificates on the others. Any other is none, and does no harm. required: "
                 "without a good one there is no handshake. TLS sessions are not resumed where clients are asked."}),
    key<LISTENER(proxy_protocol)>(
        {.name = "listener.NAME.proxy_protocol",
         .type = Type::choice,
         .fallback = "no",
         .help = "required: every connection begins with a PROXY header, version 1 or 2, before TLS too, and whom it names is the client for "
                 "all limits, relay.clients, Received fields and the audit log. Without one from one of proxy_peers, within 5 s, it is "
                 "closed without a word. Whom the proxy cannot name relays nothing. no: such a header is refused like any other "
                 "protocol's."}),
    key<LISTENER(proxy_peers)>(
        {.name = "listener.NAME.proxy_peers",
         .type = Type::networks,
         .fallback = "none",
         .help = "The proxies in front of a listener with proxy_protocol = required; whoever else connects is closed at once. They can "
                 "give any client's address."}),

    key<MEMBER_OF(tls.certificates, CertificateFiles::name, chain)>(
        {.name = "tls.certificate.NAME.chain",
         .type = Type::path,
         .help = "A certificate in PEM and those that certify it, the server's own first. A client gets the one that has the name it "
                 "asks for, else the one for our hostname; of two for one name, ECDSA if it can. Read at start, at a reload and when the "
                 "files change: then a chain that is broken, not valid now or does not match its key leaves the old one in force."}),
    key<MEMBER_OF(tls.certificates, CertificateFiles::name, key)>(
        {.name = "tls.certificate.NAME.key",
         .type = Type::path,
         .help = "Its private key in PEM, without a password; may be the same file. What only root can read is read at start alone: "
                 "give the user ringpost the right to read it, and a renewed one is taken up without a restart."}),
    key<FIELD(tls.minimum)>({.name = "tls.minimum",
                             .type = Type::choice,
                             .fallback = "1.2",
                             .help = "The oldest version of TLS that is spoken."}),
    key<FIELD(tls.trust_file)>({.name = "tls.trust_file",
                                .type = Type::path,
                                .fallback = "/etc/ssl/certs/ca-certificates.crt",
                                .help = "The authorities, in PEM, by which next hops and web servers are verified. ringpost-helperd, which asks web "
                                        "servers, takes up another path at its next start."}),
    key<FIELD(tls.revocation_file)>(
        {.name = "tls.revocation_file",
         .type = Type::path,
         .fallback = "none",
         .auto_word = "none",
         .help = "Revocation lists, in PEM, of authorities that certify next hops. Where one that must be verified has a certificate, or an "
                 "authority on its way, that is on its issuer's list, its mail waits; an issuer without a list here is believed, but while one of "
                 "the lists is out of date. Read at start, at a reload and when it changes. TLSA records of usage 3 and web servers do not ask for it."}),
    key<FIELD(tls.mta_sts)>(
        {.name = "tls.mta_sts",
         .type = Type::boolean,
         .fallback = "yes",
         .help = "Ask for the policies that domains publish about TLS to their mail hosts (MTA-STS, RFC 8461), by HTTPS, and keep to them where "
                 "destination.DOMAIN.tls is auto. no: for a server that may not reach web servers; then nobody's policy is known, and "
                 "what is known already does not count."}),

    key<FIELD(tls.client_ca_file)>(
        {.name = "tls.client_ca_file",
         .type = Type::path,
         .fallback = "none",
         .auto_word = "none",
         .help = "The authorities, in PEM, that certify our clients; they should certify nobody else. A certificate that stands here itself "
                 "is good as it is. Read at start, at a reload and when it changes. none: no client's certificate is good."}),
    key<FIELD(tls.client_revocation_file)>(
        {.name = "tls.client_revocation_file",
         .type = Type::path,
         .fallback = "none",
         .auto_word = "none",
         .help = "Revocation lists, in PEM, of the authorities of tls.client_ca_file and of those below them. With it, a client's "
                 "certificate is good only as long as lists that are not out of date say nothing against it or its authorities. Read when it "
                 "changes, too. none: nothing is revoked."}),

    key<FIELD(tls_report.contact)>(
        {.name = "tls_report.contact",
         .type = Type::mailbox,
         .fallback = "none",
         .auto_word = "none",
         .help = "An address of ours that domains can write to about the reports they get from us: what became of TLS on the way to them, day "
                 "by day, where their DNS says that they want to hear it (SMTP TLS Reporting, RFC 8460). none: nothing is counted and no "
                 "report is sent."}),
    key<FIELD(tls_report.organization)>(
        {.name = "tls_report.organization",
         .type = Type::text,
         .fallback = "auto",
         .auto_word = "auto",
         .help = "The name by which such reports call us. auto: our hostname."}),

    key<FIELD(auth.password_file)>(
        {.name = "auth.password_file",
         .type = Type::path,
         .fallback = "/etc/ringpost/accounts",
         .effect = Effect::restart,
         .help = "Who may authenticate: `ringpostctl user` writes it. ringpost-helperd alone reads it, and sees when it changes."}),
    key<FIELD(auth.scram)>(
        {.name = "auth.scram",
         .type = Type::boolean,
         .fallback = "no",
         .effect = Effect::restart,
         .help = "Offer SCRAM-SHA-256, with which a client proves its password without saying it. Passwords set from then on also have "
                 "SCRAM keys in auth.password_file; who steals that file can try passwords faster than against Argon2id alone."}),
    key<FIELD(auth.dovecot_socket)>(
        {.name = "auth.dovecot_socket",
         .type = Type::path,
         .fallback = "none",
         .auto_word = "none",
         .effect = Effect::restart,
         .help = "A socket of Dovecot's service auth (a unix_listener that the user ringpost-helper may write to): Dovecot then says whether a "
                 "password is right (PLAIN, LOGIN), and not auth.password_file, whose accounts still say what a login may send as, and "
                 "who is disabled. Whoever has no account there sends as itself. Not with auth.scram. none: no Dovecot is asked."}),
    key<FIELD(auth.failures_max)>(
        {.name = "auth.failures_max",
         .type = Type::integer,
         .fallback = "10",
         .min = 1,
         .max = 1'000'000,
         .help = "Failed logins within auth.failures_window after which a network (/24 of IPv4, /64 of IPv6), or a login for everybody who "
                 "did not use it lately, is banned for auth.ban."}),
    key<FIELD(auth.failures_window)>({.name = "auth.failures_window",
                                      .type = Type::duration,
                                      .fallback = "10 m",
                                      .min = kSecond,
                                      .max = kDay,
                                      .help = "See auth.failures_max."}),
    key<FIELD(auth.failure_delay)>(
        {.name = "auth.failure_delay",
         .type = Type::duration,
         .fallback = "250 ms",
         .min = kMs,
         .max = 10 * kSecond,
         .zero = true,
         .help = "How long the first refusal of a login waits; each further one twice as long, up to 16 times that. 0: none waits."}),
    key<FIELD(auth.failures_rate)>(
        {.name = "auth.failures_rate",
         .type = Type::rate,
         .fallback = "20/s",
         .min = 1,
         .max = 1'000'000,
         .auto_word = "none",
         .help = "Wrong passwords in so much time, all shards together, beyond which clients are put off with 454 and theirs is not checked, but "
                 "for those who used the login rightly lately: each check takes 20 ms of a core, and who guesses must not take all. none: "
                 "each is checked."}),
    key<FIELD(auth.ban)>({.name = "auth.ban",
                          .type = Type::duration,
                          .fallback = "15 m",
                          .min = kSecond,
                          .max = kDay,
                          .help = "How long a ban lasts. Who is banned gets 421 to AUTH, and nothing is looked up."}),
    key<FIELD(auth.never_ban)>({.name = "auth.never_ban",
                                .type = Type::networks,
                                .fallback = "127.0.0.0/8, ::1/128",
                                .help = "Networks that are never banned: proxies, gateways, this machine. Their failed logins count for the "
                                        "login only. none: everybody may be banned."}),
    key<FIELD(auth.oauth.issuer)>(
        {.name = "auth.oauth.issuer",
         .type = Type::text,
         .fallback = "none",
         .auto_word = "none",
         .effect = Effect::restart,
         .help = "Who signs the tokens with which users may authenticate (OAUTHBEARER, XOAUTH2), exactly as it stands in a token's iss, "
                 "such as https://id.example.org. Needs auth.oauth.audience, and auth.oauth.key_file or auth.oauth.introspection_url "
                 "or both. none: tokens are not taken."}),
    key<FIELD(auth.oauth.audience)>(
        {.name = "auth.oauth.audience",
         .type = Type::text,
         .fallback = "none",
         .auto_word = "none",
         .effect = Effect::restart,
         .help = "What a token must be for: one of its aud. Without that, a token for any other service of the issuer would let its operator "
                 "in here."}),
    key<FIELD(auth.oauth.scope)>({.name = "auth.oauth.scope",
                                  .type = Type::text,
                                  .fallback = "none",
                                  .auto_word = "none",
                                  .effect = Effect::restart,
                                  .help = "A scope that a token must have (scope or scp). none: whatever it has."}),
    key<FIELD(auth.oauth.login_claim)>(
        {.name = "auth.oauth.login_claim",
         .type = Type::text,
         .fallback = "email",
         .effect = Effect::restart,
         .help = "Which claim of a token is the login, as it stands in auth.password_file: email, preferred_username, sub; for "
                 "auth.oauth.introspection_url perhaps username. An email that the issuer says it has not verified is none."}),
    key<FIELD(auth.oauth.key_file)>(
        {.name = "auth.oauth.key_file",
         .type = Type::path,
         .fallback = "none",
         .auto_word = "none",
         .effect = Effect::restart,
         .help = "The issuer's public keys, a JWK set (RFC 7517): RSA, P-256 or Ed25519. ringpost-helperd reads it, and sees when it changes."}),
    key<FIELD(auth.oauth.introspection_url)>(
        {.name = "auth.oauth.introspection_url",
         .type = Type::https_url,
         .fallback = "none",
         .auto_word = "none",
         .effect = Effect::restart,
         .help = "Where the issuer is asked about tokens (RFC 7662) that are not signed with a key of auth.oauth.key_file. DNS says where its "
                 "host is, which may be inside; tls.trust_file says whose certificate it may have. What it said of a good token holds for 60 s."}),
    key<FIELD(auth.oauth.introspection_client_id)>(
        {.name = "auth.oauth.introspection_client_id",
         .type = Type::text,
         .fallback = "none",
         .auto_word = "none",
         .effect = Effect::restart,
         .help = "Who asks there: the name of a client that the issuer lets ask (HTTP Basic, RFC 6749 section 2.3.1)."}),
    key<FIELD(auth.oauth.introspection_secret_file)>(
        {.name = "auth.oauth.introspection_secret_file",
         .type = Type::path,
         .fallback = "none",
         .auto_word = "none",
         .effect = Effect::restart,
         .help = "Its first line is that client's secret. ringpost-helperd alone reads it, and sees when it changes."}),
    key<FIELD(submission.recipients_per_hour)>(
        {.name = "submission.recipients_per_hour",
         .type = Type::integer,
         .fallback = "500",
         .min = 1,
         .max = 1'000'000'000,
         .zero = true,
         .help = "How many recipients a login may send to within an hour; mail beyond that is answered 452 and its user has perhaps lost "
                 "the password to somebody. 0: no limit."}),
    key<FIELD(submission.recipients_per_day)>({.name = "submission.recipients_per_day",
                                               .type = Type::integer,
                                               .fallback = "2000",
                                               .min = 1,
                                               .max = 1'000'000'000,
                                               .zero = true,
                                               .help = "The same within a day. 0: no limit."}),
    key<FIELD(submission.hide_client)>(
        {.name = "submission.hide_client",
         .type = Type::boolean,
         .fallback = "no",
         .help = "Leave the address and the name of a user's own machine out of the Received field that leaves with the mail. The audit log "
                 "has the address all the same."}),
    key<FIELD(submission.future_release_max)>(
        {.name = "submission.future_release_max",
         .type = Type::duration,
         .fallback = "7 d",
         .min = kSecond,
         .max = 366 * kDay,
         .zero = true,
         .help = "How long in advance a user may send mail that is to be released later (FUTURERELEASE, RFC 4865); MAIL with more is "
                 "answered 501. It lies in the queue until then, and queue.lifetime counts from its release. 0: not offered."}),
    key<FIELD(submission.deliver_by_min)>(
        {.name = "submission.deliver_by_min",
         .type = Type::duration,
         .fallback = "1 m",
         .min = kSecond,
         .max = kDay,
         .zero = true,
         .help = "The shortest time after which a user may want mail back that is not delivered by then (DELIVERBY, RFC 2852, BY=...;R). MAIL "
                 "with less is answered 555. 0: any."}),
    key<FIELD(submission.priority_max)>(
        {.name = "submission.priority_max",
         .type = Type::integer,
         .fallback = "4",
         .min = 1,
         .max = 9,
         .zero = true,
         .help = "The greatest priority a user's mail gets (MT-PRIORITY, RFC 6710); who asks for more gets this, and reads it in the reply. Hosts of "
                 "relay.clients get what they ask for. Priority is a preference: what has less is never held up for good."}),

    key<FIELD(relay.clients)>(
        {.name = "relay.clients",
         .type = Type::networks,
         .fallback = "127.0.0.0/8, ::1/128",
         .help = "Hosts that may send mail to anywhere. Everybody else is refused with 550. none: nobody."}),
    key<FIELD(relay.client_certificates)>(
        {.name = "relay.client_certificates",
         .type = Type::domains,
         .fallback = "none",
         .help = "Hosts that may send mail to anywhere from any address, on listeners with client_certificates: those with one of these "
                 "names in a certificate (a DNS name of its subjectAltName) that tls.client_ca_file certifies. *.example.org stands for all "
                 "hosts below example.org; a certificate's own *. does not."}),
    key<FIELD(relay.domains)>(
        {.name = "relay.domains",
         .type = Type::domains,
         .fallback = "none",
         .help = "Our own domains: a listener of role mx takes mail for them from everybody. *.example.org stands for all domains below "
                 "example.org. postmaster exists in each of them."}),
    key<MEMBER_OF(recipients, RecipientRule::domain, value)>(
        {.name = "recipients.DOMAIN",
         .type = Type::recipients,
         .help = "Who exists in DOMAIN; anybody else is refused at RCPT with 550 5.1.1. any: the next hop knows. file: one address or "
                 "local part a line, # for comments, read at start and reload. callout: the next hop of the domain's route is asked, with "
                 "MAIL FROM:<> and RCPT, and what it says is remembered. DOMAIN may be *.example.org."}),
    key<FIELD(callout.timeout)>(
        {.name = "callout.timeout",
         .type = Type::duration,
         .fallback = "30 s",
         .min = 100 * kMs,
         .max = 4 * kMinute,
         .help = "How long a RCPT waits for the next hop's word on its recipient. Clients wait 5 minutes (RFC 5321 section 4.5.3.2.3)."}),
    key<FIELD(callout.positive_ttl)>(
        {.name = "callout.positive_ttl",
         .type = Type::duration,
         .fallback = "6 h",
         .min = kSecond,
         .max = 30 * kDay,
         .help = "A recipient that the next hop took is not asked about again for that long."}),
    key<FIELD(callout.negative_ttl)>(
        {.name = "callout.negative_ttl",
         .type = Type::duration,
         .fallback = "10 m",
         .min = kSecond,
         .max = 30 * kDay,
         .help = "A recipient that the next hop refused is not asked about again for that long: a new user's mail is refused until then."}),
    key<FIELD(callout.stale_ttl)>(
        {.name = "callout.stale_ttl",
         .type = Type::duration,
         .fallback = "7 d",
         .min = kSecond,
         .max = 30 * kDay,
         .help = "While the next hop cannot be asked, whoever it took so long ago at most still exists."}),
    key<FIELD(callout.connections_max)>(
        {.name = "callout.connections_max",
         .type = Type::integer,
         .fallback = "2",
         .min = 1,
         .max = 100,
         .help = "Connections of each shard to one next hop for such questions, beside those that carry mail."}),
    key<FIELD(callout.when_unsure)>(
        {.name = "callout.when_unsure",
         .type = Type::choice,
         .fallback = "defer",
         .help = "Recipients that the next hop says nothing of, because it is away, has no time, or refuses the null sender. defer: 451, the "
                 "client keeps the mail. accept: it is taken, and its sender gets a report if the recipient does not exist."}),

    key<FIELD(route.fallback)>(
        {.name = "route.default",
         .type = Type::route,
         .fallback = "hold",
         .help = "Where mail goes for which no route.DOMAIN says more. hold keeps it in the spool without trying, and a later change "
                 "starts delivery."}),
    key<MEMBER_OF(route.domains, DomainRoute::domain, route)>(
        {.name = "route.DOMAIN",
         .type = Type::route,
         .help = "Where mail for DOMAIN goes; *.example.org stands for all domains below example.org, the longest match counts. smtp: "
                 "that next hop. lmtp: the same over LMTP, at a port or a Unix socket. mx: the mail hosts of the domain. reject: 550 5.7.1 with TEXT at RCPT."}),

    key<FIELD(dns.servers)>(
        {.name = "dns.servers",
         .type = Type::addresses,
         .fallback = "auto",
         .auto_word = "auto",
         .help = "Resolvers that answer for the whole world, in the order of preference. auto: those in /etc/resolv.conf when the server "
                 "starts or reloads."}),
    key<FIELD(dns.trust_ad)>(
        {.name = "dns.trust_ad",
         .type = Type::choice,
         .fallback = "auto",
         .help = "Whether dns.servers are believed when they say that DNSSEC proves an answer (the AD bit), which DANE rests on. auto: those at "
                 "a loopback address, whose answers nobody can change on the way. yes: all of them; the network to them must be one's own. "
                 "no: none. At start and now and then each is asked whether it validates; when one does not, DANE is off."}),
    key<FIELD(dns.allow_private)>(
        {.name = "dns.allow_private",
         .type = Type::boolean,
         .fallback = "no",
         .help = "Deliver to mail hosts whose addresses are loopback, private or link-local. Needed where DNS sends mail to hosts inside; "
                 "otherwise whoever has a domain could point at them."}),
    key<FIELD(dns.timeout)>({.name = "dns.timeout",
                             .type = Type::duration,
                             .fallback = "20 s",
                             .min = 100 * kMs,
                             .max = 10 * kMinute,
                             .help = "For one question to DNS, all attempts at all resolvers together. Mail that needed the answer waits "
                                     "and is tried later."}),
    key<FIELD(dns.cache_entries)>(
        {.name = "dns.cache_entries",
         .type = Type::integer,
         .fallback = "8192",
         .min = 1,
         .max = 1'000'000,
         .help = "How many answers each shard keeps, each for its TTL; the least recently used goes first. Together they take at most "
                 "512 bytes for each, or 64 KiB."}),

    key<FIELD(retry.first)>({.name = "retry.first",
                             .type = Type::duration,
                             .fallback = "1 m",
                             .min = 100 * kMs,
                             .max = kDay,
                             .help = "Wait after the first failed attempt; it doubles with each further one, with jitter."}),
    key<FIELD(retry.max)>({.name = "retry.max",
                           .type = Type::duration,
                           .fallback = "1 h",
                           .min = 100 * kMs,
                           .max = kDay,
                           .help = "The longest wait between two attempts."}),
    key<FIELD(queue.lifetime)>(
        {.name = "queue.lifetime",
         .type = Type::duration,
         .fallback = "5 d",
         .min = kSecond,
         .max = 30 * kDay,
         .help = "How long mail is tried before it fails for good (RFC 5321 section 4.5.4.1: at least 4 to 5 days)."}),
    key<FIELD(queue.delay_warning)>({.name = "queue.delay_warning",
                                     .type = Type::duration,
                                     .fallback = "4 h",
                                     .min = 0,
                                     .max = 30 * kDay,
                                     .help = "After that the sender is told, once, that a message takes long; 0: never."}),
    key<FIELD(dsn.returned_bytes_max)>(
        {.name = "dsn.returned_bytes_max",
         .type = Type::bytes,
         .fallback = "50 KiB",
         .min = 1_KiB,
         .max = 1_MiB,
         .help = "How much of a message goes back to its sender in a report: of its header, or of all of it where the sender asked "
                 "for that (RET=FULL) and it is not larger."}),

    key<FIELD(deliver.connections_max)>(
        {.name = "deliver.connections_max",
         .type = Type::integer,
         .fallback = "20",
         .min = 1,
         .max = 10'000,
         .help = "Connections to one destination at a time, all shards together. Each may carry many messages."}),
    key<FIELD(deliver.connections_total)>(
        {.name = "deliver.connections_total",
         .type = Type::integer,
         .fallback = "2000",
         .min = 1,
         .max = 100'000,
         .help = "Connections to all destinations together. Half of them are kept for destinations that have answered lately, so that a "
                 "crowd of slow strangers cannot take all."}),
    key<FIELD(deliver.messages_per_connection)>(
        {.name = "deliver.messages_per_connection",
         .type = Type::integer,
         .fallback = "100",
         .min = 1,
         .max = 1'000'000,
         .help = "Messages sent over one connection before it is closed and another one opened."}),
    key<FIELD(deliver.bytes_per_s_min)>(
        {.name = "deliver.bytes_per_s_min",
         .type = Type::bytes,
         .fallback = "64",
         .min = 1,
         .max = 1_GiB,
         .zero = true,
         .unit = "bytes/s",
         .help = "A next hop that takes a message more slowly than this is given up and tried later. 0: no minimum."}),
    key<FIELD(deliver.timeout.connect)>({.name = "deliver.timeout.connect",
                                         .type = Type::duration,
                                         .fallback = "30 s",
                                         .min = 100 * kMs,
                                         .max = kHour,
                                         .help = "For the TCP connection to a next hop."}),
    key<FIELD(deliver.timeout.greeting)>({.name = "deliver.timeout.greeting",
                                          .type = Type::duration,
                                          .fallback = "5 m",
                                          .min = 100 * kMs,
                                          .max = kHour,
                                          .help = "For the next hop's 220 (RFC 5321 section 4.5.3.2.1)."}),
    key<FIELD(deliver.timeout.command)>({.name = "deliver.timeout.command",
                                         .type = Type::duration,
                                         .fallback = "5 m",
                                         .min = 100 * kMs,
                                         .max = kHour,
                                         .help = "For the replies to EHLO, HELO and RSET."}),
    key<FIELD(deliver.timeout.mail)>({.name = "deliver.timeout.mail",
                                      .type = Type::duration,
                                      .fallback = "5 m",
                                      .min = 100 * kMs,
                                      .max = kHour,
                                      .help = "For the reply to MAIL (RFC 5321 section 4.5.3.2.2)."}),
    key<FIELD(deliver.timeout.rcpt)>({.name = "deliver.timeout.rcpt",
                                      .type = Type::duration,
                                      .fallback = "5 m",
                                      .min = 100 * kMs,
                                      .max = kHour,
                                      .help = "For the reply to each RCPT (RFC 5321 section 4.5.3.2.3)."}),
    key<FIELD(deliver.timeout.data_start)>({.name = "deliver.timeout.data_start",
                                            .type = Type::duration,
                                            .fallback = "2 m",
                                            .min = 100 * kMs,
                                            .max = kHour,
                                            .help = "From DATA to the 354 (RFC 5321 section 4.5.3.2.4)."}),
    key<FIELD(deliver.timeout.data_block)>(
        {.name = "deliver.timeout.data_block",
         .type = Type::duration,
         .fallback = "3 m",
         .min = 100 * kMs,
         .max = kHour,
         .help = "For the next hop to take one block of the message (RFC 5321 section 4.5.3.2.5)."}),
    key<FIELD(deliver.timeout.data_done)>(
        {.name = "deliver.timeout.data_done",
         .type = Type::duration,
         .fallback = "10 m",
         .min = 100 * kMs,
         .max = kHour,
         .help = "From the end of the message to its reply (RFC 5321 section 4.5.3.2.6). Shorter means more duplicates."}),
    key<FIELD(deliver.timeout.transaction)>(
        {.name = "deliver.timeout.transaction",
         .type = Type::duration,
         .fallback = "30 m",
         .min = 100 * kMs,
         .max = kDay,
         .help = "For one whole attempt, whatever happens in it: a next hop that answers one byte at a time ends here."}),
    key<FIELD(deliver.timeout.idle)>({.name = "deliver.timeout.idle",
                                      .type = Type::duration,
                                      .fallback = "5 s",
                                      .min = kMs,
                                      .max = kHour,
                                      .help = "How long a connection to a next hop is kept open for another message."}),

    key<MEMBER_OF(destinations, DestinationLimits::domain, tls)>(
        {.name = "destination.DOMAIN.tls",
         .type = Type::choice,
         .fallback = "auto",
         .help = "How mail for DOMAIN is secured on its way, where its route is mx; else DOMAIN is a next hop as its route names it. none: in "
                 "clear. opportunistic: TLS where it is offered and works, else in clear. encrypt: TLS or not at all. verify: the same, with a "
                 "certificate for DOMAIN that tls.trust_file leads to; what does not hold is tried again until queue.lifetime. dane: the "
                 "same, with a certificate that TLSA records agree with which DNSSEC proves (RFC 7672). mta-sts: where there are such records "
                 "the same, else to hosts that DOMAIN's MTA-STS policy names (RFC 8461), with certificates for them, also while it "
                 "only tests; without a policy not at all. auto: dane where there are such records, else as the MTA-STS policy says, else "
                 "opportunistic."}),
    key<MEMBER_OF(destinations, DestinationLimits::domain, tls_certificate)>(
        {.name = "destination.DOMAIN.tls_certificate",
         .type = Type::text,
         .fallback = "none",
         .auto_word = "none",
         .help = "NAME of the tls.certificate.NAME that is shown to such a host, DOMAIN as for destination.DOMAIN.tls, when it asks who we are."}),
    key<MEMBER_OF(destinations, DestinationLimits::domain, login.username)>(
        {.name = "destination.DOMAIN.auth.username",
         .type = Type::text,
         .fallback = "none",
         .auto_word = "none",
         .help = "Who we are to such a host, DOMAIN as for destination.DOMAIN.tls: a smart host that takes mail from users alone. The strongest "
                 "of SCRAM-SHA-256-PLUS, SCRAM-SHA-256, PLAIN and LOGIN that it offers is used, and only under TLS: it needs "
                 "destination.DOMAIN.tls = verify (or dane, or encrypt where nobody can stand between). Where it refuses, mail waits."}),
    key<MEMBER_OF(destinations, DestinationLimits::domain, login.password_file)>(
        {.name = "destination.DOMAIN.auth.password_file",
         .type = Type::path,
         .fallback = "none",
         .auto_word = "none",
         .help = "The password for that, as the first line of a file: /etc/ringpost/smarthost.password, or a systemd credential "
                 "(/run/credentials/ringpostd.service/NAME). Read at start, at a reload and when it changes; what only root can read is read at "
                 "start alone. It is never shown, logged or written anywhere."}),
    key<MEMBER_OF(destinations, DestinationLimits::domain, connections_max)>(
        {.name = "destination.DOMAIN.connections_max",
         .type = Type::integer,
         .fallback = "auto",
         .min = 1,
         .max = 10'000,
         .auto_word = "auto",
         .help = "Connections to mail hosts of this name, all shards together; *.example.org stands for all hosts below example.org, which "
                 "then share one limit. auto: deliver.connections_max."}),
    key<MEMBER_OF(destinations, DestinationLimits::domain, messages_per_connection)>(
        {.name = "destination.DOMAIN.messages_per_connection",
         .type = Type::integer,
         .fallback = "auto",
         .min = 1,
         .max = 1'000'000,
         .auto_word = "auto",
         .help = "Messages over one connection to such a host. auto: deliver.messages_per_connection."}),
    key<MEMBER_OF(destinations, DestinationLimits::domain, rate)>(
        {.name = "destination.DOMAIN.rate",
         .type = Type::rate,
         .fallback = "none",
         .min = 1,
         .max = 1'000'000,
         .auto_word = "none",
         .help = "Messages to such a host in so much time, for example 10/s, 600/m or 5000/h, all shards together. none: as fast as it "
                 "goes."}),

    key<FIELD(spool.directory)>({.name = "spool.directory",
                                 .type = Type::path,
                                 .fallback = "/var/lib/ringpost/spool",
                                 .effect = Effect::restart,
                                 .help = "Where accepted mail lies, encrypted. On a local disk whose fsync can be trusted."}),
    key<FIELD(spool.direct)>(
        {.name = "spool.direct",
         .type = Type::boolean,
         .fallback = "yes",
         .effect = Effect::restart,
         .help = "Write with O_DIRECT, and refuse to start on a filesystem that lacks it. no: slower, for a try-out."}),
    key<FIELD(spool.segment_bytes)>(
        {.name = "spool.segment_bytes",
         .type = Type::bytes,
         .fallback = "auto",
         .min = 1_MiB,
         .max = 64_MiB,
         .multiple = 4_KiB,
         .auto_word = "auto",
         .effect = Effect::restart,
         .help = "Size of one file of the log. auto: a 64th of the disk for each shard, within 4 to 64 MiB."}),
    key<FIELD(spool.reserve_bytes)>(
        {.name = "spool.reserve_bytes",
         .type = Type::bytes,
         .fallback = "64 MiB",
         .min = 1_MiB,
         .max = 64_GiB,
         .effect = Effect::restart,
         .help = "Space of each partition that new mail never gets: outcomes and cleaning use it when the disk is full."}),
    key<FIELD(spool.low_space_percent)>(
        {.name = "spool.low_space_percent",
         .type = Type::integer,
         .fallback = "5",
         .min = 0,
         .max = 50,
         .unit = "%",
         .help = "New mail gets 452 while a partition could write less than this part of its share of the spool's filesystem; what segments nobody needs any more can take counts as free. Accepted mail goes on."}),

    key<FIELD(keys.directory)>(
        {.name = "keys.directory",
         .type = Type::path,
         .fallback = "/var/lib/ringpost/keys",
         .effect = Effect::restart,
         .help = "ringpost-keyd's sealed key store. Lost keys are lost mail: back it up apart from the spool."}),
    key<FIELD(keys.kek_file)>(
        {.name = "keys.kek_file",
         .type = Type::path,
         .fallback = "auto",
         .auto_word = "auto",
         .effect = Effect::restart,
         .help = "The key-encryption key: 32 bytes, mode 0400, ringpost-keyd's own. auto: the file kek in keys.directory."}),
    key<FIELD(keys.allow_same_filesystem)>(
        {.name = "keys.allow_same_filesystem",
         .type = Type::boolean,
         .fallback = "no",
         .effect = Effect::restart,
         .help =
             "Start although the keys lie on the spool's filesystem, where one stolen disk holds both. Logged at each start."}),

    key<FIELD(audit.directory)>({.name = "audit.directory",
                                 .type = Type::path,
                                 .fallback = "/var/lib/ringpost/audit",
                                 .effect = Effect::restart,
                                 .help = "Where ringpost-auditd keeps the audit log."}),
    key<FIELD(audit.when_unavailable)>({.name = "audit.when_unavailable",
                                        .type = Type::choice,
                                        .fallback = "buffer",
                                        .help = "New mail while ringpost-auditd is away. buffer: accepted; its events are "
                                                "durable in the spool and handed over later, "
                                                "within the two limits below, beyond them as defer. defer: 451 at once."}),
    key<FIELD(audit.buffer_bytes_max)>(
        {.name = "audit.buffer_bytes_max",
         .type = Type::bytes,
         .fallback = "64 MiB",
         .min = 0,
         .max = 64_GiB,
         .help = "Audit events waiting for ringpost-auditd, each shard, before new mail gets 451 and deliveries wait."}),
    key<FIELD(audit.buffer_age_max)>({.name = "audit.buffer_age_max",
                                      .type = Type::duration,
                                      .fallback = "1 h",
                                      .min = kSecond,
                                      .max = 30 * kDay,
                                      .help = "Age of the oldest waiting audit event before new mail gets 451."}),

    key<FIELD(control.socket)>({.name = "control.socket",
                                .type = Type::path,
                                .fallback = "/run/ringpost/control.sock",
                                .effect = Effect::restart,
                                .help = "Where ringpostctl reaches the server. At most 107 octets."}),

    key<FIELD(smtp.message_bytes_max)>(
        {.name = "smtp.message_bytes_max",
         .type = Type::bytes,
         .fallback = "64 MiB",
         .min = 1_KiB,
         .max = 4_GiB,
         .help = "The largest message, announced as SIZE and refused with 552 beyond (RFC 1870)."}),
    key<FIELD(smtp.recipients_max)>({.name = "smtp.recipients_max",
                                     .type = Type::integer,
                                     .fallback = "1000",
                                     .min = 1,
                                     .max = 100'000,
                                     .help = "Recipients of one message; further ones get 452 and the client sends them again. "
                                             "RFC 5321 section 4.5.3.1.8 wants at least 100."}),
    key<FIELD(smtp.line_bytes_max)>({.name = "smtp.line_bytes_max",
                                     .type = Type::bytes,
                                     .fallback = "1 MiB",
                                     .min = 998,
                                     .max = 4_GiB,
                                     .zero = true,
                                     .help = "The longest line of a message's content, without its CRLF. Longer ones refuse the "
                                             "message with 554; shorter ones are relayed as they "
                                             "are, also beyond the 998 octets of RFC 5322. 0: no limit but the message's."}),
    key<FIELD(smtp.hops_max)>(
        {.name = "smtp.hops_max",
         .type = Type::integer,
         .fallback = "50",
         .min = 1,
         .max = 1'000,
         .help = "Received fields from which on a message is taken for looping and refused with 554 5.4.6."}),
    key<FIELD(smtp.commands_without_mail_max)>(
        {.name = "smtp.commands_without_mail_max",
         .type = Type::integer,
         .fallback = "100",
         .min = 1,
         .max = 1'000'000,
         .help = "NOOP, RSET, VRFY and the like between two messages before a client gets 421."}),
    key<FIELD(smtp.errors_max)>({.name = "smtp.errors_max",
                                 .type = Type::integer,
                                 .fallback = "20",
                                 .min = 1,
                                 .max = 1'000'000,
                                 .help = "Commands refused with 5xx in one session before the client gets 421."}),
    key<FIELD(smtp.bytes_per_s_min)>(
        {.name = "smtp.bytes_per_s_min",
         .type = Type::bytes,
         .fallback = "64",
         .min = 1,
         .max = 1_GiB,
         .zero = true,
         .unit = "bytes/s",
         .help = "A client that sends a message's content more slowly than this is disconnected. 0: no minimum."}),
    key<FIELD(smtp.session_max)>({.name = "smtp.session_max",
                                  .type = Type::duration,
                                  .fallback = "1 d",
                                  .min = 100 * kMs,
                                  .max = 30 * kDay,
                                  .help = "The longest SMTP session; a message in progress is finished first."}),
    key<FIELD(smtp.xclient_peers)>(
        {.name = "smtp.xclient_peers",
         .type = Type::networks,
         .fallback = "none",
         .help = "Hosts that may say with XCLIENT for which client they speak: its address is then the client's for all limits, "
                 "relay.clients, Received fields and the audit log, until STARTTLS. Offered to them alone; everybody else gets 550. A LOGIN is "
                 "read and ignored."}),
    key<FIELD(smtp.xforward_peers)>(
        {.name = "smtp.xforward_peers",
         .type = Type::networks,
         .fallback = "none",
         .help = "Hosts that may say with XFORWARD whose message they pass on, such as a content filter. Its address is named in the "
                 "server's own log beside the message, and decides nothing. Offered to them alone; everybody else gets 550."}),
    key<FIELD(smtp.timeout.greeting)>({.name = "smtp.timeout.greeting",
                                       .type = Type::duration,
                                       .fallback = "5 m",
                                       .min = 100 * kMs,
                                       .max = kHour,
                                       .help = "From our banner to the client's first command."}),
    key<FIELD(smtp.timeout.command)>(
        {.name = "smtp.timeout.command",
         .type = Type::duration,
         .fallback = "5 m",
         .min = 100 * kMs,
         .max = kHour,
         .help = "For each whole command line of a client (RFC 5321 section 4.5.3.2.7: at least 5 minutes)."}),
    key<FIELD(smtp.timeout.data)>({.name = "smtp.timeout.data",
                                   .type = Type::duration,
                                   .fallback = "3 m",
                                   .min = 100 * kMs,
                                   .max = kHour,
                                   .help = "For each block of a message's content."}),
    key<FIELD(smtp.timeout.message)>({.name = "smtp.timeout.message",
                                      .type = Type::duration,
                                      .fallback = "1 h",
                                      .min = 100 * kMs,
                                      .max = kDay,
                                      .help = "From MAIL to the end of the message, however steadily it drips."}),
    key<FIELD(smtp.timeout.reply)>({.name = "smtp.timeout.reply",
                                    .type = Type::duration,
                                    .fallback = "5 m",
                                    .min = 100 * kMs,
                                    .max = kHour,
                                    .help = "For a client to read what we sent; one that does not read is disconnected."}),

    key<FIELD(limits.connections_max)>({.name = "limits.connections_max",
                                        .type = Type::integer,
                                        .fallback = "10000",
                                        .min = 1,
                                        .max = 1'000'000,
                                        .help = "Client connections to the whole server; further ones get 421."}),
    key<FIELD(limits.connections_per_client)>({.name = "limits.connections_per_client",
                                               .type = Type::integer,
                                               .fallback = "500",
                                               .min = 1,
                                               .max = 1'000'000,
                                               .help = "Connections from one IP address; further ones get 421."}),
    key<FIELD(limits.connections_per_prefix)>(
        {.name = "limits.connections_per_prefix",
         .type = Type::integer,
         .fallback = "2000",
         .min = 1,
         .max = 1'000'000,
         .help = "Connections from one /24 of IPv4 or one /64 of IPv6; further ones get 421."}),

    key<FIELD(memory.staging_bytes)>(
        {.name = "memory.staging_bytes",
         .type = Type::bytes,
         .fallback = "256 MiB",
         .min = 1_MiB,
         .max = 64_GiB,
         .multiple = 64_KiB,
         .effect = Effect::restart,
         .help = "Buffers of each shard for messages that are coming in, 8 or 64 KiB each. When all are in use, clients wait."}),
    key<FIELD(memory.queue_messages)>(
        {.name = "memory.queue_messages",
         .type = Type::integer,
         .fallback = "16384",
         .min = 64,
         .max = 1'000'000,
         .effect = Effect::restart,
         .help = "Queued messages that each shard keeps in memory, about 500 bytes each: those that are due next. All others wait in the "
                 "index on disk, however many there are."}),
    key<FIELD(memory.receive_bytes)>(
        {.name = "memory.receive_bytes",
         .type = Type::bytes,
         .fallback = "16 MiB",
         .min = 256_KiB,
         .max = 4_GiB,
         .effect = Effect::restart,
         .help = "Receive buffers of each shard. An idle connection holds none. When all are in use, clients wait."}),
    key<FIELD(memory.receive_buffer_bytes)>({.name = "memory.receive_buffer_bytes",
                                             .type = Type::bytes,
                                             .fallback = "16 KiB",
                                             .min = 1_KiB,
                                             .max = 256_KiB,
                                             .effect = Effect::restart,
                                             .help = "One receive buffer; a power of two."}),
    key<FIELD(memory.allow_swap)>(
        {.name = "memory.allow_swap",
         .type = Type::boolean,
         .fallback = "no",
         .effect = Effect::restart,
         .help = "Start although swap is active without encryption, which may put mail on disk in clear."}),

    key<FIELD(security.require_separation)>({.name = "security.require_separation",
                                             .type = Type::boolean,
                                             .fallback = "no",
                                             .effect = Effect::restart,
                                             .help = "Refuse to start unless the four processes run as users of their own."}),
    key<FIELD(crypto.require_hardware_aes)>(
        {.name = "crypto.require_hardware_aes",
         .type = Type::boolean,
         .fallback = "yes",
         .effect = Effect::restart,
         .help = "Refuse to start without AES instructions: without them encryption is forty times slower."}),

    key<FIELD(log.level)>(
        {.name = "log.level",
         .type = Type::choice,
         .fallback = "info",
         .help = "What the server's own log on standard error holds. No level ever shows addresses, subjects or content."}),
    key<FIELD(log.format)>(
        {.name = "log.format",
         .type = Type::choice,
         .fallback = "auto",
         .effect = Effect::restart,
         .help =
             "How a line begins. plain: the level's name; journal: sd-daemon's <N>; auto: journal when JOURNAL_STREAM is set."}),
};

#undef FIELD
#undef LISTENER
#undef MEMBER_OF

bool is_instance_name(std::string_view name) {
  auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  };
  return !name.empty() && name.size() <= 32 && std::ranges::all_of(name, allowed);
}

/// A domain as a key names it: lower case, A-labels; "*.DOMAIN" for all below it. A single label takes a final dot: without one it is
/// far more often a slip of a key's name than a top-level domain.
bool is_instance_domain(std::string_view name) {
  if (name.starts_with("*.")) return is_instance_domain(name.substr(2)) || is_host_name(name.substr(2));
  if (std::ranges::any_of(name, [](char c) { return c >= 'A' && c <= 'Z'; })) return false;
  const bool one_label = name.find('.') >= name.size() - 1;
  if (one_label && name.ends_with('.')) name.remove_suffix(1);
  else if (one_label) return false;
  return is_host_name(name);
}

constexpr std::string_view kName = "NAME", kDomain = "DOMAIN";

}  // namespace

std::span<const Key> table() { return kTable; }

std::string_view Key::placeholder() const {
  if (instances == nullptr) return {};
  return name.find(kDomain) != name.npos ? kDomain : kName;
}

std::optional<Match> find_key(std::string_view written) {
  for (const Key& key : kTable) {
    if (!key.is_family()) {
      if (key.name == written) return Match{&key, {}};
      continue;
    }
    const std::string_view before = key.family(), after = key.name.substr(before.size() + key.placeholder().size());
    if (written.size() <= before.size() + after.size() || !written.starts_with(before) || !written.ends_with(after)) continue;
    const std::string_view instance = written.substr(before.size(), written.size() - before.size() - after.size());
    if (key.placeholder() == kDomain ? is_instance_domain(instance) : is_instance_name(instance)) return Match{&key, instance};
  }
  return std::nullopt;
}

std::string key_text(const Key& key, std::string_view instance) {
  std::string text{key.name};
  if (key.is_family()) text.replace(key.family().size(), key.placeholder().size(), instance);
  return text;
}

std::string range_text(const Key& key) {
  auto text = [&](std::uint64_t value) {
    if (key.type == Type::bytes) return bytes_text(value);
    if (key.type == Type::duration) return duration_text(Duration{static_cast<Duration::rep>(value)});
    return std::to_string(value);
  };
  if (key.max == 0) return {};
  std::string range = text(key.min) + " .. " + text(key.max);
  if (key.zero) range = "0, or " + range;
  if (!key.auto_word.empty()) range = std::string{key.auto_word} + ", or " + range;
  return range;
}

}  // namespace ringpost::config
