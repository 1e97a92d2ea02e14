// Where mail, keys and audit log lie, and where operators ask.
#include "key_binding.hh"

namespace ringpost::config {
namespace {

constexpr Key kKeys[] = {
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

};

}  // namespace

std::span<const Key> storage_keys() { return kKeys; }

}  // namespace ringpost::config
