// What is due, where it goes, and who does it.
#include "ringpost/deliver/deliverer.hh"

#include <algorithm>
#include <cstring>

#include "deliver/site.hh"
#include "deliver/tls_sessions.hh"

namespace ringpost::deliver {

namespace {

// After so many messages everything else has its turn.
constexpr std::size_t kSortedAtOnce = 256;
// Messages whose way is not known: so many are opened at once, so many may wait for that, so many for DNS.
constexpr std::size_t kOpenersMax = 16, kUnroutedMax = 256, kRoutingMax = 1024;
constexpr Duration kUnroutedPause = std::chrono::milliseconds(50);
// Mail of a route that holds is looked at this often; a change of settings brings it back at once.
constexpr Duration kHoldPause = std::chrono::minutes(10);
constexpr std::size_t kParkedMax = 100'000;
// TLS sessions kept for later connections; each takes a few kilobytes.
constexpr std::size_t kSessionsMax = 512;
constexpr Duration kSweepInterval = std::chrono::seconds(30);
constexpr Duration kCallInterval = std::chrono::milliseconds(100);
constexpr std::size_t kCalledAtOnce = 64;
// A site without work is remembered for this long: what it answered, and how many connections it bears.
constexpr Duration kMemory = std::chrono::minutes(10);

}  // namespace

std::size_t Deliverer::DestinationHash::read_u64(const queue::Destination& destination) {
  std::size_t number;
  std::memcpy(&number, destination.data(), sizeof number);
  return number;
}

Deliverer::Deliverer(Surroundings surroundings, std::shared_ptr<const config::Settings> settings)
    : surroundings_(surroundings),
      settings_(std::move(settings)),
      sessions_(std::make_unique<TlsSessions>(kSessionsMax)),
      prng_(surroundings.seed),
      scope_(surroundings.ring),
      dispatch_signal_(surroundings.ring),
      worker_ended_(surroundings.ring),
      failure_log_(3, std::chrono::seconds(10)) {}

Deliverer::~Deliverer() = default;

void Deliverer::start() {
  single_ = find_single();
  scope_.spawn(dispatch());
}

void Deliverer::kick() {
  kicked_ = true;
  dispatch_signal_.notify_all();
}

void Deliverer::permits_changed(std::uint64_t destination) {
  if (auto own = sites_.find(destination); own != sites_.end() && own->second->account->id == destination) {
    attend_later(*own->second);
  } else if (accounts_.contains(destination)) {
    for (auto& [id, site] : sites_)
      if (site->account->id == destination) attend_later(*site);
  }
  kick();
}

void Deliverer::tokens_came(std::uint64_t site) {
  const auto found = sites_.find(site);
  if (found == sites_.end()) return;
  attend_later(*found->second);
  kick();
}

// What they were verified by is not in force any more.
void Deliverer::secure_with(std::shared_ptr<tls::ClientContext> context) {
  tls_ = std::move(context);
  sessions_->clear();
}

void Deliverer::reconfigure(std::shared_ptr<const config::Settings> settings) {
  settings_ = std::move(settings);
  ++settings_generation_;
  known_.clear();
  const Instant now = surroundings_.ring.now();
  for (auto& [id, site] : sites_) {
    site->memory = {};
    site->failures = 0;
    site->suspended_until = site->next_slot = {};
    set_limits(*site);
    give_up_jobs(*site);  // they may have another way now
    site->work.notify_all();
    site->woken = 0;
    attend_later(*site);
  }
  single_ = find_single();
  for (const MessageId& id : std::exchange(parked_, {}))
    if (queue::Message* message = surroundings_.queue.find(id); message && !message->in_delivery && !message->held)
      surroundings_.queue.schedule(*message, now);
  kick();
}

// Sorts what falls due, and sees to the sites where something changed.
runtime::Task<void> Deliverer::dispatch() {
  next_sweep_ = surroundings_.ring.now() + kSweepInterval;
  while (!stopping_) {
    kicked_ = false;
    const bool more = sort_due();
    if (surroundings_.seats && surroundings_.ring.now() >= next_call_) {  // seats that other shards give back make no noise here
      next_call_ = surroundings_.ring.now() + kCallInterval;
      call_standing(kCalledAtOnce);
    }
    attend_all();
    if (surroundings_.ring.now() >= next_sweep_) sweep();
    if (more) {
      co_await surroundings_.ring.sleep_for(Duration{1});  // a turn of the loop for everybody else
      continue;
    }
    if (kicked_) continue;
    (void)co_await dispatch_signal_.wait(next_look());
  }
}

// What is due and waits for a worker, a permit or a place in line needs no timer: all of them kick. But for seats of other shards.
Instant Deliverer::next_look() const {
  const Instant now = surroundings_.ring.now();
  Instant next = surroundings_.queue.next_due();
  if (settings_->route.fallback.is_hold() && settings_->route.domains.empty()) next = kNever;
  else if (single_ && next != kNever) next = std::max(next, single_->suspended_until);
  if (next <= now || waits_for_room_) next = kNever;
  if (surroundings_.seats && !standing_.empty()) next = std::min(next, next_call_);
  return std::min(next, next_sweep_);
}

// True when there is more to sort and only others' turn ended it.
bool Deliverer::sort_due() {
  if (stopping_ || (settings_->route.fallback.is_hold() && settings_->route.domains.empty())) return false;
  waits_for_room_ = !surroundings_.source.has_room();
  if (waits_for_room_) return false;
  if (single_) {
    fill_single();
    return false;
  }
  const Instant now = surroundings_.ring.now();
  for (std::size_t sorted = 0; sorted < kSortedAtOnce; ++sorted) {
    queue::Message* message = surroundings_.queue.take_due(now);
    if (!message) return false;
    sort_one(*message);
  }
  return true;
}

// With one way for everything the queue itself is the line: it keeps what finds no room, in its order.
void Deliverer::fill_single() {
  Site& site = *single_;
  const Instant now = surroundings_.ring.now();
  if (now < site.suspended_until) return look_for_overdue(site);
  while (site.jobs.size() < site.room()) {
    queue::Message* message = surroundings_.queue.take_due(now);
    if (!message) break;
    site.line_up({.message = message});
  }
  attend_later(site);
}

void Deliverer::sort_one(queue::Message& message) {
  const Instant now = surroundings_.ring.now();
  if (message.destination != queue::Destination{}) {
    auto known = known_.find(message.destination);
    if (known != known_.end() && known->second.expires > now) {
      if (known->second.way == Known::Way::hold) {
        if (parked_.size() < kParkedMax) parked_.push_back(message.id);
        return surroundings_.source.put_back(message, now + kHoldPause, event::Reason::route_holds);
      }
      auto site = sites_.find(known->second.site);
      if (site != sites_.end()) return take(*site->second, {.message = &message});
    }
  }
  if (unrouted_.size() >= kUnroutedMax || routing_ >= kRoutingMax)
    return surroundings_.source.put_back(message, now + kUnroutedPause + Duration{static_cast<Duration::rep>(prng_.below(1'000'000'000))},
                                         event::Reason::none);
  unrouted_.push_back(&message);
  if (openers_ < kOpenersMax) {
    ++openers_;
    scope_.spawn(open_and_route());
  }
}

// ---- workers

void Deliverer::attend_later(Site& site) {
  if (std::exchange(site.needs_attention, true)) return;
  attention_.push_back(&site);
}

void Deliverer::attend_all() {
  for (std::size_t i = 0; i < attention_.size(); ++i) {  // it may grow meanwhile
    attention_[i]->needs_attention = false;
    attend(*attention_[i]);
  }
  attention_.clear();
}

// Wakes workers for its jobs, and hires as many as there are permits.
void Deliverer::attend(Site& site) {
  if (stopping_) return;
  if (surroundings_.ring.now() < site.suspended_until) {
    give_up_jobs(site);
    return let_others(site);
  }
  if (site.jobs.empty()) return let_others(site);
  while (site.woken < site.jobs.size() && site.work.has_waiters()) {
    ++site.woken;
    site.work.notify_one();
  }
  if (site.jobs.size() > site.woken) hire(site);
}

// While trouble with the hosts lasts one connection tries; the rest follow when it got through.
void Deliverer::hire(Site& site) {
  Account& account = *site.account;
  const std::size_t most = site.failures > 0 ? 1 : std::min(site.window, site.connections_max);
  std::size_t backlog = site.jobs.size() - site.woken;
  if (single_ == &site) backlog += surroundings_.queue.scheduled();
  if (site.workers >= most) return;
  const std::size_t wanted = account.workers + std::min(backlog, most - site.workers);
  surroundings_.permits.want(account.id, static_cast<std::uint32_t>(std::min<std::size_t>(wanted, site.connections_max)), site.connections_max);
  while (site.workers < most && site.jobs.size() > site.woken) {
    if (account.workers >= surroundings_.permits.held(account.id)) return starve(account);
    if (!take_seat(site)) {
      if (!std::exchange(site.stands, true)) standing_.push_back(site.id);
      return;
    }
    ++site.workers;
    ++account.workers;
    scope_.spawn(work(site));
  }
}

// A site finds no permit: those of its account whose connections lie idle end them.
void Deliverer::starve(Account& account) {
  if (account.sites < 2 || std::exchange(account.hungry, true)) return;
  for (auto& [id, site] : sites_)
    if (site->account == &account && site->jobs.empty()) site->work.notify_all();
}

void Deliverer::feed(Account& account) {
  if (!std::exchange(account.hungry, false)) return;
  for (auto& [id, site] : sites_)
    if (site->account == &account) attend_later(*site);
}

// All sites together have a number of seats; half of them are for those that have answered lately. A shard has seats of its own, and borrows
// others beyond them.
bool Deliverer::take_seat(const Site& site) {
  const auto shares = policy::SeatShares::of(settings_->deliver.connections_total, surroundings_.shards);
  const bool known = site.proven || &site == single_;
  if (workers_ - borrowed_ < (known ? shares.own : shares.own_of_strangers)) {
    ++workers_;
    return true;
  }
  if (!surroundings_.seats || !surroundings_.seats->borrow(known ? shares.common : shares.common_of_strangers)) return false;
  ++workers_;
  ++borrowed_;
  return true;
}

void Deliverer::leave_seat() {
  --workers_;
  if (borrowed_ == 0) return;
  --borrowed_;
  surroundings_.seats->give_back();
}

// Sites that wait for a seat, those with work for one, try again: `most` of them.
void Deliverer::call_standing(std::size_t most) {
  while (most > 0 && !standing_.empty()) {
    auto next = sites_.find(standing_.front());
    standing_.pop_front();
    if (next == sites_.end() || !std::exchange(next->second->stands, false) || next->second->jobs.empty()) continue;
    attend_later(*next->second);
    --most;
  }
}

// Nothing to do: permits that others wait for go back, those that came too late to be used and those of idle connections.
void Deliverer::let_others(Site& site) {
  Account& account = *site.account;
  if (account.hungry) return;
  surroundings_.permits.want(account.id, static_cast<std::uint32_t>(account.workers), site.connections_max);
  if (!surroundings_.permits.contended(account.id)) return;
  for (std::size_t spare = surroundings_.permits.held(account.id); spare > account.workers; --spare) surroundings_.permits.release_one(account.id);
  site.work.notify_all();
}

// Forgets sites that have had nothing to do for long.
void Deliverer::sweep() {
  const Instant now = surroundings_.ring.now();
  next_sweep_ = now + kSweepInterval;
  std::erase_if(sites_, [&](auto& entry) {
    Site& site = *entry.second;
    if (&site == single_ || site.workers > 0 || !site.jobs.empty() || site.needs_attention || now < site.suspended_until) return false;
    if (now < site.used + kMemory) return false;
    if (site.rate.messages != 0) surroundings_.permits.forget_tokens(site.id);
    leave_account(site);
    return true;
  });
  std::erase_if(known_, [&](const auto& entry) { return entry.second.expires <= now; });
}

runtime::Task<void> Deliverer::stop(Instant deadline) {
  stopping_ = true;
  for (auto& [id, site] : sites_) {
    give_up_jobs(*site);
    site->work.notify_all();
    site->woken = 0;
  }
  kick();
  while (workers_ > 0) {
    bool ended = co_await worker_ended_.wait(deadline);
    if (!ended) break;
  }
  cutting_ = true;
  const std::vector<Connection*> left = open_;
  for (Connection* connection : left)
    if (std::find(open_.begin(), open_.end(), connection) != open_.end()) co_await connection->cut();
  co_await scope_.join();
  for (queue::Message* message : std::exchange(unrouted_, {})) surroundings_.queue.schedule(*message, message->due);
}

}  // namespace ringpost::deliver
