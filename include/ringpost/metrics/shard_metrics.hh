// Everything one shard counts, declared once: this table makes the members, the Prometheus text and docs/metrics.md.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "ringpost/metrics/metrics.hh"

// Each row: member (with the prefix "ringpost_" its exported name; counters get "_total", histograms "_seconds"), help.
#define RP_SHARD_METRICS(COUNTER, GAUGE, HISTOGRAM)                                                                       \
  GAUGE(connections_open, "Client connections now open.")                                                                 \
  COUNTER(connections_accepted, "Client connections accepted.")                                                           \
  COUNTER(connections_refused, "Client connections turned away: a limit (421), no PROXY header.")                                   \
  GAUGE(sessions_open, "SMTP sessions now in progress.")                                                                  \
  COUNTER(sessions_started, "SMTP sessions that got a banner.")                                                           \
  COUNTER(sessions_timed_out, "SMTP sessions ended by a time-out or the minimum data rate.")                              \
  COUNTER(tls_handshakes, "TLS handshakes of clients that succeeded.")                                                    \
  COUNTER(tls_handshakes_resumed, "Those that went on with an earlier session.")                                          \
  COUNTER(tls_handshakes_failed, "TLS handshakes of clients that failed or took too long.")                               \
  COUNTER(logins_accepted, "Clients that have authenticated.")                                                            \
  COUNTER(logins_refused, "Attempts to authenticate that were refused (535).")                                            \
  COUNTER(logins_put_off, "Passwords of strangers that were not checked (454), because too many were wrong.")              \
  COUNTER(messages_over_budget, "Messages held because their login has sent to more recipients than it may.")             \
  COUNTER(commands_refused, "SMTP commands answered with 4xx or 5xx.")                                                    \
  COUNTER(messages_accepted, "Messages answered with 250 after they were durable.")                                       \
  COUNTER(messages_refused, "Messages answered with 5xx after their content began.")                                      \
  COUNTER(messages_deferred, "Messages answered with 4xx after their content began.")                                     \
  COUNTER(message_bytes_accepted, "Bytes of accepted messages, as received.")                                             \
  COUNTER(recipients_accepted, "Recipients of accepted messages.")                                                        \
  GAUGE(messages_queued, "Messages kept with a recipient without a final outcome, or a report to make.")                 \
  GAUGE(recipients_queued, "Recipients without a final outcome.")                                                         \
  COUNTER(recipients_delivered, "Recipients the next hop took (2xx).")                                                    \
  COUNTER(recipients_deferred, "Delivery attempts for a recipient that are to be repeated.")                              \
  COUNTER(recipients_failed, "Recipients that failed for good (5xx or expired).")                                         \
  COUNTER(reports_sent, "Reports to senders put into the queue.")                                                         \
  COUNTER(notices_hard, "Reports that came in (null sender): an address does not work.")                                  \
  COUNTER(notices_block, "Reports that came in: a message or its sender was not wanted.")                                 \
  COUNTER(notices_soft, "Reports that came in: a delivery failed that may work another time.")                            \
  COUNTER(notices_delayed, "Reports that came in: nothing is decided yet.")                                               \
  COUNTER(notices_feedback, "Reports that came in: somebody complained.")                                                 \
  COUNTER(notices_other, "Other mail that came in with the null sender.")                                                 \
  COUNTER(callouts_sent, "Recipients that a next hop was asked about.")                                                   \
  COUNTER(callouts_remembered, "Recipients whose next hop's answer was still known.")                                     \
  COUNTER(callouts_unsure, "Recipients that the next hop said nothing of.")                                               \
  COUNTER(delivery_connections, "Connections opened to next hops.")                                                       \
  COUNTER(delivery_connection_failures, "Connections to next hops that failed before the greeting.")                      \
  COUNTER(delivery_connections_tls, "Connections to next hops that were secured with TLS.")                               \
  COUNTER(delivery_connections_resumed, "Those that went on with an earlier TLS session.")                               \
  COUNTER(delivery_connections_verified, "Those whose next hop was verified, by DANE or by tls.trust_file.")             \
  COUNTER(delivery_login_failures, "Connections to next hops that refused our login, or left no way to use it.")          \
  COUNTER(delivery_tls_failures, "Connections to next hops whose TLS did not work, where mail may go in clear.")          \
  GAUGE(dns_validating, "1 while the resolvers were found to validate and are believed: without that there is no DANE.")   \
  COUNTER(sts_policies_fetched, "MTA-STS policies fetched from domains' web servers.")                                    \
  COUNTER(sts_fetches_failed, "Fetches of MTA-STS policies that failed; what is cached goes on holding.")                 \
  COUNTER(tls_reports_sent, "Reports about TLS that domains' web servers took.")                                          \
  COUNTER(tls_reports_failed, "Reports about TLS given up after several attempts.")                                       \
  COUNTER(tls_reports_by_mail, "Reports about TLS that domains want by mail alone, which cannot be signed yet: not sent.") \
  GAUGE(delivery_connections_open, "Connections to next hops now open.")                                                  \
  HISTOGRAM(delivery_latency, "Time from accepting a message to a recipient's final outcome.")                            \
  COUNTER(commit_groups, "Commit groups made durable.")                                                                   \
  COUNTER(commit_records, "Records in those groups.")                                                                     \
  COUNTER(commit_bytes, "Bytes written for those groups, padding included.")                                              \
  COUNTER(sync_failures, "Writes or syncs of the log that failed; each closed a segment.")                                \
  HISTOGRAM(commit_latency, "Time from submitting a commit group to its sync being complete.")                            \
  HISTOGRAM(acceptance_latency, "Time from a message's last byte to its 250.")                                            \
  GAUGE(segments_free, "Segments zero-filled and ready.")                                                                 \
  GAUGE(segments_used, "Segments that hold live records.")                                                                \
  GAUGE(spool_live_bytes, "Bytes of live records in the log.")                                                            \
  GAUGE(partitions_recovering, "Partitions whose older messages are not all known yet; mail that comes in is taken and delivered.") \
  GAUGE(low_space, "1 while new mail is deferred for want of space.")                                                     \
  COUNTER(messages_quarantined, "Messages set aside because their records are damaged or they ended a process.")          \
  COUNTER(messages_left_memory, "Messages that left memory for the index, because they wait for long or too many are there.")  \
  COUNTER(messages_taken_up, "Messages taken from the index into memory again.")                                        \
  COUNTER(messages_copied, "Messages moved to the end of the log so that a segment could be used again.")                 \
  GAUGE(audit_pending, "Audit events durable here but not yet acknowledged by auditd.")                                   \
  COUNTER(audit_acknowledged, "Audit events auditd has durably.")                                                         \
  COUNTER(audit_suppressed, "Observational audit events dropped by sampling.")                                            \
  GAUGE(staging_buffers_in_use, "Staging buffers for large messages in use.")                                             \
  GAUGE(receive_buffers_in_use, "Receive buffers in use.")                                                                \
  COUNTER(receive_buffers_exhausted, "Times a socket had to pause because no receive buffer was free (ENOBUFS).")         \
  COUNTER(staging_exhausted, "Times a session had to pause because no staging buffer was free.")                          \
  COUNTER(ring_operations_submitted, "io_uring operations submitted.")                                                    \
  COUNTER(ring_operations_completed, "io_uring operations completed.")                                                    \
  COUNTER(ring_turns, "Turns of the event loop.")                                                                         \
  COUNTER(permits_wanted, "Delivery permits asked for.")                                                                  \
  COUNTER(permits_granted, "Delivery permits granted.")                                                                   \
  GAUGE(permits_held, "Delivery permits now held.")                                                                       \
  COUNTER(log_lines_dropped, "Lines of the server's own log that could not be written.")

