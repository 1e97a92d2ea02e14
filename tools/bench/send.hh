// The generator's side of a benchmark: many connections that send made-up messages and measure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/client.hh"
#include "bench/generator.hh"
#include "bench/ledger.hh"
#include "bench/schedule.hh"
#include "ringpost/metrics/metrics.hh"
#include "ringpost/runtime/scope.hh"
#include "ringpost/runtime/uring_ring.hh"

namespace ringpost::bench {

struct SendOptions {
  ClientOptions client;
  std::string sender = "bench@example.org";
  std::string recipient_domain = "example.net";
  std::uint32_t domains = 1;         ///< more than one: dN.RECIPIENT_DOMAIN, a message's recipients all in one
  std::uint64_t per_connection = 0;  ///< messages before a connection is closed in order; 0: no bound
  bool pipeline = false;             ///< MAIL, RCPT and DATA or BDAT leave together
  unsigned depth = 1;                ///< with pipeline: messages a connection has under way at once (DATA: at most 2)
  bool bdat = false;
  std::uint64_t chunk_bytes = 0;  ///< with bdat: bytes of one chunk; 0: the whole message in one
  bool keep_going = false;        ///< a lost connection is made again
  Duration reconnect_max = std::chrono::seconds(30);  ///< with keep_going: a connection that cannot be made for so long is given up
};

/// Each has one writer, the worker's thread; any thread reads.
struct SendCounters {
  metrics::Counter begun, accepted, tempfailed, permfailed;
  metrics::Counter lost;               ///< the connection broke before the reply: nobody knows
  metrics::Counter bytes, recipients;  ///< of accepted messages
  metrics::Counter connections;        ///< made, greeted and as asked for: secured, logged in
  metrics::Counter resumed;            ///< of these, with an earlier TLS session
  metrics::Counter connects_failed;
  metrics::Counter recipients_refused;
  metrics::Histogram latency;        ///< of accepted messages, from when they were due
  metrics::Histogram reply_latency;  ///< of accepted messages, from the last byte sent to the reply
};

/// What the workers of one run share.
struct SendShared {
  SendOptions options;
  Generator generator;
  Schedule schedule;
  LedgerFile ledger;
};

class SendConnection;

/// One thread's part of a run.
class SendWorker {
 public:
  SendWorker(runtime::Ring& ring, SendShared& shared) : ring_(ring), shared_(shared), clients_(ring), scope_(ring) {}

  /// On the ring's thread.
  void start(unsigned connections);
  /// Connections that have not ended.
  std::size_t running() const { return scope_.running(); }
  /// Breaks every connection; they then end by themselves.
  runtime::Task<void> cut();

  const SendCounters& counters() const { return counters_; }
  /// Read it when running() is 0.
  const Troubles& troubles() const { return clients_.troubles; }
  bool ledger_failed() const { return ledger_failed_; }
  /// When the last message was settled.
  Instant last_settled() const { return last_settled_; }

 private:
  friend class SendConnection;
  runtime::Task<void> run_connection();

  runtime::Ring& ring_;
  SendShared& shared_;
  ClientShared clients_;
  runtime::Scope scope_;
  SendCounters counters_;
  std::vector<SendConnection*> connections_;
  Instant last_settled_{};
  bool cut_ = false;
  bool ledger_failed_ = false;
};

}  // namespace ringpost::bench
