// Messages whose way is not known: they are opened, sorted by where their recipients are, and sent off in as many legs as there are sites.
#include <algorithm>

#include "deliver/site.hh"
#include "ringpost/config/domains.hh"
#include "ringpost/deliver/deliverer.hh"
#include "ringpost/policy/recipients.hh"

namespace ringpost::deliver {

namespace {

using Verdict = RecipientResult::Verdict;

// One message asks for so many domains at a time.
constexpr std::size_t kLookUpsAtOnce = 32;
// Mail of a route that holds is looked at this often; a change of settings brings it back at once.
constexpr Duration kHoldPause = std::chrono::minutes(10);
constexpr std::size_t kParkedMax = 100'000;
// A way without a policy that there should be is looked for again after this.
constexpr Duration kTroublePause = std::chrono::minutes(5);
constexpr std::size_t kKnownMax = 200'000;

// 550 5.7.1, as RCPT would have been answered.
const event::ReplyCode kRejected{550, 5, 7, 1};

}  // namespace

runtime::Task<void> Deliverer::open_and_route() {
  while (!unrouted_.empty() && !stopping_) {
    queue::Message& message = *unrouted_.front();
    unrouted_.pop_front();
    auto outgoing = co_await surroundings_.source.open(message);
    if (!outgoing) {
      surroundings_.source.postpone(message, outgoing.error());
      continue;
    }
    std::vector<Way> ways = ways_of(message, **outgoing);
    const bool asks = std::ranges::any_of(ways, [](const Way& way) { return !way.domain.empty(); });
    if (asks) {
      ++routing_;
      scope_.spawn(look_up_and_send(message, std::move(*outgoing), std::move(ways)));
    } else {
      send_off(message, **outgoing, std::move(ways));
    }
  }
  --openers_;
}

// The recipients that wait, by route, and by domain where the route asks DNS for each.
std::vector<Way> Deliverer::ways_of(const queue::Message& message, const Outgoing& outgoing) const {
  std::vector<Way> ways;
  std::unordered_map<std::string, std::size_t> places;
  for (std::size_t i = 0; i < message.recipients.size(); ++i)
    if (message.recipients[i].state == queue::State::waiting) add_way(ways, places, outgoing.recipient(i), static_cast<std::uint32_t>(i));
  return ways;
}

void Deliverer::add_way(std::vector<Way>& ways, std::unordered_map<std::string, std::size_t>& places, std::string_view address,
                        std::uint32_t recipient) const {
  const config::Route& route = policy::route_for(*settings_, address);
  Way way = way_of(route, address);
  const std::string place = way.domain + "/" + std::to_string(reinterpret_cast<std::uintptr_t>(&route));
  auto [found, fresh] = places.try_emplace(place, ways.size());
  if (fresh) ways.push_back(std::move(way));
  ways[found->second].recipients.push_back(recipient);
}

// What is asked of DNS for it, and how it is secured. `address` matters only where its domain does.
Way Deliverer::way_of(const config::Route& route, std::string_view address) const {
  Way way{.route = &route};
  if (route.kind == config::Route::Kind::mx) {
    const std::string_view own = policy::domain_of(address);
    way.domain = config::LowerDomain{own.empty() ? policy::own_domain(*settings_) : own}.text();
  } else if (route.asks_dns()) {
    way.domain = route.host;
  }
  // Hosts that DNS names are nobody's word for who they are: the policy is that of the recipients' domain.
  const config::LowerDomain name{route.kind == config::Route::Kind::mx ? std::string_view{way.domain} : std::string_view{route.host}};
  if (const auto limits = config::most_specific(settings_->destinations, name.text(), &config::DestinationLimits::domain)) {
    way.tls = limits->tls;
    if (limits->shows_who_we_are()) way.shows = limits->domain;
  }
  const bool is_name = route.is_next_hop() && !route.host.starts_with('/') && !IpAddress::parse(route.host);
  if (is_name || way.tls == config::TlsPolicy::verify) way.tls_name = name.text();
  return way;
}

// What names the site of a way: equal for all domains whose mail the same hosts take, secured alike.
std::string Deliverer::site_key(const Way& way) {
  const config::Route& route = *way.route;
  std::string key = route.kind == config::Route::Kind::lmtp ? "lmtp:" : "smtp:";
  if (way.domain.empty()) {
    key += route.address.text();
  } else if (route.kind != config::Route::Kind::mx) {
    key += route.host + ":" + std::to_string(route.port);
  } else {
    std::vector<std::string> names = way.hosts->names;
    std::ranges::sort(names);
    key = "mx:";
    for (const std::string& name : names) key += name + ",";
  }
  switch (way.tls) {
    case config::TlsPolicy::automatic: break;
    case config::TlsPolicy::none: key += " tls=none"; break;
    case config::TlsPolicy::opportunistic: key += " tls=opportunistic"; break;
    case config::TlsPolicy::encrypt: key += " tls=encrypt"; break;
    case config::TlsPolicy::verify: key += " tls=verify:" + way.tls_name; break;
    case config::TlsPolicy::dane: key += " tls=dane"; break;
    case config::TlsPolicy::mta_sts: key += " tls=mta-sts"; break;
  }
  // Domains share a site when their policies say the same of its hosts: no connection carries mail that asks for more than it was opened for.
  if (const transport::Policy* sts = way.sts.policy(); sts && sts->mode != transport::Mode::none) {
    key.append(" sts=").append(transport::name_of(sts->mode));
    for (const HostProof& proof : way.hosts->proofs)
      if (!transport::matches(*sts, proof.host)) key += " -" + proof.host;
  }
  if (!way.shows.empty()) key += " as=" + way.shows;
  // The same hosts may be proven for one domain and not for another, whose zone is not signed.
  if (!way.domain.empty() && std::ranges::any_of(way.hosts->proofs, &HostProof::binds)) {
    key += " tlsa";
    if (std::ranges::any_of(way.hosts->proofs, &HostProof::names_an_authority)) key += ":" + way.domain;
  }
  return key;
}

runtime::Task<void> Deliverer::look_up_and_send(queue::Message& message, std::unique_ptr<Outgoing> outgoing, std::vector<Way> ways) {
  // The routes point into these settings.
  const std::shared_ptr<const config::Settings> settings = settings_;
  std::size_t running = 0;
  runtime::Signal ended{surroundings_.ring};
  for (Way& way : ways) {
    if (way.domain.empty()) continue;
    while (running >= kLookUpsAtOnce) (void)co_await ended.wait();
    ++running;
    scope_.spawn(look_up(way, running, ended));
  }
  while (running > 0) (void)co_await ended.wait();
  --routing_;
  if (settings != settings_ || stopping_) {
    surroundings_.source.leave(message);
    surroundings_.source.put_back(message, surroundings_.ring.now(), event::Reason::none);
    kick();
    co_return;
  }
  send_off(message, *outgoing, std::move(ways));
}

runtime::Task<void> Deliverer::look_up(Way& way, std::size_t& running, runtime::Signal& ended) {
  if (surroundings_.hosts) {
    const bool mx = way.route->kind == config::Route::Kind::mx;
    if (mx) way.hosts = co_await surroundings_.hosts->mail_hosts(way.domain);
    else way.hosts = co_await surroundings_.hosts->host(way.domain, way.route->port);
    const bool may_have_policy = way.tls == config::TlsPolicy::automatic || way.tls == config::TlsPolicy::mta_sts;
    if (mx && way.hosts && may_have_policy && surroundings_.policies && !all_bound(way.hosts->proofs))
      way.sts = co_await surroundings_.policies->sts_policy(way.domain);
    // A policy that could not be had may be to be had soon.
    if (way.hosts && way.sts.trouble && !way.sts.cached) way.hosts->expires = std::min(way.hosts->expires, surroundings_.ring.now() + kTroublePause);
  } else {
    way.hosts = std::unexpected(NoHosts{{.verdict = Verdict::deferred, .reason = event::Reason::dns_temporary}, surroundings_.ring.now()});
  }
  --running;
  ended.notify_all();
}

// Every recipient gets its place in a line, a result, or another day.
void Deliverer::send_off(queue::Message& message, const Outgoing& outgoing, std::vector<Way> ways) {
  Attempt settled;
  std::vector<RecipientResult> results;
  std::vector<std::uint32_t> whose;
  auto settle = [&](const Way& way, const RecipientResult& result) {
    for (std::uint32_t recipient : way.recipients) {
      whose.push_back(recipient);
      results.push_back(result);
    }
  };
  std::erase_if(ways, [&](Way& way) {
    if (way.route->kind == config::Route::Kind::reject)
      settle(way, {.verdict = Verdict::failed, .reason = event::Reason::policy, .reply = kRejected, .text = way.route->text});
    else if (!way.hosts) settle(way, way.hosts.error().result);
    else return false;
    return true;
  });
  if (!results.empty()) {
    settled.begin(message.recipients.size(), whose);
    settled.results = std::move(results);
    surroundings_.source.record(message, outgoing, settled, !ways.empty());
    if (ways.empty()) return kick();
  } else {
    surroundings_.source.leave(message);
  }
  if (ways.empty()) return surroundings_.source.put_back(message, surroundings_.ring.now(), event::Reason::none);  // nobody waits

  Split* split = nullptr;
  if (ways.size() > 1 || !whose.empty()) {
    split = splits_.emplace(&message, std::make_unique<Split>()).first->second.get();
    split->legs = ways.size() + 1;  // one of them is ours, so that it does not end meanwhile
    split->recorded = !whose.empty();
  }
  for (Way& way : ways) send_one(message, split, std::move(way));
  if (split) leg_over(message, split, nullptr, nullptr, kNever);
  kick();
}

void Deliverer::send_one(queue::Message& message, Split* split, Way way) {
  const Instant now = surroundings_.ring.now();
  if (way.route->is_hold()) {
    if (!split) remember(message, {.way = Known::Way::hold});
    if (parked_.size() < kParkedMax) parked_.push_back(message.id);
    if (split) return leg_over(message, split, nullptr, nullptr, now + kHoldPause);
    return surroundings_.source.put_back(message, now + kHoldPause, event::Reason::route_holds);
  }
  const bool looked_up = !way.domain.empty();
  Site& site = site_of(way);
  if (!split) remember(message, {.site = site.id, .expires = looked_up ? way.hosts->expires : kNever});
  take(site, {.message = &message, .split = split, .recipients = split ? std::move(way.recipients) : std::vector<std::uint32_t>{}});
}

// What this message's destination means for the next ones that go there.
void Deliverer::remember(const queue::Message& message, const Known& known) {
  if (message.destination == queue::Destination{}) return;
  if (known_.size() >= kKnownMax) known_.clear();
  known_.insert_or_assign(message.destination, known);
}

}  // namespace ringpost::deliver
