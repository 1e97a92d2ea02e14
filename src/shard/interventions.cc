#include "shard/interventions.hh"

#include <algorithm>
#include <iterator>
#include <utility>

#include "ringpost/deliver/report.hh"
#include "ringpost/policy/recipients.hh"
#include "shard/keyed_hashes.hh"
#include "shard/message_order.hh"
#include "shard/own_mail.hh"
#include "shard/recipient_status.hh"

namespace ringpost::shard {

using control::Act;
using control::Effect;
using control::Effected;

struct Interventions::Case {
  queue::Message& message;
  const control::Order& order;
  bool route_holds = false;
  std::unique_ptr<spool::MessageReader> reader;  // null: not opened
  Addresses addresses;                           // once it is
  Instant due{};                                 // when it is tried next

  std::vector<std::uint32_t> selected(Instant now, const deliver::SiteView* site) const {
    return select(order.filter, {.message = message, .addresses = reader ? &addresses : nullptr, .site = site, .route_holds = route_holds,
                                 .now = now, .is_ours = true});
  }
};

namespace {

Effect effect_of(const Error& error) { return error.code == Errc::corrupt ? Effect::unreadable : Effect::not_now; }

}  // namespace

/// Of this shard, in memory when this returns; null: there is none.
runtime::Task<queue::Message*> Interventions::find(MessageId id) {
  if (queue::Message* message = parts_.queue.find(id)) co_return message;
  for (auto& partition : parts_.partitions) {
    if (!partition->backlog().is_complete()) continue;  // an outcome may be unknown yet
    Result<queue::Message*> brought = co_await partition->backlog().bring(id);
    if (brought && *brought) co_return *brought;
  }
  co_return nullptr;
}

runtime::Task<Effected> Interventions::carry_out(MessageId id, const control::Order& order, bool route_holds) {
  queue::Message* message = co_await find(id);
  if (!message) co_return Effected{};
  if (message->in_delivery && !deliverer_.recall(*message)) co_return Effected{Effect::in_delivery};
  parts_.queue.unschedule(*message);
  message->in_delivery = true;  // nobody else may change it now
  co_await source_.all_recorded(*message);
  Case matter{.message = *message, .order = order, .route_holds = route_holds, .due = message->due};
  const Effected effected = co_await decide(matter);
  matter.reader.reset();
  source_.put_back(*message, matter.due, event::Reason::none);
  deliverer_.kick();
  co_return effected;
}

/// What the filter does not name is not opened for it, so that orders are possible while keys are away, or for what is damaged.
runtime::Task<Effected> Interventions::decide(Case& matter) {
  const Act act = matter.order.act;
  const bool gives_up = act == Act::bounce || act == Act::remove || act == Act::redirect;
  if (matter.order.filter.names_addresses() || gives_up) {
    auto opened = co_await open(matter);
    const bool may_do_without = act == Act::remove && !matter.order.filter.names_addresses();
    if (!opened && !(may_do_without && opened.error().code == Errc::corrupt)) co_return Effected{effect_of(opened.error())};
  }
  const std::optional<deliver::SiteView> site = matter.order.filter.destination ? deliverer_.view_for(matter.message) : std::nullopt;
  std::vector<std::uint32_t> selected = matter.selected(parts_.ring.now(), site ? &*site : nullptr);
  std::erase_if(selected, [&](std::uint32_t i) { return matter.message.recipients[i].state != queue::State::waiting; });
  if (selected.empty()) co_return Effected{};
  Effected effected;
  switch (act) {
    case Act::hold: effected = co_await hold(matter); break;
    case Act::release: effected = co_await release(matter); break;
    case Act::retry: effected = co_await retry(matter); break;
    case Act::bounce:
    case Act::remove: effected = co_await give_up(matter, std::move(selected)); break;
    case Act::redirect: effected = co_await redirect(matter, std::move(selected)); break;
  }
  co_return effected;
}

runtime::Task<Result<>> Interventions::open(Case& matter) {
  auto reader = co_await source_.read(matter.message);
  if (!reader) co_return std::unexpected(reader.error());
  if ((*reader)->envelope().recipients.size() != matter.message.recipients.size()) co_return std::unexpected(Error{Errc::corrupt});
  matter.reader = std::move(*reader);
  matter.addresses = addresses_in(matter.reader->envelope());
  co_return Result<>{};
}

event::Event Interventions::event_of(const Case& matter, event::Kind kind) const {
  event::Event event{.kind = kind};
  event.partition = parts_.partitions[matter.message.partition]->id();
  event.message = matter.message.id;
  event.user = matter.order.user;
  return event;
}

runtime::Task<Effected> Interventions::hold(Case& matter) {
  if (matter.message.held) co_return Effected{};
  matter.message.held = true;
  EventBatch events;
  events.add(event_of(matter, event::Kind::message_held));
  const bool durable = co_await source_.note(matter.message, {}, std::move(events));
  co_return Effected{durable ? Effect::done : Effect::not_now};
}

runtime::Task<Effected> Interventions::release(Case& matter) {
  queue::Message& message = matter.message;
  const bool waits = message.awaits_release(parts_.ring.now());
  if (!message.held && !waits) co_return Effected{};
  std::vector<std::uint32_t> changed;
  if (std::ranges::any_of(message.recipients, &queue::Recipient::is_set_aside)) {
    for (std::size_t i = 0; i < message.recipients.size(); ++i) {
      if (message.recipients[i].state != queue::State::waiting) continue;
      message.recipients[i].reason = event::Reason::none;
      changed.push_back(static_cast<std::uint32_t>(i));
    }
    if (parts_.work) parts_.work->forget(message.id);
  }
  // What an operator let go still waits for the time its sender asked for.
  const bool was_held = std::exchange(message.held, false);
  if (!was_held || !waits) std::ranges::copy(make_due(matter), std::back_inserter(changed));
  EventBatch events;
  events.add(event_of(matter, event::Kind::message_released));
  const bool durable = co_await source_.note(message, changed, std::move(events));
  co_return Effected{durable ? Effect::done : Effect::not_now};
}

runtime::Task<Effected> Interventions::retry(Case& matter) {
  if (matter.message.held) co_return Effected{};
  const std::vector<std::uint32_t> changed = make_due(matter);
  EventBatch events;
  events.add(event_of(matter, event::Kind::message_retried));
  const bool durable = co_await source_.note(matter.message, changed, std::move(events));
  deliverer_.encourage(matter.message);
  co_return Effected{durable ? Effect::done : Effect::not_now};
}

/// Returns the recipients that are different by it.
std::vector<std::uint32_t> Interventions::make_due(Case& matter) {
  const Instant now = parts_.ring.now();
  matter.due = matter.message.due = now;
  matter.message.due_wall = parts_.ring.wall_now();
  return matter.message.awaits_release(now) ? matter.message.release(now) : std::vector<std::uint32_t>{};
}

/// Bounce or remove. A message that cannot be opened is removed without the hashes of its recipients.
runtime::Task<Effected> Interventions::give_up(Case& matter, std::vector<std::uint32_t> recipients) {
  queue::Message& message = matter.message;
  const bool tells = matter.order.act == Act::bounce;
  const auto reason = tells ? event::Reason::operator_bounced : event::Reason::operator_deleted;
  EventBatch events;
  event::Event wanted = event_of(matter, tells ? event::Kind::message_bounced : event::Kind::message_deleted);
  wanted.recipients = static_cast<std::uint32_t>(recipients.size());
  events.add(wanted);
  for (std::uint32_t i : recipients) {
    queue::Recipient& recipient = message.recipients[i];
    const bool owes = tells && deliver::is_wanted(deliver::Action::failed, matter.addresses.sender,
                                                  matter.reader->envelope().recipients[i].parameters);
    recipient.state = owes ? queue::State::failed : queue::State::told;
    recipient.reason = reason;
    recipient.reply = {};
    if (!matter.reader) continue;
    event::Event failed = event_of(matter, event::Kind::recipient_failed);
    failed.user.reset();
    failed.size = message.size;
    failed.attempt = std::max<std::uint32_t>(recipient.attempts, 1);
    failed.recipient = address_hash(parts_.hash_key, matter.addresses.recipients[i]);
    failed.reason = reason;
    events.add(failed);
  }
  if (message.waiting() == 0) message.held = false;  // who is to be told is told now
  count_failed(recipients.size());
  const bool durable = co_await source_.note(message, recipients, std::move(events));
  co_return Effected{durable ? Effect::done : Effect::not_now, static_cast<std::uint32_t>(recipients.size())};
}

void Interventions::count_failed(std::size_t recipients) {
  for (std::size_t i = 0; i < recipients; ++i) parts_.metrics.recipients_failed.add();
  parts_.metrics.recipients_queued.add(-static_cast<std::int64_t>(recipients));
}

/// One message to the new address, in the group that ends it for the old ones.
runtime::Task<Effected> Interventions::redirect(Case& matter, std::vector<std::uint32_t> recipients) {
  queue::Message& message = matter.message;
  Partition& partition = *parts_.partitions[message.partition];
  MessageId id;
  parts_.ring.random(id.bytes);
  put_order(id, partition.log().newest_group());
  OwnMail successor(parts_, partition, store_, id);
  Result<> made = co_await successor.begin();
  for (bool more = made.has_value(); more;) {
    auto piece = co_await matter.reader->next();
    made = piece ? co_await successor.write(*piece) : Result<>{std::unexpected(piece.error())};
    more = made && !piece->empty();
  }
  if (!made) co_return Effected{effect_of(made.error())};

  const spool::Envelope& envelope = matter.reader->envelope();
  // The successor's age begins anew.
  spool::Terms asked = message.terms;
  const Duration age = std::max(parts_.ring.now() - message.born, Duration{});
  if (asked.when_late != spool::WhenLate::nothing) asked.by_s -= static_cast<std::int32_t>(age / std::chrono::seconds(1));
  const OwnTerms terms{.arrived = message.arrived,
                       .release = message.awaits_release(parts_.ring.now()) ? std::optional{message.born} : std::nullopt,
                       .destination = destination_hash(parts_.hash_key, policy::domain_of(matter.order.address)),
                       .asked = asked,
                       .smtputf8 = envelope.smtputf8,
                       .declared_eight_bit = envelope.declared_eight_bit,
                       .eight_bit = envelope.eight_bit,
                       .tls_wish = envelope.tls_wish,
                       .client = envelope.client,
                       .helo = envelope.helo,
                       .sender = envelope.reverse_path,
                       .parameters = envelope.parameters,
                       .recipient = matter.order.address,
                       .recipient_parameters = envelope.recipients[recipients.front()].parameters};
  EventBatch events;
  event::Event wanted = event_of(matter, event::Kind::message_redirected);
  wanted.recipients = static_cast<std::uint32_t>(recipients.size());
  wanted.recipient = address_hash(parts_.hash_key, matter.order.address);
  wanted.successor = id;
  events.add(wanted);

  std::vector<queue::Recipient> before;
  std::vector<spool::Outcome::Recipient> closed;
  for (std::uint32_t i : recipients) {
    queue::Recipient& recipient = message.recipients[i];
    before.push_back(recipient);
    recipient.state = queue::State::told;
    recipient.reason = event::Reason::operator_redirected;
    recipient.reply = {};
    closed.push_back({.index = i, .status = status_of(recipient)});
  }
  partition.backlog().changed(message);
  spool::OutcomeDraft outcome{.message = message.id};
  outcome.outcome = outcome_of(message, ++message.revision, closed);
  ++message.outcomes_in_flight;
  const Result<> kept = co_await successor.commit(&terms, outcome, events);
  --message.outcomes_in_flight;
  if (!kept) {
    // Nothing of it counts: the next outcome has this revision.
    --message.revision;
    for (std::size_t k = 0; k < recipients.size(); ++k) message.recipients[recipients[k]] = before[k];
    co_return Effected{effect_of(kept.error())};
  }
  parts_.metrics.recipients_queued.add(-static_cast<std::int64_t>(recipients.size()));
  deliverer_.kick();
  co_return Effected{Effect::done, static_cast<std::uint32_t>(recipients.size()), id};
}

}  // namespace ringpost::shard
