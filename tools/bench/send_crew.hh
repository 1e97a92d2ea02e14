// The threads of a generator: from options to totals.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "bench/crew.hh"
#include "bench/modes.hh"

namespace ringpost::bench {

struct SendTotals {
  std::uint64_t begun = 0, accepted = 0, tempfailed = 0, permfailed = 0, lost = 0, bytes = 0, recipients = 0;
  std::uint64_t connections = 0, resumed = 0, connects_failed = 0, recipients_refused = 0;
  metrics::HistogramSnapshot latency, reply_latency;
  std::uint64_t refused() const { return tempfailed + permfailed; }
};
/// For the live line and the end of a run.
std::string summary(const SendTotals& totals, double seconds);

class SendCrew {
 public:
  explicit SendCrew(const SendSetup& setup) : setup_(setup) {}
  /// Opens the ledger and makes the rings. False: standard error has said why.
  bool prepare();
  void start();
  /// Waits for the workers; a signal ends the run early, in order if that is possible. `look`: called every now and then, with the
  /// totals so far and the seconds since the start.
  void watch(const StopSignals& signals, const std::function<void(const SendTotals&, double)>& look);
  /// False: a ring would not start, and standard error has said why.
  bool join();

  SendTotals totals() const;
  /// After join(): from the start to the last reply.
  double seconds() const;
  /// After join().
  Troubles troubles() const;
  bool ledger_failed() const { return ledger_failed_; }
  /// All messages that were asked for were begun, unless somebody ended the run.
  bool began_all() const;

 private:
  struct Thread {
    std::unique_ptr<runtime::UringRing> ring;
    std::unique_ptr<SendWorker> worker;
    Result<> started;
    std::thread thread;
  };
  void run(Thread& own, unsigned connections);

  const SendSetup& setup_;
  LedgerFile ledger_;
  std::unique_ptr<SendShared> shared_;
  std::vector<Thread> threads_;
  std::atomic<bool> cutting_{false};
  std::atomic<unsigned> running_{0};
  Instant start_{}, last_{};
  bool ledger_failed_ = false;
};

}  // namespace ringpost::bench
