#include "shard/mail_source.hh"

#include <algorithm>

#include "ringpost/queue/schedule.hh"
#include "shard/keyed_hashes.hh"
#include "shard/mail_intake.hh"
#include "shard/recipient_status.hh"
#include "shard/reporter.hh"

namespace ringpost::shard {

using Verdict = deliver::RecipientResult::Verdict;

namespace {

constexpr Duration kWritePause = std::chrono::milliseconds(200);

/// From memory: what intake kept.
class HotOutgoing final : public deliver::Outgoing {
 public:
  HotOutgoing(const HotMessage& hot, std::uint64_t size) : hot_(hot), size_(size) {}
  std::string_view reverse_path() const override { return hot_.reverse_path; }
  std::string_view recipient(std::size_t index) const override { return hot_.recipients[index]; }
  std::string_view parameters() const override { return hot_.parameters; }
  std::string_view recipient_parameters(std::size_t index) const override {
    return hot_.recipient_parameters.empty() ? std::string_view{} : hot_.recipient_parameters[index];
  }
  bool smtputf8() const override { return hot_.smtputf8; }
  bool declared_eight_bit() const override { return hot_.declared_eight_bit; }
  bool eight_bit() const override { return hot_.eight_bit; }
  smtp::TlsWish tls_wish() const override { return hot_.tls_wish; }
  std::uint64_t size() const override { return size_; }
  Key256 detail_key() const override { return hot_.detail_key.duplicate(); }
  void rewind() override { given_ = 0; }
  runtime::Task<Result<Bytes>> next_content() override {
    if (given_ > hot_.pieces.size()) co_return Bytes{};
    const StagingBuffer& piece = given_ == hot_.pieces.size() ? hot_.last_piece : hot_.pieces[given_];
    ++given_;
    co_return piece.bytes();
  }

 private:
  const HotMessage& hot_;
  std::uint64_t size_;
  std::size_t given_ = 0;  // pieces
};

/// From the log.
class StoredOutgoing final : public deliver::Outgoing {
 public:
  StoredOutgoing(std::unique_ptr<spool::MessageReader> reader, std::uint64_t size) : reader_(std::move(reader)), size_(size) {}
  std::string_view reverse_path() const override { return reader_->envelope().reverse_path; }
  std::string_view recipient(std::size_t index) const override { return reader_->envelope().recipients[index].address; }
  std::string_view parameters() const override { return reader_->envelope().parameters; }
  std::string_view recipient_parameters(std::size_t index) const override { return reader_->envelope().recipients[index].parameters; }
  bool smtputf8() const override { return reader_->envelope().smtputf8; }
  bool declared_eight_bit() const override { return reader_->envelope().declared_eight_bit; }
  bool eight_bit() const override { return reader_->envelope().eight_bit; }
  smtp::TlsWish tls_wish() const override { return reader_->envelope().tls_wish; }
  std::uint64_t size() const override { return size_; }
  void rewind() override { reader_->rewind(); }
  runtime::Task<Result<Bytes>> next_content() override { return reader_->next(); }
  Key256 detail_key() const override { return reader_->detail_key(); }

