// The sink: an SMTP server that accepts everything, or misbehaves as told.
#pragma once

#include <atomic>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bench/client.hh"
#include "bench/faults.hh"
#include "bench/ledger.hh"
#include "bench/store.hh"
#include "ringpost/base/socket_address.hh"
#include "ringpost/metrics/metrics.hh"
#include "ringpost/runtime/scope.hh"
#include "ringpost/runtime/uring_ring.hh"
#include "ringpost/tls/channel.hh"

namespace ringpost::bench {

/// What EHLO offers.
struct Offers {
  bool pipelining = true, size = true, eight_bit_mime = true, smtputf8 = true, chunking = true, enhanced_status_codes = true;
};

struct SinkOptions {
  std::string hostname = "sink.example.net";
  std::uint64_t message_bytes_max = 1_GiB;
  std::uint64_t recipients_max = 100'000;
  Duration idle_max = std::chrono::minutes(5);  ///< for a client that says nothing
  Offers offers;
  FaultPlan faults;
  std::uint64_t seed = 1;  ///< of the faults
  Security security = Security::none;  ///< with a certificate: STARTTLS is offered, or TLS from the first byte
};

/// Each has one writer, the worker's thread; any thread reads.
struct SinkCounters {
  metrics::Counter connections, secured, messages, recipients, bytes;
  metrics::Counter tempfails, permfails, drops, greylisted;
  metrics::Counter refused;  ///< commands and messages that were wrong, without any fault asked for
  metrics::Counter failed;   ///< messages that ledger or store would not take
  metrics::Gauge connections_open;
  metrics::Gauge first_message_ns, last_message_ns;  ///< moments on the monotonic clock; 0 without any
};

/// What the workers of one sink share.
struct SinkShared {
  SinkOptions options;
  LedgerFile ledger;
  MessageStore store;
  std::optional<tls::Certificate> certificate;
  Greylist greylist;
};

class SinkSession;

/// One thread's part of the sink: a ring, its listening sockets and their sessions.
class SinkWorker {
 public:
  SinkWorker(runtime::Ring& ring, SinkShared& shared, unsigned index);
  ~SinkWorker();

  /// With `security`: what is wrong with the certificate.
  std::expected<void, std::string> prepare_tls();
  /// Takes over the descriptor. Call on the ring's thread.
  void serve(Fd listener);
  /// Stops listening and cuts all sessions; completes when nothing is left.
  runtime::Task<void> stop();
  const SinkCounters& counters() const { return counters_; }

 private:
  friend class SinkSession;
  struct Listening;
  runtime::Task<void> accept_loop(Listening& listening);
  runtime::Task<void> run_session(Fd socket);
  void count_message(std::size_t recipients, std::uint64_t bytes);
  /// Writes the lines of all messages whose 250 is about to leave. Once it has failed it fails for good: the lines that were
  /// lost may be those of other sessions.
  Result<> write_ledger();

  runtime::Ring& ring_;
  SinkShared& shared_;
  tls::Engine engine_;
  std::unique_ptr<tls::ServerContext> tls_;
  runtime::Scope scope_;
  SinkCounters counters_;
  Prng prng_;
  std::string ledger_lines_;
  Result<> ledger_;
  std::vector<std::unique_ptr<Listening>> listening_;
  std::vector<SinkSession*> sessions_;
  bool stopping_ = false;
};

}  // namespace ringpost::bench
