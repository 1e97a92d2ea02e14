// The threads of a sink: from options to totals.
#pragma once

#include <atomic>
#include <cstdint>
#include <future>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "bench/crew.hh"
#include "bench/modes.hh"

namespace ringpost::bench {

struct SinkTotals {
  std::uint64_t messages = 0, recipients = 0, bytes = 0, connections = 0, secured = 0;
  std::uint64_t tempfails = 0, permfails = 0, drops = 0, greylisted = 0, refused = 0, failed = 0;
  std::int64_t open = 0, first_ns = 0, last_ns = 0;
  std::uint64_t faults() const { return tempfails + permfails + drops + greylisted; }
  double active_s() const { return static_cast<double>(last_ns - first_ns) / 1e9; }
};

class SinkCrew {
 public:
  explicit SinkCrew(SinkSetup& setup) : setup_(setup), shared_{.options = setup.options} {}
  ~SinkCrew() { stop(); }
  /// Opens ledger, store and certificate, and listens; `setup.listen` has the ports that were free then. False: standard error
  /// has said why.
  bool start();
  void stop();
  SinkTotals totals() const;

 private:
  /// `listening` gets the addresses (ports filled in) or the error with the address it is about.
  struct Listened {
    std::vector<SocketAddress> addresses;
    Result<> result;
  };
  struct Thread {
    std::unique_ptr<runtime::UringRing> ring;
    std::unique_ptr<SinkWorker> worker;
    std::thread thread;
  };
  bool prepare();
  bool read_certificate();
  bool start_one(unsigned index);
  void run(Thread& own, std::promise<Listened>& listening);

  SinkSetup& setup_;
  SinkShared shared_;
  std::vector<Thread> threads_;
  std::atomic<bool> stopping_{false};
};

}  // namespace ringpost::bench
