// Where mail goes, for operators: what is known of destinations, and the way of one address.
#include <algorithm>

#include "ringpost/base/utc_time.hh"
#include "ringpost/control/json.hh"
#include "ringpost/policy/recipients.hh"
#include "shard/queue_view.hh"

namespace ringpost::shard {

namespace {

std::int64_t whole_seconds(Duration duration) { return std::chrono::ceil<std::chrono::seconds>(duration).count(); }

void write_names(control::JsonWriter& json, std::string_view key, const std::vector<std::string>& names) {
  json.key(key);
  json.begin_array();
  for (const std::string& name : names) json.text(name);
  json.end_array();
}

void write_addresses(control::JsonWriter& json, const std::vector<SocketAddress>& addresses) {
  json.key("addresses");
  json.begin_array();
  for (const SocketAddress& address : addresses) json.text(address.text());
  json.end_array();
}

void write_site(control::JsonWriter& json, const deliver::SiteView& site) {
  json.begin_object();
  json.field("name", site.name);
  write_names(json, "hosts", site.hosts);
  write_addresses(json, site.addresses);
  json.field("waiting", site.waiting);
  json.field("connections", site.connections);
  json.field("window", site.window);
  json.field("permits", site.permits);
  json.field("connections_max", site.connections_max);
  json.field("contended", site.contended);
  json.key("rate");
  if (site.rate.messages == 0) json.null();
  else json.text(std::to_string(site.rate.messages) + " in " + std::to_string(whole_seconds(site.rate.per)) + " s");
  json.field("failures", site.failures);
  json.field("suspended_s", whole_seconds(site.suspended_for));
  json.field("delivered_last_second", site.delivered_last_second);
  json.end_object();
}

std::string_view name_of(config::Route::Kind kind) {
  switch (kind) {
    case config::Route::Kind::hold: return "hold";
    case config::Route::Kind::smtp: return "smtp";
    case config::Route::Kind::lmtp: return "lmtp";
    case config::Route::Kind::mx: return "mx";
    case config::Route::Kind::reject: return "reject";
  }
  return {};
}

std::string text_of(const config::Route& route) {
  if (route.is_next_hop()) return std::string{name_of(route.kind)} + "://" + route.host + (route.port != 0 ? ":" + std::to_string(route.port) : "");
  return std::string{name_of(route.kind)} + (route.text.empty() ? "" : " " + route.text);
}

std::string text_of(const policy::RecipientAnswer& answer) {
  const smtp::Reply& reply = answer.refusal;
  if (reply.code == 0) return answer.ask_next_hop ? "accepted if the next hop says that it exists" : "accepted";
  return std::to_string(reply.code) + " " + std::to_string(reply.enhanced.klass) + "." + std::to_string(reply.enhanced.subject) + "." +
         std::to_string(reply.enhanced.detail) + " " + std::string{reply.text};
}

/// How connections to each host would be secured, and what DNS proves that it rests on.
void write_protection(control::JsonWriter& json, const deliver::WayView& way) {
  json.key("tls");
  json.begin_array();
  auto write = [&](std::string_view host, const deliver::HostProof* proof) {
    const deliver::Protection protection = deliver::protection(way.tls, proof, way.sts.policy());
    json.begin_object();
    json.field("host", host);
    json.key("tlsa");
    if (proof) json.text(deliver::status_name(proof->status));
    else json.null();
    json.field("policy", event::name_of(deliver::applied(protection.policy)));
    json.key("refused");
    if (protection.refusal == event::Reason::none) json.null();
    else json.text(event::name_of(protection.refusal));
    json.end_object();
  };
  for (const deliver::HostProof& proof : way.hosts->proofs) write(proof.host, &proof);
  if (way.hosts->proofs.empty()) write(way.route->host, nullptr);
  json.end_array();
}

/// What the domain's MTA-STS says, and why it cannot be had.
void write_sts(control::JsonWriter& json, const deliver::StsPolicy& sts) {
  json.key("mta_sts");
  if (!sts.cached && !sts.trouble) return json.null();
  json.begin_object();
  json.key("mode");
  if (sts.cached) json.text(transport::name_of(sts.cached->policy.mode));
  else json.null();
  if (sts.cached) {
    json.field("id", sts.cached->id);
    write_names(json, "mx", sts.cached->policy.mx);
    json.field("fetched", format_utc(sts.cached->fetched));
    json.field("until", format_utc(sts.cached->fetched + std::chrono::seconds{sts.cached->policy.max_age_s}));
  }
  json.key("trouble");
  if (sts.trouble) json.text(std::string{transport::name_of(sts.trouble->type)} + ": " + sts.trouble->reason);
  else json.null();
  json.end_object();
}

/// Why mail would wait now, in words; empty: it would be tried at once.
std::string why_it_waits(const deliver::WayView& way) {
  if (way.route->is_hold()) return "the route holds its mail until the configuration says where it goes";
  if (way.route->kind == config::Route::Kind::reject) return {};
  if (!way.hosts) {
    const deliver::RecipientResult& result = way.hosts.error().result;
    return result.verdict == deliver::RecipientResult::Verdict::failed ? std::string{} : "no usable answer from DNS: " + result.text;
  }
  if (!way.site) return {};
  const deliver::SiteView& site = *way.site;
  if (site.suspended_for > Duration{})
    return "none of its hosts could be reached; it is left alone for " + std::to_string(whole_seconds(site.suspended_for)) + " s more";
  if (site.connections > 0 && site.connections >= site.connections_max) return "all connections it may have are in use";
  if (site.connections >= site.window && site.waiting > 0) return "it bears no more connections at a time so far";
  if (site.contended && site.permits <= site.connections && site.waiting > 0) return "other shards have its permits";
  return {};
}

}  // namespace

std::string QueueView::destinations() {
  std::string out;
  for (const deliver::SiteView& site : deliverer_.views()) {
    control::JsonWriter json{out};
    write_site(json, site);
    out += '\n';
  }
  return out;
}

runtime::Task<control::Answer> QueueView::explain(std::string address) {
  const std::string bracketed = "<" + address + ">";
  const smtp::Path path = smtp::parse_forward_path(bracketed, smtp::Utf8::allowed);
  if (!path.ok() || path.size != bracketed.size()) co_return std::unexpected(address + ": this is no address (RFC 5321 section 4.1.2)");
  const std::shared_ptr<const config::Settings> settings = settings_;
  const deliver::WayView way = co_await deliverer_.explain(std::string{path.address()});
  if (!way.route) co_return std::unexpected(std::string{"the configuration was just changed, ask again"});
  // A stranger's address is one of no network that may relay: those reserved for documentation.
  const IpAddress stranger = IpAddress::from_ipv4(0xcb007101);
  std::string out;
  control::JsonWriter json{out};
  json.begin_object();
  json.field("recipient", path.address());
  json.field("rcpt_from_anyone_on_mx", text_of(policy::answer_recipient(*settings, {config::ListenerRole::mx, stranger}, path)));
  if (!settings->relay.clients.empty())
    json.field("rcpt_from_relay_clients",
               text_of(policy::answer_recipient(*settings, {config::ListenerRole::relay, settings->relay.clients.front().address}, path)));
  json.field("route", text_of(*way.route));
  json.key("asked_dns_for");
  if (way.domain.empty()) json.null();
  else json.text(way.domain);
  if (way.hosts && !way.domain.empty()) {
    write_names(json, "hosts", way.hosts->names);
    write_addresses(json, way.hosts->addresses);
  }
  if (!way.site_name.empty()) write_protection(json, way);
  if (!way.site_name.empty() && !way.domain.empty()) write_sts(json, way.sts);
  if (!way.hosts) {
    const deliver::RecipientResult& result = way.hosts.error().result;
    json.field("dns", result.verdict == deliver::RecipientResult::Verdict::failed ? "fails for good" : "to be asked again");
    json.field("reason", event::name_of(result.reason));
    json.field("text", result.text);
  }
  json.key("site");
  if (way.site) write_site(json, *way.site);
  else json.null();
  const std::string waits = why_it_waits(way);
  json.key("would_wait");
  if (waits.empty()) json.null();
  else json.text(waits);
  json.end_object();
  co_return out;
}

}  // namespace ringpost::shard
