#include "programs/operations.hh"

#include <cstring>

#include "programs/certificates.hh"
#include "programs/completion.hh"
#include "programs/config_files.hh"
#include "programs/hop_logins.hh"
#include "ringpost/base/steady_clock.hh"
#include "ringpost/control/json.hh"
#include "ringpost/metrics/exposition.hh"
#include "ringpost/policy/recipients.hh"

namespace ringpost::programs {

namespace {
constexpr Duration kFollowPatience = std::chrono::seconds(2);

event::Event event_of(const config::Change& change, std::uint32_t user) {
  event::Event event{.kind = event::Kind::config_changed};
  event.setting = config::key_id(change.key);
  event.user = user;
  const std::string_view instance = config::key_instance(change.key);
  if (!instance.empty()) event.instance.emplace(instance);
  if (!change.from.empty()) event.before.emplace(change.from);
  if (!change.to.empty()) event.after.emplace(change.to);
  return event;
}
}  // namespace

void warn_of_open_relays(const config::Settings& settings, Log& log) {
  for (const policy::OpenRelay& each : policy::find_open_relays(settings))
    log.warning("OPEN RELAY: strangers could send mail to anywhere through this server; look at relay.clients",
                {{"listener", OperatorText{each.listener}}, {"stranger", each.client}});
}

Operations::Operations(config::Configuration configuration, std::string config_path, std::string config_opened,
                       std::vector<IpAddress> own_addresses, SettingsBoard& board, const policy::LoginGuard& logins, Log& log)
    : configuration_(std::move(configuration)), config_path_(std::move(config_path)), config_opened_(std::move(config_opened)),
      own_addresses_(std::move(own_addresses)),
      board_(board), logins_(logins), log_(log) {}

void Operations::set_facts(const Facts& facts, std::vector<const metrics::ShardMetrics*> metrics) {
  facts_ = facts;
  metrics_ = std::move(metrics);
}

std::string Operations::status() {
  std::string out;
  control::JsonWriter json{out};
  auto sum = [&](auto member) {
    std::int64_t total = 0;
    for (const metrics::ShardMetrics* shard : metrics_) total += static_cast<std::int64_t>((shard->*member).value());
    return total;
  };
  using Metrics = metrics::ShardMetrics;
  json.begin_object();
  json.field("shards", facts_.shards);
  json.field("shards_in_use", in_use());
  json.field("partitions", facts_.partitions);
  json.field("separation", facts_.separated ? "users" : "none");
  json.field("helpers", facts_.helpers_are_services ? "services" : unsupervised_.load(std::memory_order_relaxed) ? "unsupervised" : "kept");
  json.field("hardware_aes", facts_.hardware_aes);
  json.field("uptime_s", std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - started_).count());
  json.field("connections", sum(&Metrics::connections_open));
  json.field("accepted", sum(&Metrics::messages_accepted));
  json.field("queued", sum(&Metrics::messages_queued));
  json.field("recovering", sum(&Metrics::partitions_recovering));
  json.field("delivered", sum(&Metrics::recipients_delivered));
  json.field("deferred", sum(&Metrics::recipients_deferred));
  json.field("failed", sum(&Metrics::recipients_failed));
  json.key("tls_reports_waiting");
  if (const std::int64_t by_mail = sum(&Metrics::tls_reports_by_mail); by_mail == 0) json.null();
  else json.text(std::to_string(by_mail) + " were wanted by mail alone, and not sent: that waits for DKIM signing");
  json.key("totals");
  json.raw(metrics::json_totals(metrics_));
  json.end_object();
  // One line: the control protocol ends lines with newlines.
  std::erase(out, '\n');
  return out;
}

std::size_t Operations::in_use() const {
  const std::size_t some = board_.spread_over();
  return some == 0 ? facts_.shards : some;
}

