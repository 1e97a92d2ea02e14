// Whose mail is taken, where it goes, and who is asked about it.
#include "key_binding.hh"

namespace ringpost::config {
namespace {

constexpr Key kKeys[] = {
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

};

}  // namespace

std::span<const Key> route_keys() { return kKeys; }

}  // namespace ringpost::config