 private:
  std::unique_ptr<spool::MessageReader> reader_;
  std::uint64_t size_;
};

}  // namespace

/// One attempt's outcome, with all that its record needs: the message may not change under it, nor vanish before it is durable.
struct MailSource::Change {
  queue::Message* message;
  std::uint32_t revision;
  WallTime due;
  spool::Waited waited;
  event::Host host;
  std::vector<spool::Outcome::Recipient> recipients;
  std::vector<std::string> texts;
  Key256 detail_key;
  EventBatch events;
};

MailSource::MailSource(const SourceParts& parts, std::shared_ptr<const config::Settings> settings)
    : parts_(parts),
      settings_(std::move(settings)),
      prng_(parts.seed),
      scope_(parts.ring),
      recorded_(parts.ring),
      trouble_log_(5, std::chrono::seconds(10)) {}

// ---- opening

runtime::Task<Result<std::unique_ptr<spool::MessageReader>>> MailSource::read(const queue::Message& message) {
  const MessageId id = message.id;
  auto reader = std::make_unique<spool::MessageReader>(parts_.partitions[message.partition]->log(), id, message.place);
  auto loaded = co_await reader->load();
  if (!loaded) co_return std::unexpected(loaded.error());
  std::vector<crypto::WrappedKey> wrapped = reader->wrapped_keys();
  if (wrapped.empty()) co_return std::unexpected(Error{Errc::corrupt});
  keys::UnwrapItem items[] = {{wrapped.front(), id}};
  keys::protocol::UnwrappedItem keys[1];
  auto unwrapped = co_await parts_.keys.unwrap(items, keys);
  if (!unwrapped) co_return std::unexpected(unwrapped.error());
  if (keys[0].status != keys::protocol::Status::ok) co_return std::unexpected(Error{Errc::corrupt});
  auto unlocked = reader->unlock(std::move(keys[0].message_key));
  if (!unlocked) co_return std::unexpected(unlocked.error());
  co_return reader;
}

runtime::Task<Result<std::unique_ptr<deliver::Outgoing>>> MailSource::open(queue::Message& message) {
  if (parts_.work) {
    if (parts_.work->is_poison(message.id)) co_return std::unexpected(Error{Errc::corrupt});
    parts_.work->begin(message.id);
  }
  if (message.hot) co_return std::make_unique<HotOutgoing>(static_cast<const HotMessage&>(*message.hot), message.size);
  auto reader = co_await read(message);
  if (!reader) co_return std::unexpected(reader.error());
  if ((*reader)->envelope().recipients.size() != message.recipients.size()) co_return std::unexpected(Error{Errc::corrupt});
  co_return std::make_unique<StoredOutgoing>(std::move(*reader), message.size);
}

void MailSource::postpone(queue::Message& message, Error error) {
  leave(message);
  if (error.code == Errc::corrupt) {
    // Never delivered, never destroyed: it waits for an operator.
    const bool poison = parts_.work && parts_.work->is_poison(message.id);
    if (poison) parts_.log.error("a message that ended two processes is set aside", {{"message", message.id}});
    else parts_.log.error("a stored message does not authenticate and is set aside", {{"message", message.id}});
    parts_.metrics.messages_quarantined.add();
    for (queue::Recipient& recipient : message.recipients)
      if (recipient.state == queue::State::waiting) recipient.reason = poison ? event::Reason::poison : event::Reason::damaged;
    message.held = true;
    parts_.partitions[message.partition]->backlog().changed(message);
  } else if (auto suppressed = trouble_log_.admit(parts_.ring.now())) {
    parts_.log.warning("a message cannot be opened for delivery now",
                       {{"message", message.id}, {"error", error}, {"suppressed", *suppressed}});
  }
  Duration delay = queue::retry_delay({settings_->retry.first, settings_->retry.max}, 1, prng_);
  message.due_wall = parts_.ring.wall_now() + delay;
  parts_.queue.schedule(message, parts_.ring.now() + delay);
  deliverer_->kick();
}

// ---- recording

event::Event MailSource::event_of(const queue::Message& message, std::size_t index, const deliver::RecipientResult& result,
                                  const deliver::Attempt& attempt, std::string_view address) const {
  event::Event event{.kind = result.verdict == Verdict::delivered ? event::Kind::recipient_delivered
                             : result.verdict == Verdict::failed  ? event::Kind::recipient_failed
                                                                  : event::Kind::recipient_deferred};
  event.message = message.id;
  event.size = message.size;
  event.attempt = message.recipients[index].attempts;
  event.partition = parts_.partitions[message.partition]->id();
  event.recipient = address_hash(parts_.hash_key, address);
  if (attempt.host.port != 0) event.next_hop = attempt.host;
  event.tls = attempt.tls;
  event.reply = event::reply_code(result.reply.code, result.reply.enhanced_class, result.reply.enhanced_subject,
                                  result.reply.enhanced_detail);
  if (result.verdict != Verdict::delivered)
    event.reason = result.reason == event::Reason::none ? event::Reason::next_hop_protocol : result.reason;
  return event;
}

void MailSource::count(const queue::Message& message, Verdict verdict) {
  metrics::ShardMetrics& metrics = parts_.metrics;
  if (verdict == Verdict::deferred) return metrics.recipients_deferred.add();
  (verdict == Verdict::delivered ? metrics.recipients_delivered : metrics.recipients_failed).add();
  metrics.recipients_queued.add(-1);
  if (message.accepted_at != Instant{}) metrics.delivery_latency.record(parts_.ring.now() - message.accepted_at);
}

// What becomes of the recipients that wait after an attempt. The one that was tried most often speaks for all.
queue::Verdict MailSource::judge(const queue::Message& message) {
  queue::Deferred deferred{.age = parts_.ring.now() - message.born, .warned = message.warned, .attempts = 0};
  for (const queue::Recipient& recipient : message.recipients) {
    if (recipient.state != queue::State::waiting || recipient.attempts < deferred.attempts) continue;
    deferred.attempts = recipient.attempts;
    deferred.trouble = queue::trouble_of(recipient.reason, recipient.reply);
  }
  if (deferred.attempts == 0) return {.wait = settings_->retry.first};  // nobody waits, or who does was not tried
  queue::Verdict next = queue::decide(deferred, {settings_->retry.first, settings_->retry.max},
                                      patience_with(message), prng_);
  if (next.expired) next.wait = settings_->retry.first;  // who still waits was not tried: one last attempt
  return next;
}

queue::Patience MailSource::patience_with(const queue::Message& message) const {
  return queue::with_terms({settings_->queue.lifetime, settings_->queue.delay_warning}, message.terms);
}

// Once for each message, whether somebody wants to hear it or not.
void MailSource::warn(queue::Message& message, const deliver::Outgoing& outgoing, const deliver::Attempt& attempt) {
  message.warned = true;
  for (std::size_t i = 0; i < message.recipients.size(); ++i)
    if (message.recipients[i].state == queue::State::waiting &&
        deliver::is_wanted(deliver::Action::delayed, outgoing.reverse_path(), outgoing.recipient_parameters(i), message.terms))
      message.warning_owed = true;
  if (!message.warning_owed) return;
  message.warned = false;  // not before it is durable
  for (std::size_t slot = 0; slot < attempt.results.size(); ++slot)
    if (message.recipients[attempt.recipient(slot)].state == queue::State::waiting)
      reporter_->remember(message.id, attempt.recipient(slot), attempt.host, attempt.results[slot].text);
}

// A delivery to a hop that reports further is not ours to report (RFC 3461 section 5.2). But one to a hop that was not told of the sender's
// time is, and a trace names each hop (RFC 2852 section 4.1).
queue::State MailSource::state_after(const queue::Message& message, const deliver::RecipientResult& result, const deliver::Outgoing& outgoing,
                                     std::size_t index) const {
  if (result.verdict == Verdict::deferred) return queue::State::waiting;
  const bool delivered = result.verdict == Verdict::delivered;
  const auto wants = [&](deliver::Action action, const spool::Terms& terms) {
    return deliver::is_wanted(action, outgoing.reverse_path(), outgoing.recipient_parameters(index), terms);
  };
  const bool leaves_time = message.terms.trace || (message.terms.when_late == spool::WhenLate::notify && !result.keeps_time);
  const bool owes = delivered ? (!result.reports && wants(deliver::Action::relayed, {})) || (leaves_time && wants(deliver::Action::relayed, message.terms))
                              : wants(deliver::Action::failed, {});
  return owes ? queue::State::failed : delivered ? queue::State::delivered : queue::State::told;
}

void MailSource::leave(queue::Message& message) {
  if (parts_.work) parts_.work->end(message.id);
}

bool MailSource::is_overdue(const queue::Message& message) const {
  const queue::Patience patience = patience_with(message);
  const Duration age = parts_.ring.now() - message.born, warning = patience.delay_warning;
  return message.waiting() > 0 &&
         (age >= patience.lifetime || (warning > Duration{} && !message.warned && !message.warning_owed && age >= warning));
}

void MailSource::put_back(queue::Message& message, Instant due, event::Reason reason) {
  const Instant now = parts_.ring.now();
  for (queue::Recipient& recipient : message.recipients)
    if (recipient.state == queue::State::waiting && recipient.is_untried() && !message.awaits_release(now)) recipient.reason = reason;
  if (!message.awaits_release(now)) message.due_wall = parts_.ring.wall_now() + std::max(due - now, Duration{});
  parts_.queue.schedule(message, due);
  finish(message);
}

void MailSource::record(queue::Message& message, const deliver::Outgoing& outgoing, const deliver::Attempt& attempt, bool more) {
  leave(message);
  auto change = std::make_unique<Change>();
  const Duration age = parts_.ring.now() - message.born;
  const bool expired = age >= patience_with(message).lifetime;
  for (std::size_t slot = 0; slot < attempt.results.size(); ++slot) {
    const std::size_t i = attempt.recipient(slot);
    queue::Recipient& recipient = message.recipients[i];
    deliver::RecipientResult result = attempt.results[slot];
    if (recipient.state != queue::State::waiting || result.verdict == Verdict::none) continue;
    if (result.reason == event::Reason::destination_suspended) result.reply = recipient.reply;  // what was heard last still counts
    if (result.verdict == Verdict::deferred && expired) {
      result.verdict = Verdict::failed;
      result.reason = message.terms.forbids(age) ? event::Reason::deliver_by_expired : event::Reason::expired;
    }
    recipient.state = state_after(message, result, outgoing, i);
    if (recipient.attempts < 255) ++recipient.attempts;
    recipient.reason = result.reason;
    recipient.reply = event::reply_code(result.reply.code, result.reply.enhanced_class, result.reply.enhanced_subject,
                                        result.reply.enhanced_detail)
                          .value_or(event::ReplyCode{});
    if (attempt.host.port != 0) recipient.host = attempt.host;
    if (recipient.state == queue::State::failed) reporter_->remember(message.id, i, attempt.host, result.text);
    change->texts.push_back(result.text);
    change->recipients.push_back({.index = static_cast<std::uint32_t>(i), .status = status_of(recipient)});
    change->events.add(event_of(message, i, result, attempt, outgoing.recipient(i)));
    count(message, result.verdict);
  }
  for (std::size_t i = 0; i < change->texts.size(); ++i) change->recipients[i].text = change->texts[i];

  const queue::Verdict next = judge(message);
  if (next.warn) warn(message, outgoing, attempt);
  const Instant now = parts_.ring.now();
  const bool waiting = message.waiting() > 0;
  const Duration delay = waiting && !more ? next.wait : Duration{};
  message.due_wall = parts_.ring.wall_now() + delay;
  parts_.partitions[message.partition]->backlog().changed(message);
  change->message = &message;
  change->revision = ++message.revision;
  change->due = message.due_wall;
  change->waited = waited_of(message, now + delay);
  change->host = attempt.host;
  change->detail_key = outgoing.detail_key();
  ++message.outcomes_in_flight;
  if (!more) {
    if (!message.owes_report()) message.hot.reset();  // a second attempt reads the log
    parts_.queue.schedule(message, now + delay);
    if (waiting) deliverer_->kick();
  }
  scope_.spawn(write_behind(std::move(change)));
}

runtime::Task<bool> MailSource::note(queue::Message& message, const std::vector<std::uint32_t>& changed, EventBatch events) {
  auto change = std::make_unique<Change>();
  for (std::uint32_t index : changed) change->recipients.push_back({.index = index, .status = status_of(message.recipients[index])});
  change->events = std::move(events);
  parts_.partitions[message.partition]->backlog().changed(message);
  change->message = &message;
  change->revision = ++message.revision;
  change->due = message.due_wall;
  change->waited = waited_of(message, message.due);
  ++message.outcomes_in_flight;
  const bool durable = co_await write(std::move(change));
  co_return durable;
}

runtime::Task<void> MailSource::all_recorded(const queue::Message& message) {
  while (message.outcomes_in_flight > 0) (void)co_await recorded_.wait();
}

runtime::Task<void> MailSource::write_behind(std::unique_ptr<Change> change) { (void)co_await write(std::move(change)); }

// Until it is durable: a delivery that was answered is never forgotten while this process lives. Outcomes of one message become
// durable in their order: a start that finds the second alone would take it that the first one is known, and deliver again.
runtime::Task<bool> MailSource::write(std::unique_ptr<Change> change) {
  queue::Message& message = *change->message;
  bool written = false;
  while (change->revision != message.revision - message.outcomes_in_flight + 1) (void)co_await recorded_.wait();
  spool::Log& log = parts_.partitions[message.partition]->log();
  spool::OutcomeDraft draft{.message = message.id};
  draft.outcome = {.message_generation = message.place.generation,
                   .revision = change->revision,
                   .held = message.held,
                   .due = change->due,
                   .waited = change->waited,
                   .host = change->host,
                   .recipients = change->recipients};
  draft.detail_key = &change->detail_key;
  // Events are numbered in the shard's own log; an adopted partition keeps outcomes only.
  bool own = message.partition == 0;
  for (;;) {
    std::size_t bytes = spool::bytes_of(draft) + (own ? AuditTrail::bytes_of(change->events) : 0);
    auto room = co_await log.reserve(bytes, spool::Use::upkeep);
    if (!room && room.error().code == Errc::cancelled) break;
    if (room) {
      const spool::Position place = room->add_outcome(draft);
      if (own) parts_.trail.put(*room, change->events);
      spool::Ticket ticket = room->commit();
      auto durable = co_await log.durable(ticket);
      if (durable) {
        if (own) parts_.trail.durable(change->events);
        else parts_.trail.report(change->events);
        if (std::ranges::any_of(change->texts, [](const std::string& text) { return !text.empty(); })) message.words = place;
        written = true;
        break;
      }
    }
    co_await parts_.ring.sleep_for(kWritePause);
  }
  --message.outcomes_in_flight;
  recorded_.notify_all();
  finish(message);
  co_return written;
}

// Nothing to do and nothing under way: the log may let it go. Or the sender is to be told of something first.
void MailSource::finish(queue::Message& message) {
  if (message.outcomes_in_flight > 0 || message.in_delivery) return;
  if (message.owes_report()) {
    parts_.queue.schedule(message, message.due);
    return reporter_->kick();
  }
  if (!message.is_over()) return;
  parts_.metrics.messages_queued.add(-1);
  parts_.partitions[message.partition]->backlog().release(message);
  if (parts_.work) parts_.work->forget(message.id);
  parts_.queue.remove(message);
}

void MailSource::settled(queue::Message& message) {
  leave(message);
  parts_.queue.schedule(message, message.due);
  deliverer_->kick();
  finish(message);
}

runtime::Task<void> MailSource::stop() { co_await scope_.join(); }

}  // namespace ringpost::shard
