// Sites: finding them, giving them jobs, what their connections' fate means for them.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>

#include "deliver/site.hh"
#include "ringpost/config/domains.hh"
#include "ringpost/deliver/deliverer.hh"
#include "ringpost/queue/schedule.hh"

namespace ringpost::deliver {

namespace {

// Hosts that cannot be reached are left alone for this long, doubled with each failure up to the retry schedule's first step.
constexpr Duration kBackoffFirst = std::chrono::milliseconds(500);

// Messages recorded at a time although nothing was tried, and messages looked at for that in one go.
constexpr std::size_t kUntriedMax = 64, kLookedAtOnce = 256;

std::uint64_t number_of(std::string_view key) { return XXH3_64bits(key.data(), key.size()); }

}  // namespace

// Of a way whose hosts are known.
Site& Deliverer::site_of(const Way& way) {
  std::string key = site_key(way);
  const std::uint64_t id = number_of(key);
  std::unique_ptr<Site>& site = sites_[id];
  if (!site) {
    site = std::make_unique<Site>(surroundings_.ring, std::move(key), id);
    site->names = way.domain.empty() ? std::vector{way.route->host} : way.hosts->names;
    site->protocol = way.route->kind == config::Route::Kind::lmtp ? Protocol::lmtp : Protocol::smtp;
    site->by_mx = way.route->kind == config::Route::Kind::mx;
    site->tls = way.tls;
    site->tls_name = way.tls_name;
    site->shows = way.shows;
    set_limits(*site);
  }
  site->proofs = way.domain.empty() ? nullptr : std::make_shared<const Proofs>(way.hosts->proofs);
  site->sts = way.sts.cached;
  site->addresses = addresses_of(way);
  site->used = surroundings_.ring.now();
  return *site;
}

// Those of hosts that its policy rules out are left out, unless it rules out all: then each says why.
std::vector<SocketAddress> Deliverer::addresses_of(const Way& way) {
  if (way.domain.empty()) return {way.route->address};
  std::vector<SocketAddress> usable;
  for (const SocketAddress& address : way.hosts->addresses) {
    const Protection made = protection(way.tls, proof_of(way.hosts->proofs, address), way.sts.policy());
    if (made.refusal != event::Reason::sts_mx_mismatch) usable.push_back(address);
  }
  return usable.empty() ? way.hosts->addresses : usable;
}

// Where all mail goes, if the settings know one place only.
Site* Deliverer::find_single() {
  const config::Route& route = settings_->route.fallback;
  if (!settings_->route.domains.empty() || !route.is_next_hop() || !route.address) return nullptr;
  return &site_of(way_of(route, {}));
}

void Deliverer::set_limits(Site& site) {
  const config::DestinationLimits* limits = nullptr;
  for (const std::string& name : site.names)
    if (!limits) limits = config::most_specific(settings_->destinations, name, &config::DestinationLimits::domain);
  const bool own_limit = limits && limits->connections_max != 0;
  site.connections_max = static_cast<std::uint32_t>(own_limit ? limits->connections_max : settings_->deliver.connections_max);
  site.messages_max = limits && limits->messages_per_connection != 0 ? limits->messages_per_connection : settings_->deliver.messages_per_connection;
  site.rate = limits ? limits->rate : config::Rate{};

  const std::uint64_t id = own_limit ? number_of("pattern:" + limits->domain) : site.id;
  if (site.account && site.account->id == id) return;
  if (site.account && site.workers > 0) return;  // its connections hold permits of the account they began with
  if (site.account) leave_account(site);
  std::unique_ptr<Account>& account = accounts_[id];
  if (!account) account = std::make_unique<Account>(Account{.id = id});
  ++account->sites;
  site.account = account.get();
}

void Deliverer::leave_account(Site& site) {
  Account& account = *std::exchange(site.account, nullptr);
  if (--account.sites > 0) return;
  surroundings_.permits.forget(account.id);
  accounts_.erase(account.id);
}

// ---- jobs

// A job finds a place in the line of its site, or its message goes back to the queue for a while.
void Deliverer::take(Site& site, Job job) {
  const Instant now = surroundings_.ring.now();
  site.used = now;
  if (now < site.suspended_until) return put_back(site, std::move(job), site.suspended_until);
  // Recipients of one message that come to the same hosts by several ways share a transaction.
  if (job.split) {
    const auto other = std::ranges::find(site.jobs, job.split, &Job::split);
    if (other != site.jobs.end()) {
      other->recipients.insert(other->recipients.end(), job.recipients.begin(), job.recipients.end());
      --job.split->legs;
      return;
    }
  }
  site.line_up(std::move(job));
  if (site.jobs.size() > site.room()) {
    // Of who has most in it.
    Job last = std::move(site.jobs.back());
    site.jobs.pop_back();
    put_back(site, std::move(last), now + Site::kLookAgainMin);
  }
  attend_later(site);
}

void Deliverer::put_back(Site& site, Job job, Instant not_before) {
  const Instant due = site.slot(not_before);
  if (job.split) return leg_over(*job.message, job.split, nullptr, nullptr, due);
  const bool suspended = surroundings_.ring.now() < site.suspended_until;
  if (suspended && record_if_overdue(*job.message)) return;
  surroundings_.source.put_back(*job.message, due, suspended ? event::Reason::destination_suspended : event::Reason::none);
}

// A message that nobody tries for days must expire all the same, and its sender hear of the delay.
bool Deliverer::record_if_overdue(queue::Message& message) {
  if (stopping_ || untried_ >= kUntriedMax || !surroundings_.source.is_overdue(message)) return false;
  ++untried_;
  scope_.spawn(record_untried(message));
  return true;
}

runtime::Task<void> Deliverer::record_untried(queue::Message& message) {
  auto outgoing = co_await surroundings_.source.open(message);
  --untried_;
  if (!outgoing) {
    surroundings_.source.postpone(message, outgoing.error());
    co_return;
  }
  Attempt attempt;
  attempt.begin(message.recipients.size());
  attempt.give_rest(message, {.verdict = RecipientResult::Verdict::deferred, .reason = event::Reason::destination_suspended});
  surroundings_.source.record(message, **outgoing, attempt, false);
}

// With one way for everything mail stays in the queue while its hosts are away: the oldest of it is looked at once in each suspension.
void Deliverer::look_for_overdue(Site& site) {
  if (std::exchange(site.looked_for_overdue, site.suspended_until) == site.suspended_until) return;
  std::vector<queue::Message*> others;
  for (std::size_t looked = 0; looked < kLookedAtOnce; ++looked) {
    queue::Message* message = surroundings_.queue.take_due(surroundings_.ring.now());
    if (!message) break;
    if (!record_if_overdue(*message)) others.push_back(message);
  }
  for (queue::Message* message : others) surroundings_.queue.schedule(*message, message->due);
}

void Deliverer::give_up_jobs(Site& site) {
  const Instant not_before = std::max(surroundings_.ring.now(), site.suspended_until);
  for (Job& job : std::exchange(site.jobs, {})) {
    // With one way for everything the line is the queue's beginning: it goes back to where it was.
    if (&site == single_ && !job.split) surroundings_.source.put_back(*job.message, job.message->due, event::Reason::none);
    else put_back(site, std::move(job), not_before);
  }
}

// One leg of a split message is over (or all of a message that is not split); the last one ends the delivery.
void Deliverer::leg_over(queue::Message& message, Split* split, const Outgoing* outgoing, const Attempt* attempt, Instant again) {
  const bool last = !split || --split->legs == 0;
  if (split) {
    split->again = std::min(split->again, again);
    split->recorded |= attempt != nullptr;
  }
  if (attempt) surroundings_.source.record(message, *outgoing, *attempt, !last);
  if (!last) return;
  const Split how = split ? *split : Split{};
  if (split) splits_.erase(&message);
  if (attempt) return;
  if (how.failure) return surroundings_.source.postpone(message, *how.failure);
  surroundings_.source.put_back(message, split ? how.again : again, event::Reason::destination_suspended);
}

// ---- what connections tell

// Connections that fail together count as one failure. While others work it only means that there are too many.
void Deliverer::site_failed(Site& site, Duration at_least) {
  if (site.open > 0) return site.shrink(static_cast<std::uint32_t>(site.open));
  site.shrink(1);
  if (surroundings_.ring.now() < site.suspended_until) return;
  ++site.failures;
  const Duration wait = std::max(at_least, queue::retry_delay({kBackoffFirst, settings_->retry.first}, site.failures, prng_));
  site.suspended_until = surroundings_.ring.now() + wait;
  site.next_slot = {};
  attend_later(site);
  kick();
}

void Deliverer::site_answered(Site& site) {
  if (site.failures == 0) return;
  site.failures = 0;
  site.suspended_until = {};
  attend_later(site);
  kick();
}

void Deliverer::message_went(Site& site, bool broken) {
  const Instant now = surroundings_.ring.now();
  if (now >= site.second + std::chrono::seconds(1)) {
    site.went_last_second = now < site.second + std::chrono::seconds(2) ? site.went : 0;
    site.went = 0;
    site.second = now;
  }
  ++site.went;
  if (broken) site.shrink(site.window / 2);
  else site.grew();
}

}  // namespace ringpost::deliver
