// Delivers the messages of one shard: sorts what is due by where it goes, keeps connections busy within their permits, backs off.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ringpost/base/log.hh"
#include "ringpost/base/prng.hh"
#include "ringpost/config/settings.hh"
#include "ringpost/deliver/hosts.hh"
#include "ringpost/deliver/outgoing.hh"
#include "ringpost/deliver/policies.hh"
#include "ringpost/deliver/view.hh"
#include "ringpost/metrics/shard_metrics.hh"
#include "ringpost/policy/seats.hh"
#include "ringpost/queue/queue.hh"
#include "ringpost/runtime/ring.hh"
#include "ringpost/runtime/scope.hh"
#include "ringpost/runtime/signal.hh"

namespace ringpost::tls {
class ClientContext;
}

namespace ringpost::deliver {

class Connection;
class TlsSessions;
struct Account;
struct Site;
struct Job;
struct Split;
struct Trouble;
struct Way;

/// What a deliverer works with. Everything outlives it.
struct Surroundings {
  runtime::Ring& ring;
  queue::Queue& queue;
  MailSource& source;
  Permits& permits;
  metrics::ShardMetrics& metrics;
  Log& log;
  std::uint64_t seed;           ///< for jitter
  std::size_t shards = 1;       ///< how many share the limits that count for all of them
  policy::SeatPool* seats = nullptr;  ///< that they lend each other; null: a shard has only its own
  HostFinder* hosts = nullptr;  ///< null: nothing but addresses can be routed to
  PolicyFinder* policies = nullptr;  ///< null: nobody has one
  SessionListener* sessions = nullptr;  ///< null: nobody wants reports
};

/// Relays to next hops: each set of hosts is a *site* with jobs, connections, permits and back-off of its own.
///
/// Lifetime: start() once, await stop() before it dies.
class Deliverer {
 public:
  Deliverer(Surroundings surroundings, std::shared_ptr<const config::Settings> settings);
  Deliverer(const Deliverer&) = delete;
  ~Deliverer();

  void start();
  /// Something is due, or the settings changed: look again. Cheap; never runs anything at once.
  void kick();
  /// MailSource::has_room() may be true again. As cheap.
  void room_again() {
    if (waits_for_room_) kick();
  }
  /// Permits of `destination` came, or others wait for them. As cheap.
  void permits_changed(std::uint64_t destination);
  /// Tokens of a site's rate came. As cheap.
  void tokens_came(std::uint64_t site);
  void reconfigure(std::shared_ptr<const config::Settings> settings);
  /// Connections from now on are secured with this; without it none is.
  void secure_with(std::shared_ptr<tls::ClientContext> context);
  /// Takes up no further message; waits for running attempts until `deadline`, then breaks their connections.
  runtime::Task<void> stop(Instant deadline);
  // ---- for operators (view.cc)
  std::vector<SiteView> views() const;
  /// The site that `message` goes to, if that is known without opening it.
  std::optional<SiteView> view_for(const queue::Message& message);
  /// Asks DNS where the route does.
  runtime::Task<WayView> explain(std::string address);
  /// Takes a message that is in delivery, but only waits in a line, out of it: it stays in delivery and is the caller's. False: an
  /// attempt is under way, or has begun for some of its recipients.
  bool recall(queue::Message& message);
  /// The site of `message` is tried at once, though it was to be left alone.
  void encourage(const queue::Message& message);

  std::size_t connections() const { return workers_; }
  std::size_t sites() const { return sites_.size(); }

 private:
  // What is known of a destination without opening a message for it.
  struct Known {
    enum class Way : std::uint8_t { site, hold } way = Way::site;
    std::uint64_t site = 0;
    Instant expires = kNever;
  };
  struct DestinationHash {
    std::size_t operator()(const queue::Destination& destination) const {
      return read_u64(destination);
    }
    static std::size_t read_u64(const queue::Destination& destination);
  };

  // deliverer.cc: what is due, and who does it
  runtime::Task<void> dispatch();
  bool sort_due();
  void sort_one(queue::Message& message);
  void fill_single();
  void attend_all();
  void attend(Site& site);
  void attend_later(Site& site);
  void hire(Site& site);
  void let_others(Site& site);
  void starve(Account& account);
  void feed(Account& account);
  void sweep();
  Instant next_look() const;
  bool take_seat(const Site& site);
  void leave_seat();
  void call_standing(std::size_t most);

