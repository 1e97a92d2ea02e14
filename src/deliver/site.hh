// A site: the hosts that mail of some destinations goes to, with what waits for them and what is known of them.
#pragma once

#include <algorithm>
#include <deque>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "deliver/connection.hh"
#include "ringpost/base/socket_address.hh"
#include "ringpost/base/units.hh"
#include "ringpost/config/settings.hh"
#include "ringpost/deliver/hosts.hh"
#include "ringpost/deliver/policies.hh"
#include "ringpost/queue/message.hh"
#include "ringpost/runtime/signal.hh"

namespace ringpost::deliver {

/// A message that goes to several sites at once: it is in delivery until its last leg is over.
struct Split {
  std::size_t legs = 0;
  bool recorded = false;         ///< some leg had a result
  Instant again = kNever;        ///< the earliest moment for a leg that could not even begin
  std::optional<Error> failure;  ///< a leg could not be opened
};

/// One message's recipients at one site.
struct Job {
  queue::Message* message = nullptr;
  Split* split = nullptr;                 ///< null: this is all of it
  std::vector<std::uint32_t> recipients;  ///< empty: all that wait
  std::uint64_t round = 0;                ///< of the line: one job of each sender
};

/// What sites share that one limit is for: a site of its own, or all whose hosts a pattern of the configuration names.
struct Account {
  std::uint64_t id = 0;  ///< the destination its permits are of
  std::size_t workers = 0, sites = 0;
  bool hungry = false;   ///< a site has jobs and finds no permit: idle connections of the others should end
};

struct Site {
  Site(runtime::Ring& ring, std::string name, std::uint64_t number) : key(std::move(name)), id(number), work(ring) {}

  std::string key;
  std::uint64_t id;                      ///< of the key
  std::vector<std::string> names;        ///< of its hosts, for limits that name them
  std::vector<SocketAddress> addresses;  ///< in the order of trying
  Protocol protocol = Protocol::smtp;
  bool by_mx = false;                    ///< DNS names its hosts
  config::TlsPolicy tls = config::TlsPolicy::automatic;
  std::string tls_name;                  ///< who its hosts are to be
  std::shared_ptr<const Proofs> proofs;  ///< what DNS proves of them
  std::shared_ptr<const transport::CachedPolicy> sts;  ///< of one of the domains: for all of them it says the same of these hosts
  std::string shows;                     ///< as Security::shows
  HopMemory memory;

  Account* account = nullptr;
  std::uint32_t connections_max = 1;
  std::uint64_t messages_max = 1;
  config::Rate rate;

  std::deque<Job> jobs;  ///< by round: who has many here is not before who has one; what has priority counts only its like
  void line_up(Job job) {
    const auto mine = std::find_if(jobs.rbegin(), jobs.rend(), [&](const Job& other) {
      return other.message->sender == job.message->sender && other.message->terms.priority >= job.message->terms.priority;
    });
    job.round = mine != jobs.rend() ? mine->round + 1 : jobs.empty() ? 0 : jobs.front().round;
    auto place = jobs.end();
    const auto is_behind = [&](const Job& other) {
      return other.round > job.round || (other.round == job.round && other.message->terms.priority < job.message->terms.priority);
    };
    while (place != jobs.begin() && is_behind(*std::prev(place))) --place;
    jobs.insert(place, std::move(job));
  }
  runtime::Signal work;
  std::size_t workers = 0, idle = 0, woken = 0;  // woken: of the idle, who have not looked yet
  std::size_t open = 0;                          ///< connections that said 250 to EHLO
  bool needs_attention = false, stands = false;

  // Adaptive concurrency: doubling with each round at first, one step in kSteadySuccesses after the first setback.
  static constexpr std::uint32_t kWindowFirst = 2, kSteadySuccesses = 16;
  std::uint32_t window = kWindowFirst, successes = 0;
  bool set_back = false, proven = false;
  void grew() {
    proven = true;
    if (window >= connections_max || (set_back && ++successes < kSteadySuccesses)) return;
    successes = 0;
    ++window;
  }
  void shrink(std::uint32_t to) {
    set_back = true;
    successes = 0;
    window = std::max(to, 1u);
  }

  // Trouble with the hosts: left alone until `suspended_until`, then one connection tries.
  std::uint32_t failures = 0;
  Instant suspended_until{};
  Instant looked_for_overdue{};  ///< the suspension in which that was done

  /// How many jobs may wait here: enough to keep its connections busy, few enough to leave them in the queue's care.
  std::size_t room() const {
    if (failures > 0) return 1;
    return std::min<std::size_t>(8 + 8 * window, 512);
  }

  // What finds no room comes back at intervals, so that looking at it again has a bounded cost whatever the backlog.
  static constexpr Duration kLookAgainMin = std::chrono::milliseconds(20), kSlot = std::chrono::microseconds(500);
  Instant next_slot{};
  std::uint32_t went = 0, went_last_second = 0;
  Instant second{};
  Instant slot(Instant not_before) {
    const Duration step = std::min<Duration>(kSlot, std::chrono::seconds(1) / std::max(2 * went_last_second, 1u));
    next_slot = std::max(next_slot + step, not_before);
    return next_slot;
  }

  Instant used{};  ///< when it last had work
};

/// The recipients of a message that go the same way, while it is found out which.
struct Way {
  const config::Route* route = nullptr;
  std::string domain;  ///< looked up: lower case; else empty
  config::TlsPolicy tls = config::TlsPolicy::automatic;
  std::string tls_name;
  std::string shows;
  std::vector<std::uint32_t> recipients;
  std::expected<Hosts, NoHosts> hosts = Hosts{};
  StsPolicy sts;  ///< of `domain`
};

}  // namespace ringpost::deliver
