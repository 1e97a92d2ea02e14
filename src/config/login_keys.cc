// Who may log in, and what a login may send.
#include "key_binding.hh"

namespace ringpost::config {
namespace {

constexpr Key kKeys[] = {
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

};

}  // namespace

std::span<const Key> login_keys() { return kKeys; }

}  // namespace ringpost::config
