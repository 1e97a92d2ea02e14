#include "shard/queue_summary.hh"

#include <algorithm>

#include "ringpost/control/json.hh"
#include "shard/timestamp.hh"

namespace ringpost::shard {

namespace {

constexpr std::size_t kDomainsMax = 10'000, kDomainsShown = 50;

void count(QueueSummary::Domain& sum, const queue::Message& message, std::size_t recipients) {
  if (sum.messages++ == 0) sum.sample = message.id;
  sum.recipients += recipients;
  sum.bytes += message.size;
  sum.oldest = std::min(sum.oldest, message.arrived);
}

void write_sums(control::JsonWriter& json, const QueueSummary::Domain& sum) {
  json.field("messages", sum.messages);
  json.field("recipients", sum.recipients);
  json.field("bytes", sum.bytes);
  json.key("oldest");
  if (sum.messages > 0) json.text(timestamp(sum.oldest));
  else json.null();
}

}  // namespace

void QueueSummary::add(const Seen& seen) {
  std::size_t waiting = 0;
  for (std::uint32_t i : select(filter_, seen)) {
    if (seen.message.recipients[i].state != queue::State::waiting) continue;
    ++waiting;
    ++states_[std::string{state_of(seen, i)}];
    ++reasons_[std::string{reason_of(seen, i)}];
  }
  if (waiting == 0) return;
  count(total_, seen.message, waiting);
  const queue::Destination& destination = seen.message.destination;
  if (destination == queue::Destination{}) return count(several_, seen.message, waiting);
  auto known = domains_.find(destination);
  if (known == domains_.end() && domains_.size() < kDomainsMax) known = domains_.try_emplace(destination).first;
  count(known == domains_.end() ? others_ : known->second, seen.message, waiting);
}

std::vector<QueueSummary::Domain*> QueueSummary::largest() {
  std::vector<Domain*> all;
  for (auto& [destination, domain] : domains_) all.push_back(&domain);
  std::ranges::sort(all, [](const Domain* a, const Domain* b) { return a->messages > b->messages; });
  if (all.size() > kDomainsShown) all.resize(kDomainsShown);
  return all;
}

std::string QueueSummary::json() {
  std::string out;
  control::JsonWriter json{out};
  json.begin_object();
  write_sums(json, total_);
  for (auto [name, counts] : {std::pair{"states", &states_}, {"reasons", &reasons_}}) {
    json.key(name);
    json.begin_object();
    for (const auto& [what, number] : *counts) json.field(what, number);
    json.end_object();
  }
  json.key("domains");
  json.begin_array();
  for (const Domain* domain : largest()) {
    json.begin_object();
    json.key("domain");
    if (domain->name.empty()) json.null();
    else json.text(domain->name);
    write_sums(json, *domain);
    json.end_object();
  }
  json.end_array();
  json.field("domains_known", domains_.size());
  json.field("messages_to_several_domains", several_.messages);
  json.end_object();
  return out;
}

}  // namespace ringpost::shard
