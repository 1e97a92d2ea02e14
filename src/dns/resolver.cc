#include "ringpost/dns/resolver.hh"

#include <algorithm>
#include <array>

#include "cache.hh"
#include "exchange.hh"
#include "gate.hh"
#include "servers.hh"

namespace ringpost::dns {

using runtime::Task;
using std::chrono::seconds;

namespace {

constexpr Duration kAttemptFirst = seconds{2}, kAttemptMax = seconds{8};

/// Longer each time all servers were asked once.
Duration attempt_time(std::size_t attempt, std::size_t servers) {
  const std::size_t round = std::min<std::size_t>(attempt / servers, 2);
  return std::min(kAttemptFirst * (1u << round), kAttemptMax);
}

std::uint64_t random_seed(runtime::Ring& ring) {
  std::array<std::byte, 8> seed{};
  ring.random(seed);
  return load_le<std::uint64_t>(seed.data());
}

bool refuses_edns(Rcode code) {
  return code == Rcode::format_error || code == Rcode::not_implemented || code == Rcode::bad_version;
}

}  // namespace

/// A question under way. It lives until the last of those who wait for it has its answer.
struct Resolver::Flight {
  Flight(runtime::Ring& ring, Question asked, std::uint64_t asker) : question(std::move(asked)), party(asker), done(ring) {}
  Question question;
  std::uint64_t party;
  runtime::Signal done;
  std::size_t waiting = 0;
  bool ended = false;
  Answer answer;
};

Resolver::Resolver(runtime::Ring& ring, ResolverSettings settings)
    : ring_(ring),
      settings_(std::move(settings)),
      prng_(random_seed(ring)),
      servers_(std::make_unique<Servers>(settings_.servers, prng_)),
      cache_(std::make_unique<Cache>(settings_.cache_entries_max, settings_.cache_bytes_max)),
      gate_(std::make_unique<FairGate>(ring, settings_.in_flight_max, settings_.waiting_max)),
      exchanges_(std::make_unique<Exchanges>(ring, counters_)),
      servers_changed_(ring),
      scope_(ring) {}

Resolver::~Resolver() { RP_ASSERT(flights_.empty() || runtime::crashing()); }

void Resolver::apply(ResolverSettings settings) {
  if (settings.servers != settings_.servers) {
    servers_->replace(settings.servers);
    cache_->clear();
  }
  if (settings.trust_ad != settings_.trust_ad) cache_->clear();
  cache_->set_limits(settings.cache_entries_max, settings.cache_bytes_max);
  settings_ = std::move(settings);
  servers_changed_.notify_all();
}

Task<void> Resolver::stop() {
  stopping_ = true;
  gate_->close();
  exchanges_->stop();
  servers_changed_.notify_all();
  co_await scope_.join();
}

std::size_t Resolver::cache_entries() const { return cache_->entries(); }
std::size_t Resolver::cache_bytes() const { return cache_->bytes(); }
std::size_t Resolver::in_flight() const { return gate_->inside(); }

bool Resolver::believes(const SocketAddress& server) const {
  return settings_.trust_ad == TrustAd::yes || (settings_.trust_ad == TrustAd::local && server.ip().is_loopback());
}

// ---- one question, for all who ask it

Task<Answer> Resolver::ask(std::string name, Type type, std::uint64_t party) {
  ++counters_.questions;
  if (stopping_) co_return Answer::failed_by(Failure::overloaded);
  Question question{canonical(name), type};
  if (!is_askable(question.name)) {
    co_return Answer{.outcome = Outcome::no_such_name, .name = std::move(question.name)};
  }
  if (const Answer* known = cache_->find(question, ring_.now())) {
    ++counters_.from_cache;
    co_return *known;
  }
  auto joined = by_question_.find({question.name, type});
  const bool shared = joined != by_question_.end();
  if (shared) ++counters_.shared;
  Flight& flight = shared ? *joined->second : flights_.emplace_back(ring_, question, party);
  ++flight.waiting;
  if (!shared) {
    by_question_.emplace(std::pair{question.name, type}, &flight);
    scope_.spawn(fly(flight));
  }
  while (!flight.ended) co_await flight.done.wait();
  Answer answer = flight.answer;
  if (--flight.waiting == 0) flights_.remove_if([&](const Flight& each) { return &each == &flight; });
  co_return answer;
}

Task<void> Resolver::fly(Flight& flight) {
  const bool admitted = co_await gate_->enter(flight.party, ring_.now() + settings_.timeout);
  if (admitted) {
    flight.answer = co_await resolve(flight.question.name, flight.question.type, ring_.now() + settings_.timeout);
    gate_->leave();
    cache_->put(flight.question, flight.answer, ring_.now());
  } else {
    ++counters_.turned_away;
    flight.answer = Answer::failed_by(Failure::overloaded);
  }
  if (flight.answer.outcome == Outcome::failed) ++counters_.failed;
  by_question_.erase({flight.question.name, flight.question.type});
  flight.ended = true;
  flight.done.notify_all();
}

/// Follows CNAMEs that lead out of one answer into the next.
Task<Answer> Resolver::resolve(std::string name, Type type, Instant deadline) {
  int aliases = 0;
  std::uint32_t ttl_s = UINT32_MAX;
  bool authenticated = true;
  for (;;) {
    Interpretation read = co_await query(name, type, deadline);
    aliases += read.aliases;
    authenticated &= read.answer.authenticated;
    if (!read.incomplete) {
      read.answer.ttl_s = std::min(read.answer.ttl_s, ttl_s);
      read.answer.authenticated = authenticated;
      co_return std::move(read.answer);
    }
    ttl_s = std::min(ttl_s, read.answer.ttl_s);
    if (aliases > kAliasesMax || !is_askable(read.answer.name)) co_return Answer::failed_by(Failure::malformed);
    name = std::move(read.answer.name);
  }
}

/// Asks one server after the other, until one says something or time is up.
Task<Interpretation> Resolver::query(std::string name, Type type, Instant deadline) {
  Answer last = Answer::failed_by(Failure::timed_out);
  std::size_t refusals = 0;  // servers that are there and do not help
  for (std::size_t attempt = 0; !stopping_ && servers_->count() > 0 && ring_.now() < deadline;) {
    const auto pick = servers_->pick(attempt, ring_.now());
    if (!pick) {
      const bool worth_it = co_await wait_for_a_server(deadline);
      if (!worth_it) break;
      continue;
    }
    const Servers::Server server = *servers_->at(*pick);
    const Duration patience = attempt_time(attempt++, servers_->count());
    const Instant until = std::min(deadline, ring_.now() + patience);
    const bool too_short = !server.dead && until - ring_.now() < kAttemptFirst;  // to hold silence against a live one
    HeardBack back = co_await exchange(*exchanges_, {.server = server.address,
                                                     .name = name,
                                                     .type = type,
                                                     .edns = !server.plain,
                                                     .mix_letters = !server.folds_case,
                                                     .deadline = until});
    switch (back.heard) {
      case Heard::silence: ++counters_.timeouts; [[fallthrough]];
      case Heard::nobody:
        if (too_short && back.heard == Heard::silence) {
          servers_->abandoned(*pick);
        } else {
          servers_->silent(*pick, ring_.now(), back.heard == Heard::nobody);
        }
        servers_changed_.notify_all();
        last = Answer::failed_by(Failure::timed_out);
        continue;
      case Heard::stopped:
      case Heard::no_means:
        servers_->abandoned(*pick);
        servers_changed_.notify_all();
        co_return Interpretation{.answer = Answer::failed_by(Failure::overloaded)};
      case Heard::nonsense:
      case Heard::answer: break;
    }
    servers_->answered(*pick);
    servers_changed_.notify_all();
    if (Servers::Server* known = servers_->at(*pick)) {
      known->folds_case |= back.folds_case;
      if (!known->plain && back.heard == Heard::answer && refuses_edns(back.response.rcode)) {
        known->plain = true;
        --attempt;  // the same server again, without
        continue;
      }
    }
    last = Answer::failed_by(Failure::malformed);
    if (back.heard == Heard::answer) {
      Interpretation read = interpret(back.response, name, type);
      read.answer.authenticated &= believes(server.address);
      if (read.answer.outcome != Outcome::failed) co_return read;
      last = std::move(read.answer);
    }
    if (++refusals >= servers_->count()) break;
  }
  co_return Interpretation{.answer = std::move(last)};
}

/// All servers rest or are on trial. False when no trial ends before `deadline`.
Task<bool> Resolver::wait_for_a_server(Instant deadline) {
  const Instant trial = servers_->next_trial();
  if (trial != kNever && trial >= deadline) co_return false;
  (void)co_await servers_changed_.wait(std::min(trial, deadline));
  co_return true;
}

}  // namespace ringpost::dns
