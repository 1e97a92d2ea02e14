// The modes of ringpost-bench, each from its options to its exit code.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "bench/send.hh"
#include "bench/sink.hh"

namespace ringpost::bench {

struct SinkSetup {
  std::vector<SocketAddress> listen;
  std::string ledger, store, json;  ///< paths; empty: none
  std::string chain, key;           ///< of the certificate, with `options.security`
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
  pid_t server_pid = 0;        ///< whose CPU time is stated, with its descendants'; 0: nobody's
  double rate = 0;             ///< messages in a second, open loop; 0: closed loop
  std::uint64_t messages = 0;  ///< 0: no bound
  Duration span{};             ///< zero: no end
  GeneratorOptions generator;
  SendOptions options;
};
/// Runs until all is sent, the time is over, or SIGINT or SIGTERM.
/// Exit code 0: every message begun was accepted (with keep_going: at least one was); 1: not so; 2: it could not begin.
int run_send(SendSetup setup);

struct RelaySetup {
  SendSetup send;
  SinkSetup sink;
  Duration patience = std::chrono::seconds(60);  ///< without any arrival, before the rest counts as lost
};
/// A generator and a sink around a server, until all that it took has come out at the other end.
/// Exit code 0: everything did; 1: not so; 2: it could not begin.
int run_relay(RelaySetup setup);

struct LoginSetup {
  ClientOptions client;
  std::string json;
  unsigned concurrent_max = 1000;  ///< connections at once; what is due beyond them waits
  double rate = 0;                 ///< logins in a second
  Duration span{};
  bool numbered = false;  ///< a number is put in front of the user's name: everybody is somebody else
  bool quiet = false;
};
/// Connections that log in and leave, at a constant rate.
/// Exit code 0: every one got an answer to AUTH, whichever; 1: not so; 2: it could not begin.
int run_login(const LoginSetup& setup);

struct IdleSetup {
  ClientOptions client;
  std::string json;
  unsigned connections = 1;
  Duration span{};  ///< zero: until SIGINT or SIGTERM
  pid_t server_pid = 0;
  bool quiet = false;
};
/// Opens connections up to EHLO and holds them. Says "CONNECTIONS open" on standard output when they are.
/// Exit code 0: all were still open at the end; 1: not so; 2: it could not begin.
int run_idle(const IdleSetup& setup);

struct CheckSetup {
  std::vector<std::string> sent, received;  ///< ledgers
  std::string json;
};
/// Exit code 0: whatever got 250 arrived, unchanged, for all its recipients; 1: not so; 2: a ledger is unreadable.
int run_check(const CheckSetup& setup);

struct CompareSetup {
  std::string before, after;  ///< results in JSON
  double worse_max = 0;       ///< percent; 0: no bound
};
/// Prints the figures of two results side by side.
/// Exit code 0; 1: rate fell, or CPU, latency or losses rose, by more than `worse_max`; 2: a file is unreadable.
int run_compare(const CompareSetup& setup);

}  // namespace ringpost::bench