std::string Operations::metrics() {
  metrics::Exposition whole;
  whole.family("ringpost_shards_in_use", "gauge", "Shards that take new connections (shards.spread).");
  whole.sample("ringpost_shards_in_use", {}, static_cast<std::uint64_t>(in_use()));
  const auto settings = board_.current();
  if (!settings->tls.certificates.empty())
    whole.family("ringpost_certificate_days_left", "gauge", "Whole days until a certificate in use ends.");
  for (const config::CertificateFiles& each : settings->tls.certificates)
    whole.sample("ringpost_certificate_days_left", {{"certificate", each.name}}, days_left(each));
  return metrics::prometheus_text(metrics_) + whole.take();
}

std::string Operations::bans() {
  const Instant now = steady_now();
  std::string lines;
  for (const policy::LoginBan& ban : logins_.bans(now)) {
    std::string line;
    control::JsonWriter json{line};
    json.begin_object();
    json.field("who", ban.who);
    json.field("kind", ban.is_network ? "network" : "login");
    json.field("seconds_left", std::chrono::ceil<std::chrono::seconds>(ban.until - now).count());
    json.end_object();
    std::erase(line, '\n');
    lines.append(line).append("\n");
  }
  return lines;
}

control::Answer Operations::get(std::string_view key) {
  std::lock_guard lock{mutex_};
  if (key.empty()) return configuration_.dump();
  auto entry = configuration_.get(key);
  if (!entry) return std::unexpected(entry.error().text());
  return entry->text() + "\n";
}

control::Answer Operations::set(std::string_view assignment, std::uint32_t user) {
  std::lock_guard lock{mutex_};
  return apply(configuration_.with(assignment), user);
}

control::Answer Operations::reload(std::uint32_t user) {
  std::lock_guard lock{mutex_};
  std::vector<config::Source> sources;
  if (!config_path_.empty()) {
    auto read = read_sources(config_path_, config_opened_);
    if (!read) return std::unexpected(read.error());
    sources = std::move(*read);
  }
  return apply(configuration_.reloaded(sources), user);
}

std::expected<std::shared_ptr<config::Settings>, std::string> Operations::completed(const config::Configuration& configuration) {
  const auto in_force = board_.current();
  auto settings = std::make_shared<config::Settings>(configuration.settings());
  std::vector<std::string> kept;
  auto done = complete(*settings, own_addresses_, in_force->dns.servers);
  if (done) done = read_certificates(*settings, configuration, in_force.get(), kept);
  if (done) done = read_trust(*settings, configuration, in_force.get());
  if (done) done = read_hop_passwords(*settings, configuration, in_force.get());
  if (!done) return std::unexpected(done.error());
  for (const std::string& each : kept) log_.warning("the certificate read at start stays in force", {{"reason", OperatorText{each}}});
  return settings;
}

void Operations::renew_certificates() {
  std::lock_guard lock{mutex_};
  auto made = completed(configuration_);
  if (!made) return log_.error("changed certificates are not taken up; the old ones stay in force", {{"reason", OperatorText{made.error()}}});
  for (const config::CertificateFiles& each : (*made)->tls.certificates)
    log_.info("certificate read", {{"name", OperatorText{each.name}}, {"days_left", days_left(each)}});
  if (!board_.publish(std::move(*made), {}, kFollowPatience)) log_.warning("a shard is too busy to take up the certificates yet");
}

// All of it, or nothing.
control::Answer Operations::apply(config::Configuration::Built built, std::uint32_t user) {
  if (!built) return std::unexpected(text_of(built.error()));
  auto made = completed(*built);
  if (!made) return std::unexpected(made.error());
  const std::shared_ptr<config::Settings> settings = std::move(*made);
  std::vector<config::Change> changes = config::Configuration::changes(configuration_, *built);
  configuration_ = std::move(*built);
  log_.set_level(settings->log.level);
  std::vector<event::Event> events;
  std::string text;
  for (const config::Change& change : changes) {
    log_.info("setting changed", {{"key", OperatorText{change.key}}, {"user", user}});
    events.push_back(event_of(change, user));
    text += change.key + ": " + change.from + " -> " + change.to + "\n";
  }
  warn_of_open_relays(*settings, log_);
  if (!board_.publish(settings, events, kFollowPatience)) return std::unexpected("accepted, but a shard is too busy to follow yet");
  return text.empty() ? "nothing changed\n" : text;
}

}  // namespace ringpost::programs