  // sites.cc: places, and what they are told
  Site& site_of(const Way& way);
  static std::vector<SocketAddress> addresses_of(const Way& way);
  Site* find_single();
  void set_limits(Site& site);
  void leave_account(Site& site);
  void take(Site& site, Job job);
  void put_back(Site& site, Job job, Instant not_before);
  void give_up_jobs(Site& site);
  bool record_if_overdue(queue::Message& message);
  runtime::Task<void> record_untried(queue::Message& message);
  void look_for_overdue(Site& site);
  void site_failed(Site& site, Duration at_least);
  void site_answered(Site& site);
  void message_went(Site& site, bool broken);
  void leg_over(queue::Message& message, Split* split, const Outgoing* outgoing, const Attempt* attempt, Instant again);

  // routing.cc: messages whose way is not known
  runtime::Task<void> open_and_route();
  runtime::Task<void> look_up_and_send(queue::Message& message, std::unique_ptr<Outgoing> outgoing, std::vector<Way> ways);
  runtime::Task<void> look_up(Way& way, std::size_t& running, runtime::Signal& ended);
  std::vector<Way> ways_of(const queue::Message& message, const Outgoing& outgoing) const;
  void add_way(std::vector<Way>& ways, std::unordered_map<std::string, std::size_t>& places, std::string_view address,
               std::uint32_t recipient) const;
  Way way_of(const config::Route& route, std::string_view address) const;
  static std::string site_key(const Way& way);
  void send_off(queue::Message& message, const Outgoing& outgoing, std::vector<Way> ways);
  void send_one(queue::Message& message, Split* split, Way way);
  void remember(const queue::Message& message, const Known& known);

  // view.cc
  SiteView view_of(const Site& site) const;
  Site* known_site(const queue::Message& message);

  // worker.cc: one connection's life
  runtime::Task<void> work(Site& site);
  runtime::Task<bool> deliver_one(Site& site, std::unique_ptr<Connection>& connection, Job job, Attempt& attempt);
  runtime::Task<std::expected<void, Trouble>> ensure_open(Site& site, std::unique_ptr<Connection>& connection, Attempt& attempt,
                                                           smtp::TlsWish wish, const std::vector<std::string>& domains);
  std::vector<std::string> reported_domains(const Site& site, const Outgoing& outgoing, const queue::Message& message, const Attempt& attempt) const;
  void report_session(Connection& connection, const std::vector<std::string>& domains, event::Reason trouble);
  runtime::Task<void> close(Site& site, std::unique_ptr<Connection>& connection);

  Surroundings surroundings_;
  std::shared_ptr<const config::Settings> settings_;
  std::shared_ptr<tls::ClientContext> tls_;
  std::unique_ptr<TlsSessions> sessions_;
  std::uint64_t settings_generation_ = 0;  // connections of older settings end after their message
  Prng prng_;
  runtime::Scope scope_;
  runtime::Signal dispatch_signal_;
  runtime::Signal worker_ended_;
  bool stopping_ = false, cutting_ = false, kicked_ = false, waits_for_room_ = false;

  std::unordered_map<std::uint64_t, std::unique_ptr<Site>> sites_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Account>> accounts_;
  Site* single_ = nullptr;  // all mail goes there, whatever its destination
  std::unordered_map<queue::Destination, Known, DestinationHash> known_;
  std::unordered_map<queue::Message*, std::unique_ptr<Split>> splits_;
  std::deque<queue::Message*> unrouted_;
  std::size_t openers_ = 0, routing_ = 0, untried_ = 0;
  std::vector<MessageId> parked_;  // put back for hours because their route holds: a change of settings brings them back at once

  std::vector<Site*> attention_;     // sites that something changed for
  std::deque<std::uint64_t> standing_;  // sites that wait for a seat
  std::size_t workers_ = 0;
  std::size_t borrowed_ = 0;  // seats of those
  Instant next_sweep_ = kNever;
  Instant next_call_{};  // of those that stand
  std::vector<Connection*> open_;
  LogLimit failure_log_;
};

}  // namespace ringpost::deliver