namespace ringpost::metrics {

/// One shard's numbers. The shard alone writes them; lives as long as the process; about 30 KB.
struct ShardMetrics {
#define RP_COUNTER(member, help) Counter member;
#define RP_GAUGE(member, help) Gauge member;
#define RP_HISTOGRAM(member, help) Histogram member;
  RP_SHARD_METRICS(RP_COUNTER, RP_GAUGE, RP_HISTOGRAM)
#undef RP_COUNTER
#undef RP_GAUGE
#undef RP_HISTOGRAM
};

/// All shards, in the order of their numbers.
using Shards = std::span<const ShardMetrics* const>;

enum class Kind : std::uint8_t { counter, gauge, histogram };

/// One row of the table. Views last for ever.
struct Descriptor {
  std::string_view member;  ///< "connections_open": the name in JSON
  std::string_view name;    ///< "ringpost_connections_open": the name in Prometheus
  std::string_view help;
  Kind kind = Kind::counter;
};
std::span<const Descriptor> descriptors();

/// The Prometheus text exposition (version 0.0.4) of all shards, each sample labelled shard="N". Histograms come with
/// bounds at powers of two, from 8 us to 73 minutes.
std::string prometheus_text(Shards shards);

/// One JSON object: every counter and gauge summed over the shards by its member's name, and for each histogram an object
/// of count, mean_us, p50_us, p90_us, p99_us, p999_us and max_us. `indent` spaces before each line after the first.
std::string json_totals(Shards shards, int indent = 0);

/// docs/metrics.md, whole.
std::string reference_page();

}  // namespace ringpost::metrics
