// How often and how long a delivery is tried, and how fast.
#include "key_binding.hh"

namespace ringpost::config {
namespace {

constexpr Key kKeys[] = {
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
                 "crowd of slow strangers cannot take all. Half of them belong to the shards, each its part; the rest goes to whichever needs it."}),
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

};

}  // namespace

std::span<const Key> delivery_keys() { return kKeys; }

}  // namespace ringpost::config
