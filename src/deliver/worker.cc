// One connection's life: job after job, a while of idleness, the end.
#include <algorithm>

#include "deliver/session_facts.hh"
#include "deliver/site.hh"
#include "ringpost/config/domains.hh"
#include "ringpost/deliver/deliverer.hh"
#include "ringpost/policy/recipients.hh"

namespace ringpost::deliver {

namespace {

// Of a site with many addresses so many are tried for one connection.
constexpr std::size_t kAddressesTried = 6;
// Who waits for a token is woken when there is one; and looks again now and then.
constexpr Duration kTokenPatience = std::chrono::seconds(1);

}  // namespace

runtime::Task<void> Deliverer::work(Site& site) {
  std::unique_ptr<Connection> connection;
  Attempt attempt;
  const std::uint64_t generation = settings_generation_;
  const Duration patience = settings_->deliver.timeout.idle;
  Account& account = *site.account;
  while (!stopping_ && generation == settings_generation_ && surroundings_.ring.now() >= site.suspended_until) {
    const Instant now = surroundings_.ring.now();
    const bool work_waits = !site.jobs.empty();
    const bool may_go = work_waits && (site.rate.messages == 0 || surroundings_.permits.take_token(site.id, site.rate, site.jobs.size()));
    if (!may_go) {
      if (!work_waits && (surroundings_.permits.contended(account.id) || account.hungry || !standing_.empty())) break;
      ++site.idle;
      bool woken = co_await site.work.wait(now + (work_waits && !connection ? std::max(patience, kTokenPatience) : patience));
      --site.idle;
      if (site.woken > 0) --site.woken;
      if (woken) continue;
      if (!work_waits && site.jobs.empty()) break;
      if (connection) co_await close(site, connection);  // its rate is a slow one
      continue;
    }
    Job job = std::move(site.jobs.front());
    site.jobs.pop_front();
    // More may follow: another worker takes it meanwhile, or the line is filled up.
    if (!site.jobs.empty() || (single_ == &site && surroundings_.queue.next_due() <= now)) {
      attend_later(site);
      kick();
    }
    bool go_on = co_await deliver_one(site, connection, std::move(job), attempt);
    if (!go_on) break;
  }
  co_await close(site, connection);
  --site.workers;
  --account.workers;
  leave_seat();
  surroundings_.permits.release_one(account.id);
  feed(account);
  call_standing(1);
  attend_later(site);
  kick();
  worker_ended_.notify_all();
}

// False when the hosts cannot be reached now.
runtime::Task<bool> Deliverer::deliver_one(Site& site, std::unique_ptr<Connection>& connection, Job job, Attempt& attempt) {
  queue::Message& message = *job.message;
  auto outgoing = co_await surroundings_.source.open(message);
  if (!outgoing) {
    if (job.split) {
      job.split->failure = outgoing.error();
      leg_over(message, job.split, nullptr, nullptr, kNever);
    } else {
      surroundings_.source.postpone(message, outgoing.error());
    }
    co_return true;
  }
  attempt.begin(message.recipients.size(), job.recipients);
  if (message.is_too_late(surroundings_.ring.now())) {
    attempt.give_rest(message, {.verdict = RecipientResult::Verdict::failed, .reason = event::Reason::deliver_by_expired});
    leg_over(message, job.split, outgoing->get(), &attempt, kNever);
    co_return true;
  }
  const std::vector<std::string> domains = reported_domains(site, **outgoing, message, attempt);
  bool reached = true, tried = false;
  for (Next next = Next::fresh_connection; next != Next::done; tried = true) {
    auto opened = co_await ensure_open(site, connection, attempt, (*outgoing)->tls_wish(), domains);
    reached = opened.has_value();
    // Who asks for more than the others do is not told by their connections that it is there.
    const bool plain = (*outgoing)->tls_wish() != smtp::TlsWish::required;
    if (!reached && !tried && plain && site.open > 0 && !stopping_ && !cutting_) {
      // One connection too many, while others work: they take the message, and nothing happened to it.
      surroundings_.source.leave(message);
      site.jobs.push_front(std::move(job));
      co_return false;
    }
    if (!reached) attempt.give_rest(message, opened.error().as_result());
    if (!reached) break;
    report_session(*connection, domains, event::Reason::none);
    next = co_await connection->deliver(**outgoing, message, attempt);
  }
  if (reached) message_went(site, connection->broken());
  leg_over(message, job.split, outgoing->get(), &attempt, kNever);
  co_return reached;
}

// A usable connection in `connection`, or why there is none; `attempt` gets the host that was tried last.
runtime::Task<std::expected<void, Trouble>> Deliverer::ensure_open(Site& site, std::unique_ptr<Connection>& connection, Attempt& attempt,
                                                                    smtp::TlsWish wish, const std::vector<std::string>& domains) {
  if (connection && connection->usable() && connection->is_for(wish)) co_return std::expected<void, Trouble>{};
  co_await close(site, connection);
  metrics::ShardMetrics& metrics = surroundings_.metrics;
  const std::vector<SocketAddress> addresses = site.addresses;
  std::optional<Trouble> trouble;
  for (std::size_t i = 0; i < std::min(addresses.size(), kAddressesTried) && !cutting_;) {
    connection = std::make_unique<Connection>(surroundings_.ring, settings_, addresses[i], site.protocol, site.memory, site.messages_max,
                                              Security{.policy = site.tls,
                                                       .name = site.tls_name,
                                                       .context = tls_,
                                                       .proofs = site.proofs,
                                                       .sts = site.sts,
                                                       .sessions = sessions_.get(),
                                                       .session_scope = std::to_string(site.id) + " " + std::to_string(settings_generation_),
                                                       .wish = wish,
                                                       .shows = site.shows});
    open_.push_back(connection.get());
    metrics.delivery_connections.add();
    metrics.delivery_connections_open.add(1);
    attempt.host = connection->host();
    auto opened = co_await connection->open();
    attempt.tls = connection->tls_result();
    if (opened) {
      if (connection->secured()) metrics.delivery_connections_tls.add();
      if (connection->resumed()) metrics.delivery_connections_resumed.add();
      if (attempt.tls && attempt.tls->verified) metrics.delivery_connections_verified.add();
      ++site.open;
      site_answered(site);
      co_return std::expected<void, Trouble>{};
    }
    // A host that may do another time weighs more than one that never will.
    if (!trouble || opened.error().verdict == RecipientResult::Verdict::deferred) trouble = opened.error();
    const Trouble& last = opened.error();
    if (!connection->session_failed()) report_session(*connection, domains, last.reason);
    metrics.delivery_connection_failures.add();
    const bool login = last.reason == event::Reason::hop_login_refused || last.reason == event::Reason::hop_login_impossible;
    if (login) metrics.delivery_login_failures.add();
    if (auto suppressed = failure_log_.admit(surroundings_.ring.now()))
      surroundings_.log.warning(login ? Literal{"next hop does not let us in with the login that is configured"} : Literal{"next hop cannot be used for now"},
                                {{"host", addresses[i]}, {"code", last.reply.code}, {"suppressed", *suppressed}});
    std::unique_ptr<Connection> failed = std::move(connection);
    co_await failed->close();
    std::erase(open_, failed.get());
    metrics.delivery_connections_open.add(-1);
    if (last.reason == event::Reason::hop_login_refused) break;  // the others would say the same, and count it
    if (failed->session_failed()) continue;  // the same host again, without
    if (failed->may_go_in_clear()) {
      metrics.delivery_tls_failures.add();
      continue;  // the same host again
    }
    // Others of this site may work: what failed goes to the end of the line until the addresses are asked for again.
    if (addresses.size() > 1 && site.addresses == addresses) {
      auto place = std::ranges::find(site.addresses, addresses[i]);
      std::rotate(place, place + 1, site.addresses.end());
    }
    ++i;
  }
  // Who keeps trying a wrong password is locked out.
  const bool refused = trouble && trouble->reason == event::Reason::hop_login_refused;
  // What only a message with REQUIRETLS asks for is not there: that says nothing of the hosts.
  if (!cutting_ && wish != smtp::TlsWish::required) site_failed(site, refused ? settings_->retry.first : Duration{});
  if (trouble && addresses.size() > kAddressesTried) trouble->verdict = RecipientResult::Verdict::deferred;  // the others are next
  co_return std::unexpected(std::move(trouble).value_or(Trouble{.reason = event::Reason::connection_lost}));
}

// Those of the recipients that wait, if anybody wants to hear what becomes of a connection for them.
std::vector<std::string> Deliverer::reported_domains(const Site& site, const Outgoing& outgoing, const queue::Message& message,
                                                     const Attempt& attempt) const {
  std::vector<std::string> domains;
  // What a sender wished is not what the domain asks for.
  if (outgoing.tls_wish() != smtp::TlsWish::none) return domains;
  if (!site.by_mx || !surroundings_.sessions || !surroundings_.sessions->listens()) return domains;
  for (std::size_t slot = 0; slot < attempt.results.size(); ++slot) {
    const std::size_t recipient = attempt.recipient(slot);
    if (message.recipients[recipient].state != queue::State::waiting) continue;
    const std::string domain{config::LowerDomain{policy::domain_of(outgoing.recipient(recipient))}.text()};
    if (!domain.empty() && std::ranges::find(domains, domain) == domains.end()) domains.push_back(domain);
  }
  return domains;
}

void Deliverer::report_session(Connection& connection, const std::vector<std::string>& domains, event::Reason trouble) {
  for (const std::string& domain : domains) {
    if (!connection.first_of(domain)) continue;
    const StsPolicy sts = surroundings_.policies ? surroundings_.policies->known_policy(domain) : StsPolicy{};
    if (auto session = session_of(domain, connection.facts(trouble), sts)) surroundings_.sessions->on_session(std::move(*session));
  }
}

runtime::Task<void> Deliverer::close(Site& site, std::unique_ptr<Connection>& connection) {
  if (!connection) co_return;
  --site.open;
  co_await connection->close();
  std::erase(open_, connection.get());
  surroundings_.metrics.delivery_connections_open.add(-1);
  connection.reset();
}

}  // namespace ringpost::deliver
