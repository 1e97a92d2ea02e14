// What one client may take: of a conversation, of connections, of memory. And how the server is kept in and talks of itself.
#include "key_binding.hh"

namespace ringpost::config {
namespace {

constexpr Key kKeys[] = {
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

}  // namespace

std::span<const Key> limit_keys() { return kKeys; }

}  // namespace ringpost::config
