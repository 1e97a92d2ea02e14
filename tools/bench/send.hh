// The generator's side of a benchmark: many connections that send made-up messages and measure.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "bench/generator.hh"
#include "bench/ledger.hh"
#include "bench/schedule.hh"
#include "ringpost/base/socket_address.hh"
#include "ringpost/metrics/metrics.hh"
#include "ringpost/runtime/scope.hh"
#include "ringpost/runtime/uring_ring.hh"

namespace ringpost::bench {

struct SendOptions {
  SocketAddress to;
  std::string hostname = "bench.example.org";
  std::string sender = "bench@example.org";
  std::string recipient_domain = "example.net";
  std::uint64_t per_connection = 0;  ///< messages before a connection is closed in order; 0: no bound
  bool pipeline = false;             ///< MAIL, RCPT and DATA or BDAT leave together
  unsigned depth = 1;                ///< with pipeline: messages a connection has under way at once (DATA: at most 2)
  bool bdat = false;
  std::uint64_t chunk_bytes = 0;  ///< with bdat: bytes of one chunk; 0: the whole message in one
  bool keep_going = false;        ///< a lost connection is made again
  Duration reconnect_max =
      std::chrono::seconds(30);                   ///< with keep_going: a connection that cannot be made for so long is given up
  Duration reply_max = std::chrono::seconds(60);  ///< longest wait for a reply
};

/// Where something went wrong.
enum class Step : std::uint8_t { connect, greeting, ehlo, rset, mail, rcpt, data, content, end };
std::string_view step_name(Step step);

/// Each has one writer, the worker's thread; any thread reads.
struct SendCounters {
  metrics::Counter begun, accepted, tempfailed, permfailed;
  metrics::Counter lost;               ///< the connection broke before the reply: nobody knows
  metrics::Counter bytes, recipients;  ///< of accepted messages
  metrics::Counter connections;        ///< made and greeted
  metrics::Counter connects_failed;
  metrics::Counter recipients_refused;
  metrics::Histogram latency;  ///< of accepted messages
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
  SendWorker(runtime::Ring& ring, SendShared& shared) : ring_(ring), shared_(shared), scope_(ring) {}

  /// On the ring's thread.
  void start(unsigned connections);
  /// Connections that have not ended.
  std::size_t running() const { return scope_.running(); }
  /// Breaks every connection; they then end by themselves.
  runtime::Task<void> cut();

  const SendCounters& counters() const { return counters_; }
  /// How often which reply (or 0: the connection broke) ended a message or a connection. Read it when running() is 0.
  const std::map<std::pair<Step, int>, std::uint64_t>& troubles() const { return troubles_; }
  bool ledger_failed() const { return ledger_failed_; }
  /// When the last message was settled.
  Instant last_settled() const { return last_settled_; }

 private:
  friend class SendConnection;
  runtime::Task<void> run_connection();

  runtime::Ring& ring_;
  SendShared& shared_;
  runtime::Scope scope_;
  SendCounters counters_;
  std::map<std::pair<Step, int>, std::uint64_t> troubles_;
  std::vector<SendConnection*> connections_;
  Instant last_settled_{};
  bool cut_ = false;
  bool ledger_failed_ = false;
};

}  // namespace ringpost::bench
