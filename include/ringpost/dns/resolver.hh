// Resolver: questions to the configured resolvers over a Ring, with a cache.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ringpost/base/prng.hh"
#include "ringpost/base/socket_address.hh"
#include "ringpost/base/units.hh"
#include "ringpost/config/settings.hh"
#include "ringpost/dns/answer.hh"
#include "ringpost/runtime/ring.hh"
#include "ringpost/runtime/scope.hh"
#include "ringpost/runtime/signal.hh"
#include "ringpost/runtime/task.hh"

namespace ringpost::dns {

using config::TrustAd;

struct ResolverSettings {
  std::vector<SocketAddress> servers;  ///< resolvers that recurse, in the order of preference
  TrustAd trust_ad = TrustAd::local;
  Duration timeout = std::chrono::seconds{20};  ///< for one question, all attempts together
  std::size_t cache_bytes_max = 4_MiB;
  std::size_t cache_entries_max = 16'384;
  std::size_t in_flight_max = 64;  ///< different questions asked at a time
  std::size_t waiting_max = 4096;  ///< different questions waiting for that
};

struct ResolverCounters {
  std::uint64_t questions = 0, from_cache = 0, shared = 0;  ///< `shared`: joined one in flight
  std::uint64_t sent_udp = 0, sent_tcp = 0;
  std::uint64_t ignored = 0;  ///< datagrams that were no answer to what was asked: strays and forgeries
  std::uint64_t timeouts = 0, failed = 0, turned_away = 0;
};

class Cache;
class FairGate;
class Servers;
struct Exchanges;

/// What the configured servers do about DNSSEC. Of several the worst counts: who can silence one sends us to another.
struct Validation {
  enum class State : std::uint8_t {
    unknown,    ///< none of them answers
    yes,        ///< who answers validates, and its word counts
    untrusted,  ///< one validates, but its word does not count (TrustAd)
    no,         ///< one does not validate, or strips the signatures
  };
  State state = State::unknown;
  SocketAddress server;  ///< the one that decided
};

/// Asks the configured servers, never the world's: they recurse, and validate if they can.
///
/// Bounds:   everything in ResolverSettings; one answer has at most 64 KiB and kRecordsMax records.
/// Safety:   each attempt has a fresh socket (a random port), a random id and a question of mixed letters; what does not fit all
///           three is not looked at. Too much of it, or a truncated answer: the question goes over TCP.
/// Lifetime: await stop() before it dies.
class Resolver {
 public:
  Resolver(runtime::Ring& ring, ResolverSettings settings);
  Resolver(const Resolver&) = delete;
  ~Resolver();

  /// Never an error: a failed answer says why. Equal questions at a time are asked once.
  /// `party`: on whose behalf (a hash of a sender, say); parties get equal shares when there is more to ask than may be.
  runtime::Task<Answer> ask(std::string name, Type type, std::uint64_t party = 0);

  /// Asks each server for something that is signed for certain. Not from the cache, and nothing of it goes there.
  runtime::Task<Validation> examine();

  /// New settings; the cache is emptied when the servers changed. `in_flight_max` and `waiting_max` stay.
  void apply(ResolverSettings settings);
  /// Ends what is under way; questions still waiting get a failed answer. Idempotent.
  runtime::Task<void> stop();

  runtime::Ring& ring() { return ring_; }
  const ResolverCounters& counters() const { return counters_; }
  std::size_t cache_entries() const;
  std::size_t cache_bytes() const;
  std::size_t in_flight() const;

 private:
  struct Flight;

  runtime::Task<void> fly(Flight& flight);
  runtime::Task<Answer> resolve(std::string name, Type type, Instant deadline);
  runtime::Task<Interpretation> query(std::string name, Type type, Instant deadline);
  runtime::Task<bool> wait_for_a_server(Instant deadline);
  bool believes(const SocketAddress& server) const;

  runtime::Ring& ring_;
  ResolverSettings settings_;
  Prng prng_;
  std::unique_ptr<Servers> servers_;
  std::unique_ptr<Cache> cache_;
  std::unique_ptr<FairGate> gate_;
  std::list<Flight> flights_;
  std::map<std::pair<std::string, Type>, Flight*> by_question_;  // those that may still be joined
  std::unique_ptr<Exchanges> exchanges_;
  runtime::Signal servers_changed_;
  runtime::Scope scope_;
  ResolverCounters counters_;
  bool stopping_ = false;
};

}  // namespace ringpost::dns
