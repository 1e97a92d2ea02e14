#include "shard/queue_view.hh"

#include <algorithm>

#include "ringpost/control/json.hh"
#include "ringpost/policy/recipients.hh"
#include "shard/keyed_hashes.hh"
#include "shard/mail_intake.hh"
#include "shard/queue_summary.hh"
#include "shard/timestamp.hh"

namespace ringpost::shard {

namespace {

constexpr std::size_t kPageIds = 256;

void text_or_null(control::JsonWriter& json, std::string_view name, std::string_view text) {
  json.key(name);
  if (text.empty()) json.null();
  else json.text(text);
}

using Words = std::map<std::uint32_t, std::string>;

/// `words`: null where nobody asked for them.
void write_recipient(control::JsonWriter& json, const Seen& seen, std::size_t index, const Words* words) {
  const queue::Recipient& recipient = seen.message.recipients[index];
  const std::string_view state = state_of(seen, index);
  json.begin_object();
  json.key("address");
  if (seen.addresses) json.text(seen.addresses->recipients[index]);
  else json.null();
  json.field("state", state);
  json.field("attempts", recipient.attempts);
  json.key("code");
  if (recipient.reply.code != 0) json.number(recipient.reply.code);
  else json.null();
  if (words) {
    const auto said = words->find(static_cast<std::uint32_t>(index));
    const bool still_counts = said != words->end() && recipient.reply.code != 0;  // it may have been tried again, in vain
    text_or_null(json, "reply", still_counts ? said->second : std::string_view{});
  }
  text_or_null(json, "reason", reason_of(seen, index));
  text_or_null(json, "host", recipient.host.port != 0 ? SocketAddress{recipient.host.ip, recipient.host.port}.text() : std::string{});
  text_or_null(json, "next", recipient.state == queue::State::waiting && state != "held" ? timestamp(seen.message.due_wall) : std::string{});
  json.end_object();
}

std::string json_of(const Seen& seen, const Words* words) {
  std::string out;
  control::JsonWriter json{out};
  json.begin_object();
  json.field("id", hex(seen.message.id));
  json.key("sender");
  if (seen.addresses) json.text(seen.addresses->sender);
  else json.null();
  json.field("size", seen.message.size);
  json.field("arrived", timestamp(seen.message.arrived));
  json.key("recipients");
  json.begin_array();
  for (std::size_t i = 0; i < seen.message.recipients.size(); ++i) write_recipient(json, seen, i, words);
  json.end_array();
  json.end_object();
  return out;
}

}  // namespace

// ---- many messages

runtime::Task<control::Page> QueueView::visit(MessageId after, const control::QueueFilter& filter, std::function<void(const Seen&)> take) {
  control::Page page;
  std::map<queue::Destination, std::optional<deliver::SiteView>> sites;
  const bool names_domain = filter.domain && !filter.domain->starts_with('*');
  const queue::Destination domain = names_domain ? destination_hash(parts_.hash_key, *filter.domain) : queue::Destination{};
  std::vector<std::vector<Backlog::Listed>> listed;
  for (auto& partition : parts_.partitions) {
    auto some = co_await partition->backlog().page_behind(after, kPageIds);
    if (!some || some->empty()) continue;
    page.next = page.next ? std::min(*page.next, some->back().id) : some->back().id;  // every partition has said what there is up to here
    listed.push_back(std::move(*some));
  }
  for (const auto& some : listed) {
    for (const Backlog::Listed& one : some) {
      if (one.id > *page.next) break;
      const queue::Message* message = parts_.queue.find(one.id);
      if (!message) message = one.stored.get();
      if (!message) continue;  // delivered meanwhile
      if (names_domain && message->destination != queue::Destination{} && message->destination != domain) continue;
      const deliver::SiteView* site = nullptr;
      if (filter.destination) {
        auto [known, fresh] = sites.try_emplace(message->destination);
        if (fresh) known->second = deliverer_.view_for(*message);
        if (known->second) site = &*known->second;
      }
      const Seen seen{.message = *message, .site = site, .route_holds = route_holds(), .now = parts_.ring.now()};
      if (!select(filter, seen).empty()) take(seen);
    }
  }
  co_return page;
}

runtime::Task<control::Page> QueueView::page(MessageId after, const control::QueueFilter& filter) {
  std::vector<MessageId> ids;
  control::Page page = co_await visit(after, filter, [&ids](const Seen& seen) { ids.push_back(seen.message.id); });
  std::ranges::sort(ids);
  page.ids = std::move(ids);
  co_return page;
}

runtime::Task<std::string> QueueView::summarize(const control::QueueFilter& filter) {
  QueueSummary summary(filter);
  const bool opens = filter.names_addresses();
  for (MessageId after{}; !stopping_;) {
    std::vector<MessageId> ids;
    const control::Page page = co_await visit(after, filter, [&](const Seen& seen) {
      if (opens) ids.push_back(seen.message.id);
      else summary.add(seen);
    });
    for (const MessageId& id : ids) {
      if (stopping_) break;
      const Found found = co_await find(id, filter);
      if (found.message) summary.add(seen(found));
    }
    if (!page.next) break;
    after = *page.next;
  }
  for (QueueSummary::Domain* domain : summary.largest()) {
    const Found found = co_await find(domain->sample, filter);
    if (found.addresses) domain->name = config::LowerDomain{policy::domain_of(found.addresses->recipients.front())}.text();
  }
  co_return summary.json();
}

// ---- one message

/// Of a message that is not in memory.
runtime::Task<std::unique_ptr<queue::Message>> QueueView::look_up(MessageId id) {
  for (auto& partition : parts_.partitions) {
    auto found = co_await partition->backlog().look_up(id);
    if (found && *found) co_return std::move(*found);
  }
  co_return nullptr;
}

runtime::Task<std::optional<Addresses>> QueueView::addresses_of(const queue::Message& message) {
  if (message.hot) {
    const auto& hot = static_cast<const HotMessage&>(*message.hot);
    co_return Addresses{hot.reverse_path, hot.recipients};
  }
  const std::size_t recipients = message.recipients.size();
  auto reader = co_await source_.read(message);
  if (!reader || (*reader)->envelope().recipients.size() != recipients) co_return std::nullopt;
  co_return addresses_in((*reader)->envelope());
}

// Nothing when it cannot be opened, or the record is gone with its segment: its code is known all the same.
runtime::Task<Words> QueueView::words_of(const queue::Message& message) {
  const spool::Position place = message.words;
  if (!place) co_return Words{};
  auto reader = co_await source_.read(message);
  if (!reader) co_return Words{};
  auto words = co_await (*reader)->words(place);
  co_return words ? std::move(*words) : Words{};
}

/// Wherever it is now: it may have been delivered meanwhile, or have left memory.
runtime::Task<void> QueueView::look_again(Found& found, MessageId id) {
  if (!found.stored) found.message = parts_.queue.find(id);
  if (found.message) co_return;
  found.stored = co_await look_up(id);
  found.message = found.stored.get();
}

runtime::Task<QueueView::Found> QueueView::find(MessageId id, const control::QueueFilter& filter) {
  Found found;
  co_await look_again(found, id);
  if (!found.message) co_return found;
  if (filter.id) {
    found.words = co_await words_of(*found.message);
    co_await look_again(found, id);
    if (!found.message) co_return found;
  }
  found.addresses = co_await addresses_of(*found.message);
  co_await look_again(found, id);
  if (found.message && filter.destination) found.site = deliverer_.view_for(*found.message);
  co_return found;
}

Seen QueueView::seen(const Found& found) const {
  return {.message = *found.message,
          .addresses = found.addresses ? &*found.addresses : nullptr,
          .site = found.site ? &*found.site : nullptr,
          .route_holds = route_holds(),
          .now = parts_.ring.now()};
}

runtime::Task<std::string> QueueView::describe(MessageId id, const control::QueueFilter& filter) {
  const Found found = co_await find(id, filter);
  if (!found.message) co_return std::string{};
  const Seen here = seen(found);
  if (select(filter, here).empty() || (filter.names_addresses() && !here.addresses)) co_return std::string{};
  co_return json_of(here, filter.id ? &found.words : nullptr);
}

runtime::Task<control::Effected> QueueView::carry_out(MessageId id, const control::Order& order) {
  // Of a long queue most messages are for others: those are looked at where they are, and stay there.
  if (order.filter.names_addresses()) {
    const Found found = co_await find(id, order.filter);
    if (!found.message || (found.addresses && select(order.filter, seen(found)).empty())) co_return control::Effected{};
  }
  const control::Effected effected = co_await interventions_.carry_out(id, order, route_holds());
  co_return effected;
}

}  // namespace ringpost::shard
