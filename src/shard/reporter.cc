#include "shard/reporter.hh"

#include <algorithm>

#include "ringpost/policy/recipients.hh"
#include "shard/keyed_hashes.hh"
#include "shard/own_mail.hh"
#include "shard/recipient_status.hh"

namespace ringpost::shard {

namespace {

// Reports that are made at once: their groups are shared, so more would not be faster.
constexpr std::size_t kRunningMax = 16;
constexpr Duration kPause = std::chrono::milliseconds(500);
// Messages come into the queue from a recovery that runs beside everything else and kicks nobody.
constexpr Duration kLookInterval = std::chrono::seconds(1);

bool is_relayed(const queue::Recipient& recipient) { return recipient.reply.code / 100 == 2; }

}  // namespace

Reporter::Reporter(const SourceParts& parts, MailSource& source, const StoreId& store, std::shared_ptr<const config::Settings> settings)
    : parts_(parts), source_(source), store_(store), settings_(std::move(settings)), scope_(parts.ring), owed_(parts.ring), stop_(parts.ring) {}

void Reporter::start() { scope_.spawn(run()); }

runtime::Task<void> Reporter::stop() {
  stopping_ = true;
  owed_.notify_all();
  stop_.notify_all();
  co_await scope_.join();
}

void Reporter::remember(const MessageId& message, std::size_t recipient, const event::Host& host, std::string_view text) {
  heard_[{message, recipient}] = {host, std::string{text.substr(0, spool::kReplyTextBytesMax)}};
}

runtime::Task<void> Reporter::run() {
  while (!stopping_) {
    while (running_ < kRunningMax) {
      queue::Message* message = parts_.queue.take_owing();
      if (!message) break;
      ++running_;
      scope_.spawn(report(*message));
    }
    (void)co_await owed_.wait(parts_.ring.now() + kLookInterval);
  }
}

// Until it is durable, or the server stops: then the debt is still on record. The message is ours meanwhile (in_delivery).
runtime::Task<void> Reporter::report(queue::Message& message) {
  const std::uint32_t revision = ++message.revision;
  ++message.outcomes_in_flight;
  parts_.partitions[message.partition]->backlog().changed(message);
  while (!stopping_) {
    MessageId id;
    parts_.ring.random(id.bytes);
    auto outgoing = co_await source_.open(message);
    Result<> kept = outgoing ? Result<>{} : std::unexpected(outgoing.error());
    if (outgoing) {
      auto content = co_await make(message, **outgoing, id);
      outgoing->reset();  // it reads a message that may be gone soon
      if (content) kept = co_await keep(message, *content, id, revision);
      else kept = std::unexpected(content.error());
      if (kept) {
        settle(message, *content);
        break;
      }
    }
    if (kept.error().code == Errc::corrupt) {
      // Nothing was written under this revision; the message is set aside with its debt.
      --message.revision;
      --message.outcomes_in_flight;
      source_.postpone(message, kept.error());
      break;
    }
    source_.leave(message);
    co_await stop_.wait(parts_.ring.now() + kPause);
  }
  --running_;
  owed_.notify_all();
}

void Reporter::collect(const queue::Message& message, const deliver::Outgoing& outgoing, Content& content,
                       std::vector<deliver::Reported>& reported) const {
  for (std::size_t i = 0; i < message.recipients.size(); ++i) {
    const queue::Recipient& recipient = message.recipients[i];
    deliver::Reported one{.address = outgoing.recipient(i),
                          .parameters = outgoing.recipient_parameters(i),
                          .reason = recipient.reason,
                          .reply = recipient.reply};
    if (recipient.state == queue::State::failed) {
      content.closed.push_back(i);
      one.action = is_relayed(recipient) ? deliver::Action::relayed : deliver::Action::failed;
    } else if (recipient.state == queue::State::waiting && message.warning_owed) {
      one.action = deliver::Action::delayed;
      one.will_retry_until = parts_.ring.wall_now() + (settings_->queue.lifetime - (parts_.ring.now() - message.born));
    } else {
      continue;
    }
    if (!deliver::is_wanted(one.action, outgoing.reverse_path(), one.parameters, message.terms)) continue;
    if (auto heard = heard_.find({message.id, i}); heard != heard_.end()) {
      one.host = heard->second.host;
      one.text = heard->second.text;
    }
    reported.push_back(one);
  }
  content.warns = message.warning_owed;
  content.recipients = static_cast<std::uint32_t>(reported.size());
}

runtime::Task<Result<Reporter::Content>> Reporter::make(const queue::Message& message, deliver::Outgoing& outgoing, const MessageId& id) {
  Content content;
  std::vector<deliver::Reported> reported;
  collect(message, outgoing, content, reported);
  if (reported.empty()) co_return content;  // what is wanted changed: nobody is told, the debt is settled
  const bool failed = std::ranges::any_of(reported, [](const auto& one) { return one.action == deliver::Action::failed; });
  // Its sender does not want it seen, and the report is perhaps all that cannot go as it came (RFC 8689 section 5).
  content.tls_wish = outgoing.tls_wish() == smtp::TlsWish::required ? smtp::TlsWish::required : smtp::TlsWish::none;
  const bool whole = failed && content.tls_wish == smtp::TlsWish::none && smtp::read_mail_parameters(outgoing.parameters()).ret == smtp::Return::full;
  deliver::Returned returned(whole, outgoing.size(), settings_->dsn.returned_bytes_max);
  outgoing.rewind();
  for (;;) {
    auto piece = co_await outgoing.next_content();
    if (!piece) co_return std::unexpected(piece.error());
    if (piece->empty() || !returned.feed(*piece)) break;
  }
  deliver::ReportDraft draft{.hostname = settings_->hostname,
                             .sender = outgoing.reverse_path(),
                             .parameters = outgoing.parameters(),
                             .now = parts_.ring.wall_now(),
                             .arrived = message.arrived,
                             .id = id};
  if (message.terms.when_late != spool::WhenLate::nothing)
    draft.deliver_by = draft.now + (std::chrono::seconds(message.terms.by_s) - (parts_.ring.now() - message.born));
  parts_.ring.random(draft.boundary);
  draft.recipients = reported;
  draft.returned = &returned;
  content.made = deliver::make_report(draft);
  content.sender = outgoing.reverse_path();
  co_return content;
}

// The report and what it settles, in one group.
runtime::Task<Result<>> Reporter::keep(queue::Message& message, const Content& content, const MessageId& id, std::uint32_t revision) {
  Partition& partition = *parts_.partitions[message.partition];
  const bool tells = content.recipients > 0;
  OwnMail report(parts_, partition, store_, id);
  if (tells) {
    auto begun = co_await report.begin();
    if (begun) begun = co_await report.write(as_bytes(content.made.content));
    if (!begun) co_return begun;
  }
  const OwnTerms terms{.arrived = parts_.ring.wall_now(),
                       .destination = destination_hash(parts_.hash_key, policy::domain_of(content.sender)),
                       .asked = {.priority = message.terms.priority},
                       .smtputf8 = content.made.smtputf8,
                       .eight_bit = content.made.eight_bit,
                       .tls_wish = content.tls_wish,
                       .recipient = content.sender};

  std::vector<spool::Outcome::Recipient> closed;
  for (std::size_t i : content.closed) {
    queue::Recipient after = message.recipients[i];
    after.state = is_relayed(after) ? queue::State::delivered : queue::State::told;
    closed.push_back({.index = static_cast<std::uint32_t>(i), .status = status_of(after)});
  }
  spool::OutcomeDraft outcome{.message = message.id};
  outcome.outcome = outcome_of(message, revision, closed);
  outcome.outcome.waited.warned = message.warned || content.warns;

  EventBatch events;
  if (tells) {
    event::Event sent{.kind = event::Kind::report_sent};
    sent.partition = partition.id();
    sent.message = message.id;
    sent.size = content.made.content.size();
    sent.recipients = content.recipients;
    sent.report = id;
    events.add(sent);
  }
  auto kept = co_await report.commit(tells ? &terms : nullptr, outcome, events);
  if (kept && tells) parts_.metrics.reports_sent.add();
  co_return kept;
}

// What is durable becomes what the queue knows; `message` may be gone then.
void Reporter::settle(queue::Message& message, const Content& content) {
  for (std::size_t i : content.closed) {
    queue::Recipient& recipient = message.recipients[i];
    recipient.state = is_relayed(recipient) ? queue::State::delivered : queue::State::told;
    heard_.erase({message.id, i});
  }
  if (content.warns) message.warned = true;
  message.warning_owed = false;
  message.hot.reset();
  --message.outcomes_in_flight;
  source_.settled(message);
}

}  // namespace ringpost::shard
