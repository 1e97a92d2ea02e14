// The three modes of ringpost-bench, each from its options to its exit code.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/send.hh"
#include "bench/sink.hh"

namespace ringpost::bench {

struct SinkSetup {
  std::vector<SocketAddress> listen;
  std::string ledger, store, json;  ///< paths; empty: none
  unsigned threads = 1;
  int cpu = -1;  ///< core of the first thread, the others follow; -1: wherever
  bool quiet = false;
  SinkOptions options;
};
/// Runs until SIGINT or SIGTERM. Says "listening on ADDRESS" on standard output for each address when it does.
int run_sink(SinkSetup setup);

struct SendSetup {
  std::string ledger, json;
  unsigned threads = 1;
  unsigned connections = 1;
  int cpu = -1;
  bool quiet = false;
  double rate = 0;             ///< messages in a second, open loop; 0: closed loop
  std::uint64_t messages = 0;  ///< 0: no bound
  Duration span{};             ///< zero: no end
  GeneratorOptions generator;
  SendOptions options;
};
/// Runs until all is sent, the time is over, or SIGINT or SIGTERM.
/// Exit code 0: every message begun was accepted (with keep_going: at least one was); 1: not so; 2: it could not begin.
int run_send(SendSetup setup);

struct CheckSetup {
  std::vector<std::string> sent, received;  ///< ledgers
  std::string json;
};
/// Exit code 0: whatever got 250 arrived, unchanged, for all its recipients; 1: not so; 2: a ledger is unreadable.
int run_check(const CheckSetup& setup);

}  // namespace ringpost::bench
