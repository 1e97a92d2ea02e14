#include "shard/sts_policies.hh"

#include <algorithm>

#include "ringpost/dns/idna.hh"

namespace ringpost::shard {

using deliver::StsPolicy;
using deliver::StsTrouble;
using runtime::Task;
using transport::ResultType;

namespace {

// RFC 8461 section 3.3: "five minutes or longer".
constexpr Duration kFailurePause = std::chrono::minutes(5);
// When it is not the web's fault but ours: helperd is away, or has too much to do.
constexpr Duration kOwnFailurePause = std::chrono::seconds(30);
constexpr std::string_view kUnavailable = "unavailable";
constexpr std::size_t kFailuresMax = 10'000;
// Policies that end without mail to their domains are looked for this often, so many at a time.
constexpr Duration kRenewEvery = std::chrono::minutes(10);
constexpr std::size_t kRenewedAtOnce = 64;

StsTrouble trouble_of(helper::WebFault fault) {
  const bool certificate = fault == helper::WebFault::certificate;
  return {certificate ? ResultType::sts_webpki_invalid : ResultType::sts_policy_fetch_error, std::string{helper::name_of(fault)}};
}

StsTrouble trouble_of(transport::PolicyFault fault) {
  return {fault == transport::PolicyFault::status ? ResultType::sts_policy_fetch_error : ResultType::sts_policy_invalid,
          std::string{transport::name_of(fault)}};
}

}  // namespace

/// Equal questions at a time are asked once.
struct StsPolicies::Flight {
  Flight(runtime::Ring& ring, std::string domain) : domain(std::move(domain)), landed(ring) {}
  std::string domain;
  /// Of what is known so far: when it is there, nobody waits for the rest.
  std::optional<StsPolicy> found;
  runtime::Signal landed;
};

Task<StsPolicy> StsPolicies::sts_policy(std::string domain) {
  const std::optional<std::string> ascii = dns::to_ascii(domain);
  if (!wanted_ || stopping_ || !ascii || !dns::is_askable(*ascii)) co_return StsPolicy{};
  std::shared_ptr<Flight> flight;
  if (const auto other = flights_.find(*ascii); other != flights_.end()) {
    flight = other->second;
  } else {
    flight = std::make_shared<Flight>(parts_.ring, *ascii);
    flights_.emplace(*ascii, flight);
    scope_.spawn(fly(flight));
  }
  while (!flight->found) co_await flight->landed.wait();
  co_return *flight->found;
}

// What holds is told before anything is fetched.
Task<void> StsPolicies::fly(std::shared_ptr<Flight> flight) {
  const auto tell = [&flight](StsPolicy policy) {
    flight->found = std::move(policy);
    flight->landed.notify_all();
  };
  const std::string& domain = flight->domain;
  const std::optional<std::string> record = co_await ask_for_record(domain);
  const auto cached = parts_.cache.find(domain, now());
  const transport::Lookup lookup = transport::look_up(cached.get(), record, now());
  const Failure* failure = record ? failed_lately(domain, *record) : nullptr;
  const auto holding = lookup.use_cached ? cached : nullptr;
  const bool fetches = lookup.fetch && !failure && !stopping_;
  if (holding || !fetches) tell({holding, failure ? std::optional{failure->trouble} : std::nullopt});
  if (fetches) {
    auto fetched = co_await fetch(domain);
    if (fetched) {
      parts_.metrics.sts_policies_fetched.add();
      failures_.erase(domain);
      parts_.cache.put(domain, {std::move(*fetched), *record, now()}, now());
      if (!flight->found) tell({parts_.cache.find(domain, now()), std::nullopt});
    } else {
      note_failure(domain, *record, fetched.error());
      if (!flight->found) tell({nullptr, fetched.error()});
    }
  }
  flights_.erase(domain);
}

/// The id of the domain's record; nothing: it has none, or DNS did not say.
Task<std::optional<std::string>> StsPolicies::ask_for_record(const std::string& domain) {
  const dns::Answer answer = co_await parts_.resolver.ask("_mta-sts." + domain, dns::Type::txt);
  std::vector<std::string> texts;
  for (const dns::Record& record : answer.records)
    if (const auto* text = std::get_if<dns::Text>(&record.data)) texts.push_back(text->octets);
  auto id = transport::parse_sts_records(texts);
  if (!id) co_return std::nullopt;
  co_return std::move(*id);
}

Task<std::expected<transport::Policy, StsTrouble>> StsPolicies::fetch(const std::string& domain) {
  std::vector<IpAddress> addresses = co_await parts_.hosts.addresses("mta-sts." + domain);
  if (addresses.empty()) co_return std::unexpected(trouble_of(helper::WebFault::no_address));
  auto answer = co_await parts_.web.fetch_policy(domain, std::move(addresses));
  if (!answer) co_return std::unexpected(StsTrouble{ResultType::sts_policy_fetch_error, std::string{kUnavailable}});
  if (answer->fault != helper::WebFault::none) co_return std::unexpected(trouble_of(answer->fault));
  auto policy = transport::parse_policy_response(answer->status, answer->content_type, answer->body);
  if (!policy) co_return std::unexpected(trouble_of(policy.error()));
  co_return std::move(*policy);
}

const StsPolicies::Failure* StsPolicies::failed_lately(const std::string& domain, const std::string& id) const {
  const auto found = failures_.find(domain);
  if (found == failures_.end() || found->second.id != id || parts_.ring.now() >= found->second.until) return nullptr;
  return &found->second;
}

void StsPolicies::note_failure(const std::string& domain, std::string id, StsTrouble trouble) {
  parts_.metrics.sts_fetches_failed.add();
  if (auto suppressed = failure_log_.admit(parts_.ring.now()))
    parts_.log.warning("the MTA-STS policy of a domain cannot be had", {{"why", OperatorText{trouble.reason}}, {"suppressed", *suppressed}});
  if (failures_.size() >= kFailuresMax) failures_.clear();
  const Instant until = parts_.ring.now() + (trouble.reason == kUnavailable ? kOwnFailurePause : kFailurePause);
  failures_.insert_or_assign(domain, Failure{std::move(id), std::move(trouble), until});
}

StsPolicy StsPolicies::known_policy(const std::string& domain) {
  const std::optional<std::string> ascii = dns::to_ascii(domain);
  if (!wanted_ || !ascii) return {};
  StsPolicy known{parts_.cache.find(*ascii, now()), std::nullopt};
  if (known.cached && !known.cached->is_valid(now())) known.cached = nullptr;
  const auto failure = failures_.find(*ascii);
  if (failure != failures_.end() && parts_.ring.now() < failure->second.until) known.trouble = failure->second.trouble;
  return known;
}

Task<void> StsPolicies::renew() {
  while (!stopping_) {
    (void)co_await changed_.wait(parts_.ring.now() + kRenewEvery);
    if (stopping_ || !wanted_) continue;
    for (std::string& domain : parts_.cache.ageing(now(), kRenewedAtOnce)) (void)co_await sts_policy(std::move(domain));
  }
}

Task<void> StsPolicies::stop() {
  stopping_ = true;
  changed_.notify_all();
  co_await scope_.join();
}

}  // namespace ringpost::shard
