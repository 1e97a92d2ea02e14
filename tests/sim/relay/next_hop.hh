// The next hop: an SMTP server with moods, which writes down what it took.
#pragma once

#include <functional>
#include <optional>

#include "../scenario.hh"
#include "ledger.hh"
#include "ringpost/base/socket_address.hh"
#include "ringpost/runtime/receiver.hh"
#include "ringpost/runtime/scope.hh"
#include "ringpost/sim/sim_ring.hh"
#include "wire.hh"

namespace ringpost::sim::relay {

/// Named fault points of the hop, for Faults::strike().
inline constexpr std::string_view kHopMoods[] = {"hop greets 421",
                                                 "hop defers MAIL",
                                                 "hop defers RCPT",
                                                 "hop refuses RCPT",
                                                 "hop defers DATA",
                                                 "hop defers the message",
                                                 "hop refuses the message",
                                                 "hop hangs up before it decides",
                                                 "hop hangs up before it answers",
                                                 "hop is slow"};

class NextHop {
 public:
  NextHop(World& world, Ledger& ledger, Findings& findings, const SocketAddress& address);

  void start();
  /// Stops accepting; sessions end when their clients leave.
  void stop();
  bool stopped() const { return scope_.running() == 0; }
  SimRing& ring() { return ring_; }

 private:
  struct Transaction {
    std::vector<Addressee> recipients;
    std::string sender, content;
    bool open = false, in_chunks = false;
    Submission* reported = nullptr;  ///< it is a report to the sender of that
    bool has_recipients() const { return reported || !recipients.empty(); }
  };
  struct Session;

  runtime::Task<void> accept_all();
  runtime::Task<void> close_listener();
  runtime::Task<void> serve(Fd socket);
  runtime::Task<bool> handle(Session& session, std::string_view command);
  runtime::Task<bool> take_chunk(Session& session, std::string_view argument);
  runtime::Task<bool> decide(Session& session, bool by_data);
  void take(Session& session, bool by_data);
  void take_report(Session& session);
  void confirm(Session& session);
  bool mood(std::string_view name) { return world_.faults().strike(name); }

  World& world_;
  Ledger& ledger_;
  Findings& findings_;
  SocketAddress address_;
  SimRing& ring_;
  runtime::Scope scope_;
  Fd listener_;
  std::optional<runtime::Acceptor> acceptor_;
};

}  // namespace ringpost::sim::relay
