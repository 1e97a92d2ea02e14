// What operators see of delivery, and what they may do to it.
#include "ringpost/deliver/view.hh"

#include <algorithm>

#include "deliver/site.hh"
#include "ringpost/deliver/deliverer.hh"

namespace ringpost::deliver {

SiteView Deliverer::view_of(const Site& site) const {
  const Instant now = surroundings_.ring.now();
  const std::uint64_t account = site.account->id;
  return {.name = site.key,
          .hosts = site.names,
          .addresses = site.addresses,
          .waiting = site.jobs.size(),
          .connections = site.workers,
          .window = std::min(site.window, site.connections_max),
          .connections_max = site.connections_max,
          .permits = surroundings_.permits.held(account),
          .contended = surroundings_.permits.contended(account),
          .rate = site.rate,
          .failures = site.failures,
          .suspended_for = std::max(site.suspended_until - now, Duration{}),
          .delivered_last_second = site.second + std::chrono::seconds(2) > now ? std::max(site.went, site.went_last_second) : 0};
}

std::vector<SiteView> Deliverer::views() const {
  std::vector<SiteView> views;
  for (const auto& [id, site] : sites_) views.push_back(view_of(*site));
  std::ranges::sort(views, {}, &SiteView::name);
  return views;
}

Site* Deliverer::known_site(const queue::Message& message) {
  if (single_) return single_;
  const auto known = known_.find(message.destination);
  if (message.destination == queue::Destination{} || known == known_.end() || known->second.way != Known::Way::site) return nullptr;
  const auto site = sites_.find(known->second.site);
  return site == sites_.end() ? nullptr : site->second.get();
}

std::optional<SiteView> Deliverer::view_for(const queue::Message& message) {
  const Site* site = known_site(message);
  return site ? std::optional{view_of(*site)} : std::nullopt;
}

runtime::Task<WayView> Deliverer::explain(std::string address) {
  std::vector<Way> ways;
  std::unordered_map<std::string, std::size_t> places;
  add_way(ways, places, address, 0);
  Way& way = ways.front();
  // The route points into these settings.
  const std::shared_ptr<const config::Settings> settings = settings_;
  if (!way.domain.empty()) {
    std::size_t running = 1;
    runtime::Signal ended{surroundings_.ring};
    co_await look_up(way, running, ended);
  }
  WayView view{.route = way.route, .domain = way.domain, .hosts = way.hosts};
  if (settings != settings_) co_return WayView{};
  const bool leads_somewhere = way.route->is_next_hop() || way.route->kind == config::Route::Kind::mx;
  if (!leads_somewhere || !way.hosts) co_return view;
  view.site_name = site_key(way);
  view.addresses = addresses_of(way);
  view.sts = way.sts;
  view.tls = way.tls;
  view.tls_name = way.tls_name;
  view.shows = way.shows;
  view.proofs = std::make_shared<const Proofs>(view.hosts->proofs);
  view.lmtp = way.route->kind == config::Route::Kind::lmtp;
  for (const auto& [id, site] : sites_)
    if (site->key == view.site_name) view.site = view_of(*site);
  co_return view;
}

// Out of whatever line it waits in: it stays in delivery, and is the caller's.
bool Deliverer::recall(queue::Message& message) {
  if (const auto unrouted = std::ranges::find(unrouted_, &message); unrouted != unrouted_.end()) {
    unrouted_.erase(unrouted);
    return true;
  }
  for (auto& [id, site] : sites_) {
    const auto job = std::ranges::find_if(site->jobs, [&](const Job& one) { return one.message == &message && !one.split; });
    if (job == site->jobs.end()) continue;
    site->jobs.erase(job);
    return true;
  }
  return false;
}

void Deliverer::encourage(const queue::Message& message) {
  Site* site = known_site(message);
  if (!site || surroundings_.ring.now() >= site->suspended_until) return;
  site->suspended_until = site->next_slot = {};
  attend_later(*site);
  kick();
}

}  // namespace ringpost::deliver
