#include "ringpost/policy/recipients.hh"

#include <algorithm>

#include "ringpost/config/domains.hh"
#include "ringpost/policy/relay.hh"

namespace ringpost::policy {
namespace {

bool is_postmaster(std::string_view local) {
  constexpr std::string_view kPostmaster = "postmaster";
  if (local.size() == kPostmaster.size() + 2 && local.starts_with('"') && local.ends_with('"')) local = local.substr(1, kPostmaster.size());
  return std::ranges::equal(local, kPostmaster, [](char a, char b) { return (a | 0x20) == b; });
}

/// A local part that some next hop may read as a further address to send to: user%elsewhere, elsewhere!user, "user@elsewhere".
bool holds_a_route(std::string_view local) { return local.find_first_of("%!@:") != local.npos; }

const config::Route& route_of_domain(const config::Settings& settings, std::string_view lower_domain) {
  auto found = config::most_specific(settings.route.domains, lower_domain, &config::DomainRoute::domain);
  return found ? found->route : settings.route.fallback;
}

}  // namespace

// A name with a wildcard is a hundred hosts' name, and says of none that it is the one that was listed.
bool may_relay(std::span<const std::string> certified_names, std::span<const std::string> listed) {
  return std::ranges::any_of(certified_names, [&](std::string_view name) {
    return name.find('*') == name.npos && config::most_specific(listed, config::LowerDomain{name}.text()) != nullptr;
  });
}

std::string_view domain_of(std::string_view address) {
  const std::size_t at = address.rfind('@');
  return at == address.npos ? std::string_view{} : address.substr(at + 1);
}

std::string_view own_domain(const config::Settings& settings) {
  for (const std::string& domain : settings.relay.domains)
    if (!domain.starts_with('*')) return domain;
  return settings.hostname;
}

const config::Route& route_for(const config::Settings& settings, std::string_view address) {
  if (settings.route.domains.empty()) return settings.route.fallback;
  std::string_view domain = domain_of(address);
  return route_of_domain(settings, config::LowerDomain{domain.empty() ? own_domain(settings) : domain}.text());
}

RecipientAnswer answer_recipient(const config::Settings& settings, const Submitter& from, const smtp::Path& recipient) {
  const bool is_listed = from.certified || may_relay(from.client, settings.relay.clients);
  const bool trusted = from.authenticated || (!config::is_submission(from.role) && is_listed);
  if (!trusted && from.role != config::ListenerRole::mx) return {smtp::replies::kRelayDenied};
  if (trusted && settings.route.domains.empty() && settings.recipients.empty() && settings.route.fallback.kind != config::Route::Kind::reject)
    return {};

  const bool bare = recipient.kind != smtp::Path::Kind::mailbox;  // <postmaster>
  const std::string_view local = bare ? recipient.bare_local : recipient.mailbox.local;
  const config::LowerDomain lower{bare ? own_domain(settings) : recipient.mailbox.domain};
  const std::string_view domain = lower.text();
  const bool ours = bare || (!recipient.mailbox.literal && config::most_specific(settings.relay.domains, domain) != nullptr);
  if (!trusted && !ours) return {smtp::replies::kRelayDenied};

  const config::Route& route = route_of_domain(settings, domain);
  if (route.kind == config::Route::Kind::reject) return {{550, {5, 7, 1}, route.text}};
  if (is_postmaster(local) && (ours || trusted)) return {};
  const auto rule = config::most_specific(settings.recipients, domain, &config::RecipientRule::domain);
  const config::RecipientRule::Kind kind = rule ? rule->value.kind : config::RecipientRule::Kind::any;
  if (kind == config::RecipientRule::Kind::file && rule->list && rule->list->contains(local, domain)) return {};
  if (kind == config::RecipientRule::Kind::file) return {smtp::replies::kNoSuchUser};
  // Nobody says that such a user exists, and what it might do elsewhere is relaying.
  if (!trusted && holds_a_route(local)) return {smtp::replies::kRelayDenied};
  return {.ask_next_hop = kind == config::RecipientRule::Kind::callout};
}

std::vector<OpenRelay> find_open_relays(const config::Settings& settings) {
  // Addresses of the public Internet, far from each other, that belong to no relay client of anybody's; and a domain that is never ours
  // (RFC 2606).
  constexpr std::string_view kStrangers[] = {"8.8.8.8", "41.0.0.1", "126.0.0.1", "151.101.1.1", "202.12.27.33", "2001:500:9f::42", "2a00:1450::1"};
  std::vector<OpenRelay> found;
  for (const config::Listener& listener : settings.listeners) {
    for (std::string_view stranger : kStrangers) {
      const IpAddress client = *IpAddress::parse(stranger);
      bool open = false;
      for (std::string_view path : {"<probe@probe.invalid>", "<probe%probe.invalid@[192.0.2.1]>", "<\"probe@probe.invalid\">", "<@probe.invalid:probe@probe.invalid>"}) {
        const smtp::Path recipient = smtp::parse_forward_path(path, smtp::Utf8::refused);
        open = open || (recipient.ok() && !answer_recipient(settings, {.role = listener.role, .client = client}, recipient).refusal);
      }
      if (!open) continue;
      found.push_back({listener.name, client});
      break;
    }
  }
  return found;
}

}  // namespace ringpost::policy
