// Who the server is, where it listens, and what TLS says there.
#include "key_binding.hh"

namespace ringpost::config {
namespace {

constexpr Key kKeys[] = {
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
    key<FIELD(spread)>(
        {.name = "shards.spread",
         .type = Type::choice,
         .fallback = "load",
         .help = "Which shards take new connections. load: while connections are short (3 s at most in the mean), as few as the load needs, so that "
                 "each message costs less CPU and fewer syncs; more when those are busy and the next cores are idle, and one for each 256 open "
                 "connections. even: all of them, each its part."}),
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

};

}  // namespace

std::span<const Key> listener_keys() { return kKeys; }

}  // namespace ringpost::config
