#include "shard/queue_view.hh"

#include <algorithm>
#include <cstdio>
#include <optional>

#include "ringpost/control/json.hh"
#include "shard/mail_intake.hh"

namespace ringpost::shard {

namespace {

/// Why mail is held that nothing is wrong with: route.default = hold.
constexpr std::string_view kRouteHolds = "route_holds";
constexpr std::size_t kPageIds = 256;

/// 2026-11-22T18:35:15Z
std::string timestamp(WallTime time) {
  auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  auto day = std::chrono::floor<std::chrono::days>(seconds);
  std::chrono::year_month_day date{day};
  std::chrono::hh_mm_ss clock{seconds - day};
  char text[64];
  std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02ld:%02ld:%02ldZ", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), static_cast<long>(clock.hours().count()),
                static_cast<long>(clock.minutes().count()), static_cast<long>(clock.seconds().count()));
  return text;
}

std::string_view name_of(const queue::Message& message, const queue::Recipient& recipient, bool route_holds) {
  switch (recipient.state) {
    case queue::State::delivered: return "delivered";
    case queue::State::failed: return recipient.reply.code / 100 == 2 ? "delivered" : "failed";
    case queue::State::told: return "failed";
    case queue::State::waiting: break;
  }
  if (message.held) return "held";
  if (message.in_delivery) return "delivering";
  if (route_holds || recipient.reason == event::Reason::route_holds) return "held";
  return recipient.attempts > 0 ? "deferred" : "queued";
}

/// Addresses of a message, wherever they are now; empty vectors when they cannot be had.
struct Addresses {
  bool known = false;
  std::string sender;
  std::vector<std::string> recipients;
};

void write_recipient(control::JsonWriter& json, const queue::Message& message, std::size_t index, const Addresses& addresses,
                     bool route_holds) {
  const queue::Recipient& recipient = message.recipients[index];
  const bool waits = recipient.state == queue::State::waiting && !message.held;
  const bool waits_for_route = waits && !message.in_delivery && (route_holds || recipient.reason == event::Reason::route_holds);
  json.begin_object();
  json.key("address");
  if (addresses.known) json.text(addresses.recipients[index]);
  else json.null();
  json.field("state", name_of(message, recipient, route_holds));
  json.field("attempts", recipient.attempts);
  json.key("code");
  if (recipient.reply.code != 0) json.number(recipient.reply.code);
  else json.null();
  json.key("reason");
  if (waits_for_route) json.text(kRouteHolds);
  else if (recipient.reason != event::Reason::none) json.text(event::name_of(recipient.reason));
  else json.null();
  json.key("next");
  if (waits && !waits_for_route) json.text(timestamp(message.due_wall));
  else json.null();
  json.end_object();
}

}  // namespace

runtime::Task<std::vector<MessageId>> QueueView::page(MessageId after) {
  std::vector<MessageId> ids;
  std::optional<MessageId> upto;  // every partition has said what there is up to here
  for (auto& partition : partitions_) {
    auto page = co_await partition->backlog().ids_behind(after, kPageIds);
    if (!page || page->empty()) continue;
    upto = upto ? std::min(*upto, page->back()) : page->back();
    ids.insert(ids.end(), page->begin(), page->end());
  }
  std::ranges::sort(ids);
  if (upto) ids.erase(std::ranges::upper_bound(ids, *upto), ids.end());
  co_return ids;
}

/// Of a message that is not in memory.
runtime::Task<std::unique_ptr<queue::Message>> QueueView::look_up(MessageId id) {
  for (auto& partition : partitions_) {
    auto found = co_await partition->backlog().look_up(id);
    if (found && *found) co_return std::move(*found);
  }
  co_return nullptr;
}

runtime::Task<std::string> QueueView::describe(MessageId id) {
  const queue::Message* message = queue_.find(id);
  std::unique_ptr<queue::Message> stored;  // what the index says of one that is not in memory
  if (!message) {
    stored = co_await look_up(id);
    message = stored.get();
  }
  if (!message) co_return std::string{};
  Addresses addresses;
  if (message->hot) {
    const auto& hot = static_cast<const HotMessage&>(*message->hot);
    addresses = {true, hot.reverse_path, hot.recipients};
  } else {
    auto reader = co_await source_.read(*message);
    if (!stored) message = queue_.find(id);  // it may have been delivered meanwhile, or have left memory
    if (!message) {
      stored = co_await look_up(id);
      message = stored.get();
    }
    if (!message) co_return std::string{};
    if (reader && (*reader)->envelope().recipients.size() == message->recipients.size()) {
      addresses.known = true;
      addresses.sender = (*reader)->envelope().reverse_path;
      for (const auto& recipient : (*reader)->envelope().recipients) addresses.recipients.emplace_back(recipient.address);
    }
  }
  std::string out;
  control::JsonWriter json{out};
  json.begin_object();
  json.field("id", hex(id));
  json.key("sender");
  if (addresses.known) json.text(addresses.sender);
  else json.null();
  json.field("size", message->size);
  json.field("arrived", timestamp(message->arrived));
  json.key("recipients");
  json.begin_array();
  for (std::size_t i = 0; i < message->recipients.size(); ++i) write_recipient(json, *message, i, addresses, route_holds_);
  json.end_array();
  json.end_object();
  co_return out;
}

}  // namespace ringpost::shard
